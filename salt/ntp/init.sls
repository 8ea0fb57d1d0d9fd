# One correct time on this host: from nothing to a clock that follows its tier.
# In the order in which things happen; each file does one job.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.valid
{% if platform %}
  - ntp.package
  - ntp.timezone
  - ntp.config
  - ntp.firewall
  - ntp.step
  - ntp.service
  - ntp.cron
  - ntp.applied
  - ntp.sync
{% endif %}
