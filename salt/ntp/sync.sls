#!yaml
# Succeeds only when this host follows its tier.

include:
  - ntp.service

# The next boot starts from this clock. It is written while the daemon, which has just started, takes its first samples.
hardware-clock-is-right:
  ntpcluster.hardware_clock:
    - require:
      - ntp-is-installed

tier-is-followed:
  ntpcluster.synchronized:
    - require:
      - ntp-is-running
