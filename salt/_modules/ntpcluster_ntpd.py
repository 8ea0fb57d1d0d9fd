# -*- coding: utf-8 -*-
"""
Internal. What ntpd says of itself: ``ntpq`` is run here, and ``ntpcluster_parse`` reads what it prints.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_ntpd"

#: ntpq waits this long for each answer of the daemon, and asks twice. Its own 5 s would make a silent daemon cost
#: a minute here; the daemon is on this host, and eleven such waits (an association takes two) must end within 3 s.
NTPQ_TIMEOUT_MS = 120

#: So many associations are asked for in the first run of ntpq; of more, only those that are unclear, in a second one.
ASKED_AT_ONCE = 4

#: And all of it must end within this. ntpsec's ntpq is Python: a slow machine that has just booted needs more than 3 s
#: to start it, and took its daemon for a silent one, which is restarted.
NTPQ_LIMIT_S = 6

#: The `srcadr` of a name that ntpsec has not resolved yet; `srchost` is the name.
NO_ADDRESS = ("0.0.0.0", "::")

#: What ntpq says of a place (`&3`) beyond the last association: in a table of some, and of none.
_NO_SUCH_PLACE = re.compile("association index|no associations found", re.I)


#: ntpdate ends by itself a few seconds after the last answer that does not come.
NTPDATE_S = 30

#: The daemon's variables in words that know no daemon. ntp's units: milliseconds, and ppm for the frequency.
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

#: By so much ntpd lets its root dispersion grow each second since it has updated the clock (adj_host_clock in
#: ntp_loopfilter.c), so what it tells is as of now.
AGED_PPM = 15.0


def look(sources=0, once=False):
    """
    Internal. What the daemon says of itself and its sources, in words that know no daemon.

    sources
        So many there should be.
    once
        Run ntpq once, whatever stays unclear.

    Returns a dict: ``error`` and ``message`` (why something is missing; None and empty: nothing is), ``complete`` (bool:
    the rows are all that the daemon has), ``system`` {``leap``, ``stratum``, ``refid``, ``offset_ms``, ``jitter_ms``,
    ``root_delay_ms``, ``root_dispersion_ms``, ``frequency_ppm``, ``version``, ``reference_age_s`` (since it updated the clock),
    ``precision_ms`` (to which the clock can be read), ``aged_ppm`` (by which it lets its root dispersion grow),
    ``frequency_error_ppm`` (how wrong its frequency may be, as it shows itself); None: it does not say} or empty if it said
    nothing of itself, ``peers`` (see ``ntpcluster.peers``).

    ``rv`` of an association has what the tables cannot tell: values that their columns cut short, why a source is
    refused (``flash``, the daemon's own list of failed tests), and when it was itself set last. So many as there should
    be ``sources`` are asked in the same run, by their place in the table (``&1`` ...); if another one is unclear, it
    takes a second run.
    """
    places = range(1, min(sources, ASKED_AT_ONCE) + 1)
    done = _ntpq(["rv 0", "lpeers", "lassoc"] + ["rv &{0}".format(place) for place in places])
    if done["timed_out"]:
        message = "the daemon did not answer ntpq within {0:g} s".format(done["seconds"])
        return {"error": "timeout", "message": message, "complete": False, "system": {}, "peers": []}
    head, answers = __salt__["ntpcluster_parse.associations"](done["stdout"])
    # That there are fewer than there should be, or none at all, the table itself shows.
    complaints = [line for line in done["stderr"].splitlines() if not _NO_SUCH_PLACE.search(line)]
    seen = __salt__["ntpcluster_parse.ntpq"](head, "\n".join(complaints), done["retcode"])
    # Of a daemon without any source ntpq says so; a text that ends before the table says nothing of sources.
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
    Internal. The variables of ntpd in words that know no daemon.

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
        # An offset that came up within one poll comes up again within the next, if the frequency is what is wrong.
        said["frequency_error_ppm"] = abs(said["offset_ms"]) * 1000.0 / 2.0 ** variables["tc"]
    return said


def jump(server, platform, **called):
    """
    Internal. Have ``ntpdate`` step the clock by this server; the daemon is stopped.

    Returns a dict: ``tool``, ``errors`` [{code, message}], ``offset_s`` by which it says that it has set the clock (None: it set
    nothing).
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    argv = ["-b"] + platform["ntpdate_options"] + [server]
    done = __salt__["ntpcluster_program.run"]("ntpdate", " ".join(platform["packages"]), argv, timeout=NTPDATE_S)
    answer = __salt__["ntpcluster_parse_tools.ntpdate"](done["stdout"], done["stderr"], done["retcode"])
    errors = list(answer["errors"])
    if done["timed_out"]:
        errors.append({"code": "timeout", "message": "ntpdate did not end within {0} s".format(NTPDATE_S)})
    return {"tool": "ntpdate", "errors": errors, "offset_s": answer["offset_s"] if answer["action"] else None}


def crontab(plan):
    """
    Internal. The command by which a crontab sets the clock of a host without a daemon: by the first of its servers that tells the
    time. A run of ntpdate for each: one name that the resolver does not know would end it for all.

    plan
        ``ntpcluster.plan``. Its addresses are checked by the pillar's rules: neither sh nor cron reads them in another way.

    Returns text for sh, without a single quote. Its exit code is 0 once the clock is set.
    """
    ntpdate = " ".join(["ntpdate"] + plan["platform"]["ntpdate_options"])
    return "for server in {0}; do {1} $server && break; done".format(" ".join(plan["step_tickers"]), ntpdate)


def variables(associd=0):
    """
    Internal. ``ntpcluster.variables`` says what this takes and returns.
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
    """Whether a row of the table leaves a question that its association can answer: why the last poll was of no use."""
    return peer["inexact"] or peer["condition"] == "reject" or not peer["reach"] & 1


def _complete(peer, variables, clock):
    """Put the exact values of its association into a row of the table; `clock` is the daemon's time."""
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
    # ntpsec leaves `rec` at zero until a packet is accepted, but sets this bit of the status word with the first one.
    heard = variables.get("rec_s") is not None or bool(int(variables.get("status", "0"), 16) & 0x2000)
    peer["heard"] = bool(peer["reach"]) or heard
    # A packet of this very second is printed as `-`, like none at all (prettyinterval in ntpq-subs.c).
    if peer["when_s"] is None and clock and variables.get("rec_s") and -1 < clock - variables["rec_s"] < 2:
        peer["when_s"] = 0
    # A server that has died was heard as well, in its time: within the last four polls.
    peer["answers"] = peer["when_s"] is not None and peer["when_s"] <= 4 * (peer["poll_s"] or 64)
    peer["unreach"] = variables.get("unreach")
    peer["root_delay_ms"], peer["root_dispersion_ms"] = variables.get("rootdelay"), variables.get("rootdisp")
    peer["selection"] = None  # ntpd has one word for it, the condition
    peer["error_ms"] = None  # and of one sample it states no error
    peer["reference_age_s"] = None
    if variables.get("rec_s") is not None and variables.get("reftime_s") is not None:
        peer["reference_age_s"] = round(variables["rec_s"] - variables["reftime_s"], 3)
