# What the daemon and the boot-time step are told.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.package

{% if platform %}
{{ platform.conf }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/ntp.conf.jinja
    - require:
      - ntp-is-installed

# Whoever knows a key can pretend to be the server: nobody but root and the daemon reads this file.
{{ platform.keys_file }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/ntp.keys.jinja
    - group: {{ platform.group }}
    - mode: '0640'
    - secret: true
    - only_with: keys
    - require:
      - ntp-is-installed

{% if platform.sysconfig %}
{{ platform.sysconfig.path }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/sysconfig_ntpd.jinja
    - require:
      - ntp-is-installed
{% endif %}

{% if platform.step_tickers %}
{{ platform.step_tickers }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/step-tickers.jinja
    - method: any
    - require:
      - ntp-is-installed
{% endif %}

{% if platform.sysconfig_ntpdate %}
{{ platform.sysconfig_ntpdate.path }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/sysconfig_ntpdate.jinja
    - method: any
    - require:
      - ntp-is-installed
{% endif %}

leases-leave-it-alone:
  ntpcluster_deploy.dhcp_ignored:
    - require:
      - pillar-is-valid
{% endif %}
