#!/bin/bash
# Gives a Debian tree a package repository of its own, with the daemons of its release: the host reaches no network but the
# lab's. Every package is Debian's own; what they depend on must be in the tree already.
set -eu

apt-get -qq update
mkdir -p /srv/apt
cd /srv/apt
chmod 777 .
. /etc/os-release
# Debian 12 without chrony: hosts of that kind are installed from all the files that lie here, and the two exclude each other.
apt-get -qq download ntpsec ntpsec-ntpdate ntpsec-ntpdig $([ "$VERSION_CODENAME" = bookworm ] || echo chrony)
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
