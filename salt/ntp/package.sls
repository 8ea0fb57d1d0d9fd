# The daemon and its tools, and no other time daemon beside them.

include:
  - ntp.valid

ntp-is-installed:
  ntpcluster.installed:
    - require:
      - pillar-is-valid

no-other-time-daemon:
  ntpcluster.alone:
    - require:
      - ntpcluster: ntp-is-installed
