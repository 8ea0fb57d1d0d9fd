# Every host gets the data of the whole cluster, and works out its own part.
base:
  '*':
    - ntp
