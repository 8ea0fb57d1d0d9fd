# -*- coding: utf-8 -*-
"""
The truth about this host's time: what its NTP daemon follows, how well, and what is wrong.

This file runs ``ntpq`` and reads what the host itself knows; what the programs print is read by
``ntpcluster.parse_*``, what is right or wrong with it is decided by ``ntpcluster.judge``, and what this host
should follow is said by ``ntpcluster.plan``. Reading never changes anything.

Units are in the names: ``_ms`` milliseconds, ``_s`` seconds, ``_ppm`` parts per million. An offset above zero
means that the server is ahead, so this host's clock is slow.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os
import re
import time

import salt.utils.files
import salt.utils.path
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster"

#: Of the release. Whether a minion has the code that the master serves is told by ``ntpcluster_code``.
VERSION = "0.1.0"

#: ntpq waits this long for each answer of the daemon, and asks twice. Its own 5 s would make a silent daemon cost
#: a minute here; the daemon is on this host, and eleven such waits (an association takes two) must end within 3 s.
NTPQ_TIMEOUT_MS = 120

#: So many associations are asked for in the first run of ntpq; of more, only those that are unclear, in a second one.
ASKED_AT_ONCE = 4

#: And all of it must end within this. ntpsec's ntpq is Python: a slow machine that has just booted needs more than 3 s
#: to start it, and took its daemon for a silent one, which is restarted.
NTPQ_LIMIT_S = 6


#: What ntpq says of a place (`&3`) beyond the last association: in a table of some, and of none.
_NO_SUCH_PLACE = re.compile("association index|no associations found", re.I)


def __virtual__():
    return __virtualname__


def version():
    """
    Version of these modules, as this minion has them: the release, and a word that differs whenever a file does.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.version
    """
    return "{0}+{1}".format(VERSION, __salt__["ntpcluster_code.digest"]())


def monotonic():
    """
    Seconds since some moment in the past, by a clock that no step moves.

    Python 2.7 has no ``time.monotonic``; ``times(2)`` counts ticks since the boot, whatever the system time does.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.monotonic
    """
    return os.times()[4]


def program(name, package, argv, timeout=10, zone=None):
    """
    Run one program and say how it went. For the other functions; it neither reads the text nor trusts the code.

    The time limit is ``timeout(1)``'s, not Salt's own: on Python 2.7 Salt measures it by the system time, and a
    clock stepped forward would end the very program that stepped it.

    name
        The program, looked for in the path.
    package
        What to install if it is missing; only for the message.
    argv
        List of its arguments.
    timeout
        Seconds until it is killed.
    zone
        Time zone it shall print times in; default: this host's.

    Returns a dict: ``retcode`` (int), ``stdout``, ``stderr`` (text), ``timed_out`` (bool), ``seconds`` (float).

    Raises CommandExecutionError if the program is not installed.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.program ntpq ntp "['--version']"
    """
    path = salt.utils.path.which(name)
    if not path:
        raise CommandExecutionError("{0} is not installed on this host: install the package {1}".format(name, package))
    started = monotonic()
    done = __salt__["cmd.run_all"](
        ["timeout", "-s", "KILL", "{0:g}".format(timeout), path] + list(argv),
        python_shell=False,
        env=dict({"TZ": zone} if zone else {}, LC_ALL="C"),
        ignore_retcode=True,
        output_loglevel="trace",
    )
    return {
        "retcode": done["retcode"],
        "stdout": done["stdout"],
        "stderr": done["stderr"],
        # 128 + SIGKILL from timeout(1); Python reports -9 where the shell would say 137.
        "timed_out": done["retcode"] in (124, 137, -9),
        "seconds": round(monotonic() - started, 2),
    }


def _ntpq(commands):
    """Run ntpq once, with these commands, against the daemon of this host."""
    argv = ["-n", "-c", "timeout {0}".format(NTPQ_TIMEOUT_MS)]
    for command in commands:
        argv += ["-c", command]
    return program("ntpq", "ntp (ntpsec on Debian)", argv + ["127.0.0.1"], timeout=NTPQ_LIMIT_S)


def _table(sources=0):
    """
    What the daemon says of itself and its associations, as ``ntpcluster.parse_ntpq`` returns it.

    ``rv`` of an association has what the tables cannot tell: values that their columns cut short, why a source is
    refused (``flash``, the daemon's own list of failed tests), and when it was itself set last. So many as there should
    be ``sources`` are asked in the same run, by their place in the table (``&1`` ...); if another one is unclear, it
    takes a second run.
    """
    places = range(1, min(sources, ASKED_AT_ONCE) + 1)
    done = _ntpq(["rv 0", "lpeers", "lassoc"] + ["rv &{0}".format(place) for place in places])
    if done["timed_out"]:
        message = "the daemon did not answer ntpq within {0:g} s".format(done["seconds"])
        return {"error": "timeout", "message": message, "complete": False, "variables": {}, "peers": [], "unparsed": []}
    head, answers = _associations(done["stdout"])
    # That there are fewer than there should be, or none at all, the table itself shows.
    complaints = [line for line in done["stderr"].splitlines() if not _NO_SUCH_PLACE.search(line)]
    table = __salt__["ntpcluster.parse_ntpq"](head, "\n".join(complaints), done["retcode"])
    # Of a daemon without any source ntpq says so; a text that ends before the table says nothing of sources.
    table["complete"] = table["complete"] and bool(table["peers"] or table["error"])
    known = [peer for peer in table["peers"] if peer["assid"] is not None]
    unclear = [peer["assid"] for peer in known if peer["assid"] not in answers and _unclear(peer)]
    if unclear:
        more = _associations(_ntpq(["rv {0}".format(assid) for assid in unclear])["stdout"])[1]
        answers.update(more)
        table["complete"] = table["complete"] and len(more) == len(unclear)
    for peer in table["peers"]:
        _complete(peer, answers.get(peer["assid"], {}), table["variables"].get("clock_s"))
    return table


def _unclear(peer):
    """Whether a row of the table leaves a question that its association can answer: why the last poll was of no use."""
    return peer["inexact"] or peer["condition"] == "reject" or not peer["reach"] & 1


def _associations(text):
    """
    What ntpq printed before the first ``rv ASSOCIATION``, and the answers to those: {association: variables}. One that
    is gone by now is missing.
    """
    # ntpsec 1.2.2 ends its answers without a newline, so an answer begins wherever its first word stands.
    starts = [found.start() for found in re.finditer(r"associd=(?!0\b)", text)] + [len(text)]
    answers = {}
    for start, end in zip(starts, starts[1:]):
        variables = __salt__["ntpcluster.parse_variables"](text[start:end])
        answers[variables.get("associd")] = variables
    return text[: starts[0]], answers


def _complete(peer, variables, clock):
    """Put the exact values of its association into a row of the table; `clock` is the daemon's time."""
    for key, name in (("offset_ms", "offset"), ("delay_ms", "delay"), ("jitter_ms", "jitter"), ("address", "srcadr")):
        if key in peer["inexact"] and variables.get(name) is not None:
            peer[key] = variables[name]
            peer["inexact"] = [other for other in peer["inexact"] if other != key]
    flash = re.match(r"[0-9a-f]+", "{0}".format(variables.get("flash", "")))
    peer["flash"] = int(flash.group(), 16) if flash else None
    # ntpsec leaves `rec` at zero until a packet is accepted, but sets this bit of the status word with the first one.
    heard = variables.get("rec_s") is not None or bool(int(variables.get("status", "0"), 16) & 0x2000)
    peer["heard"] = bool(peer["reach"]) or heard
    # A packet of this very second is printed as `-`, like none at all (prettyinterval in ntpq-subs.c).
    if peer["when_s"] is None and clock and variables.get("rec_s") and -1 < clock - variables["rec_s"] < 2:
        peer["when_s"] = 0
    peer["unreach"] = variables.get("unreach")
    peer["reference_age_s"] = None
    if variables.get("rec_s") is not None and variables.get("reftime_s") is not None:
        peer["reference_age_s"] = round(variables["rec_s"] - variables["reftime_s"], 3)


def _answered(table):
    """The table, or an error that says why there is none."""
    if table["error"] and not table["peers"] and not table["variables"]:
        raise CommandExecutionError(
            "the NTP daemon of this host cannot be asked ({0}): {1}. ntpcluster.status tells more.".format(
                table["error"], table["message"]
            )
        )
    return table


def peers():
    """
    The daemon's sources, a dict for each row of ntpq's table, in its order.

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
    - ``heard``: a packet came from it, acceptable or not
    - ``unreach``: polls without an acceptable answer since it was last reached; None if it was not asked
    - ``reference_age_s``: how long before its last packet its own clock was set by its source; None if not asked

    Raises CommandExecutionError if the daemon does not answer.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.peers
    """
    return _answered(_table())["peers"]


def variables(associd=0):
    """
    The daemon's system variables, or those of one association, under the names that ``ntpq -c rv`` gives them.

    associd
        Number of the association as in ``ntpcluster.peers``; 0 is the system.

    Returns a dict; numbers are numbers. ntp's units: offsets, delays, dispersions and jitter in milliseconds,
    frequency in ppm, tc and precision as powers of two of seconds.

    Raises CommandExecutionError if the daemon does not answer or has no such association.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.variables
        salt 'ntp*' ntpcluster.variables 49734
    """
    if isinstance(associd, bool) or not re.match(r"\d{1,5}$", "{0}".format(associd)):
        raise SaltInvocationError("associd: {0!r} is not the number of an association (0 to 65535)".format(associd))
    done = _ntpq(["rv {0}".format(associd)])
    table = __salt__["ntpcluster.parse_ntpq"](done["stdout"], done["stderr"], done["retcode"])
    if not table["variables"]:
        raise CommandExecutionError(
            "ntpq -c 'rv {0}': {1}".format(associd, table["message"] or "no answer within the time limit")
        )
    return table["variables"]


def daemon(service=None):
    """
    The NTP daemon's process and service on this host, without asking the daemon itself.

    service
        Name of the service; default: the platform's.

    Returns a dict: ``name`` of the service, ``enabled`` (starts at boot), and ``running``, ``pid``, ``uptime_s`` as
    ``ntpcluster.daemon_process`` tells them.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.daemon
    """
    if service is None:
        service = __salt__["ntpcluster.platform"]()["service"]
    process = __salt__["ntpcluster.daemon_process"]()
    return dict(process, name=service, enabled=__salt__["service.enabled"](service))


def status(age=0):
    """
    Whether this host has the right time, from whom, and what is wrong if not. Never raises for a sick host.

    age
        Seconds: what was seen so long ago will do, if it was in this very run and the daemon was not touched since.

    Returns a dict:

    - ``synchronized``: bool: the daemon follows a source of this host's tier, that source is alive, and the offset
      is within the pillar's ``sync:max_offset``
    - ``health``: ``ok``; ``degraded`` (synchronized, but see problems); ``settling`` (not synchronized yet, started
      a short while ago); ``unsynchronized``; ``stopped``
    - ``tier``: name of the host's tier (None: no valid pillar)
    - ``judged_by``, in words: the pillar; or, without any, the plan that was applied last, and when (None: neither)
    - ``daemon``: {name, version, running, enabled, pid, uptime_s}
    - ``source``: address of the system peer, ``stratum`` of this host, ``expected_stratum`` (the source's plus one),
      ``leap`` (none, add, del, alarm), ``refid``
    - ``offset_ms``, ``jitter_ms``, ``root_delay_ms``, ``root_dispersion_ms``, ``frequency_ppm``: None if unknown
    - ``peers``: as ``ntpcluster.peers``
    - ``problems``: list of {code, message, evidence, remedy}, worst first; the codes are those of ``ntpcluster.judge``

    ntpd keeps saying that it is synchronised for ever after its last source has died (ntp_proto.c only reports
    "no peer"), and ntpstat with it. So this judges by the system peer, its reach register and the tally code.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.status
    """
    looked, seen = __context__.get("ntpcluster.seen", (0, None))
    if seen and monotonic() - looked < age:
        return seen
    problems, plan = [], None
    try:
        plan = __salt__["ntpcluster.plan"]()
    except (CommandExecutionError, SaltInvocationError) as exc:
        stranger = __salt__["ntpcluster.foreign"]() if isinstance(exc, SaltInvocationError) else None
        if stranger:
            return __salt__["ntpcluster.judge_foreign"](stranger)
        said = "what this host should follow is unknown: {0}".format(exc)
        # Only the files of the tree can be out of reach; all else that stands against a plan is in the pillar.
        code = "invalid-pillar" if isinstance(exc, SaltInvocationError) else "no-tree"
        problems.append({"code": code, "message": said, "evidence": {}})
    seen = dict(_status(plan, problems), judged_by=__salt__["ntpcluster_applied.judged_by"](plan))
    __context__["ntpcluster.seen"] = (monotonic(), seen)
    return seen


def _status(plan, problems):
    process = daemon(plan["platform"]["service"] if plan else _service())
    if plan and plan["method"] == "cron":
        sources = [source["address"] for source in plan["sources"]]
        answers = __salt__["ntpcluster.query"](sources)
        return __salt__["ntpcluster.judge_without_daemon"](plan, process, answers, problems + _cron(plan))
    try:
        table = _table(len(plan["sources"]) if plan else 0)
    except CommandExecutionError as exc:
        table = {"error": "not-installed", "message": str(exc), "variables": {}, "peers": [], "complete": False}
    return __salt__["ntpcluster.judge"](plan, process, table, problems)


def _cron(plan):
    """What is wrong with the crontab's daemon, which alone keeps the time of a host without ntpd."""
    cron = plan["platform"]["cron"]["services"]
    if any(__salt__["service.status"](service) for service in cron):
        return []
    said = "the cron daemon ({0}) does not run, so nothing keeps the time".format(" or ".join(cron))
    return [__salt__["ntpcluster.problem"]("cron-stopped", said, services=cron)]


def _service():
    """The platform's service where there is no plan; without the tree's files, that of the last plan."""
    try:
        return __salt__["ntpcluster.facts"]()["platform"]["service"]
    except (CommandExecutionError, TypeError):
        last = __salt__["ntpcluster_applied.kept"]().get("plan")
        return last["platform"]["service"] if last else "ntpd"


def synchronized(timeout=None, interval=1, age=0):
    """
    Wait until this host follows its tier.

    timeout
        Seconds to wait at most; 0 looks once. Default: the pillar's ``sync:timeout``.
    interval
        Seconds between two looks.
    age
        How old the first look may be, as for ``ntpcluster.status``.

    Returns a dict: ``synchronized`` (bool), ``waited_s``, and ``status`` as the last look saw it.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.synchronized timeout=60
    """
    if timeout is None:
        timeout = __salt__["ntpcluster.plan"]()["sync"]["timeout"]
    started = monotonic()
    while True:
        seen = status(age)
        age, waited = 0, monotonic() - started
        if seen["synchronized"] or waited + interval > timeout:
            return {"synchronized": seen["synchronized"], "waited_s": round(waited, 1), "status": seen}
        time.sleep(interval)
