# Green only when this host really follows its tier.

include:
  - ntp.service

tier-is-followed:
  ntpcluster.synchronized:
    - require:
      - ntpcluster: ntp-is-running
