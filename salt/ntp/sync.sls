# Green only when this host really follows its tier.

include:
  - ntp.service

tier-is-followed:
  ntpcluster.synchronized:
    - require:
      - ntpcluster: ntp-is-running

# What the next boot begins with. A daemon that takes its time to follow is no reason to leave it wrong.
hardware-clock-is-right:
  ntpcluster.hardware_clock:
    - require:
      - ntpcluster: ntp-is-installed
