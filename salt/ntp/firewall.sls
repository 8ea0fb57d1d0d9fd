# UDP 123 is open to the networks this host serves, and to nobody else.

include:
  - ntp.package

served-networks-may-ask:
  ntpcluster.firewall:
    - require:
      - ntpcluster: ntp-is-installed
