#!yaml
# Steps a clock that is far off once, before the daemon takes over. Slewing would take days, and the daemon's own first step would
# happen while the host is in use. A clock that already follows its tier is never stepped.

include:
  - ntp.package

clock-is-stepped:
  ntpcluster.stepped:
    - require:
      - ntp-is-installed
