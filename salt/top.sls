# Every host belongs to a tier of the pillar; which one, the pillar says.
base:
  '*':
    - ntp
