# One correct time on this host: from a bare system to a clock that follows its tier.
# The files are listed in the order in which they run; each does one job.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.valid
{% if platform %}
  - ntp.package
  - ntp.timezone
  - ntp.config
  - ntp.step
  - ntp.firewall
  - ntp.service
  - ntp.cron
  - ntp.applied
  - ntp.sync
{% endif %}
