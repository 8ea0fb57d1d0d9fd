# Tells the master when this host's time gets worse or better: events salt/beacon/HOST/ntpcluster/...
# Not part of `ntp`, as it needs a master: salt '*' state.apply ntp.beacon
# The settings, from the pillar's `ntp_beacon`, and their defaults: _beacons/ntpcluster.py
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.modules
{% if not platform %}
  - ntp.valid
{% else %}

# During a state run the daemon may be restarted on purpose: that is no news.
drift-is-told:
  beacon.present:
    - name: ntpcluster
    - save: true
    - disable_during_state_run: true
{% for name, value in salt['pillar.get']('ntp_beacon', {'interval': 60}) | dictsort %}
    - {{ name }}: {{ value | tojson }}
{% endfor %}
{% endif %}
