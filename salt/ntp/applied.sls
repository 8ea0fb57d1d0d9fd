#!yaml
# Keeps the applied plan on the host, so that the host can be judged without its master. The minion refreshes its pillar.

include:
  - ntp.timezone
  - ntp.config
  - ntp.firewall
  - ntp.service
  - ntp.cron

plan-is-kept:
  ntpcluster_deploy.applied:
    - require:
      - sls: ntp.timezone
      - sls: ntp.config
      - sls: ntp.firewall
      - sls: ntp.service
      - sls: ntp.cron
