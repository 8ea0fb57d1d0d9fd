# Green only when this host really follows its tier.

tier-is-followed:
  ntpcluster.synchronized:
    - require:
      - ntpcluster: ntp-is-running
