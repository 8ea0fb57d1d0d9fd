# Sends the master an event when this host's time gets worse or better: salt/beacon/HOST/ntpcluster/...
# Not part of `ntp`, because it needs a master: salt '*' state.apply ntp.beacon
# Settings come from the pillar key `ntp_beacon`; _beacons/ntpcluster.py explains them and their defaults.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp.modules
{% if not platform %}
  - ntp.valid
{% else %}
{% set given = salt['pillar.get']('ntp_beacon', {}) %}
{#- Without an interval, Salt runs a beacon every second. #}
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

# A state run may restart the daemon on purpose: send no event for that.
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
