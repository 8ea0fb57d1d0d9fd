# Green only when this host really follows its tier.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.service

# What the next boot begins with. It is written while the daemon, which has just been started, takes its first samples.
hardware-clock-is-right:
  ntpcluster.hardware_clock:
    - require:
      - ntp-is-installed

{% if platform %}
tier-is-followed:
  ntpcluster.synchronized:
    - require:
      - ntp-is-running
{% endif %}
