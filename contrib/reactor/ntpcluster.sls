# Redeploys a host whose daemon has stopped or runs with sources other than configured, at most once an hour.
# The master asks the host first and then decides: _runners/ntpcluster_heal.py
heal-{{ data['id'] }}:
  runner.ntpcluster.heal:
    - args:
      - minion: {{ data['id'] | tojson }}
      - codes: {{ data['codes'] | tojson }}
