# One correct time on this host: from nothing to a clock that follows its tier.
# In the order in which things happen; each file does one job.

{% set version = '0.1.0' %}
{% if 'ntpcluster.version' not in salt or salt['ntpcluster.version']() != version %}
# `state.apply ntp` alone does not bring this tree's own modules to a minion; only a highstate does.
{% do salt['saltutil.sync_all']() %}
modules-are-loaded:
  test.nop:
    - force_reload_modules: true
    - order: first
{% endif %}

include:
  - ntp.valid
  - ntp.package
  - ntp.timezone
  - ntp.config
  - ntp.firewall
  - ntp.step
  - ntp.service
  - ntp.cron
  - ntp.sync
