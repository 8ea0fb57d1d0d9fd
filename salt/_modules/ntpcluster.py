# -*- coding: utf-8 -*-
"""
One correct time on this host: what people and scripts ask, and what they can have done.

Units are in the names: ``_ms`` milliseconds, ``_s`` seconds, ``_ppm`` parts per million. An offset above zero
means that the server is ahead, so this host's clock is slow.

Each function here is done by a module of its own, which the call names. Modules called ``ntpcluster_*`` are internal.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster"
#: All that people call. A minion that has just got this file over an older one still has the names of that in its memory.
__load__ = [
    "bound", "diagnose", "firewall", "hwclock", "new_key", "peers", "plan", "query", "status", "step", "summary", "synchronized",
    "systohc", "validate", "variables", "version",
]  # fmt: skip
#: ``salt '*' ntpcluster.summary`` prints a line for each host: its name and the text.
__outputter__ = {"summary": "txt"}


def __virtual__():
    return __virtualname__


def status():
    """
    Whether this host has the right time, from whom, and what is wrong if not. Never raises for a sick host.

    Returns a dict:

    - ``synchronized``: bool: the daemon follows a source of this host's tier, that source is alive, and the offset
      is within the pillar's ``sync:max_offset``
    - ``health``: ``ok``; ``degraded`` (synchronized, but see problems); ``settling`` (not synchronized yet, started
      a short while ago); ``unsynchronized``; ``stopped``
    - ``tier``: name of the host's tier (None: no valid pillar)
    - ``reference``: what its time is tied to in the end: ``utc``; or ``island``, the clock of the cluster's own servers (the
      pillar's ``island``), and nothing ties that to UTC (None: no valid pillar)
    - ``judged_by``, in words: the pillar; or, without any, the plan that was applied last, and when (None: neither)
    - ``daemon``: {name, version, running, enabled, pid, uptime_s}
    - ``source``: address of the system peer (None: it follows nobody, or leads its island)
    - ``stratum`` of this host, ``expected_stratum`` (the source's plus one),
      ``leap`` (none, add, del, alarm), ``refid``
    - ``offset_ms``, ``jitter_ms``, ``root_delay_ms``, ``root_dispersion_ms``, ``frequency_ppm``: None if unknown
    - ``bound_ms``: no correct clock upstream is further from this host's than this (docs/bound.md); None where nothing can be
      promised, and ``unbounded`` says why
    - ``peers``: as ``ntpcluster.peers``, and of each whether it is ``usable``: the daemon's selection let it through, and
      it answered one of the last four polls
    - ``problems``: list of {code, message, evidence, remedy}, worst first

    The codes of problems, worst first: ``unknown-platform``, ``invalid-pillar``, ``no-tree``, ``daemon-stopped``,
    ``cron-stopped``, ``daemon-silent``, ``no-clock-capability``, ``rival-daemon``, ``not-listed``,
    ``unresolvable``, ``denied``, ``authentication``, ``loop``, ``upstream-unsynchronized``, ``unreachable``,
    ``panic``, ``falseticker``, ``orphan``, ``unsynchronized``, ``settling``, ``offset-high``,
    ``root-distance``, ``bound``, ``frequency-limit``, ``reach-gaps``, ``few-sources``, ``incomplete``.

    ntpd keeps saying that it is synchronised for ever after its last source has died (ntp_proto.c only reports
    "no peer"), and ntpstat with it. So this judges by the system peer, its reach register and the tally code.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.status
    """
    return __salt__["ntpcluster_status.status"]()


def summary():
    """
    The status of this host in one line: health, the source it follows, stratum, offset, and the first problem with its remedy.

    Returns text, of the same form whichever daemon keeps the time; it never raises for a sick host. Programs should read
    ``ntpcluster.status`` instead.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.summary
    """
    return __salt__["ntpcluster_summary.summary"](__salt__["ntpcluster_status.status"]())


def bound():
    """
    How far this host's clock can be from a correct clock upstream, by what its daemon says: one run of ntpq or chronyc.

    It rests on an honest majority of the sources, on an oscillator within 15 ppm of the frequency that the daemon has learnt,
    and on nobody setting the clock behind the daemon's back; docs/bound.md derives it. Never raises for a sick host.

    Returns a dict:

    - ``bound_ms``: no correct clock upstream is further from this host's than this; None: nothing can be promised
    - ``unbounded``: why not, in words; None: there is a bound
    - ``source``: address of the source that is followed
    - ``parts_ms``: what the bound is the sum of: half the ``root_delay``, ``root_dispersion``, ``offset``, ``jitter``,
      ``precision``, ``growth``

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.bound
    """
    return __salt__["ntpcluster_status.bound"]()


def synchronized(timeout=None, interval=1):
    """
    Wait until this host follows its tier.

    timeout
        Seconds to wait at most; 0 looks once. Default: the pillar's ``sync:timeout``.
    interval
        Seconds between two looks.
    Returns a dict: ``synchronized`` (bool), ``waited_s``, and ``status`` as the last look saw it.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.synchronized timeout=60
    """
    return __salt__["ntpcluster_status.synchronized"](timeout, interval)


def diagnose():
    """
    Why this host does not follow its tier. Asks its servers, the resolver and the kernel; changes nothing.

    A host that is well costs no more than ``ntpcluster.status``.

    Returns a list of {``code``, ``message``, ``evidence`` (dict), ``remedy``}, worst first; empty if nothing is
    wrong. The codes are those of ``ntpcluster.status``.

    CLI Example:

    .. code-block:: bash

        salt 'node148' ntpcluster.diagnose
    """
    return __salt__["ntpcluster_diagnose.diagnose"]()


def peers():
    """
    The daemon's sources, a dict for each row of its own table, in its order. What a daemon does not tell is None.

    Returns a list of dicts:

    - ``remote`` as ntpq prints it, ``address`` in full, ``assid`` the association's number (unique, unlike names)
    - ``refid`` what the source itself follows, and ``refid_kind`` what sort of word that is
    - ``stratum`` (16: unsynchronised or never heard), ``type`` ntpq's letter
    - ``when_s`` seconds since the last packet (None: never, or ntpq's figure cannot be right), ``poll_s``
    - ``reach`` the register of the last eight polls as an integer: 255 all answered, bit 0 the newest
    - ``delay_ms``, ``offset_ms``, ``jitter_ms``; None if unknown; ``inexact`` names those that ntpq cut short
    - ``tally`` ntpq's character and ``condition`` its meaning: system_peer, pps, candidate, outlier, backup,
      excess, falseticker, reject
    - ``last_event``, e.g. rate_exceeded or access_denied: a kiss code shows nowhere else
    - ``flash``: the daemon's failed tests of it as bits (ntp.h, TEST1 ...); None if it was not asked
    - ``heard``: a packet came from it, acceptable or not; ``answers``: within the last four polls
    - ``unreach``: polls without an acceptable answer since it was last reached; None if it was not asked
    - ``reference_age_s``: how long before its last packet its own clock was set by its source, ``root_delay_ms`` and
      ``root_dispersion_ms`` from it to the top of its chain; None if not asked
    - ``selection``: chronyd's own word for why it is of use or not; None of ntpd

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

    Returns a dict; numbers are numbers. ntp's units: offsets, delays, dispersions and jitter in milliseconds,
    frequency in ppm, tc and precision as powers of two of seconds.

    Raises CommandExecutionError if the daemon does not answer or has no such association, and where it is chronyd, which
    has no such variables.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.variables
        salt 'ntp*' ntpcluster.variables 49734
    """
    return __salt__["ntpcluster_status.variables"](associd)


def query(servers=None, timeout=2, samples=1):
    """
    Ask servers for the time. Changes nothing, and works beside a running daemon.

    servers
        Names or addresses; default: this host's own sources.
    timeout
        Seconds to wait for answers, of all servers together.
    samples
        Packets for each server (1 to 8), one after the other; the one with the shortest round trip counts.

    Returns a dict: ``servers``, a list in the order asked of

    - ``name`` as asked for and its ``address`` (None: the name is not known)
    - ``reachable`` (bool: an answer came), ``stratum``, ``leap`` (none, add, del, alarm), ``refid``, ``kiss`` (the
      code of a server that refuses, such as DENY or RATE; else None), ``reference_age_s`` how long ago its own clock was
      set by its source (None: it does not say)
    - ``offset_s`` how far the server is ahead of this host, ``delay_s`` the round trip: None if the server does not
      answer, refuses, or says itself that it is not synchronised (leap alarm, stratum 16)

    and ``best``, the one of them with an offset that has the lowest stratum, then the shortest delay; or None.

    Raises SaltInvocationError for a server's name that is none.

    CLI Example:

    .. code-block:: bash

        salt 'node*' ntpcluster.query
        salt 'node*' ntpcluster.query '[10.0.0.189, 10.0.0.180]' samples=4
    """
    return __salt__["ntpcluster_query.query"](servers, timeout, samples)


def step(servers=None, threshold=None, limit=None, passes=None, wait=0, force=False, test=False):
    """
    Set the clock by its servers in one jump, if and only if that is needed and safe.

    A clock that the daemon follows closely is left alone, and so is an offset below the threshold. Refuses if
    nobody tells the time, if the servers disagree, if the jump is beyond the limit, or if another step is under
    way. Else it stops the daemon, waits for port 123, steps, measures again (and steps again, ``passes`` times at
    most), writes the hardware clock, and starts the daemon again if it ran before: whatever happens, and even if
    this very process is killed half way.

    servers
        Whom to ask; default: this host's sources.
    threshold
        Seconds; a smaller offset is left to the daemon's slewing. Default: the pillar's ``step:threshold``.
    limit
        Seconds; a larger offset is refused. Default: the pillar's ``step:limit`` (none: any distance).
    passes
        Steps at most. Default: the pillar's ``step:passes``.
    wait
        Seconds to wait for a server that tells the time: the tier above may be coming up just now.
    force
        Step even if the daemon follows a source and the offset is small. The daemon's word is as old as its last
        poll: right after a clock was moved by hand it is believed wrongly.
    test
        Measure and judge, but change nothing.

    Returns a dict: ``stepped`` (bool), ``needed`` (bool: off by more than the threshold;
    None in test mode if nobody tells the time), ``offset_before_s`` and
    ``offset_after_s`` (None if not measured), ``moved_s`` how far the clock was seen to move, ``server``,
    ``passes`` made, ``hwclock`` (as ``ntpcluster.systohc``; None if not written), ``daemon_restarted`` (bool),
    ``comment``.

    Raises CommandExecutionError with the reason for each refusal and failure.

    CLI Example:

    .. code-block:: bash

        salt 'node148' ntpcluster.step
        salt 'node148' ntpcluster.step servers='[10.0.0.189]' limit=3600
    """
    return __salt__["ntpcluster_step.step"](servers, threshold, limit, passes, wait, force, test)


def hwclock(utc=None):
    """
    Read the hardware clock.

    utc
        Whether it keeps UTC; default: the pillar's ``hwclock:utc``.
    Returns a dict: ``present`` (True; False: this host has none, as containers and some virtual machines; None:
    nobody can tell), ``epoch_s`` its time in seconds since 1970, ``error_s`` how far it is ahead of the system time
    (it counts whole seconds), ``problem`` None or why there is no reading.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.hwclock
    """
    return __salt__["ntpcluster_hwclock.hwclock"](utc)


def systohc(utc=None):
    """
    Set the hardware clock by the system time, and read it back; write again if it is a second off.

    utc
        Whether it shall keep UTC; default: the pillar's ``hwclock:utc``. Always said to hwclock: without, EL6 takes
        the hardware clock to be in local time when /etc/adjtime has no third line (hwclock.c, hw_clock_is_utc).

    Returns a dict: ``written`` (bool: read back and right), ``present``, ``error_s`` as read back, ``problem``.
    A host without a hardware clock is no error.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.systohc
    """
    return __salt__["ntpcluster_hwclock.systohc"](utc)


def plan():
    """
    Return what this host has to do to take its place in the cluster.

    Returns a dict; times and offsets are in seconds:

    ``id``, ``tier``, ``level`` (0 is the top), ``follows`` (name of the tier above, None at the top),
    ``tiers`` (all names, top first), ``method`` (``daemon`` or ``cron``), ``cron`` (five fields, as text),
    ``timezone`` (None: leave it alone), ``platform`` (its entry of platforms.yaml, and ``name``),
    ``package`` {names, version, sources},
    ``sources`` [{address, prefer, noselect, iburst, burst, key, minpoll, maxpoll, version, nts, line}],
    ``refclocks`` [{lines, names}] (reference clocks, and how the daemon may list each),
    ``serves`` [{network, address, netmask, family}], ``restrict`` [{comment, lines}],
    ``step_tickers`` [address], ``firewall`` {manage, networks}, ``step`` {threshold, limit, passes},
    ``sync`` {timeout, max_offset, max_bound}, ``hwclock`` {manage, utc}, ``keys`` [{id, type}],
    ``reference`` (``utc`` or ``island``), ``neighbours`` (those of the sources that are servers of its own tier),
    ``local`` (stratum at which it leads its island by its own clock, or None), ``step_by`` (whom a step asks),
    ``minsane`` (so many sources have to agree before the clock follows),
    ``orphan`` (stratum at which this host goes on as one, or None), ``orphan_stratum`` (the pillar's ``orphan``:
    what a host says that has its time from one), ``options`` [line], ``conflicts`` [service],
    ``health`` {settle, frequency_ppm, survivors, reference_age}, ``kept``: None, or in words when this plan was
    applied. That is the last one applied, which stands in when this host has no pillar ``ntp`` at all (the master is
    away, and ``salt-call --local`` asks). It has no secrets, and no state is applied by it.

    Raises SaltInvocationError with every error ``ntpcluster.validate`` finds, in one message; on a platform that
    platforms.yaml does not describe, with that alone.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.plan
    """
    return __salt__["ntpcluster_plan.plan"]()


def validate(pillar=None):
    """
    Return everything that is wrong, or doubtful, about the pillar.

    pillar
        What stands under ``ntp``. Left out, the pillar of this host is judged, together with what only the
        host knows: its platform, its addresses, which tiers match it. The master is asked for the pillar, so that an
        edit of a moment ago is seen.
    Returns a list of dicts, errors first: ``key`` (``ntp:tiers:client:follows``), ``value`` (what stands
    there; of a list or mapping only that it is one, and never a secret), ``message`` (what is allowed),
    ``level`` (``error``: no plan can be made; ``warning``: it can, and somebody should know), ``text`` (all of it
    in one line, odd characters escaped). Of many in one list or mapping ten are there, and how many more.

    Raises CommandExecutionError when the file server does not have the data files of the state tree.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.validate
        salt-call ntpcluster.validate pillar='{tiers: {server: {match: "*", sources: [10.0.0.1]}}}'
    """
    return __salt__["ntpcluster_validate.validate"](pillar)


def firewall():
    """
    Compare this host's firewall with the networks that are to reach UDP 123. Changes nothing.

    Returns {family: {...}}, a family being ``ipv4`` or ``ipv6``, rules as the text of what guards the host:

    * ``guard``: ``firewalld``, ``ufw``, ``nft``, ``iptables``, or None where nothing keeps anybody out
    * ``running``: is there a firewall that keeps anybody out
    * ``networks``: those of this family
    * ``present``, ``missing``, ``stale``: rules that are there in any spelling; needed; ours, but not wanted
    * ``wider``: rules of others that let in more than the networks, or may; they are left alone
    * ``refused``: {network: the rule, policy or hook that keeps all of it out, or may and cannot be read}
    * ``blocked``: what may keep a part of a network out: a ban, or a rule that is not understood
    * ``overtaken``: rules that the missing ones would stand before although they may have been meant for them too
    * ``error``: why the live rules could not be read, or None
    * ``keep``: how the live rules are saved on this platform
    * ``saved``: {``file``, ``missing``, ``stale``, ``refused``} of the rules that the next boot loads; ``file`` is None when
      no file keeps them

    ``refused`` and ``blocked`` are of all that a question and its answer pass: every table of iptables, whichever
    kind it is of, and the chains of nftables; and of the rules as they would be with the missing ones in.

    Raises CommandExecutionError when a file cannot be read.

    The service counts as started while its lock file exists, as in EL6's /etc/init.d/iptables.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.firewall
    """
    return __salt__["ntpcluster_firewall.firewall"]()


def new_key(number=1):
    """
    A fresh SHA1 key, as the pillar wants it. It is kept nowhere: put it into encrypted pillar.

    Call it by ``salt-call --local``, never through a master: what a minion returns is kept in the job cache.

    number
        Number of the key, 1 to 65534.

    Returns {"keys": {number: {"type": "SHA1", "secret": 40 hexadecimal digits}}}.

    Raises SaltInvocationError for a number that is none.

    CLI Example:

    .. code-block:: bash

        salt-call --local ntpcluster.new_key 7
    """
    return __salt__["ntpcluster_keys.new_key"](number)


def version():
    """
    Version of these modules, as this minion has them: the release, and a word that differs whenever a file does.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.version
    """
    return __salt__["ntpcluster_code.version"]()
