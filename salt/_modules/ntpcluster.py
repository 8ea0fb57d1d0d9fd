# -*- coding: utf-8 -*-
"""
One correct time on this host: the public functions, for people and scripts.

Names end with the unit: ``_ms`` milliseconds, ``_s`` seconds, ``_ppm`` parts per million. A positive offset
means that the server is ahead, so this host's clock is slow.

Each function here calls the module that implements it. Modules called ``ntpcluster_*`` are internal.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster"
#: The public functions. A minion that has just replaced an older version of this file still has its names in memory.
__load__ = [
    "bound", "diagnose", "firewall", "hwclock", "move", "new_key", "peers", "plan", "query", "status", "step", "summary",
    "synchronized", "systohc", "validate", "variables", "version",
]  # fmt: skip
#: ``salt '*' ntpcluster.summary`` prints a line for each host: its name and the text.
__outputter__ = {"summary": "txt"}


def __virtual__():
    return __virtualname__


def status():
    """
    Whether this host has the right time, from which source, and what is wrong if not. Never raises for a faulty host.

    Returns a dict:

    - ``synchronized``: bool: the daemon follows a source of this host's tier, that source is alive, and the offset
      is within the pillar's ``sync:max_offset``
    - ``health``: ``ok``; ``degraded`` (synchronized, but see problems); ``settling`` (not synchronized yet, started
      a short while ago); ``unsynchronized``; ``stopped``
    - ``tier``: name of the host's tier (None: no valid pillar)
    - ``reference``: what its time is traceable to: ``utc``; or ``island``, the clock of the cluster's own servers (the pillar's
      ``island``), which is not traceable to UTC (None: no valid pillar)
    - ``judged_by``, as text: the pillar or, without a pillar, the plan that was applied last, and when (None: neither)
    - ``daemon``: {name, version, running, enabled, pid, uptime_s}
    - ``source``: address of the system peer (None: it follows no source, or leads its island)
    - ``stratum`` of this host, ``expected_stratum`` (the source's plus one),
      ``leap`` (none, add, del, alarm), ``refid``
    - ``offset_ms``, ``jitter_ms``, ``root_delay_ms``, ``root_dispersion_ms``, ``frequency_ppm``: None if unknown
    - ``bound_ms``: the maximum distance between this host's clock and any correct clock upstream (docs/bound.md); None if there
      is no bound, and ``unbounded`` says why
    - ``peers``: as ``ntpcluster.peers``, and for each whether it is ``usable``: it passed the daemon's selection, and it
      answered one of the last four polls
    - ``problems``: list of {code, message, evidence, remedy}, worst first

    The codes of problems, worst first: ``unknown-platform``, ``invalid-pillar``, ``no-tree``, ``daemon-stopped``,
    ``cron-stopped``, ``daemon-silent``, ``no-clock-capability``, ``rival-daemon``, ``not-listed``,
    ``unresolvable``, ``denied``, ``authentication``, ``loop``, ``upstream-unsynchronized``, ``unreachable``,
    ``panic``, ``falseticker``, ``orphan``, ``unsynchronized``, ``settling``, ``offset-high``,
    ``root-distance``, ``bound``, ``frequency-limit``, ``reach-gaps``, ``few-sources``, ``incomplete``.

    ntpd reports indefinitely that it is synchronized after its last source has died (ntp_proto.c only reports "no peer"), and
    so does ntpstat. So this function judges by the system peer, its reach register and the tally code.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.status
    """
    return __salt__["ntpcluster_status.status"]()


def summary():
    """
    The status of this host in one line: health, the source it follows, stratum, offset, and the first problem with its remedy.

    Returns text in the same form for every daemon; it never raises for a faulty host. Programs should read
    ``ntpcluster.status`` instead.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.summary
    """
    return __salt__["ntpcluster_summary.summary"](__salt__["ntpcluster_status.status"]())


def bound():
    """
    How far this host's clock can be from a correct clock upstream, calculated from one run of ntpq or chronyc.

    The bound assumes that a majority of the sources is correct, that the oscillator is within 15 ppm of the frequency that the
    daemon has learnt, and that only the daemon sets the clock; docs/bound.md derives it. Never raises for a faulty host.

    Returns a dict:

    - ``bound_ms``: the maximum distance between this host's clock and any correct clock upstream; None: there is no bound
    - ``unbounded``: why there is none, as text; None: there is a bound
    - ``source``: address of the selected source
    - ``parts_ms``: the terms whose sum is the bound: half the ``root_delay``, ``root_dispersion``, ``offset``, ``jitter``,
      ``precision``, ``growth``, ``sample``

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.bound
    """
    return __salt__["ntpcluster_status.bound"]()


def synchronized(timeout=None, interval=1):
    """
    Wait until this host follows its tier.

    timeout
        Maximum number of seconds to wait; 0 checks once. Default: the pillar's ``sync:timeout``.
    interval
        Seconds between two checks. A daemon that has just started is checked again when it can follow a source at the earliest: 4 s
        (chronyd) to 7 s (ntpd) after its start.

    Returns a dict: ``synchronized`` (bool), ``waited_s``, and the ``status`` of the last check.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.synchronized timeout=60
    """
    return __salt__["ntpcluster_status.synchronized"](timeout, interval)


def diagnose():
    """
    Why this host does not follow its tier. Queries its servers, the resolver and the kernel; changes nothing.

    On a healthy host it costs no more than ``ntpcluster.status``.

    Returns a list of {``code``, ``message``, ``evidence`` (dict), ``remedy``}, worst first; empty if nothing is
    wrong. The codes are those of ``ntpcluster.status``.

    CLI Example:

    .. code-block:: bash

        salt 'node148' ntpcluster.diagnose
    """
    return __salt__["ntpcluster_diagnose.diagnose"]()


def peers():
    """
    The daemon's sources, one dict per row of its own table, in the same order. Values that the daemon does not report are None.

    Returns a list of dicts:

    - ``remote`` as ntpq prints it, ``address`` in full (None: a name that is not resolved), ``assid`` the association's number
      (unique, unlike names)
    - ``refid`` what the source itself follows, and ``refid_kind`` the kind of that value
    - ``stratum`` (16: unsynchronized or never heard), ``type`` ntpq's letter
    - ``when_s`` seconds since the last packet (None: never, or ntpq's value is impossible), ``poll_s``
    - ``reach`` the register of the last eight polls as an integer: 255 all answered, bit 0 the newest
    - ``delay_ms``, ``offset_ms``, ``jitter_ms``; None if unknown; ``inexact`` lists those that ntpq truncated
    - ``tally`` ntpq's character and ``condition`` its meaning: system_peer, pps, candidate, outlier, backup,
      excess, falseticker, reject
    - ``last_event``, e.g. rate_exceeded or access_denied: a kiss code shows nowhere else
    - ``flash``: the tests that it failed, as bits (ntp.h, TEST1 ...); None if not queried
    - ``heard``: a packet arrived from it, acceptable or not; ``answers``: it answered one of the last four polls
    - ``unreach``: polls without an acceptable answer since it was last reached; None if not queried
    - ``reference_age_s``: how long before its last packet its source last set its clock; ``root_delay_ms`` and
      ``root_dispersion_ms`` from it to the top of its chain; None if not queried
    - ``selection``: chronyd's own term for the state of the source; ``error_ms``: how far its newest sample of the source can be
      off; both None for ntpd

    Raises CommandExecutionError if the daemon does not answer.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.peers
    """
    return __salt__["ntpcluster_status.peers"]()


def variables(associd=0):
    """
    The daemon's system variables, or those of one association, under the names that ``ntpq -c rv`` gives them.

    associd
        Number of the association as in ``ntpcluster.peers``; 0 is the system.

    Returns a dict; numeric values are numbers. ntp's units: offsets, delays, dispersions and jitter in milliseconds,
    frequency in ppm, tc and precision as powers of two of seconds.

    Raises CommandExecutionError if the daemon does not answer or has no such association, or if it is chronyd, which
    has no such variables.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.variables
        salt 'ntp*' ntpcluster.variables 49734
    """
    return __salt__["ntpcluster_status.variables"](associd)


def query(servers=None, timeout=2, samples=1):
    """
    Query servers for the time. Changes nothing, and works while the daemon is running.

    servers
        Names or addresses; default: this host's own sources.
    timeout
        Seconds to wait for the answers of all servers together.
    samples
        Packets per server (1 to 8), sent one after the other; the one with the shortest round trip counts.

    Returns a dict: ``servers``, a list in the order of the query, of

    - ``name`` as given and its ``address``; None if the name does not resolve; ``message`` says so then
    - ``reachable`` (bool: an answer came), ``stratum``, ``leap`` (none, add, del, alarm), ``refid``, ``kiss`` (the
      code of a server that refuses, such as DENY or RATE; else None), ``reference_age_s`` how long ago its source last set its
      clock (None: it does not report this)
    - ``offset_s`` how far the server is ahead of this host, ``delay_s`` the round trip: None if the server does not
      answer, refuses, or reports that it is not synchronized (leap alarm, stratum 16)

    and ``best``, the server with an offset that has the lowest stratum, then the shortest delay; or None.

    Raises SaltInvocationError for an invalid server name.

    CLI Example:

    .. code-block:: bash

        salt 'node*' ntpcluster.query
        salt 'node*' ntpcluster.query '[10.0.0.189, 10.0.0.180]' samples=4
    """
    return __salt__["ntpcluster_query.query"](servers, timeout, samples)


def step(servers=None, threshold=None, limit=None, passes=None, wait=0, force=False, test=False):
    """
    Step the clock to the time of its servers, if and only if that is needed and safe.

    A clock that the daemon keeps close to its source is not stepped, and neither is an offset below the threshold. Refuses if
    no server gives the time, if the servers disagree, if the step would exceed the limit, or if another step is in progress.
    Otherwise it stops the daemon, waits for port 123, and sets the clock: with ntpdate where ntpd is the daemon, else with a system
    call. If the clock has not moved far enough, it measures and steps again, at most ``passes`` times. Then it starts the daemon
    again if it was running before, also after an error or if this process is killed, and writes the hardware clock.

    servers
        Servers to query; default: this host's sources.
    threshold
        Seconds; the daemon slews smaller offsets. Default: the pillar's ``step:threshold``.
    limit
        Seconds; a larger offset is refused. Default: the pillar's ``step:limit`` (none: any distance).
    passes
        Maximum number of steps. Default: the pillar's ``step:passes``.
    wait
        Seconds to wait for a server that gives the time: the tier above may be starting.
    force
        Step even if the daemon follows a source and the offset is small. The daemon's offset is as old as its last poll: it is
        wrong just after somebody set the clock.
    test
        Measure and judge, but change nothing.

    Returns a dict: ``stepped`` (bool), ``needed`` (bool: off by more than the threshold; None in test mode if no server gives
    the time), ``offset_before_s`` and ``offset_after_s`` (after a step: the offset before minus the observed move, to some
    hundredths of a second; None if unknown), ``moved_s`` how far the clock was observed to move, ``server``, ``passes`` made,
    ``hwclock`` (as ``ntpcluster.systohc``; None if not written), ``daemon_restarted`` (bool), ``comment``.

    Raises CommandExecutionError with the reason for each refusal and failure.

    CLI Example:

    .. code-block:: bash

        salt 'node148' ntpcluster.step
        salt 'node148' ntpcluster.step servers='[10.0.0.189]' limit=3600
    """
    return __salt__["ntpcluster_step.step"](servers, threshold, limit, passes, wait, force, test)


def move(offset, step=False, test=False):
    """
    Move this host's clock by a given distance: for ``salt-run ntpcluster.set_island_time``, which moves all hosts of an island.
    On any other host it refuses. Moving a single host of an island has no lasting effect: its daemon follows its server again.

    offset
        In seconds; above zero moves the clock forward.
    step
        False slews the clock at 500 ppm while the daemon runs: the kernel does this (``adjtime(2)``), and it takes 2000 s for
        each second. It replaces a slew in progress, and an offset of 0 stops one. The maximum is 43.2 s, a day. True steps the
        clock with the daemon stopped, by 0.2 s or more, within the pillar's ``step:limit``, and writes the hardware clock.
    test
        Check everything, but change nothing.

    Returns a dict: ``moved_s`` how far a step was observed to move the clock, ``takes_s`` how long the slew takes,
    ``pending_s`` the remainder of an earlier slew, ``hwclock`` (as ``ntpcluster.systohc``; None if not written), ``time_s`` the
    clock afterwards (seconds since 1970), ``comment``.

    Raises CommandExecutionError with the reason for each refusal and failure, SaltInvocationError for an offset that is not a
    number.

    CLI Example:

    .. code-block:: bash

        salt 'ntp189' ntpcluster.move 0.5 test=True
    """
    return __salt__["ntpcluster_move.move"](offset, step, test)


def hwclock(utc=None):
    """
    Read the hardware clock as its next second begins. The kernel shows it; the program hwclock runs only if the kernel does not.

    utc
        Whether it keeps UTC; default: the pillar's ``hwclock:utc``.

    Returns a dict: ``present`` (True; False: this host has none, like containers and some virtual machines; None:
    unknown), ``epoch_s`` its time in seconds since 1970, ``error_s`` how far it is ahead of the system time, to a tenth of a
    second, ``problem`` None or why there is no reading.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.hwclock
    """
    return __salt__["ntpcluster_hwclock.hwclock"](utc)


def systohc(utc=None):
    """
    Set the hardware clock from the system time, and read it back. The kernel sets it (rtc(4)), and /etc/adjtime is written as
    hwclock writes it. If the kernel refuses, or the result is half a second off or more, hwclock sets it, up to three times.

    utc
        Whether it keeps UTC; default: the pillar's ``hwclock:utc``. It is recorded in /etc/adjtime and always passed to hwclock:
        that of EL6 assumes local time if /etc/adjtime has no third line (hwclock.c, hw_clock_is_utc).

    Returns a dict: ``written`` (bool: read back and correct), ``present``, ``error_s`` as read back, ``problem``.
    A host without a hardware clock is not an error.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.systohc
    """
    return __salt__["ntpcluster_hwclock.systohc"](utc)


def plan():
    """
    Return this host's plan: its role in the cluster, and everything that is configured for it.

    Returns a dict; times and offsets are in seconds:

    ``id``, ``tier``, ``level`` (0 is the top), ``follows`` (name of the tier above, None at the top),
    ``tiers`` (all names, top first), ``method`` (``daemon`` or ``cron``), ``cron`` (five fields, as text),
    ``timezone`` (None: unchanged), ``platform`` (its entry of platforms.yaml, and ``name``),
    ``package`` {names, version, sources},
    ``sources`` [{address, prefer, noselect, iburst, burst, key, minpoll, maxpoll, version, nts, line}],
    ``refclocks`` [{lines, names}] (reference clocks, and how the daemon may list each),
    ``serves`` [{network, address, netmask, family}], ``restrict`` [{comment, lines}],
    ``step_tickers`` [address], ``firewall`` {manage, networks}, ``step`` {threshold, limit, passes},
    ``sync`` {timeout, max_offset, max_bound}, ``hwclock`` {manage, utc}, ``keys`` [{id, type}],
    ``reference`` (``utc`` or ``island``), ``neighbours`` (the sources that are servers of its own tier),
    ``local`` (stratum at which it leads its island on its own clock, or None), ``step_by`` (the servers that a step queries),
    ``turn`` (its rank among the servers of an island, 0 leads; 0 on other hosts),
    ``minsane`` (the number of sources that must agree before the clock follows them),
    ``orphan`` (stratum at which this host continues as an orphan, or None), ``orphan_stratum`` (the pillar's ``orphan``:
    the lowest stratum of hosts whose time comes from one), ``options`` [line], ``conflicts`` [service],
    ``health`` {settle, frequency_ppm, survivors, reference_age}, ``kept``: None, or a text that says when this
    plan was applied. It is then the plan applied last, which is used if this host has no pillar ``ntp`` at all (the master is
    down, and ``salt-call --local`` asks). It has no secrets, and states never use it.

    Raises SaltInvocationError with every error that ``ntpcluster.validate`` finds, in one message; on a platform that
    platforms.yaml does not describe, with that error only.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.plan
    """
    return __salt__["ntpcluster_plan.plan"]()


def validate(pillar=None):
    """
    Return everything that is wrong or doubtful about the pillar.

    pillar
        The value of ``ntp``, or a mapping with this one key; on the command line in one line, as JSON. By default the pillar of
        this host is checked, together with what only the host knows: its
        platform, its addresses, which tiers match it. The pillar is requested from the master, so that the latest edit is seen.
    Returns a list of dicts, errors first: ``key`` (``ntp:tiers:client:follows``), ``value`` (the
    value there; only its kind if it is a list, a mapping, or a text in place of one; never a secret), ``message`` (what is
    allowed), ``level`` (``error``: no plan can be made; ``warning``: it can, but the setting is doubtful), ``text`` (all of it
    in one line, special characters escaped). Of many problems in one list or mapping, the first ten are returned, and the number
    of the others.

    Raises CommandExecutionError when the file server does not have the data files of the state tree.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.validate
        salt-call ntpcluster.validate pillar='{tiers: {server: {match: "*", sources: [10.0.0.1]}}}'
    """
    return __salt__["ntpcluster_validate.validate"](pillar)


def firewall():
    """
    Compare this host's firewall with the networks that must reach UDP port 123. Changes nothing.

    Returns {family: {...}}, a family being ``ipv4`` or ``ipv6``, rules as the text that the firewall in use shows:

    * ``guard``: ``firewalld``, ``ufw``, ``nft``, ``iptables``, or None if nothing blocks anybody
    * ``running``: whether there is a firewall that blocks anybody
    * ``networks``: those of this family
    * ``present``, ``missing``, ``stale``: rules that exist in any notation; that are needed; that are ours but no longer needed
    * ``wider``: foreign rules that admit, or may admit, more than the networks; they are not changed
    * ``refused``: {network: the rule, policy or hook that blocks all of it, or that may and cannot be read}
    * ``blocked``: what may block part of a network: a ban, or a rule that is not understood
    * ``unclear``: {network that is not in ``refused``: those of ``blocked`` that may block all of it, and are not understood}
    * ``overtaken``: rules that the missing ones would precede, although they may be meant to apply to these packets too
    * ``error``: why the live rules could not be read, or None
    * ``keep``: how to save the live rules on this platform
    * ``saved``: {``file``, ``missing``, ``stale``, ``refused``} of the rules that the next boot loads; ``file`` is None if
      there is no such file; with nft and iptables also ``silent``, the file of nft that the next boot loads if it has rules for
      arriving packets that do not mention the port, or None

    ``refused``, ``unclear`` and ``blocked`` cover everything that a request and its reply pass: every table of either kind of
    iptables, and the chains of nftables; they assume that the missing rules are in place.

    Raises CommandExecutionError when a file cannot be read.

    The service counts as started while its lock file exists, as in EL6's /etc/init.d/iptables.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.firewall
    """
    return __salt__["ntpcluster_firewall.firewall"]()


def new_key(number=1):
    """
    Create a SHA1 key in the form that the pillar needs. It is not stored: put it into encrypted pillar.

    Use ``salt-call --local``, never a master: the master keeps what a minion returns in its job cache.

    number
        Number of the key, 1 to 65534.

    Returns {"keys": {number: {"type": "SHA1", "secret": 40 hexadecimal digits}}}.

    Raises SaltInvocationError for an invalid number.

    CLI Example:

    .. code-block:: bash

        salt-call --local ntpcluster.new_key 7
    """
    return __salt__["ntpcluster_keys.new_key"](number)


def version():
    """
    Version of the modules on this minion: the release, and a hash that differs whenever a file differs.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.version
    """
    return __salt__["ntpcluster_code.version"]()
