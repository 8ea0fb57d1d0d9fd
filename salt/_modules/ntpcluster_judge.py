# -*- coding: utf-8 -*-
"""
Internal. Judge a host's time. Facts in, judgement out: nothing here runs a program.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

__virtualname__ = "ntpcluster_judge"

#: Tests of ntpd that a packet or a source can fail (ntp.h, "flash bits"), and what that means here.
FLASH_DENIED = 0x0008  # TEST4: access denied
FLASH_AUTHENTICATION = 0x0010  # TEST5
FLASH_UNSYNCHRONIZED = 0x0020  # TEST6: the packet's leap or stratum says unsynchronised
FLASH_LOOP = 0x0800  # TEST12: it follows us

#: Conditions of usable sources: those that passed the selection.
SURVIVORS = ("system_peer", "pps", "candidate", "backup", "excess", "outlier")

#: Refids of rows that are not sources: ntpd uses them to send broadcasts or to create its sources.
NO_SOURCES = ("pool", "broadcast", "multicast", "manycast")

#: A row's name if it is a clock of this host and not a server.
REFCLOCK = re.compile(r"^(?:127\.127\.[0-9.]+|[A-Za-z][A-Za-z0-9_]*\([0-9]+\))$")

#: ntpd's names for its driver of the host's own clock: by number, or (ntpsec) by name.
LOCAL_CLOCK = ("127.127.1.", "LOCAL(")

#: Events by which ntpd records a kiss code. The last event may be old: it stays when the source answers again.
REFUSALS = ("access_denied", "rate_exceeded")

#: At least one of the last four polls must have been answered; a dead source keeps its `*` for about eight.
LAST_FOUR = 0x0F

#: ntpd rejects a source whose root distance is larger (MAXDISTANCE in ntp.h).
MAXDISTANCE_MS = 1500.0

#: By then a daemon has sent its first packets to all its sources: eight, 2 s apart (iburst; NTP_BURST in ntp.h).
BURST_S = 16

#: Values that the status copies from the daemon.
PASSED_ON = ("leap", "stratum", "refid", "jitter_ms", "root_delay_ms", "root_dispersion_ms", "frequency_ppm")

#: Why a host has no bound if its daemon reports nothing.
NOT_ASKED = "no daemon of this host reports anything"

#: Problems that waiting will not fix.
HOPELESS = ("unknown-platform", "invalid-pillar", "no-tree", "daemon-silent", "not-listed", "orphan")


def judge(plan, process, look, problems=None):
    """
    Internal. Judge a host's time from the plan, the running process and the daemon's own report.

    plan
        ``ntpcluster.plan``, or None if the pillar is invalid.
    process
        ``ntpcluster_process.daemon``.
    look
        The daemon's report, in a form common to all daemons: ``ntpcluster_ntpd.look``.
    problems
        Problems known already ({code, message, evidence}), to be listed with the others.

    Returns what ``ntpcluster.status`` returns. A host that is not synchronized has at least one problem. The codes
    are those of ``ntpcluster.status``.
    """
    found = list(problems or [])
    claims = look["system"]
    rows, system = _rows(plan, look)
    # A daemon that answers is running, even if this process may not see which one holds port 123.
    process = dict(process, running=True) if process["running"] is None and claims else process
    settling = bool(plan) and process["uptime_s"] is not None and process["uptime_s"] < plan["health"]["settle"]
    # A daemon that reports a selected source is past its start: from then on, problems are real.
    waiting = settling and (system is None or claims.get("leap") == "alarm")
    synchronized, promise = False, __salt__["ntpcluster_bound.nothing"](NOT_ASKED)
    if process["running"] is False:
        said = "no process of this host is its NTP daemon: none holds UDP port 123 or is named by the daemon's pid file"
        found.append(_problem("daemon-stopped", said, service=process["name"]))
    elif look["error"] and not claims and not look["peers"]:
        who = "the daemon runs but" if process["running"] else "it is unknown whether the daemon runs, and it"
        said = "{0} does not answer: {1}".format(who, look["message"])
        found.append(_problem("daemon-silent", said, pid=process["pid"]))
    else:
        listed = _listed(plan, rows, look["complete"])
        leads = not listed and __salt__["ntpcluster_neighbours.leads"](plan, claims, rows, system)
        own, free = _own(plan, claims, rows, system, leads)
        promise = _promise(plan, look, rows, system, free, leads)
        follows = not free and plan is not None and _follows(plan, claims, system) and _near(plan, claims, system)
        synchronized = leads or follows
        found += listed + free + _unknown(claims, system, look)
        found += [] if synchronized else _selection(claims, rows, system, waiting)
        found += _doubts(plan, claims, rows, own, system, settling, process["uptime_s"], leads)
        found += _too_wide(plan, promise) if follows else []
    if not synchronized and not found:
        found.append(
            _problem("unsynchronized", "the host follows no planned source that answers", refid=claims.get("refid"))
        )
    platform = plan["platform"] if plan else {"service": process["name"]}
    return dict(
        dict((word, claims.get(word)) for word in PASSED_ON),
        synchronized=synchronized,
        health=_health(process, synchronized, waiting, found),
        tier=plan["tier"] if plan else None,
        reference=plan["reference"] if plan else None,
        daemon=dict(process, version=claims.get("version")),
        source=_name(system) if system else None,
        expected_stratum=system["stratum"] + 1 if system and (system["stratum"] or 16) < 15 else None,
        # Without a source the daemon's own value is old.
        offset_ms=_offset(claims, system) if system else None,
        bound_ms=promise["bound_ms"],
        unbounded=promise["unbounded"],
        peers=rows,
        problems=__salt__["ntpcluster_problems.in_order"](found, platform),
    )


def bound(plan, look):
    """
    Internal. How far this host's clock can be off, without the rest of the judgement.

    plan, look
        As for ``judge``.

    Returns what ``ntpcluster.bound`` returns.
    """
    rows, system = _rows(plan, look)
    leads = __salt__["ntpcluster_neighbours.leads"](plan, look["system"], rows, system)
    free = _own(plan, look["system"], rows, system, leads)[1]
    return dict(_promise(plan, look, rows, system, free, leads), source=_name(system) if system else None)


def foreign(reason):
    """
    Internal. The status of a host on a platform that this tree does not know: nothing is inspected there, so everything else is
    unknown.

    reason
        ``ntpcluster_facts.foreign``.

    Returns what ``ntpcluster.status`` returns.
    """
    return dict(
        dict.fromkeys(PASSED_ON + ("tier", "reference", "source", "expected_stratum", "offset_ms", "bound_ms")),
        unbounded=NOT_ASKED,
        synchronized=False,
        health="unsynchronized",
        daemon=dict.fromkeys(("name", "version", "running", "enabled", "pid", "uptime_s")),
        peers=[],
        problems=__salt__["ntpcluster_problems.in_order"]([_problem("unknown-platform", reason)], {}),
    )


def _problem(code, message, **evidence):
    return __salt__["ntpcluster_problems.problem"](code, message, **evidence)


def _too_far(offset_ms, row, allowed_ms):
    return __salt__["ntpcluster_problems.too_far"](offset_ms, _name(row), allowed_ms)


def _rows(plan, look):
    """The rows of a look that are sources, each marked as usable or not, and the selected one, or None."""
    # The clock with which a host leads its island is not a source.
    own = LOCAL_CLOCK if plan and plan["local"] is not None else ()
    rows = [row for row in look["peers"] if row["refid_kind"] not in NO_SOURCES and not _name(row).startswith(own)]
    for row in rows:
        row["usable"] = row["condition"] in SURVIVORS and bool(row["reach"] & LAST_FOUR)
    return rows, next((row for row in rows if row["condition"] in ("system_peer", "pps")), None)


def _own(plan, claims, rows, system, leads):
    """Why each source's time comes from its own clock, or None; and a list with the problem of a host that follows such a
    source."""
    own = __salt__["ntpcluster_problems.own_clocks"](rows, plan)
    return own, [] if leads else _free_running(claims, system, own[rows.index(system)] if system else None)


def _promise(plan, look, rows, system, free, leads):
    """How far the clock can be off, as ``ntpcluster_bound.bound`` says: only for a host that follows a planned source."""
    why = None
    if look["error"] and not look["system"]:
        why = look["message"]
    elif plan is None:
        why = "which sources this host should follow is unknown"
    elif leads:
        why = "this host leads its island: its own clock is the reference"
    elif free:
        why = free[0]["message"]
    elif not _follows(plan, look["system"], system):
        why = "the host follows no planned source that answers"
    elif not look["complete"]:
        why = "what the daemon lists is not whole"
    if why:
        return __salt__["ntpcluster_bound.nothing"](why)
    return __salt__["ntpcluster_bound.bound"](look["system"], rows, system, plan)


def _too_wide(plan, promise):
    """A list with the problem of a clock that can be further off than the pillar allows."""
    allowed = plan["sync"]["max_bound"]
    told = __salt__["ntpcluster_problems.too_wide"](promise["bound_ms"], promise["unbounded"], allowed)
    return [told] if told else []


def _doubts(plan, claims, rows, own, system, settling, uptime, leads):
    """What is wrong with the sources, individually and together, and with the discipline. The leader of an island needs no
    source."""
    majority = any(row["condition"] in SURVIVORS for row in rows)
    neighbours = plan["neighbours"] if plan else []
    troubles = [_trouble(row, why, majority, settling, neighbours) for row, why in zip(rows, own)]
    # `_free_running` says more about the clock of the selected source.
    found = [one for row, one in zip(rows, troubles) if one and (row is not system or one["code"] != "orphan")]
    if not plan:
        return found
    sound = [row for row, trouble in zip(rows, troubles) if not trouble]
    few = _too_few(rows, system, plan, uptime)
    found += _discipline(claims, rows, system, plan, settling) + few
    if not settling:
        found += _sources(rows, sound, 0 if few or leads else plan["health"]["survivors"], plan, uptime)
    return found


def _listed(plan, rows, complete):
    """
    Whether the daemon has the sources it should have, and no other. Addresses can be compared with its list; a name may stand
    for any address, but never for a clock of this host.
    """
    if not plan or not plan["sources"] + plan["refclocks"]:
        return []
    listed, numeric, found = [_name(row) for row in rows], _numeric(plan), []
    names = [source["address"] for source in plan["sources"] if source["address"] not in numeric]
    # An incomplete table does not show what is missing.
    missing = [address for address in numeric if address not in listed]
    missing = missing + __salt__["ntpcluster_refclock.unlisted"](plan, listed) if complete else []
    if missing:
        message = "the running daemon does not have {0}; it has {1}".format(
            ", ".join(missing), ", ".join(listed) or "none at all"
        )
        found.append(_problem("not-listed", message, missing=missing, listed=listed))
    elif complete and names and len(rows) < len(plan["sources"]):
        # ntpd 4.2 has no row for a name until the resolver knows it.
        said = "the daemon has {0} of {1} sources: no address for one of {2}, or the same for two of them".format(
            len(rows), len(plan["sources"]), ", ".join(names)
        )
        found.append(_problem("unresolvable", said, names=names, listed=listed))
    # A name that ntpq truncated may be the address of a planned source.
    known = numeric + __salt__["ntpcluster_refclock.names"](plan)
    others = [_name(row) for row in rows if _name(row) not in known and "address" not in row["inexact"]]
    clocks = [name for name in others if REFCLOCK.match(name)]
    extra = others if len(others) - len(clocks) > len(names) else clocks
    if extra and not missing:
        said = "the daemon has unplanned sources: {0}".format(", ".join(extra))
        if names and extra is others:
            said += "; all but {0} of them".format(len(names))
        found.append(_problem("not-listed", said, extra=extra, listed=listed))
    return found


def _trouble(row, own, majority, settling, neighbours):
    """
    Why a source is not usable, or None. `own`: why its time comes from its own clock, or None; `majority`: whether there is a
    majority at all; `neighbours`: servers that may follow this host.
    """
    name, flash = _name(row), row["flash"] or 0
    facts = {"peer": name, "flash": flash, "selection": row["selection"]}
    facts.update((word, row[word]) for word in ("reach", "stratum", "refid"))
    # When ntpd steps the clock it forgets its sources (clear_all() in ntp_proto.c): each must be polled again.
    if row["refid"] == ".STEP." and not row["reach"] and row.get("unreach") in (0, 1):
        return None
    if row["refid"] in (".DNS.", "DNS"):
        return _problem("unresolvable", "{0} is not resolved yet".format(name), **facts)
    refusal = _refusal(row)
    if refusal:
        return _problem("denied", "{0} refuses this host: {1}".format(name, refusal), **facts)
    if flash & FLASH_AUTHENTICATION:
        return _problem("authentication", "packets from {0} fail authentication".format(name), **facts)
    if flash & FLASH_LOOP and name not in neighbours:
        return _problem("loop", "{0} follows this host".format(name), **facts)
    if _timeless(row):
        said = "{0} answers but gives no time: stratum {1}, refid {2}".format(name, row["stratum"], row["refid"])
        return _problem("upstream-unsynchronized", said, **facts)
    if row["condition"] == "falseticker":
        said = "{0} says {1} ms, {2}".format(
            name, row["offset_ms"], "against the majority" if majority else "and no majority of the sources agrees"
        )
        return _problem("falseticker", said, offset_ms=row["offset_ms"], **facts)
    if row["heard"] and not row["reach"] and row["answers"]:
        return _problem("denied", "{0} answers this host without a time: it refuses".format(name), **facts)
    if not row["reach"] & LAST_FOUR and (row["reach"] or not settling):
        said = "{0} has not answered its last polls with a time (reach {1:03o})".format(name, row["reach"])
        return _problem("unreachable", said, **facts)
    return _problem("orphan", "{0} {1}".format(name, own), **facts) if own and row["reach"] else None


def _refusal(row):
    """
    The code with which a source refuses this host, or None. A kiss code belongs to the last packet, and the event may be older:
    a source that has answered one of the last four polls does not refuse, unless the test results of the last packet say so.
    """
    denied, answers = (row["flash"] or 0) & FLASH_DENIED, row["reach"] & LAST_FOUR
    if row["refid_kind"] == "kiss" and (denied or not answers):
        return row["refid"].strip(".")
    if row["last_event"] in REFUSALS and (denied or not answers):
        return row["last_event"]
    return "access denied" if denied else None


def _timeless(row):
    """
    Whether a source answers and reports that it is not synchronized. Reach does not count such answers; classic ntpd records
    them in the flash and in the time of the last packet, but ntpsec drops them, and only diagnose can find the reason.
    """
    if row["refid_kind"] == "kiss" or (row["flash"] or 0) & FLASH_LOOP:
        return False  # a refusal contains no time; in a loop the server has this host's time
    if row["when_s"] is None:
        # After a step ntpsec still shows a `heard` from before the step.
        return row["heard"] and not row["reach"] and row["refid"] != ".STEP."
    says_so = (row["flash"] or 0) & FLASH_UNSYNCHRONIZED or (row["reach"] and row["stratum"] == 16)
    return bool(says_so) and bool(row["answers"])


def _free_running(claims, system, own):
    """
    A clock that follows only itself looks perfect: offset 0, reach 377, a good stratum. `own`: why the time of the selected
    source comes from its own clock, or None.
    """
    if system is None:
        host = {"refid": claims.get("refid"), "stratum": None}
        host["refid_kind"] = __salt__["ntpcluster_parse_table.refid_kind"](claims.get("refid"), None)
        if __salt__["ntpcluster_problems.own_clocks"]([host], None) == [None]:
            return []
        said = "it continues as an orphan, without any source (refid {0})".format(claims["refid"])
    elif _name(system).startswith(LOCAL_CLOCK):
        said = "it follows its own clock ({0}), which nothing corrects".format(_name(system))
    elif not own:
        return []
    else:
        said = "its source {0} {1}".format(_name(system), own)
    return [_problem("orphan", said, refid=claims.get("refid"))]


def _follows(plan, claims, system):
    """Whether the daemon follows a live source of the host's tier. A missing answer does not count as yes."""
    if system is None or claims.get("leap") not in ("none", "add", "del") or (claims.get("stratum") or 16) >= 16:
        return False
    numeric, known = _numeric(plan), __salt__["ntpcluster_refclock.names"](plan)
    # It may be one of the names, if there are names and it is not a clock of this host.
    if _name(system) not in numeric + known and (len(numeric) == len(plan["sources"]) or REFCLOCK.match(_name(system))):
        return False
    return bool(system["reach"] & LAST_FOUR)


