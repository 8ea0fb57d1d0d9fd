#!/bin/bash
# build.sh PLATFORM - what a virtual machine has on its disk and a host in namespaces has no use for: an agent that
# answers the lab's driver, programs for kernel modules, a cable to configure at boot, a true shutdown.
#
# To be run as root inside a tree of the lab, in a jail. /lab/kernel holds the modules; /lab/packages (modern only) the
# Python packages that the project's tests themselves use. Nothing is installed for the tree's package manager to see.
set -eu

platform=$1
here=/lab/guest
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Libraries and programs out of Debian's packages. The tree's own sources may be the lab's alone, so they are named here.
unpack() {
    local suite=$1
    shift
    mkdir -p "$scratch/lists/partial" "$scratch/debs"
    echo "deb ${MIRROR:-http://deb.debian.org/debian} $suite main" > "$scratch/sources"
    local options="-qq -o APT::Sandbox::User=root -o Dir::Etc::sourcelist=$scratch/sources -o Dir::Etc::sourceparts=/none
        -o Dir::State::lists=$scratch/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
    apt-get $options update
    cd "$scratch/debs"
    apt-get $options download "$@"
    for deb in *.deb; do
        dpkg-deb -x "$deb" "$scratch/tree"
    done
    cd /
    # /bin, /lib and /sbin of the tree are links, which must stay.
    rm -rf "$scratch"/tree/{etc,usr/share,lib/systemd,lib/udev,usr/lib/systemd,usr/lib/udev}
    for part in bin lib sbin usr; do
        [ ! -d "$scratch/tree/$part" ] || cp -a "$scratch/tree/$part/." "/$part/"
    done
    ldconfig
}

case $platform in
    el6) unpack bullseye qemu-guest-agent kmod libkmod2 libglib2.0-0 libudev1 libnuma1 liburing1 libpcre3 libffi7 libmount1 libblkid1 libselinux1 ;;
    modern) unpack bookworm qemu-guest-agent kmod libkmod2 libglib2.0-0 libudev1 libnuma1 liburing2 libpcre2-8-0 libffi8 libmount1 libblkid1 libselinux1 ;;
esac
ldd /usr/sbin/qemu-ga | grep "not found" && exit 1

mkdir -p /lib/modules
cp -a /lab/kernel/modules/. /lib/modules/
install -m 755 $here/guest-agent $here/guest-down /usr/sbin/
# The agent comes before the run level, and so it answers while services start.
agent='ga:2345:respawn:/usr/sbin/guest-agent'

case $platform in
    el6)
        install -m 755 $here/network /etc/rc.d/init.d/network
        chkconfig --add network
        sed -i "/^si:/a $agent" /etc/inittab
        ;;
    modern)
        install -m 755 $here/network /etc/init.d/networking
        install -m 755 $here/sysinit /etc/init.d/guest-sysinit
        update-rc.d -f networking remove > /dev/null 2>&1 || true
        rm -f /etc/rc?.d/*networking
        ln -s ../init.d/networking /etc/rc2.d/S01networking
        cat > /etc/inittab <<END
id:2:initdefault:
si::sysinit:/etc/init.d/guest-sysinit
$agent
l0:0:wait:/usr/sbin/guest-down poweroff
l2:2:wait:/etc/init.d/rc 2
l6:6:wait:/usr/sbin/guest-down reboot
END
        mkdir -p /usr/local/lib/python3.11/dist-packages
        cd /lab/packages
        tar -c --exclude-from=$here/left-out . | tar -x --no-same-owner -C /usr/local/lib/python3.11/dist-packages
        cd /
        for program in salt-call salt-minion; do
            printf '#!/usr/bin/python3\nimport sys\nfrom salt.scripts import %s\nsys.exit(%s())\n' \
                "${program/-/_}" "${program/-/_}" > /usr/local/bin/$program
            chmod 755 /usr/local/bin/$program
        done
        echo 'DAEMON=/usr/local/bin/salt-minion' > /etc/default/salt-minion
        salt-call --version
        ;;
esac
