# What the daemon and the boot-time step are told. Of a daemon that this host has not got each file is what it was before.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.package

{% for name, daemon in (platform.daemons if platform else {}) | dictsort %}
{% set source = 'salt://ntp/files/' ~ (daemon.conf.split('/') | last) ~ '.jinja' %}
{% if daemon.package_starts_service %}
# A daemon that takes the place of another starts with this, not with the servers of its distribution.
{{ daemon.conf }} is there before its package:
  ntpcluster_deploy.file:
    - name: {{ daemon.conf }}
    - source: {{ source }}
    - daemon: {{ name }}
    - ahead: true
    - require:
      - pillar-is-valid
    - require_in:
      - ntp-is-installed
{% endif %}

# The daemon that keeps the time now is stopped when the new one is installed and its configuration is written.
{{ daemon.conf }}:
  ntpcluster_deploy.file:
    - source: {{ source }}
    - daemon: {{ name }}
    - require:
      - ntp-is-installed
    - require_in:
      - no-other-time-daemon

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
