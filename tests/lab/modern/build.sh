#!/bin/bash
# Turns a Debian 12 tree with a package repository of its own into a host of the lab: sysvinit as its init, and a minion that
# init starts. Nothing of it stands in for a program: ntpsec, apt, dpkg, hwclock and iptables are Debian's own.
set -eu

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
