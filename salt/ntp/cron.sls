# The other method: no daemon, a step by crontab. On hosts of the daemon's method this file is not there.

include:
  - ntp.valid
  - ntp.package

# Before anything is changed: a daemon that keeps the time is not stopped for a cron that does not run.
cron-runs:
  ntpcluster_deploy.cron_runs:
    - require:
      - pillar-is-valid
    - require_in:
      - ntp-is-installed

/etc/cron.d/ntpcluster:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/cron.jinja
    - method: cron
    - require:
      - ntp-is-installed
