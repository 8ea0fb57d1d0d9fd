# Every host sees the whole plan; which part is its own is worked out on the host.
base:
  '*':
    - ntp
