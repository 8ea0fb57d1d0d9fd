# Brings this tree's code to the minion as the master serves it: a highstate syncs modules, `state.apply` alone does not.
# The code is fetched while this file is rendered, so that a dry run can use it as well.
# `make digest` writes the list of what the master serves; the minion compares it with the list of what it has.

{% from 'ntp/present.jinja' import present with context %}
{% import_text 'ntp/modules.sha256' as served %}
{#- salt-ssh renders on the master. It sends all modules, but of the other files only those that a state names. #}
{% if '__master_opts__' in opts %}
data-files-are-sent:
  test.nop:
    - files: [salt://ntp/defaults.yaml, salt://ntp/platforms.yaml]
    - order: first
{% elif not present or salt['ntpcluster_code.listing']() != served | trim %}
{#- A sync removes modules that are in none of its environments. So name those of the top file, and this one last, which takes precedence. #}
{#- Salt compiles the pillar anew to read the top file: skip that if there is only one environment. #}
{% set tops = salt['state.show_top']() if salt['cp.envs']() != [saltenv] else {saltenv: []} %}
{% set others = (tops if tops is mapping and tops else ['base']) | reject('equalto', saltenv) | list %}
{% set environments = (others + [saltenv]) | join(',') %}
{% for kind in ['beacons', 'modules', 'states'] %}
{% do salt['saltutil.sync_' ~ kind](saltenv=environments, refresh=loop.last) %}
{% endfor %}
{#- Otherwise Salt would keep loading the compiled leftovers of removed files. #}
{% do salt['file.find'](salt['config.get']('extension_modules'), name='ntpcluster*.pyc', delete='f') %}
{#- The minion would do this later by itself; ntp.beacon needs it now. #}
{% do salt['saltutil.refresh_beacons']() %}
modules-are-loaded:
  test.nop:
    - force_reload_modules: true
    - order: first
{% endif %}
