# The other method: no daemon, a step by crontab. On hosts of the daemon's method this file is not there.

include:
  - ntp.valid
  - ntp.package

# Before anything is changed: a daemon that keeps the time is not stopped for a cron that does not run.
cron-runs:
  ntpcluster.cron_runs:
    - require:
      - ntpcluster: pillar-is-valid
    - require_in:
      - ntpcluster: ntp-is-installed

/etc/cron.d/ntpcluster:
  ntpcluster.file:
    - source: salt://ntp/files/cron.jinja
    - method: cron
    - require:
      - ntpcluster: ntp-is-installed
