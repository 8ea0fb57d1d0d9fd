# The daemon runs, with this configuration, now and after a reboot.
# It does not wait for the step: a host whose servers are down for the moment must find them by itself later.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.config

{% if platform %}
ntp-is-running:
  ntpcluster.running:
    - watch:
      - ntpcluster: {{ platform.ntp_conf }}
      - ntpcluster: {{ platform.keys_file }}
{% if platform.sysconfig_ntpd %}
      - ntpcluster: {{ platform.sysconfig_ntpd.path }}
{% endif %}

{% if platform.ntpdate_service %}
step-at-boot:
  ntpcluster.step_at_boot:
    - require:
      - ntpcluster: {{ platform.step_tickers or platform.ntp_conf }}
{% endif %}
{% endif %}
