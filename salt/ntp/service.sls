#!yaml
# Runs the daemon with this configuration, now and after a reboot.
# It does not require the step: a host whose servers are down now must find them by itself later.

include:
  - ntp.config

leases-leave-it-alone:
  ntpcluster_deploy.dhcp_ignored:
    - require:
      - pillar-is-valid

# This state itself looks whether a file that the daemon reads has changed.
ntp-is-running:
  ntpcluster_deploy.running:
    - require:
      - ntp-is-installed
      - sls: ntp.config

step-at-boot:
  ntpcluster_deploy.step_at_boot:
    - require:
      - sls: ntp.config
