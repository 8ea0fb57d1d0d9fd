# The daemon and its tools.
{% from 'ntp/platform.jinja' import platform with context %}

ntp-is-installed:
  pkg.installed:
    - pkgs: {{ platform.packages | tojson }}
    - require:
      - ntpcluster: pillar-is-valid
