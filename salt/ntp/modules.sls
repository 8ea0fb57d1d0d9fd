# The modules of this tree are on the minion, in this version: `state.apply` alone does not bring them, a highstate does.
# They are fetched while this file is rendered, so that a dry run can use them as well.

{% set version = '0.1.0' %}
{% if 'ntpcluster.version' not in salt or salt['ntpcluster.version']() != version %}
{% do salt['saltutil.sync_all']() %}
modules-are-loaded:
  test.nop:
    - force_reload_modules: true
    - order: first
{% endif %}

