#!/bin/bash
# Gives a Debian 12 tree that boots with systemd the face of Rocky Linux 9.
#
# Debian's own, the same programs as EL9's: systemd 252, dnf, rpm, firewalld, nftables. A stand-in: restorecon.
# What differs, and shows: Python is 3.11 (EL9: 3.9), dpkg is there, crond is Debian's cron under EL9's name; there is no
# NetworkManager and no SELinux. The heads of rpm/*.spec tell about the packages.
set -eu
umask 022

here=/lab/el9
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

install_programs() {
    apt-get -qq update
    apt-get -qq -y --no-install-recommends install firewalld nftables dnf rpm createrepo-c cpio \
        libedit2 libgnutls30 libnettle8 libseccomp2
    cd "$scratch"
    apt-get -qq -o APT::Sandbox::User=root download chrony
    dpkg-deb -x chrony_*.deb debs
    cd /
}

# Debian's marks, and what EL9 keeps elsewhere or has not
remove_debian() {
    rm -rf /etc/init.d /etc/rc?.d /etc/apt /var/log/journal /var/lib/apt/lists/* /var/cache/apt/*
    rm -f /etc/os-release /usr/lib/os-release /etc/debian_version /etc/timezone /etc/adjtime \
        /usr/sbin/update-rc.d /usr/sbin/invoke-rc.d
}

# The directories of the tree may be links (/sbin -> usr/sbin), so file by file rather than cp -r.
install_rootfs() {
    local path
    cd "$here/rootfs"
    find . -type f | while read -r path; do
        install -D -m "$([ "${path#./usr/sbin}" = "$path" ] && echo 644 || echo 755)" "$path" "/$path"
    done
    cd /
    ln -sfn rocky-release /etc/redhat-release
    ln -sfn rocky-release /etc/system-release
    ln -sfn bash /bin/sh
    ln -sfn dnf-3 /usr/bin/dnf
    ln -sfn dnf /usr/bin/yum
    ln -sfn ../usr/share/zoneinfo/UTC /etc/localtime
}

# The same program and unit under the name that EL9 has for them
name_crond() {
    local units=/usr/lib/systemd/system
    systemctl disable cron.service
    ln -sfn cron /usr/sbin/crond
    sed 's#/usr/sbin/cron#/usr/sbin/crond#' $units/cron.service > $units/crond.service
    rm $units/cron.service
    systemctl enable crond.service
}

build_rpm() { # SPEC OPTION...
    local spec=$1
    shift
    rpmbuild -bb --quiet --define "_topdir $scratch/rpm" --define "_sourcedir $here/rpm/chrony" \
        --define "_buildhost localhost" "$@" "$here/rpm/$spec"
}

make_repository() {
    local build
    rpm --initdb
    build_rpm platform.spec
    for build in 1 2; do
        build_rpm chrony.spec --define "debs $scratch/debs" --define "build $build"
    done
    mkdir -p /srv/yum
    cp "$scratch"/rpm/RPMS/x86_64/*.rpm /srv/yum/
    createrepo_c -q /srv/yum
    rpm -U --force-debian "$scratch"/rpm/RPMS/noarch/*.rpm
}

install_programs
remove_debian
install_rootfs
name_crond
make_repository
systemctl enable firewalld.service
