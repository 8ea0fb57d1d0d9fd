# Green only when this host really follows its tier.

include:
  - ntp.service

tier-is-followed:
  ntpcluster.synchronized:
    - require:
      - ntpcluster: ntp-is-running

# What the next boot begins with. By now the system time is right.
hardware-clock-is-right:
  ntpcluster.hardware_clock:
    - require:
      - ntpcluster: tier-is-followed
