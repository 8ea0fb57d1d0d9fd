# The cluster's data: the one file that a site edits. A mistake here is reported before anything changes.
# All optional keys: pillar.example; their defaults and units: docs/pillar.md.
ntp:
  timezone: Asia/Shanghai
  tiers:                            # top first; a host belongs to the first tier that matches it
    server:
      match: 'ntp*'                 # a compound matcher of Salt
      sources:                      # four external servers: any one of them may be false or fail
        - 0.cn.pool.ntp.org
        - 1.cn.pool.ntp.org
        - 2.cn.pool.ntp.org
        - 3.cn.pool.ntp.org
      addresses: [10.0.0.189, 10.0.0.180]     # where the tier below reaches this one, preferred first
      serves: [10.0.0.0/24]         # networks that may ask it for the time
    client:
      match: '*'                    # all other hosts
      follows: server
