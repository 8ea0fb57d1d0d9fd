# What the daemon and the boot-time step are told. Of a daemon that this host has not got each file is what it was before.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.package

{% for name, daemon in (platform.daemons if platform else {}) | dictsort %}
{{ daemon.conf }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/{{ daemon.conf.split('/') | last }}.jinja
    - daemon: {{ name }}
    - require:
      - ntp-is-installed

# Whoever knows a key can pretend to be the server: nobody but root and the daemon reads this file.
{{ daemon.keys_file }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/{{ (daemon.conf.split('/') | last).replace('.conf', '.keys') }}.jinja
    - daemon: {{ name }}
    - group: {{ daemon.group }}
    - mode: '0640'
    - secret: true
    - only_with: keys
    - require:
      - ntp-is-installed

{% if daemon.sysconfig %}
{{ daemon.sysconfig.path }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/sysconfig.jinja
    - daemon: {{ name }}
    - require:
      - ntp-is-installed
{% endif %}

{% if daemon.step_tickers %}
{{ daemon.step_tickers }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/step-tickers.jinja
    - daemon: {{ name }}
    - method: any
    - require:
      - ntp-is-installed
{% endif %}

{% if daemon.sysconfig_ntpdate %}
{{ daemon.sysconfig_ntpdate.path }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/sysconfig_ntpdate.jinja
    - daemon: {{ name }}
    - method: any
    - require:
      - ntp-is-installed
{% endif %}
{% endfor %}

{% if platform %}
leases-leave-it-alone:
  ntpcluster_deploy.dhcp_ignored:
    - require:
      - pillar-is-valid
{% endif %}
