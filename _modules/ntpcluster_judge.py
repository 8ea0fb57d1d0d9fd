# -*- coding: utf-8 -*-
"""
Internal. What is right and what is wrong with a host's time. Facts in, judgement out: nothing here runs a program.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

__virtualname__ = "ntpcluster_judge"

#: Tests of ntpd that a packet or a source can fail (ntp.h, "flash bits"), and what that means here.
FLASH_DENIED = 0x0008  # TEST4: access denied
FLASH_AUTHENTICATION = 0x0010  # TEST5
FLASH_UNSYNCHRONIZED = 0x0020  # TEST6: the packet's leap or stratum says unsynchronised
FLASH_LOOP = 0x0800  # TEST12: it follows us

#: Sources that count as usable: the selection let them through.
SURVIVORS = ("system_peer", "pps", "candidate", "backup", "excess", "outlier")

#: Words for the refid of rows that are no sources: ntpd sends broadcasts by them, or makes its sources from them.
NO_SOURCES = ("pool", "broadcast", "multicast", "manycast")

#: What a source says it follows when it follows nothing but its own clock: ntpd's local clock driver (127.127.1.x, which
#: ntpq prints as LOCAL(x), or LOCL at stratum 1; chronyd's `local` and Windows say the same), the internal clock of older
#: routers (127.127.7.x, which classic ntpq prints as CHU_AUDIO(x)), and an orphan (LOOPBACKADR in ntp_proto.c).
OWN_CLOCK = re.compile(r"^(?:127\.127\.[17]\.[0-9]+|LOCAL\(.*|CHU_AUDIO\(.*|127\.0\.0\.1|\.?(?:LOCL|LOCAL|ORPH|LOOP)\.?)$")

#: A row's name when it is a clock of this very host and no server.
REFCLOCK = re.compile(r"^(?:127\.127\.[0-9.]+|[A-Za-z][A-Za-z0-9_]*\([0-9]+\))$")

#: Events by which ntpd notes a kiss code. The last event is history: it stays when the source answers again.
REFUSALS = ("access_denied", "rate_exceeded")

#: Of the last four polls one at least must have been answered; a dead source keeps its `*` for about eight.
LAST_FOUR = 0x0F

#: ntpd gives up at a larger offset, unless started with -g (CLOCK_PANIC in ntp.h).
PANIC_S = 1000.0

#: ntpd takes no source whose root distance is larger (MAXDISTANCE in ntp.h).
MAXDISTANCE_MS = 1500.0

#: A daemon's first packets to all its sources are over by then: eight, 2 s apart (iburst; NTP_BURST in ntp.h).
BURST_S = 16

#: What no waiting mends.
HOPELESS = ("unknown-platform", "invalid-pillar", "no-tree", "daemon-silent", "not-listed", "orphan")

#: Problem codes, worst first, and what to do about each.
REMEDIES = (
    ("unknown-platform", "leave this host out of the target, or describe its platform in salt/ntp/platforms.yaml"),
    ("invalid-pillar", "correct the pillar, then: salt-call ntpcluster.validate"),
    ("no-tree", "say where the tree is: file_roots on the master, or saltenv; then: salt-call ntpcluster.validate"),
    ("daemon-stopped", "start it: service {service} start; if it ends at once, the system log says why"),
    ("cron-stopped", "start and enable it: with `method: cron` it alone has the clock set"),
    ("daemon-silent", "restart it: service {service} restart; if it stays silent, see restrict lines for 127.0.0.1 in {ntp_conf}"),
    ("no-clock-capability", "run the daemon on the machine that owns the clock, and none in this container"),
    ("rival-daemon", "stop and disable the other daemon: two of them pull the clock to and fro"),
    ("not-listed", "the daemon runs with other sources than planned: salt-call state.apply ntp, or service {service} restart"),
    ("unresolvable", "give addresses instead of names, or repair the resolver, then restart {service}"),
    ("denied", "the server refuses this host: allow it there, or ask less often"),
    ("authentication", "the key differs between this host and the server, or the server does not know it"),
    ("loop", "two hosts follow each other: let each tier follow the one above only"),
    ("upstream-unsynchronized", "set the time right on the source first: it answers, but has no time itself"),
    ("unreachable", "see that the source's daemon runs and has the time, that UDP 123 is open there and on the way, and the route"),
    ("panic", "the clock is more than 1000 s off: salt-call ntpcluster.step"),
    ("falseticker", "this source disagrees with the others: find out which side is wrong before trusting either"),
    ("orphan", "nothing disciplines this clock: restore a real source upstream"),
    ("unsynchronized", "see the other problems; with none, wait for the next polls"),
    ("settling", "wait: the daemon needs a few polls after its start"),
    ("offset-high", "the daemon is still slewing, or cannot keep up: watch the frequency and the sources"),
    ("root-distance", "without a source the error bound grows by 15 us a second: restore one"),
    ("frequency-limit", "the oscillator is beyond what ntpd can correct (500 ppm): remove a bad drift file, check the hypervisor"),
    ("reach-gaps", "packets are lost: look at the network and at the source's load"),
    ("few-sources", "restore the silent sources or add others: with one there is no check, with two no majority (RFC 8633, 3.2)"),
    ("incomplete", "ask again; if it stays, the daemon answers in part only"),
)  # fmt: skip


def judge(plan, process, table, problems=None):
    """
    Internal. Decide what a host's time is worth, from what is planned, what runs and what the daemon says.

    plan
        ``ntpcluster.plan``, or None if the pillar is no good.
    process
        ``ntpcluster_process.daemon``.
    table
        ``ntpcluster_parse.ntpq``, each row with ``flash``.
    problems
        Problems known already ({code, message, evidence}), to be listed with the others.

    Returns what ``ntpcluster.status`` returns. A host that is not synchronized has one problem at least. The codes,
    worst first: ``unknown-platform``, ``invalid-pillar``, ``no-tree``, ``daemon-stopped``, ``cron-stopped``, ``daemon-silent``,
    ``no-clock-capability``, ``rival-daemon``, ``not-listed``, ``unresolvable``, ``denied``, ``authentication``,
    ``loop``, ``upstream-unsynchronized``, ``unreachable``, ``panic``, ``falseticker``, ``orphan``,
    ``unsynchronized``, ``settling``, ``offset-high``, ``root-distance``, ``frequency-limit``, ``reach-gaps``,
    ``few-sources``, ``incomplete``.
    """
    found = list(problems or [])
    rv = table["variables"]
    rows = [row for row in table["peers"] if row["refid_kind"] not in NO_SOURCES]
    # Who answers runs, even where this process may not see whose port 123 is.
    process = dict(process, running=True) if process["running"] is None and rv else process
    system = next((row for row in rows if row["condition"] in ("system_peer", "pps")), None)
    limits = plan["health"] if plan else {}
    settling = bool(plan) and process["uptime_s"] is not None and process["uptime_s"] < limits["settle"]
    # Who has chosen a source and says so is no longer at the start: from then on, what is wrong is wrong.
    waiting = settling and (system is None or rv.get("leap") == "alarm")
    synchronized = False
    if process["running"] is False:
        said = "no process of this host is an NTP daemon: none holds UDP port 123 or is named by ntpd's pid file"
        found.append(problem("daemon-stopped", said, service=process["name"]))
    elif table["error"] and not rv and not table["peers"]:
        who = "ntpd runs but" if process["running"] else "whether ntpd runs cannot be seen, and it"
        found.append(problem("daemon-silent", "{0} does not answer: {1}".format(who, table["message"]), pid=process["pid"]))
    else:
        found += _listed(plan, rows, table["complete"])
        majority = any(row["condition"] in SURVIVORS for row in rows)
        troubles = [_trouble(row, plan, majority, settling) for row in rows]
        free = _free_running(plan, rv, system)
        # Of the clock of the source that is followed `free` says more.
        found += free + [one for row, one in zip(rows, troubles) if one and (row is not system or one["code"] != "orphan")]
        synchronized = not free and plan is not None and _follows(plan, rv, system)
        found += _unknown(rv, system, table)
        if not synchronized:
            found += _selection(rv, system, waiting)
        if plan:
            sound = [row for row, trouble in zip(rows, troubles) if not trouble]
            few = _too_few(rows, system, plan, process["uptime_s"])
            found += _discipline(rv, rows, system, plan, settling) + few
            found += [] if settling else _sources(rows, sound, 0 if few else limits["survivors"], plan, process["uptime_s"])
    if not synchronized and not found:
        found.append(problem("unsynchronized", "no planned source that answers is followed", refid=rv.get("refid")))

    return {
        "synchronized": synchronized,
        "health": _health(process, synchronized, waiting, found),
        "tier": plan["tier"] if plan else None,
        "daemon": dict(process, version=rv.get("version")),
        "source": _name(system) if system else None,
        "stratum": rv.get("stratum"),
        "expected_stratum": system["stratum"] + 1 if system and (system["stratum"] or 16) < 15 else None,
        "leap": rv.get("leap"),
        "refid": rv.get("refid"),
        # Without a source the daemon's own is a memory.
        "offset_ms": _offset(rv, system) if system else None,
        "jitter_ms": rv.get("sys_jitter"),
        "root_delay_ms": rv.get("rootdelay"),
        "root_dispersion_ms": rv.get("rootdisp"),
        "frequency_ppm": rv.get("frequency"),
        "peers": rows,
        "problems": in_order(found, plan["platform"] if plan else {"service": process["name"]}),
    }


def foreign(reason):
    """
    Internal. The status of a host on a platform that this tree does not know: nothing is looked at there, so nothing is said.

    reason
        ``ntpcluster_facts.foreign``.

    Returns what ``ntpcluster.status`` returns.
    """
    unseen = ("tier", "source", "stratum", "expected_stratum", "leap", "refid", "offset_ms", "jitter_ms")
    unseen += ("root_delay_ms", "root_dispersion_ms", "frequency_ppm")
    return dict(
        dict.fromkeys(unseen),
        synchronized=False,
        health="unsynchronized",
        daemon=dict.fromkeys(("name", "version", "running", "enabled", "pid", "uptime_s")),
        peers=[],
        problems=in_order([problem("unknown-platform", reason)], {}),
    )


def problem(code, message, **evidence):
    """
    Internal. One problem: {code, message, evidence}. For the other functions.
    """
    # Salt adds names of its own to the keyword arguments of a call from outside.
    return {
        "code": code,
        "message": message,
        "evidence": dict((key, value) for key, value in evidence.items() if not key.startswith("__pub")),
    }


def in_order(found, platform):
    """
    Internal. Problems worst first, each once, with its remedy: {code, message, evidence, remedy}.

    found
        List of {code, message, evidence}.
    platform
        The platform's entry of platforms.yaml: remedies name its service and files.
    """
    codes = [code for code, _ in REMEDIES]
    named = {"service": platform.get("service", "ntpd"), "ntp_conf": platform.get("ntp_conf", "ntp.conf")}
    ordered = []
    for one in sorted(found, key=lambda one: codes.index(one["code"])):
        if (one["code"], one["message"]) not in [(other["code"], other["message"]) for other in ordered]:
            ordered.append(dict(one, remedy=dict(REMEDIES)[one["code"]].format(**named)))
    return ordered


def own_clock(refid, stratum, orphan):
    """
    Internal. Why the time of a source is that of a crystal and nobody's else, in words that follow its name; None if it is not.

    refid
        What the source says it follows: an address, or a word, with ntpq's dots or without.
    stratum
        The source's.
    orphan
        The pillar's ``orphan``. ntpd takes no source at this stratum or further down but an orphan (ntp_proto.c), so
        what is there hangs below one.
    """
    if OWN_CLOCK.match(refid or ""):
        return "follows nothing but its own clock (refid {0})".format(refid)
    if orphan and stratum is not None and orphan <= stratum < 16:
        return "is at stratum {0}, below an orphan: the pillar's `orphan` is {1}".format(stratum, orphan)
    return None


def too_far(offset_ms, name, allowed_ms):
    """
    Internal. The problem of a clock that is further off than allowed, or None.

    offset_ms
        How far the source is ahead, in milliseconds.
    name
        The source's.
    allowed_ms
        The pillar's ``sync:max_offset``, in milliseconds.
    """
    if abs(offset_ms) > PANIC_S * 1000.0:
        said = "the clock is {0:+.3f} s off by {1}".format(-offset_ms / 1000.0, name)
        return problem("panic", said, offset_ms=offset_ms)
    if abs(offset_ms) > allowed_ms:
        said = "{0:+.3f} ms from {1}, {2:g} ms allowed".format(offset_ms, name, allowed_ms)
        return problem("offset-high", said, offset_ms=offset_ms)
    return None


def _listed(plan, rows, complete):
    """
    Whether the daemon has the sources it should have, and no other. Addresses can be compared with what it lists;
    behind a name there may be any address, but never a clock of this host.
    """
    if not plan or not plan["sources"]:
        return []
    listed, numeric, found = [_name(row) for row in rows], _numeric(plan), []
    names = [source["address"] for source in plan["sources"] if source["address"] not in numeric]
    # Of half a table nobody can say what is not in it.
    missing = [address for address in numeric if address not in listed] if complete else []
    if missing:
        message = "the running daemon does not have {0}; it has {1}".format(
            ", ".join(missing), ", ".join(listed) or "none at all"
        )
        found.append(problem("not-listed", message, missing=missing, listed=listed))
    elif complete and names and len(rows) < len(plan["sources"]):
        # ntpd 4.2 has no row for a name until the resolver knows it.
        said = "the daemon has {0} of {1} sources: no address for one of {2}, or the same for two of them".format(
            len(rows), len(plan["sources"]), ", ".join(names)
        )
        found.append(problem("unresolvable", said, names=names, listed=listed))
    # What ntpq has cut may be the address of a planned one.
    others = [_name(row) for row in rows if _name(row) not in numeric and "address" not in row["inexact"]]
    clocks = [name for name in others if REFCLOCK.match(name)]
    extra = others if len(others) - len(clocks) > len(names) else clocks
    if extra and not missing:
        said = "the daemon has sources that nobody planned: {0}".format(", ".join(extra))
        if names and extra is others:
            said += "; all but {0} of them".format(len(names))
        found.append(problem("not-listed", said, extra=extra, listed=listed))
    return found


def _trouble(row, plan, majority, settling):
    """Why one source is of no use, or None. `majority`: whether there is one for it to be against."""
    name, flash = _name(row), row["flash"] or 0
    facts = {"peer": name, "reach": row["reach"], "stratum": row["stratum"], "refid": row["refid"], "flash": flash}
    # When ntpd steps the clock it forgets its sources (clear_all() in ntp_proto.c): each needs a poll to be heard anew.
    if row["refid"] == ".STEP." and not row["reach"] and row.get("unreach") in (0, 1):
        return None
    if row["refid"] in (".DNS.", "DNS"):
        return problem("unresolvable", "{0} has no address yet".format(name), **facts)
    refusal = _refusal(row)
    if refusal:
        return problem("denied", "{0} refuses this host: {1}".format(name, refusal), **facts)
    if flash & FLASH_AUTHENTICATION:
        return problem("authentication", "packets of {0} fail the check of their key".format(name), **facts)
    if flash & FLASH_LOOP:
        return problem("loop", "{0} follows this host".format(name), **facts)
    if _timeless(row):
        said = "{0} answers but gives no time: stratum {1}, refid {2}".format(name, row["stratum"], row["refid"])
        return problem("upstream-unsynchronized", said, **facts)
    if row["condition"] == "falseticker":
        said = "{0} says {1} ms, {2}".format(
            name, row["offset_ms"], "against the majority" if majority else "and no majority of the sources agrees"
        )
        return problem("falseticker", said, offset_ms=row["offset_ms"], **facts)
    if row["heard"] and not row["reach"] and _lately(row):
        return problem("denied", "{0} answers this host, but with no time: it refuses".format(name), **facts)
    if not row["reach"] & LAST_FOUR and (row["reach"] or not settling):
        said = "{0} has not answered its last polls with a time (reach {1:03o})".format(name, row["reach"])
        return problem("unreachable", said, **facts)
    own = own_clock(row["refid"], row["stratum"], _orphan(plan)) if row["reach"] else None
    return problem("orphan", "{0} {1}".format(name, own), **facts) if own else None


def _refusal(row):
    """
    The word by which a source refuses this host, or None. A kiss code is the last packet's, and the event older still: a
    source that has answered one of the last four polls refuses nobody, unless the last test of all says so.
    """
    denied, answers = (row["flash"] or 0) & FLASH_DENIED, row["reach"] & LAST_FOUR
    if row["refid_kind"] == "kiss" and (denied or not answers):
        return row["refid"].strip(".")
    if row["last_event"] in REFUSALS and (denied or not answers):
        return row["last_event"]
    return "access denied" if denied else None


def _timeless(row):
    """
    Whether a source answers, and says itself that it has no time. Reach does not count such answers; classic ntpd notes
    them in the flash and in the time of the last packet, ntpsec drops them: why nothing was of use only diagnose can ask.
    """
    if row["when_s"] is None:
        # After a step ntpsec has `heard` from before it.
        return row["heard"] and not row["reach"] and row["refid"] != ".STEP."
    says_so = (row["flash"] or 0) & FLASH_UNSYNCHRONIZED or (row["reach"] and row["stratum"] == 16)
    return bool(says_so) and _lately(row)


def _lately(row):
    """Whether a packet has come within four polls: a server that has died was heard as well, in its time."""
    return row["when_s"] is not None and row["when_s"] <= 4 * (row["poll_s"] or 64)


def _free_running(plan, rv, system):
    """A clock disciplined by nothing but itself looks perfect: offset 0, reach 377, stratum fine."""
    if system is None:
        if not own_clock(rv.get("refid"), None, None):
            return []
        said = "it goes on as an orphan, without any source (refid {0})".format(rv["refid"])
    elif _name(system).startswith(("127.127.1.", "LOCAL(")):
        said = "it follows its own clock ({0}), which is right by luck only".format(_name(system))
    else:
        own = own_clock(system["refid"], system["stratum"], _orphan(plan))
        if not own:
            return []
        said = "its source {0} {1}".format(_name(system), own)
    return [problem("orphan", said, refid=rv.get("refid"))]


def _follows(plan, rv, system):
    """Whether the daemon follows a live source of the host's tier, closely enough. What it does not say is no yes."""
    if system is None or rv.get("leap") not in ("none", "add", "del") or (rv.get("stratum") or 16) >= 16:
        return False
    offset, numeric = _offset(rv, system), _numeric(plan)
    # It may be one of the names, if there are names and it is no clock of this host.
    if _name(system) not in numeric and (len(numeric) == len(plan["sources"]) or REFCLOCK.match(_name(system))):
        return False
    return (
        bool(system["reach"] & LAST_FOUR) and offset is not None and abs(offset) <= plan["sync"]["max_offset"] * 1000.0
    )


