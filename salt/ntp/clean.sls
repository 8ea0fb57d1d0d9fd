# Takes the deployment off this host again: files, service, firewall and crontab are what they were before.
# The clock keeps running right, and the time zone stays.

include:
  - ntp.modules

firewall-is-as-before:
  ntpcluster.firewall_absent: []

deployment-is-gone:
  ntpcluster.cleaned: []
