# The code of this tree is on the minion, as the master serves it: `state.apply` alone does not bring it, a highstate does.
# It is fetched while this file is rendered, so that a dry run can use it as well.
# `make digest` writes the list of what is served; the minion makes the same list of what it has.

{% from 'ntp/present.jinja' import present with context %}
{% import_text 'ntp/modules.sha256' as served %}
{#- salt-ssh renders on the master. It sends all modules, and of other files those that a state names. #}
{% if '__master_opts__' in opts %}
data-files-are-sent:
  test.nop:
    - files: [salt://ntp/defaults.yaml, salt://ntp/platforms.yaml]
    - order: first
{% elif not present or salt['ntpcluster_code.listing']() != served | trim %}
{#- A sync takes away what is in none of its environments: so it has those of the top file, and this one, which counts most. #}
{#- To read the top file Salt compiles the pillar anew: not where there is one environment only. #}
{% set tops = salt['state.show_top']() if salt['cp.envs']() != [saltenv] else {saltenv: []} %}
{% set others = (tops if tops is mapping and tops else ['base']) | reject('equalto', saltenv) | list %}
{% set environments = (others + [saltenv]) | join(',') %}
{% for kind in ['beacons', 'modules', 'states'] %}
{% do salt['saltutil.sync_' ~ kind](saltenv=environments, refresh=loop.last) %}
{% endfor %}
{#- Salt would go on loading what Python has compiled of files that are gone. #}
{% do salt['file.find'](salt['config.get']('extension_modules'), name='ntpcluster*.pyc', delete='f') %}
{#- The minion has it done by and by; ntp.beacon cannot wait. #}
{% do salt['saltutil.refresh_beacons']() %}
modules-are-loaded:
  test.nop:
    - force_reload_modules: true
    - order: first
{% endif %}
