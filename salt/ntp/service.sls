# The daemon runs, with this configuration, now and after a reboot.
# It does not wait for the step: a host whose servers are down for the moment must find them by itself later.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.config

{% if platform %}
ntp-is-running:
  ntpcluster_deploy.running:
    - watch:
      - {{ platform.conf }}
      - {{ platform.keys_file }}
{% if platform.sysconfig %}
      - {{ platform.sysconfig.path }}
{% endif %}

{% if platform.ntpdate_service %}
step-at-boot:
  ntpcluster_deploy.step_at_boot:
    - require:
      - {{ platform.step_tickers or platform.conf }}
{% endif %}
{% endif %}
