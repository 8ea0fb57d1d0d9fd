# Runs the daemon with this configuration, now and after a reboot.
# It does not require the step: a host whose servers are down now must find them by itself later.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.config

ntp-is-running:
  ntpcluster_deploy.running:
    - require:
      - ntp-is-installed
{% if platform %}
{% for name, daemon in platform.daemons | dictsort %}
      - {{ daemon.conf }}
      - {{ daemon.keys_file }}
{% if daemon.sysconfig %}
      - {{ daemon.sysconfig.path }}
{% endif %}
{% endfor %}

{% if platform.daemons.values() | selectattr('ntpdate_service') | list %}
step-at-boot:
  ntpcluster_deploy.step_at_boot:
    - require:
{% for name, daemon in platform.daemons | dictsort %}
      - {{ daemon.step_tickers or daemon.conf }}
{% endfor %}
{% endif %}
{% endif %}
