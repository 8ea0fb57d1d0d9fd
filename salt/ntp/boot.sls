# After a reboot this host puts itself right: its minion starts at boot and begins with a highstate. A service that steps the
# clock before the daemon starts is the pillar's matter (step:at_boot), as every highstate asks the pillar again.
# Not part of `ntp`: a site that wants it names ntp.boot in its top file, or applies it once: state.apply ntp.boot.
# The minion that runs now goes on undisturbed; what is written here counts from its next start.
{% from 'ntp/platform.jinja' import platform with context %}

include:
  - ntp

{% if platform %}
/etc/salt/minion.d/highstate-on-boot.conf:
  file.managed:
    - contents: 'startup_states: highstate'
    - mode: '0644'
    - makedirs: true

minion-starts-at-boot:
  service.enabled:
    - name: salt-minion
{% endif %}
