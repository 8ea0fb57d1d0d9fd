# Bad data stops here, before anything is changed.

pillar-is-valid:
  ntpcluster.valid: []
