# What has been applied is kept on the host, and the minion remembers the pillar that it was applied by.
{% from 'ntp/platform.jinja' import platform with context %}

{% if not platform %}
include:
  - ntp.valid
{% else %}
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
{% endif %}
