# Keeps the applied plan on the host, so that the host can be judged without its master. The minion refreshes its pillar.
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
