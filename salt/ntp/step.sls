# A clock that is far off jumps once, before the daemon takes over. Slewing would take it days; the daemon's own first
# jump would move a host in use. A clock that is followed already is never touched.

include:
  - ntp.package

clock-is-stepped:
  ntpcluster.stepped:
    - require:
      - ntp-is-installed
