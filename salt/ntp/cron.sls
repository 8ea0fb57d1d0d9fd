#!yaml
# `method: cron`: no daemon, the clock is stepped from crontab. With `method: daemon` the crontab file is removed.

include:
  - ntp.valid
  - ntp.package

# Checked first: do not stop a working time daemon in favour of a cron that does not run.
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