def _offset(rv, system):
    """
    The worse of two offsets in ms: the system variable keeps its value until the daemon updates the clock again, so
    after a clock was moved by hand the source's own row knows of it first. None if either is unknown.
    """
    offsets = (rv.get("offset"), system["offset_ms"])
    return None if None in offsets else max(offsets, key=abs)


def _unknown(rv, system, table):
    """What the daemon should tell and does not: that is neither good nor bad, but not known."""
    said = [] if table["complete"] else ["ntpq's table is not whole: {0}".format(table["message"] or "rows are missing")]
    unknown = [name for name in ("leap", "stratum", "rootdelay", "rootdisp", "frequency") if rv.get(name) is None]
    if rv.get("offset") is None or system and system["offset_ms"] is None:
        unknown.append("offset")
    said += ["the daemon does not tell its {0}".format(", ".join(unknown))] if unknown else []
    return [problem("incomplete", message, rows=len(table["peers"]), unknown=unknown) for message in said]


def _selection(rv, system, waiting):
    """Why no source is followed, as far as the daemon itself knows."""
    claims = {"stratum": rv.get("stratum"), "refid": rv.get("refid"), "leap": rv.get("leap")}
    if waiting:
        return [problem("settling", "the daemon has started a short while ago", **claims)]
    if system is None:
        said = "no source is selected, although the daemon says stratum {0}, refid {1}".format(
            rv.get("stratum"), rv.get("refid")
        )
    elif rv.get("leap") == "alarm":
        # ntp_loopfilter.c, state FREQ: without a drift file, and after a jump at its start.
        said = (
            "{0} is selected, but the daemon says itself that it has no time yet: it may be measuring its frequency "
            "still, for up to 15 minutes".format(_name(system))
        )
    elif (rv.get("stratum") or 0) >= 16:
        said = "{0} is selected, but it is at stratum {1}, so this host is at {2}: that counts as no time".format(
            _name(system), system["stratum"], rv["stratum"]
        )
    else:
        return []
    return [problem("unsynchronized", said, **claims)]


