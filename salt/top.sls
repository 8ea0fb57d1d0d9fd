# Every host gets the states; the pillar says to which tier it belongs.
base:
  '*':
    - ntp
