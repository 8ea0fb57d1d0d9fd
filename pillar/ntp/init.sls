# The cluster as data: the one file a site edits.
# Every optional key, its default and its unit: salt/ntp/defaults.yaml. A mistake here is reported before anything changes.
ntp:
  timezone: Asia/Shanghai
  tiers:                            # top first; a host belongs to the first tier that matches it
    server:
      match: 'ntp*'                 # a compound matcher of Salt
      sources:                      # outside time, from four places: any one of them may lie or die
        - 0.cn.pool.ntp.org
        - 1.cn.pool.ntp.org
        - 2.cn.pool.ntp.org
        - 3.cn.pool.ntp.org
      addresses: [10.0.0.189, 10.0.0.180]     # where the tier below finds this one, preferred first
      serves: [10.0.0.0/24]         # who may ask it for the time
    client:
      match: '*'                    # everyone else
      follows: server
