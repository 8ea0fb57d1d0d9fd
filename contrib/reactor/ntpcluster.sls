# A host whose daemon stopped, or runs with other sources than configured, is deployed again; at most once an hour.
# Whether it is done is decided on the master, after asking the host: _runners/ntpcluster_heal.py
heal-{{ data['id'] }}:
  runner.ntpcluster.heal:
    - args:
      - minion: {{ data['id'] | tojson }}
      - codes: {{ data['codes'] | tojson }}
