# Bad data stops here, before anything is changed, and so does a platform that platforms.yaml does not describe.
{% from 'ntp/platform.jinja' import platform, foreign with context %}

{% if platform %}
include:
  - ntp.modules

pillar-is-valid:
  ntpcluster.valid: []
{% else %}
pillar-is-valid:
  test.fail_without_changes:
    - name: {{ foreign | yaml_dquote }}
{% endif %}
