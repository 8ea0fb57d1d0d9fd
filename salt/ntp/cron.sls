# The other method: no daemon, a step by crontab. On hosts of the daemon's method this file is not there.

include:
  - ntp.package

/etc/cron.d/ntpcluster:
  ntpcluster.file:
    - source: salt://ntp/files/cron.jinja
    - method: cron
    - require:
      - ntpcluster: ntp-is-installed
