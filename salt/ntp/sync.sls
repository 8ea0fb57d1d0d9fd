# Green only when this host really follows its tier.

tier-is-followed:
  ntpcluster.synchronized:
    - require:
      - service: ntp-is-running
