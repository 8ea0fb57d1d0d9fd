#!/bin/bash
# build.sh - gives a Debian 11 tree the face of CentOS 6.5.
#
# To be run as root INSIDE the tree, in a jail without dangerous capabilities; may be run again. Everything it installs
# is below rootfs/ (laid out as installed) and rpm/, next to this script. It needs the network once, for three .debs,
# and in the tree: rpm dnf createrepo-c sysvinit-core cpio cron iptables netbase procps tzdata passwd, and the
# libraries of ntp (libcap2 libedit2 libopts25 libssl1.1 libbsd0).
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
debs=/var/cache/lab/debs
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fetch_debs() {
    mkdir -p $debs
    cd $debs
    for name in ntp ntpdate ntpstat; do
        compgen -G "${name}_*.deb" > /dev/null && continue
        apt-get -q -o APT::Sandbox::User=root download $name ||
            { apt-get -q -o APT::Sandbox::User=root update && apt-get -q -o APT::Sandbox::User=root download $name; }
    done
    cd /
}

# Debian's init scripts, its marks and the things that EL6 keeps elsewhere
remove_debian() {
    if [ ! -L /etc/init.d ]; then
        rm -rf /etc/init.d /etc/rc?.d
    fi
    rm -f /etc/os-release /usr/lib/os-release /etc/debian_version /etc/lsb-release /etc/timezone \
        /etc/adjtime /usr/sbin/policy-rc.d /usr/sbin/update-rc.d /usr/sbin/invoke-rc.d
    if [ -L /var/lock ]; then
        rm /var/lock
    fi
    # EL6's user ntp has the number of Debian's user list
    if [ "$(getent passwd 38 | cut -d: -f1)" = list ]; then
        userdel list
    fi
    if [ "$(getent group 38 | cut -d: -f1)" = list ]; then
        groupdel list
    fi
}

make_layout() {
    mkdir -p /etc/rc.d/init.d /etc/sysconfig /var/lock/subsys /var/lib/rpm /etc/dnf /srv/yum
    for level in {0..6}; do
        mkdir -p /etc/rc.d/rc"$level".d
        ln -sfn rc.d/rc"$level".d /etc/rc"$level".d
    done
    ln -sfn rc.d/init.d /etc/init.d
    ln -sfn bash /bin/sh
}

# The directories of the tree may be links (/sbin -> usr/sbin), so file by file rather than cp -r.
install_rootfs() {
    local path mode
    cd "$here/rootfs"
    find . -type f -o -type l | while read -r path; do
        if [ -L "$path" ]; then
            ln -sfn "$(readlink "$path")" "/$path"
            continue
        fi
        case "$path" in
            ./etc/sysconfig/ip*tables*) mode=600 ;;
            ./etc/rc.d/init.d/functions) mode=644 ;;
            ./*sbin/* | ./etc/rc.d/*) mode=755 ;;
            *) mode=644 ;;
        esac
        rm -f "/$path"
        install -D -m $mode "$path" "/$path"
    done
    cd /
    ln -sfn centos-release /etc/redhat-release
    ln -sfn centos-release /etc/system-release
    ln -sfn ../init.d/halt /etc/rc.d/rc0.d/S01halt
    ln -sfn ../init.d/halt /etc/rc.d/rc6.d/S01reboot
    ln -sfn cron /usr/sbin/crond
    ln -sfn dnf /usr/bin/yum
    ln -sfn ../yum.conf /etc/dnf/dnf.conf
    tzdata-update
    for service in iptables ip6tables crond salt-minion; do
        chkconfig --add $service
    done
}

# build_rpm SPEC OPTION...
build_rpm() {
    local spec=$1
    shift
    rpmbuild -bb --quiet --define "_topdir $scratch/rpm" --define "_sourcedir $here/rpm/ntp" \
        --define "_buildhost localhost" "$@" "$here/rpm/$spec"
}

make_repository() {
    local deb build
    for deb in $debs/*.deb; do
        dpkg-deb -x "$deb" "$scratch/debs"
    done
    [ -e /var/lib/rpm/rpmdb.sqlite ] || [ -e /var/lib/rpm/Packages ] || rpm --initdb
    build_rpm platform.spec
    for build in 1 2; do
        build_rpm ntp.spec --define "debs $scratch/debs" --define "build $build"
    done
    rm -rf /srv/yum/*
    cp "$scratch"/rpm/RPMS/*/ntp*.rpm /srv/yum/
    createrepo_c -q /srv/yum
    rpm -U --replacepkgs --force-debian "$scratch"/rpm/RPMS/noarch/el6-platform-*.rpm
}

fetch_debs
remove_debian
make_layout
install_rootfs
make_repository