def _near(plan, claims, system):
    """Whether the clock is close enough to the selected source."""
    offset = _offset(claims, system)
    return offset is not None and abs(offset) <= plan["sync"]["max_offset"] * 1000.0


def _offset(claims, system):
    """
    The worse of two offsets in ms: the system variable keeps its value until the daemon updates the clock again, so after
    somebody set the clock, the source's own row shows it first. None if either is unknown.
    """
    offsets = (claims.get("offset_ms"), system["offset_ms"])
    return None if None in offsets else max(offsets, key=abs)


def _unknown(claims, system, look):
    """Values that the daemon should report but does not: they are neither good nor bad, but unknown."""
    missing = "what the daemon lists is not whole: {0}".format(look["message"] or "rows are missing")
    said = [] if look["complete"] else [missing]
    unknown = [
        name
        for name in ("leap", "stratum", "root_delay_ms", "root_dispersion_ms", "frequency_ppm")
        if claims.get(name) is None
    ]
    if claims.get("offset_ms") is None or system and system["offset_ms"] is None:
        unknown.append("offset_ms")
    said += ["the daemon does not report its {0}".format(", ".join(unknown))] if unknown else []
    return [_problem("incomplete", message, rows=len(look["peers"]), unknown=unknown) for message in said]


def _selection(claims, rows, system, waiting):
    """Why no source is followed, as far as the daemon itself knows."""
    evidence = dict((name, claims.get(name)) for name in ("stratum", "refid", "leap"))
    if waiting:
        return [_problem("settling", "the daemon has just started", **evidence)]
    if system is None:
        said = "no source is selected, although the daemon says stratum {0}, refid {1}".format(
            claims.get("stratum"), claims.get("refid")
        )
        words = ["{0}: {1}".format(_name(row), row["selection"]) for row in rows if row["reach"] and row["selection"]]
        said += "; its own words: {0}".format(", ".join(words)) if words else ""
    elif claims.get("leap") == "alarm":
        # ntp_loopfilter.c, state FREQ: without a drift file, and after a step at its start. chronyd: `maxchange`.
        said = (
            "{0} is selected, but the daemon says itself that it has no time yet: it is measuring its frequency still, "
            "for up to 15 minutes, or refuses so large a change".format(_name(system))
        )
    elif (claims.get("stratum") or 0) >= 16:
        said = "{0} is selected, but it is at stratum {1}, so this host is at {2}: that counts as no time".format(
            _name(system), system["stratum"], claims["stratum"]
        )
    else:
        return []
    return [_problem("unsynchronized", said, **evidence)]


