# The zone that this host's clock is shown in. The clock itself runs in UTC, whatever the zone.

include:
  - ntp.valid

timezone-is-set:
  ntpcluster.timezone:
    - require:
      - pillar-is-valid
