#!/bin/bash
# Gives a Debian tree a package repository of its own, with the daemons of its release: the host reaches no network but the
# lab's. Every package is Debian's own; what they depend on is in the tree.
set -eu

apt-get -qq update
mkdir -p /srv/apt
cd /srv/apt
chmod 777 .
. /etc/os-release
apt-get -qq download ntpsec ntpsec-ntpdate ntpsec-ntpdig chrony
# What chrony needs besides. In Debian 13 two of these have other names, and the image has them all.
[ "$VERSION_CODENAME" != bookworm ] ||
    apt-get -qq -y --no-install-recommends install libedit2 libgnutls30 libnettle8 libseccomp2 ucf
for deb in *.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum < "$deb" | cut -d' ' -f1)"
done > Packages
chmod 755 .
rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*
echo 'deb [trusted=yes] file:///srv/apt ./' > /etc/apt/sources.list
# A host's clock may be years off.
printf 'Acquire::Check-Valid-Until "false";\nAcquire::Check-Date "false";\n' > /etc/apt/apt.conf.d/99lab
apt-get -qq update
