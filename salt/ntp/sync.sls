# Green only when this host really follows its tier.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.service

{% if platform %}
tier-is-followed:
  ntpcluster.synchronized:
    - require:
      - ntp-is-running
{% endif %}

# What the next boot begins with. A daemon that takes its time to follow is no reason to leave it wrong.
hardware-clock-is-right:
  ntpcluster.hardware_clock:
    - require:
      - ntp-is-installed
