#!/bin/bash
# Turns a Debian 12 tree into a host of the lab: a local package repository that holds ntpsec, sysvinit as its init, and a
# minion that init starts. Nothing of it stands in for a program: ntpsec, apt, dpkg, hwclock and iptables are Debian's own.
set -eu

# The host reaches no network but the lab's: what it may install lies in a flat repository of its own.
apt-get -qq update
mkdir -p /srv/apt
cd /srv/apt
chmod 777 .
apt-get -qq download ntpsec ntpsec-ntpdate ntpsec-ntpdig
for deb in *.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum < "$deb" | cut -d' ' -f1)"
done > Packages
chmod 755 .
echo 'deb [trusted=yes] file:///srv/apt ./' > /etc/apt/sources.list
rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*
# A host's clock may be years off.
printf 'Acquire::Check-Valid-Until "false";\nAcquire::Check-Date "false";\n' > /etc/apt/apt.conf.d/99lab
apt-get -qq update

install -m 755 /lab/modern/salt-minion.init /etc/init.d/salt-minion
update-rc.d salt-minion defaults

# Init: straight into runlevel 2. The scripts that would mount, load modules or set the clock from the hardware have no
# place in a host whose kernel is not its own.
cat > /etc/inittab <<'END'
id:2:initdefault:
si::sysinit:/bin/sh -c ": > /run/utmp"
l2:2:wait:/etc/init.d/rc 2
l6:6:wait:/bin/sh -c "/etc/init.d/rc 6; : > /run/lab-down"
END
rm -f /etc/rcS.d/S* /etc/rc0.d/* /etc/rc6.d/*
rm -f /etc/rc2.d/*bootlogs /etc/rc2.d/*rmnologin /etc/rc2.d/*rc.local
