# Bad data stops here, before anything is changed.

include:
  - ntp.modules

pillar-is-valid:
  ntpcluster.valid: []
