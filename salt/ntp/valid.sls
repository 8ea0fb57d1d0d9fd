# Stops before anything changes if the pillar is invalid, if platforms.yaml does not describe the platform, or if the file server
# has the states but not the code behind them.
{% from 'ntp/platform.jinja' import platform, foreign with context %}
{% from 'ntp/present.jinja' import present with context %}

{% set code = 'salt://_states/ntpcluster.py' %}
{% if not platform %}
{% set missing = foreign %}
{% elif not present and not salt['cp.hash_file'](code, saltenv=saltenv) %}
{% set missing = code ~ ' is not on the file server (environment ' ~ saltenv ~ '): serve _modules, _states and _beacons of '
    ~ 'ntpcluster beside its directory ntp, as docs/recipes.md shows, also for gitfs. Nothing was changed' %}
{% else %}
{% set missing = none %}
include:
  - ntp.modules
{% endif %}

pillar-is-valid:
{% if missing %}
  test.fail_without_changes:
    - name: {{ missing | yaml_dquote }}
{% else %}
  ntpcluster.valid: []
{% endif %}
