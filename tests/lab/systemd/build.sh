#!/bin/bash
# Makes a Debian tree boot with systemd in a host of the lab, and start a Salt minion there. systemd is Debian's own.
set -eu

apt-get -qq update
apt-get -qq -y --no-install-recommends install systemd systemd-sysv dbus
apt-get clean

install -m 644 /lab/systemd/salt-minion.service /usr/lib/systemd/system/
systemctl enable salt-minion.service

# No process of the lab has CAP_SYS_TIME. The clock that these set is the host's own, see ../clock.
for service in chrony chronyd ntpsec systemd-timesyncd; do
    mkdir "/usr/lib/systemd/system/$service.service.d"
    printf '[Unit]\nConditionCapability=\n' > "/usr/lib/systemd/system/$service.service.d/lab.conf"
done

# They would fetch packages over a network that is not there, and each step of the clock over a morning starts them.
systemctl mask apt-daily.timer apt-daily-upgrade.timer
# Each host makes its own at boot, as a fresh installation does.
: > /etc/machine-id
