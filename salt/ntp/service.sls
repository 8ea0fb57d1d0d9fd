# The daemon runs, with this configuration, now and after a reboot.
# It does not wait for the step: a host whose servers are down for the moment must find them by itself later.
{% from 'ntp/platform.jinja' import platform with context %}

ntp-is-running:
  service.running:
    - name: {{ platform.service }}
    - enable: true
    - watch:
      - file: {{ platform.ntp_conf }}
{% if platform.sysconfig_ntpd %}
      - file: {{ platform.sysconfig_ntpd.path }}
{% endif %}
