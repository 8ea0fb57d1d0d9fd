# Makes this host repair itself after a reboot: its minion starts at boot and runs a highstate first. To step the clock at boot before
# the daemon starts, set step:at_boot in the pillar; it is not set here, because the next highstate would undo it.
# Not part of `ntp`: a site that wants it lists ntp.boot in its top file, or applies it once: state.apply ntp.boot.
# The running minion is not restarted; the change takes effect at its next start.
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
