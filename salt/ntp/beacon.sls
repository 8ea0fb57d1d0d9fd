# Tells the master when this host's time gets worse or better: events salt/beacon/HOST/ntpcluster/...
# Not part of `ntp`, as it needs a master: salt '*' state.apply ntp.beacon
# The settings, from the pillar's `ntp_beacon`, and their defaults: _beacons/ntpcluster.py
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.modules
{% if not platform %}
  - ntp.valid
{% else %}
{% set given = salt['pillar.get']('ntp_beacon', {}) %}
{#- Without an interval Salt has a beacon look every second. #}
{% set settings, odd, known = {'interval': 60}, [], ['interval', 'confirm', 'offset_ms', 'calm', 'grace'] %}
{% for name, value in (given if given is mapping else {}).items() %}
{% set good = name in known and (value is number or (value is none and name == 'offset_ms')) %}
{% do settings.update({name: value}) if good else odd.append(name) %}
{% endfor %}
{% if given is not mapping or odd %}

beacon-can-be-set:
  test.fail_without_changes:
    - name: {{ ("the pillar's `ntp_beacon` must be a mapping of numbers, by " ~ known | join(', ')
        ~ ('; wrong: ' ~ odd | join(', ') if odd else '')) | yaml_dquote }}
{% else %}

# During a state run the daemon may be restarted on purpose: that is no news.
drift-is-told:
  beacon.present:
    - name: ntpcluster
    - save: true
    - disable_during_state_run: true
{% for name, value in settings | dictsort %}
    - {{ name | tojson }}: {{ value | tojson }}
{% endfor %}
{% endif %}
{% endif %}