def _discipline(claims, rows, system, plan, settling):
    """What is wrong with the clock's discipline as a whole."""
    found, limits = [], plan["health"]
    offset = _offset(claims, system) if system else None
    if offset is not None:
        found.append(_too_far(offset, system, plan["sync"]["max_offset"] * 1000.0))
    else:
        # No source is followed, but those that answer show how far off the clock is.
        known = next((row for row in rows if row["reach"] and row["offset_ms"] is not None), None)
        found.append(known and _too_far(known["offset_ms"], known, None))
    frequency = claims.get("frequency_ppm")
    if frequency is not None and abs(frequency) >= limits["frequency_ppm"]:
        said = "the clock is corrected by {0:+.3f} ppm; {1:g} is the limit".format(frequency, limits["frequency_ppm"])
        found.append(_problem("frequency-limit", said, frequency_ppm=frequency))
    bounds = (claims.get("root_delay_ms"), claims.get("root_dispersion_ms"))
    distance = 0.0 if None in bounds else bounds[0] / 2.0 + bounds[1]
    if distance > MAXDISTANCE_MS and not settling:
        said = "this host is uncertain by {0:.0f} ms; a client with ntpd takes no more than {1:.0f} ms".format(
            distance, MAXDISTANCE_MS
        )
        found.append(_problem("root-distance", said, root_distance_ms=distance))
    return [one for one in found if one]


