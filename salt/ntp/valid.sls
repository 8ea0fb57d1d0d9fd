# Bad data stops here, before anything is changed, and so does a platform that platforms.yaml does not describe, and a file
# server that has the states and not the code behind them.
{% from 'ntp/platform.jinja' import platform, foreign with context %}
{% from 'ntp/present.jinja' import present with context %}

{% set code = 'salt://_states/ntpcluster.py' %}
{% if not platform %}
{% set missing = foreign %}
{% elif not present and not salt['cp.hash_file'](code, saltenv=saltenv) %}
{% set missing = code ~ ' is not on the file server (environment ' ~ saltenv ~ '): _modules, _states and _beacons of '
    ~ 'ntpcluster must be served beside its folder ntp; docs/recipes.md says how, for gitfs too. Nothing is changed' %}
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
