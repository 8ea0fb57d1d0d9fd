#!yaml
# Installs the daemon and its tools, and stops all other time daemons.

include:
  - ntp.valid

ntp-is-installed:
  ntpcluster_deploy.installed:
    - require:
      - pillar-is-valid

no-other-time-daemon:
  ntpcluster_deploy.alone:
    - require:
      - ntp-is-installed
