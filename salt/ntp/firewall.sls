#!yaml
# Opens UDP port 123 to the networks that this host serves, and to nobody else.

include:
  - ntp.package

served-networks-may-ask:
  ntpcluster_firewall.opened:
    - require:
      - ntp-is-installed
