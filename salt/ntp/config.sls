# What the daemon and the boot-time step are told.
{% from 'ntp/platform.jinja' import platform with context %}

{{ platform.ntp_conf }}:
  file.managed:
    - source: salt://ntp/files/ntp.conf.jinja
    - template: jinja
    - mode: '0644'
    - require:
      - pkg: ntp-is-installed

{% if platform.step_tickers %}
{{ platform.step_tickers }}:
  file.managed:
    - source: salt://ntp/files/step-tickers.jinja
    - template: jinja
    - mode: '0644'
    - require:
      - pkg: ntp-is-installed
{% endif %}

{% for name in ('sysconfig_ntpd', 'sysconfig_ntpdate') if platform[name] %}
{{ platform[name].path }}:
  file.managed:
    - source: salt://ntp/files/{{ name }}.jinja
    - template: jinja
    - mode: '0644'
    - require:
      - pkg: ntp-is-installed
{% endfor %}
