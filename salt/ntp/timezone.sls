#!yaml
# Sets the time zone in which this host displays its clock. The clock itself keeps UTC in every zone.

include:
  - ntp.valid

timezone-is-set:
  ntpcluster.timezone:
    - require:
      - pillar-is-valid
