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
{% include 'ntp/modules-sync.jinja' with context %}
modules-are-loaded:
  test.nop:
    - force_reload_modules: true
    - order: first
{% endif %}
