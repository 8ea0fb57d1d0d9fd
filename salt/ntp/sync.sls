# Succeeds only when this host follows its tier.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.service

{% if platform %}
tier-is-followed:
  ntpcluster.synchronized:
    - require:
      - ntp-is-running
{% endif %}

# The next boot starts from this clock. It does not require tier-is-followed: a daemon that is slow to follow is no reason to leave
# the hardware clock wrong.
hardware-clock-is-right:
  ntpcluster.hardware_clock:
    - require:
      - ntp-is-installed
