# Tells the master when this host's time gets worse or better: events salt/beacon/HOST/ntpcluster/...
# Not part of `ntp`, as it needs a master: salt '*' state.apply ntp.beacon. The settings: _beacons/ntpcluster.py

beacon-module-is-there:
  saltutil.sync_beacons:
    - refresh: true

drift-is-told:
  beacon.present:
    - name: ntpcluster
    - save: true
    - interval: {{ salt['pillar.get']('ntp_beacon:interval', 60) }}
    - require:
      - saltutil: beacon-module-is-there
