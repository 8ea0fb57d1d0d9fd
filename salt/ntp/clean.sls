# Takes the deployment off this host again: files, service, firewall, crontab and beacons are what they were before.
# The clock keeps running right, the time zone stays, and the minion still starts at boot.
{% from 'ntp/platform.jinja' import platform with context %}

{% if not platform %}
include:
  - ntp.valid
{% else %}
include:
  - ntp.modules

# Before anything is stopped: else the master is told of it, and a reactor might deploy this host again.
nobody-is-told-any-more:
  ntpcluster_clean.beacon_absent: []

firewall-is-as-before:
  ntpcluster_firewall.absent: []

deployment-is-gone:
  ntpcluster_clean.cleaned: []

# Or the next boot would deploy it again.
/etc/salt/minion.d/highstate-on-boot.conf:
  file.absent: []
{% endif %}