def _sources(rows, sound, wanted, plan, uptime):
    """What is wrong with the usable sources. `sound`: those without a problem so far."""
    found = []
    usable = [row for row in rows if row["usable"]]
    if len(usable) < wanted:
        said = "{0} of {1} sources usable, {2} required".format(len(usable), len(rows), wanted)
        found.append(_problem("few-sources", said, usable=[_name(row) for row in usable]))
    for row in [row for row in sound if row["reach"] & LAST_FOUR]:
        # ntpd does not report that its sources are gone, but its packets say when its clock was last set (RFC 5905).
        age = row.get("reference_age_s")
        if age is not None and age > plan["health"]["reference_age"]:
            said = "{0} answers, but seems to have lost its own sources: nobody has set its clock for {1:.0f} s"
            evidence = {"peer": _name(row), "reference_age_s": age}
            found.append(_problem("upstream-unsynchronized", said.format(_name(row), age), **evidence))
        if not row["usable"]:
            continue
        # Polls that a daemon has not made yet since its start are not missing. A daemon of unknown age counts as old.
        polls = 8 if uptime is None else min(8, int(uptime // (row["poll_s"] or 64)))
        if ~row["reach"] & ((1 << polls) - 1):
            said = "{0} has not answered all of its last eight polls with a time (reach {1:03o})".format(
                _name(row), row["reach"]
            )
            refusal = row["last_event"] if row["last_event"] in REFUSALS else None
            if row["refid_kind"] == "kiss":  # chronyd has no events: use the last packet's refid
                refusal = row["refid"].strip(".")
            if refusal:
                said += "; it refused one of them ({0})".format(refusal)
            found.append(_problem("reach-gaps", said, peer=_name(row), reach=row["reach"]))
    return found


def _too_few(rows, system, plan, uptime):
    """Whether ntpd follows no source because too few are alive to agree."""
    alive = [_name(row) for row in rows if row["reach"] & LAST_FOUR and row["condition"] != "falseticker"]
    young = uptime is not None and uptime < BURST_S
    if system is not None or not alive or len(alive) >= plan["minsane"] or young:
        return []
    said = "{0} of {1} sources answers ({2}), and the plan wants {3} to agree: the clock runs free until more return"
    told = said.format(len(alive), len(plan["sources"]), ", ".join(alive), plan["minsane"])
    return [_problem("few-sources", told, usable=alive, minsane=plan["minsane"])]


def _health(process, synchronized, waiting, found):
    """The health, in one word."""
    if process["running"] is False:
        return "stopped"
    if synchronized:
        return "degraded" if found else "ok"
    # Shortly after its start a good daemon looks like a broken one; a problem that waiting will not fix is not settling.
    if waiting and not [one for one in found if one["code"] in HOPELESS]:
        return "settling"
    return "unsynchronized"


def _numeric(plan):
    """The plan's sources that are addresses."""
    return [
        source["address"]
        for source in plan["sources"]
        if ":" in source["address"] or source["address"].replace(".", "").isdigit()
    ]


def _name(row):
    return row["address"] or row["remote"]
