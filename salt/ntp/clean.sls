# Removes the deployment from this host: files, service, firewall, crontab and beacons are restored to what they were before.
# The clock is not changed, the time zone stays, and the minion still starts at boot.
{% from 'ntp/platform.jinja' import platform with context %}

{% if not platform %}
include:
  - ntp.valid
{% else %}
include:
  - ntp.modules

# First, before anything stops: otherwise the beacon reports it, and a reactor might deploy this host again.
no-more-events-are-sent:
  ntpcluster_clean.beacon_absent: []

firewall-is-as-before:
  ntpcluster_firewall.absent: []

deployment-is-gone:
  ntpcluster_clean.cleaned: []

# Otherwise the next boot would deploy this host again.
/etc/salt/minion.d/highstate-on-boot.conf:
  file.absent: []
{% endif %}
