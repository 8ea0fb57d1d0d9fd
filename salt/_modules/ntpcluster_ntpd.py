# -*- coding: utf-8 -*-
"""
Internal. Query ntpd: this file runs ``ntpq``, and ``ntpcluster_parse`` reads its output.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_ntpd"

#: ntpq waits this long for each answer of the daemon, and asks twice. With its own 5 s a daemon that does not answer would take
#: a minute here; the daemon is on this host, and eleven such waits (an association takes two) must end within 3 s.
NTPQ_TIMEOUT_MS = 120

#: Up to this many associations are queried in the first run of ntpq; further ones are queried in a second run, if they are
#: unclear.
ASKED_AT_ONCE = 4

#: The time limit of the whole run. ntpsec's ntpq is a Python program: a slow machine that has just booted needs more than 3 s
#: to start it; with a shorter limit its daemon counted as silent and was restarted.
NTPQ_LIMIT_S = 6

#: TEST12: the source has its time from this host.
FLASH_LOOP = 0x0800

#: The `srcadr` of a name that ntpsec has not resolved yet; `srchost` is the name.
NO_ADDRESS = ("0.0.0.0", "::")

#: What ntpq prints about an index (`&3`) beyond the last association: with some associations, and with none.
_NO_SUCH_PLACE = re.compile("association index|no associations found", re.I)


#: ntpdate exits by itself a few seconds after its last unanswered request.
NTPDATE_S = 30

#: The daemon's variables under neutral names. ntp's units: milliseconds, and ppm for the frequency.
SYSTEM = (
    ("leap", "leap"),
    ("stratum", "stratum"),
    ("refid", "refid"),
    ("offset_ms", "offset"),
    ("jitter_ms", "sys_jitter"),
    ("root_delay_ms", "rootdelay"),
    ("root_dispersion_ms", "rootdisp"),
    ("frequency_ppm", "frequency"),
    ("version", "version"),
)

#: ntpd increases its root dispersion by this much each second since it has updated the clock (adj_host_clock in
#: ntp_loopfilter.c), so the reported value is current.
AGED_PPM = 15.0


def look(sources=0, once=False):
    """
    Internal. What the daemon reports about itself and its sources, in a form common to all daemons.

    sources
        How many there should be.
    once
        Run ntpq only once, even if something stays unclear.

    Returns a dict: ``error`` and ``message`` (why something is missing; None and empty if nothing is), ``complete`` (bool: the
    rows are all that the daemon has), ``system`` {``leap``, ``stratum``, ``refid``, ``offset_ms``, ``jitter_ms``,
    ``root_delay_ms``, ``root_dispersion_ms``, ``frequency_ppm``, ``version``, ``reference_age_s`` (since it updated the clock),
    ``precision_ms`` (of reading the clock), ``aged_ppm`` (the growth of its root dispersion), ``frequency_error_ppm`` (the
    error of its frequency, as far as its values show it); None: not reported} or empty if there was no answer about the system,
    ``peers`` (see ``ntpcluster.peers``).

    ``rv`` of an association has values that the tables do not show: those that their columns truncate, why a source is refused
    (``flash``, the daemon's own list of failed tests), and when its clock was last set. The first ``sources`` associations are
    queried in the same run, by their index in the table (``&1`` ...); if another one is unclear, this takes a second run.
    """
    places = range(1, min(sources, ASKED_AT_ONCE) + 1)
    done = _ntpq(["rv 0", "lpeers", "lassoc"] + ["rv &{0}".format(place) for place in places])
    if done["timed_out"]:
        message = "the daemon did not answer ntpq within {0:g} s".format(done["seconds"])
        return {"error": "timeout", "message": message, "complete": False, "system": {}, "peers": []}
    head, answers = __salt__["ntpcluster_parse.associations"](done["stdout"])
    # The table itself shows that there are too few, or none at all.
    complaints = [line for line in done["stderr"].splitlines() if not _NO_SUCH_PLACE.search(line)]
    seen = __salt__["ntpcluster_parse.ntpq"](head, "\n".join(complaints), done["retcode"])
    # If a daemon has no sources, ntpq says so; a text that ends before the table says nothing about sources.
    seen["complete"] = seen["complete"] and bool(seen["peers"] or seen["error"])
    known = [peer for peer in seen["peers"] if peer["assid"] is not None]
    unclear = [peer["assid"] for peer in known if peer["assid"] not in answers and _unclear(peer)]
    if unclear and not once:
        again = _ntpq(["rv {0}".format(assid) for assid in unclear])
        more = __salt__["ntpcluster_parse.associations"](again["stdout"])[1]
        answers.update(more)
        seen["complete"] = seen["complete"] and len(more) == len(unclear)
    for peer in seen["peers"]:
        _complete(peer, answers.get(peer["assid"], {}), seen["variables"].get("clock_s"))
    found = dict((key, seen[key]) for key in ("error", "message", "complete", "peers"))
    return dict(found, system=system(seen["variables"]))


def system(variables):
    """
    Internal. The variables of ntpd under neutral names.

    variables
        As ``ntpcluster_parse.ntpq`` returns them.

    Returns the ``system`` of ``look``.
    """
    if not variables:
        return {}
    said = dict((word, variables.get(name)) for word, name in SYSTEM)
    said.update(aged_ppm=AGED_PPM, reference_age_s=None, precision_ms=None, frequency_error_ppm=None)
    if None not in (variables.get("clock_s"), variables.get("reftime_s")):
        said["reference_age_s"] = round(variables["clock_s"] - variables["reftime_s"], 3)
    if variables.get("precision") is not None:
        said["precision_ms"] = 1000.0 * 2.0 ** variables["precision"]
    if None not in (said["offset_ms"], variables.get("tc")):
        # If the frequency is wrong, an offset that built up within one poll builds up again within the next.
        said["frequency_error_ppm"] = abs(said["offset_ms"]) * 1000.0 / 2.0 ** variables["tc"]
    return said


def jump(server, offset, platform, **called):
    """
    Internal. Step the clock to the time of this server with ``ntpdate``; the daemon is stopped.

    server
        Its address.
    offset
        How far the server was ahead of this host when it was queried, in seconds. ntpdate queries it again.
    platform
        The plan's.

    Returns a dict: ``tool``, ``errors`` [{code, message}], ``offset_s`` by which it reports to have set the clock (None: it set
    nothing).
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    argv = ["-b"] + platform["ntpdate_options"] + [server]
    __salt__["ntpcluster_query.pace"]()
    done = __salt__["ntpcluster_program.run"]("ntpdate", " ".join(platform["packages"]), argv, timeout=NTPDATE_S)
    __salt__["ntpcluster_query.asked"]()
    answer = __salt__["ntpcluster_parse_tools.ntpdate"](done["stdout"], done["stderr"], done["retcode"])
    errors = list(answer["errors"])
    if done["timed_out"]:
        errors.append({"code": "timeout", "message": "ntpdate did not end within {0} s".format(NTPDATE_S)})
    return {"tool": "ntpdate", "errors": errors, "offset_s": answer["offset_s"] if answer["action"] else None}


def crontab(plan):
    """
    Internal. The command in a crontab that sets the clock of a host without a daemon, from the first of its servers that gives
    the time. It runs ntpdate for each server: a single name that does not resolve would end a common run.

    plan
        ``ntpcluster.plan``. Its addresses are checked by the pillar's rules: sh and cron do not interpret any of their
        characters.

    Returns text for sh, without a single quote. Its exit code is 0 once the clock is set.
    """
    ntpdate = " ".join(["ntpdate"] + plan["platform"]["ntpdate_options"])
    return "for server in {0}; do {1} $server && break; done".format(" ".join(plan["step_tickers"]), ntpdate)


def variables(associd=0):
    """
    Internal. Implements ``ntpcluster.variables``.
    """
    if isinstance(associd, bool) or not re.match(r"\d{1,5}$", "{0}".format(associd)):
        raise SaltInvocationError("associd: {0!r} is not the number of an association (0 to 65535)".format(associd))
    done = _ntpq(["rv {0}".format(associd)])
    seen = __salt__["ntpcluster_parse.ntpq"](done["stdout"], done["stderr"], done["retcode"])
    if not seen["variables"]:
        raise CommandExecutionError(
            "ntpq -c 'rv {0}': {1}".format(associd, seen["message"] or "no answer within the time limit")
        )
    return seen["variables"]


def _ntpq(commands):
    """Run ntpq once, with these commands, against the daemon of this host."""
    argv = ["-n", "-c", "timeout {0}".format(NTPQ_TIMEOUT_MS)]
    for command in commands:
        argv += ["-c", command]
    return __salt__["ntpcluster_program.run"](
        "ntpq", "ntp (ntpsec on Debian)", argv + ["127.0.0.1"], timeout=NTPQ_LIMIT_S
    )


def _unclear(peer):
    """Whether the association of a row can explain why its last poll was not used."""
    return peer["inexact"] or peer["condition"] == "reject" or not peer["reach"] & 1


def _complete(peer, variables, clock):
    """Add the exact values of its association to a row of the table; `clock` is the daemon's time."""
    if variables.get("srcadr") in NO_ADDRESS:
        variables = dict(variables, srcadr=None)
        if "address" in peer["inexact"]:
            peer["remote"] = variables.get("srchost") or peer["remote"]
    for key, name in (("offset_ms", "offset"), ("delay_ms", "delay"), ("jitter_ms", "jitter"), ("address", "srcadr")):
        if key in peer["inexact"] and variables.get(name) is not None:
            peer[key] = variables[name]
            peer["inexact"] = [other for other in peer["inexact"] if other != key]
    flash = re.match(r"[0-9a-f]+", "{0}".format(variables.get("flash", "")))
    peer["flash"] = int(flash.group(), 16) if flash else None
    # ntpd runs this test only when it selects a source, which it does not do during a burst (peer_unfit and clock_filter in
    # ntp_proto.c): until then the source looks as if it had another time than this host's. As ntpd, it ignores 127.0.0.1, the
    # refid of an orphan.
    refid, own = variables.get("refid"), variables.get("dstadr")
    if flash and 1 < (peer["stratum"] or 0) < 16 and refid == own and refid not in (None, "", "127.0.0.1"):
        peer["flash"] |= FLASH_LOOP
    # ntpsec leaves `rec` at zero until a packet is accepted, but sets this bit of the status word with the first one.
    heard = variables.get("rec_s") is not None or bool(int(variables.get("status", "0"), 16) & 0x2000)
    peer["heard"] = bool(peer["reach"]) or heard
    # A packet of the current second is printed as `-`, like no packet at all (prettyinterval in ntpq-subs.c).
    if peer["when_s"] is None and clock and variables.get("rec_s") and -1 < clock - variables["rec_s"] < 2:
        peer["when_s"] = 0
    # A dead server was heard as well, some time ago: so only the last four polls count.
    peer["answers"] = peer["when_s"] is not None and peer["when_s"] <= 4 * (peer["poll_s"] or 64)
    peer["unreach"] = variables.get("unreach")
    peer["root_delay_ms"], peer["root_dispersion_ms"] = variables.get("rootdelay"), variables.get("rootdisp")
    peer["selection"] = None  # ntpd has only one term for it, the condition
    peer["error_ms"] = None  # ntpd does not report the error of a single sample
    peer["reference_age_s"] = None
    if variables.get("rec_s") is not None and variables.get("reftime_s") is not None:
        peer["reference_age_s"] = round(variables["rec_s"] - variables["reftime_s"], 3)
