# UDP 123 is open to the networks this host serves, and to nobody else.

include:
  - ntp.package

served-networks-may-ask:
  ntpcluster_firewall.opened:
    - require:
      - ntp-is-installed
