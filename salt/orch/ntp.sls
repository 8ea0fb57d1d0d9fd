# The whole cluster, tier by tier from the top: salt-run state.orchestrate orch.ntp
#   pillar='{rollout: {target: "node*", resume: true}}'   which hosts; and whether to skip those that need nothing
#   saltenv=prod                                          the environment of the tree, if it is not `base`
#   test=True                                             show what would be done, and change nothing
# A batch succeeds only when each of its hosts follows its tier (ntp.sync); the first batch that fails ends the rollout.
# _runners/ntpcluster_rollout.py makes the batches, and decides whether the rollout may start at all.

{% set where = {} if saltenv == 'base' else {'saltenv': saltenv} %}
{#- Salt replaces a saltenv in kwarg by `base`. #}
{#- Without `rollout` all hosts are the target. An empty or malformed `rollout` is refused: it may have been meant to select fewer. #}
{% set given = pillar.get('rollout', {}) %}
{% if given is mapping %}
{% set plan = salt['saltutil.runner']('ntpcluster.rollout', kwarg=dict(given), saltenv=where.get('saltenv')) %}
{% else %}
{% set plan = {'batches': [], 'problems': ["the pillar's `rollout` must be a mapping, such as {target: 'node*'}, or be left out"]} %}
{% endif %}
{% if plan is not mapping %}
{{ raise('ntpcluster.rollout cannot be run: ' ~ plan ~ ' (does the master have the runners? salt-run saltutil.sync_runners)') }}
{% endif %}

{% if plan.problems %}
rollout-can-begin:
  test.fail_without_changes:
    - name: {{ ('nothing is deployed:\n' ~ plan.problems | join('\n')) | yaml_dquote }}
{% else %}
rollout-can-begin:
  test.succeed_without_changes:
    - name: {{ (['the pillar is valid for all minions; skipped because they need nothing: ' ~ (plan.skipped | join(', ') or 'none')]
        + plan.warnings) | join('\n') | yaml_dquote }}
{% endif %}

{% for batch in plan.batches %}
{{ batch.name | yaml_dquote }}:
  salt.state:
    - tgt: {{ batch.hosts | tojson }}
    - tgt_type: list
    - sls: ntp
{% if where %}
    - saltenv: {{ saltenv | tojson }}
{% endif %}
    - queue: true
    - require:
{% if loop.first %}
      - test: rollout-can-begin
{% else %}
      - salt: {{ loop.previtem.name | yaml_dquote }}
{% endif %}
{% endfor %}

{% if not plan.problems %}
{% set deployed = plan.skipped %}
{% for batch in plan.batches %}
{% set _ = deployed.extend(batch.hosts) %}
{% endfor %}
# Followers query these servers: no state on a server can see what is blocked on the path.
servers-answer:
  salt.runner:
    - name: ntpcluster_rollout.proven
    - hosts: {{ deployed | tojson }}
    - require:
{% if plan.batches %}
      - salt: {{ plan.batches[-1].name | yaml_dquote }}
{% else %}
      - test: rollout-can-begin
{% endif %}
{% endif %}

{% if plan.batches %}
why-it-stopped:
  salt.runner:
    - name: ntpcluster_rollout.stopped
    - batches: {{ plan.batches | tojson }}
    - onfail:
{% for batch in plan.batches %}
      - salt: {{ batch.name | yaml_dquote }}
{% endfor %}
{% endif %}