def _discipline(rv, rows, system, plan, settling):
    """What is wrong with the clock's discipline as a whole."""
    found, limits, max_offset = [], plan["health"], plan["sync"]["max_offset"] * 1000.0
    offset = _offset(rv, system) if system else None
    if offset is not None:
        found.append(too_far(offset, _name(system), max_offset))
    else:
        # Nobody is followed, but who answers knows how far off the clock is.
        known = next((row for row in rows if row["reach"] and row["offset_ms"] is not None), None)
        found.append(known and too_far(known["offset_ms"], _name(known), PANIC_S * 1000.0))
    frequency = rv.get("frequency")
    if frequency is not None and abs(frequency) >= limits["frequency_ppm"]:
        said = "{0:+.3f} ppm, and ntpd corrects 500 at most".format(frequency)
        found.append(problem("frequency-limit", said, frequency_ppm=frequency))
    bounds = (rv.get("rootdelay"), rv.get("rootdisp"))
    distance = 0.0 if None in bounds else bounds[0] / 2.0 + bounds[1]
    if distance > MAXDISTANCE_MS and not settling:
        said = "this host is uncertain by {0:.0f} ms; no client takes more than {1:.0f} ms".format(
            distance, MAXDISTANCE_MS
        )
        found.append(problem("root-distance", said, root_distance_ms=distance))
    return [one for one in found if one]


