# Takes the deployment off this host again: files, service, firewall and crontab are what they were before.
# The clock keeps running right, the time zone stays, and the minion still starts at boot.
{% from 'ntp/platform.jinja' import platform with context %}

{% if not platform %}
include:
  - ntp.valid
{% else %}
include:
  - ntp.modules

firewall-is-as-before:
  ntpcluster.firewall_absent: []

deployment-is-gone:
  ntpcluster.cleaned: []

# Or the next boot would deploy it again.
/etc/salt/minion.d/highstate-on-boot.conf:
  file.absent: []
{% endif %}
