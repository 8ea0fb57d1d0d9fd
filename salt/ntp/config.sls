# The configuration files of the daemon and of the step at boot. Files of a daemon that this host does not use are restored.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.package

{% for name, daemon in (platform.daemons if platform else {}) | dictsort %}
{% set source = 'salt://ntp/files/' ~ (daemon.conf.split('/') | last) ~ '.jinja' %}
{% if daemon.package_starts_service %}
# A daemon that replaces another starts with this file, not with its distribution's servers.
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

# The current time daemon is stopped only after the new one is installed and all its files are written: it does not start
# without them.
{{ daemon.conf }}:
  ntpcluster_deploy.file:
    - source: {{ source }}
    - daemon: {{ name }}
    - require:
      - ntp-is-installed
    - require_in:
      - no-other-time-daemon

# Whoever knows a key can impersonate the server: only root and the daemon may read this file.
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
    - require_in:
      - no-other-time-daemon

{% if daemon.sysconfig %}
{{ daemon.sysconfig.path }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/sysconfig.jinja
    - daemon: {{ name }}
    - require:
      - ntp-is-installed
    - require_in:
      - no-other-time-daemon
{% endif %}

{% if daemon.step_tickers %}
{{ daemon.step_tickers }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/step-tickers.jinja
    - daemon: {{ name }}
    - method: any
    - require:
      - ntp-is-installed
    - require_in:
      - no-other-time-daemon
{% endif %}

{% if daemon.sysconfig_ntpdate %}
{{ daemon.sysconfig_ntpdate.path }}:
  ntpcluster_deploy.file:
    - source: salt://ntp/files/sysconfig_ntpdate.jinja
    - daemon: {{ name }}
    - method: any
    - require:
      - ntp-is-installed
    - require_in:
      - no-other-time-daemon
{% endif %}
{% endfor %}