def _sources(rows, sound, wanted, plan, uptime):
    """What is wrong with the sources that are of use. `sound`: those that nothing has been said of yet."""
    found = []
    usable = [row for row in rows if row["condition"] in SURVIVORS and row["reach"] & LAST_FOUR]
    if len(usable) < wanted:
        said = "{0} usable of {1} sources, {2} wanted".format(len(usable), len(rows), wanted)
        found.append(problem("few-sources", said, usable=[_name(row) for row in usable]))
    for row in [row for row in usable if row in sound]:
        # ntpd tells nobody that its sources are gone, but its packets say when its clock was set last (RFC 5905).
        age = row.get("reference_age_s")
        if age is not None and age > plan["health"]["reference_age"]:
            said = "{0} answers, but seems to have lost its own sources: nobody has set its clock for {1:.0f} s"
            evidence = {"peer": _name(row), "reference_age_s": age}
            found.append(problem("upstream-unsynchronized", said.format(_name(row), age), **evidence))
        # Polls that a young daemon has not made yet are not missing. One whose age cannot be seen counts as old.
        polls = 8 if uptime is None else min(8, int(uptime // (row["poll_s"] or 64)))
        if ~row["reach"] & ((1 << polls) - 1):
            said = "{0} has not answered all of its last eight polls with a time (reach {1:03o})".format(
                _name(row), row["reach"]
            )
            if row["last_event"] in REFUSALS:
                said += "; it has refused one of them ({0})".format(row["last_event"])
            found.append(problem("reach-gaps", said, peer=_name(row), reach=row["reach"]))
    return found


def _too_few(rows, system, plan, uptime):
    """Whether ntpd follows nobody because too few sources are alive to agree."""
    alive = [_name(row) for row in rows if row["reach"] & LAST_FOUR and row["condition"] != "falseticker"]
    young = uptime is not None and uptime < BURST_S
    if system is not None or not alive or len(alive) >= plan["minsane"] or young:
        return []
    said = "{0} of {1} sources answers ({2}), and `tos minsane {3}` wants {3} to agree: the clock runs free until more return"
    told = said.format(len(alive), len(plan["sources"]), ", ".join(alive), plan["minsane"])
    return [problem("few-sources", told, usable=alive, minsane=plan["minsane"])]


def _health(process, synchronized, waiting, found):
    """One word for all of it."""
    if process["running"] is False:
        return "stopped"
    if synchronized:
        return "degraded" if found else "ok"
    # Asleep at the start and broken look alike for a while; a fault that no waiting mends is not settling.
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


def _orphan(plan):
    return plan["orphan_stratum"] if plan else None


def _name(row):
    return row["address"] or row["remote"]
