# -*- coding: utf-8 -*-
"""
What is right and what is wrong with a host's time. Facts in, judgement out: nothing here runs a program.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster"

#: Tests of ntpd that a packet or a source can fail (ntp.h, "flash bits"), and what that means here.
FLASH_DENIED = 0x0008  # TEST4: access denied
FLASH_AUTHENTICATION = 0x0010  # TEST5
FLASH_UNSYNCHRONIZED = 0x0020  # TEST6: the packet's leap or stratum says unsynchronised
FLASH_LOOP = 0x0800  # TEST12: it follows us

#: Sources that count as usable: the selection let them through.
SURVIVORS = ("system_peer", "pps", "candidate", "backup", "excess", "outlier")

#: Of the last four polls one at least must have been answered; a dead source keeps its `*` for about eight.
LAST_FOUR = 0x0F

#: ntpd gives up at a larger offset, unless started with -g (CLOCK_PANIC in ntp.h).
PANIC_S = 1000.0

#: ntpd takes no source whose root distance is larger (MAXDISTANCE in ntp.h).
MAXDISTANCE_MS = 1500.0

#: What no waiting mends.
HOPELESS = ("invalid-pillar", "no-tree", "daemon-silent", "not-listed", "orphan")

#: Problem codes, worst first, and what to do about each.
REMEDIES = (
    ("invalid-pillar", "correct the pillar, then: salt-call ntpcluster.validate"),
    ("no-tree", "say where the tree is: file_roots on the master, or saltenv; then: salt-call ntpcluster.validate"),
    ("daemon-stopped", "start it: service {service} start; if it ends at once, the system log says why"),
    ("daemon-silent", "restart it: service {service} restart; if it stays silent, see restrict lines for 127.0.0.1 in {ntp_conf}"),
    ("no-clock-capability", "run the daemon on the machine that owns the clock, and none in this container"),
    ("rival-daemon", "stop and disable the other daemon: two of them pull the clock to and fro"),
    ("not-listed", "the daemon runs with another configuration: salt-call state.apply ntp, or service {service} restart"),
    ("unresolvable", "give addresses instead of names, or repair the resolver, then restart {service}"),
    ("denied", "the server refuses this host: allow it there, or ask less often"),
    ("authentication", "the key differs between this host and the server, or the server does not know it"),
    ("loop", "two hosts follow each other: let each tier follow the one above only"),
    ("upstream-unsynchronized", "set the time right on the source first: it answers, but has no time itself"),
    ("unreachable", "see that the source's daemon runs, that UDP 123 is open there and on the way, and the route"),
    ("panic", "the clock is more than 1000 s off: salt-call ntpcluster.step"),
    ("falseticker", "this source disagrees with the others: find out which side is wrong before trusting either"),
    ("orphan", "nothing disciplines this clock: restore a real source upstream"),
    ("unsynchronized", "see the other problems; with none, wait for the next polls"),
    ("settling", "wait: the daemon needs a few polls after its start"),
    ("offset-high", "the daemon is still slewing, or cannot keep up: watch the frequency and the sources"),
    ("root-distance", "without a source the error bound grows by 15 us a second: restore one"),
    ("frequency-limit", "the oscillator is beyond what ntpd can correct (500 ppm): remove a bad drift file, check the hypervisor"),
    ("reach-gaps", "packets are lost: look at the network and at the source's load"),
    ("few-sources", "add sources: with one there is no check, with two no majority (RFC 8633, 3.2)"),
    ("incomplete", "ask again; if it stays, the daemon answers in part only"),
)  # fmt: skip


def __virtual__():
    return __virtualname__


def judge(plan, process, table, problems=None):
    """
    Decide what a host's time is worth, from what is planned, what runs and what the daemon says.

    plan
        ``ntpcluster.plan``, or None if the pillar is no good.
    process
        ``ntpcluster.daemon``.
    table
        ``ntpcluster.parse_ntpq``, each row with ``flash``.
    problems
        Problems known already ({code, message, evidence}), to be listed with the others.

    Returns what ``ntpcluster.status`` returns. The codes of its problems, worst first: ``invalid-pillar``, ``no-tree``,
    ``daemon-stopped``, ``daemon-silent``, ``no-clock-capability``, ``rival-daemon``, ``not-listed``,
    ``unresolvable``, ``denied``, ``authentication``, ``loop``, ``upstream-unsynchronized``, ``unreachable``,
    ``panic``, ``falseticker``, ``orphan``, ``unsynchronized``, ``settling``, ``offset-high``, ``root-distance``,
    ``frequency-limit``, ``reach-gaps``, ``few-sources``, ``incomplete``.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.status
    """
    found = list(problems or [])
    rv, rows = table["variables"], table["peers"]
    system = next((row for row in rows if row["condition"] in ("system_peer", "pps")), None)
    limits = plan["health"] if plan else {}
    settling = bool(plan) and process["uptime_s"] is not None and process["uptime_s"] < limits["settle"]
    # Who has chosen a source and says so is no longer at the start: from then on, what is wrong is wrong.
    waiting = settling and (system is None or rv.get("leap") == "alarm")
    synchronized = False
    if not process["running"]:
        found.append(problem("daemon-stopped", "no ntpd process is running", service=process["name"]))
    elif table["error"] and not rv:
        found.append(
            problem("daemon-silent", "ntpd runs but does not answer: {0}".format(table["message"]), pid=process["pid"])
        )
    else:
        # Of half a table nobody can say what is not in it.
        found += _listed(plan, rows) if table["complete"] else []
        found += [trouble for trouble in (_trouble(row, settling) for row in rows) if trouble]
        free = _free_running(rv, system)
        found += free
        synchronized = not free and plan is not None and _follows(plan, rv, system)
        found += _selection(rv, system, synchronized, waiting)
        if plan:
            found += _discipline(rv, rows, system, plan, settling, process["uptime_s"])
        if not table["complete"]:
            message = "ntpq's table is not whole: {0}".format(table["message"] or "rows are missing")
            found.append(problem("incomplete", message, rows=len(rows)))

    return {
        "synchronized": synchronized,
        "health": _health(process, synchronized, waiting, found),
        "tier": plan["tier"] if plan else None,
        "daemon": dict(process, version=rv.get("version")),
        "source": _name(system) if system else None,
        "stratum": rv.get("stratum"),
        "expected_stratum": system["stratum"] + 1 if system and system["stratum"] < 15 else None,
        "leap": rv.get("leap"),
        "refid": rv.get("refid"),
        "offset_ms": _offset(rv, system) if system else rv.get("offset"),
        "jitter_ms": rv.get("sys_jitter"),
        "root_delay_ms": rv.get("rootdelay"),
        "root_dispersion_ms": rv.get("rootdisp"),
        "frequency_ppm": rv.get("frequency"),
        "peers": rows,
        "problems": in_order(found, plan["platform"] if plan else {"service": process["name"]}),
    }


def judge_without_daemon(plan, process, answers):
    """
    Decide what the time of a host is worth that has no daemon, but an ntpdate by crontab.

    plan
        ``ntpcluster.plan``.
    process
        ``ntpcluster.daemon``.
    answers
        ``ntpcluster.query``.

    Returns what ``ntpcluster.status`` returns; ``synchronized`` says whether the clock is right now, by its servers.

    CLI Example:

    .. code-block:: bash

        salt 'node*' ntpcluster.status
    """
    best = answers["best"]
    found = []
    if process["running"]:
        said = "ntpd runs (pid {0}) although the method is cron".format(process["pid"])
        found.append(problem("rival-daemon", said, pid=process["pid"]))
    for server in answers["servers"]:
        if not server["reachable"]:
            said = "{0} does not answer".format(server["name"])
            found.append(problem("unreachable", said, peer=server["name"]))
        elif server["offset_s"] is None:
            said = "{0} answers but gives no time".format(server["name"])
            found.append(problem("upstream-unsynchronized", said, peer=server["name"]))
    right = best is not None and abs(best["offset_s"]) <= plan["sync"]["max_offset"]
    if best is not None and not right:
        said = "the clock is {0:+.3f} s off by {1}".format(-best["offset_s"], best["address"])
        found.append(problem("offset-high", said, offset_ms=best["offset_s"] * 1000.0))
    status = dict.fromkeys(
        ("stratum", "expected_stratum", "jitter_ms", "root_delay_ms", "root_dispersion_ms", "frequency_ppm")
    )
    status.update(
        synchronized=right,
        health=("degraded" if found else "ok") if right else "unsynchronized",
        tier=plan["tier"],
        daemon=dict(process, version=None),
        source=best["address"] if best else None,
        leap=best["leap"] if best else None,
        refid=best["refid"] if best else None,
        offset_ms=best["offset_s"] * 1000.0 if best else None,
        peers=[],
        problems=in_order(found, plan["platform"]),
    )
    return status


def problem(code, message, **evidence):
    """
    One problem: {code, message, evidence}. For the other functions.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.problem unreachable '10.0.0.1 is silent' reach=0
    """
    # Salt adds names of its own to the keyword arguments of a call from outside.
    return {
        "code": code,
        "message": message,
        "evidence": dict((key, value) for key, value in evidence.items() if not key.startswith("__pub")),
    }


def in_order(found, platform):
    """
    Problems worst first, each once, with its remedy: {code, message, evidence, remedy}.

    found
        List of {code, message, evidence}.
    platform
        The platform's entry of platforms.yaml: remedies name its service and files.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.in_order '[{code: unreachable, message: 10.0.0.1 is silent, evidence: {}}]' '{}'
    """
    codes = [code for code, _ in REMEDIES]
    named = {"service": platform.get("service", "ntpd"), "ntp_conf": platform.get("ntp_conf", "ntp.conf")}
    ordered = []
    for one in sorted(found, key=lambda one: codes.index(one["code"])):
        if (one["code"], one["message"]) not in [(other["code"], other["message"]) for other in ordered]:
            ordered.append(dict(one, remedy=dict(REMEDIES)[one["code"]].format(**named)))
    return ordered


def _listed(plan, rows):
    """Whether the daemon has the sources it should have. Names cannot be compared with what it lists, addresses can."""
    if not plan or not plan["sources"]:
        return []
    listed = [_name(row) for row in rows]
    missing = [address for address in _numeric(plan) if address not in listed]
    if not missing and rows:
        names = [source["address"] for source in plan["sources"] if source["address"] not in _numeric(plan)]
        if len(rows) >= len(plan["sources"]) or not names:
            return []
        # ntpd 4.2 has no row for a name until the resolver knows it.
        said = "the daemon has {0} of {1} sources: no address for one of {2}, or the same for two of them".format(
            len(rows), len(plan["sources"]), ", ".join(names)
        )
        return [problem("unresolvable", said, names=names, listed=listed)]
    message = "the running daemon does not have {0}; it has {1}".format(
        ", ".join(missing) or "any source", ", ".join(listed) or "none at all"
    )
    return [problem("not-listed", message, missing=missing, listed=listed)]


def _trouble(row, settling):
    """Why one source is of no use, or None."""
    name, flash = _name(row), row["flash"] or 0
    facts = {"peer": name, "reach": row["reach"], "stratum": row["stratum"], "refid": row["refid"], "flash": flash}
    if row["last_event"] in ("access_denied", "rate_exceeded") or row["refid_kind"] == "kiss" or flash & FLASH_DENIED:
        said = row["last_event"] or row["refid"] or "access denied"
        return problem("denied", "{0} refuses this host: {1}".format(name, said), **facts)
    if row["refid"] in (".DNS.", "DNS"):
        return problem("unresolvable", "{0} has no address yet".format(name), **facts)
    if flash & FLASH_AUTHENTICATION:
        return problem("authentication", "packets of {0} fail the check of their key".format(name), **facts)
    if flash & FLASH_LOOP:
        return problem("loop", "{0} follows this host".format(name), **facts)
    if row["condition"] == "falseticker":
        said = "{0} says {1} ms, against the majority".format(name, row["offset_ms"])
        return problem("falseticker", said, offset_ms=row["offset_ms"], **facts)
    if row["heard"] and not row["reach"]:
        # A source whose packets are no use never counts as reached. Why, ntpsec does not tell; diagnose asks.
        if flash & FLASH_UNSYNCHRONIZED or row["when_s"] is None:
            said = "{0} answers but gives no time: stratum {1}, refid {2}".format(name, row["stratum"], row["refid"])
            return problem("upstream-unsynchronized", said, **facts)
        # Only what came lately counts: a server that has died was heard as well, in its time.
        if row["when_s"] <= 4 * (row["poll_s"] or 64):
            return problem("denied", "{0} answers this host, but with no time: it refuses".format(name), **facts)
    if not row["reach"] & LAST_FOUR and (row["reach"] or not settling):
        said = "{0} has not answered its last polls (reach {1:03o})".format(name, row["reach"])
        return problem("unreachable", said, **facts)
    return None


def _free_running(rv, system):
    """A clock disciplined by nothing but itself looks perfect: offset 0, reach 377, stratum fine."""
    if system is None:
        if rv.get("refid") not in ("127.0.0.1", "LOCL", "LOCAL", "ORPH"):
            return []
        said = "it goes on as an orphan, without any source"
    # An orphan tells its clients the loopback address as its source (LOOPBACKADR in ntp_proto.c).
    elif (
        system["refid_kind"] == "local"
        or system["refid"] == "127.0.0.1"
        or _name(system).startswith(("127.127.1.", "LOCAL("))
    ):
        said = "it follows its own clock ({0}), which is right by luck only".format(_name(system))
        if not _name(system).startswith(("127.127.1.", "LOCAL(")):
            said = "its source {0} follows nothing but its own clock".format(_name(system))
    else:
        return []
    return [problem("orphan", "{0} (refid {1})".format(said, rv.get("refid")), refid=rv.get("refid"))]


def _follows(plan, rv, system):
    """Whether the daemon follows a live source of the host's tier, closely enough."""
    if system is None or rv.get("leap") == "alarm" or rv.get("stratum", 16) >= 16:
        return False
    if len(_numeric(plan)) == len(plan["sources"]) and _name(system) not in _numeric(plan):
        return False
    return bool(system["reach"] & LAST_FOUR) and abs(_offset(rv, system)) <= plan["sync"]["max_offset"] * 1000.0


def _offset(rv, system):
    """
    The worse of two offsets in ms: the system variable keeps its value until the daemon updates the clock again, so
    after a clock was moved by hand the source's own row knows of it first.
    """
    return max((rv.get("offset") or 0.0, system["offset_ms"] or 0.0), key=abs)


def _selection(rv, system, synchronized, waiting):
    """Why no source is followed, as far as the daemon itself knows."""
    if synchronized:
        return []
    claims = {"stratum": rv.get("stratum"), "refid": rv.get("refid"), "leap": rv.get("leap")}
    if waiting:
        return [problem("settling", "the daemon has started a short while ago", **claims)]
    if system is None:
        said = "no source is selected, although the daemon says stratum {0}, refid {1}".format(
            rv.get("stratum"), rv.get("refid")
        )
        return [problem("unsynchronized", said, **claims)]
    if rv.get("leap") == "alarm":
        # ntp_loopfilter.c, state FREQ: without a drift file, and after a jump at its start.
        said = (
            "{0} is selected, but the daemon says itself that it has no time yet: it may be measuring its frequency "
            "still, for up to 15 minutes".format(_name(system))
        )
        return [problem("unsynchronized", said, **claims)]
    return []


def _discipline(rv, rows, system, plan, settling, uptime):
    """What is wrong with the clock's discipline as a whole."""
    found, limits, max_offset = [], plan["health"], plan["sync"]["max_offset"] * 1000.0
    offset = _offset(rv, system) if system else next((row["offset_ms"] for row in rows if row["reach"]), None)
    if offset is not None and abs(offset) > PANIC_S * 1000.0:
        found.append(problem("panic", "the clock is {0:+.3f} s off".format(-offset / 1000.0), offset_ms=offset))
    elif system and offset is not None and abs(offset) > max_offset:
        said = "{0:+.3f} ms from {1}, {2:g} ms allowed".format(offset, _name(system), max_offset)
        found.append(problem("offset-high", said, offset_ms=offset))
    frequency = rv.get("frequency")
    if frequency is not None and abs(frequency) >= limits["frequency_ppm"]:
        said = "{0:+.3f} ppm, and ntpd corrects 500 at most".format(frequency)
        found.append(problem("frequency-limit", said, frequency_ppm=frequency))
    if settling:
        return found
    distance = (rv.get("rootdelay") or 0.0) / 2 + (rv.get("rootdisp") or 0.0)
    if distance > MAXDISTANCE_MS:
        said = "this host is uncertain by {0:.0f} ms; no client takes more than {1:.0f} ms".format(
            distance, MAXDISTANCE_MS
        )
        found.append(problem("root-distance", said, root_distance_ms=distance))
    usable = [row for row in rows if row["condition"] in SURVIVORS and row["reach"] & LAST_FOUR]
    if len(usable) < limits["survivors"]:
        said = "{0} usable of {1} sources, {2} wanted".format(len(usable), len(rows), limits["survivors"])
        found.append(problem("few-sources", said, usable=[_name(row) for row in usable]))
    for row in usable:
        # ntpd tells nobody that its sources are gone, but its packets say when its clock was set last (RFC 5905).
        age = row.get("reference_age_s")
        if age is not None and age > limits["reference_age"]:
            said = "{0} answers, but seems to have lost its own sources: nobody has set its clock for {1:.0f} s"
            evidence = {"peer": _name(row), "reference_age_s": age}
            found.append(problem("upstream-unsynchronized", said.format(_name(row), age), **evidence))
        # Polls that a young daemon has not made yet are not missing.
        polls = min(8, int((uptime or 0) // (row["poll_s"] or 64)))
        if ~row["reach"] & ((1 << polls) - 1):
            said = "{0} has not answered all of its last eight polls (reach {1:03o})".format(_name(row), row["reach"])
            found.append(problem("reach-gaps", said, peer=_name(row), reach=row["reach"]))
    return found


def _health(process, synchronized, waiting, found):
    """One word for all of it."""
    if not process["running"]:
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


def _name(row):
    return row["address"] or row["remote"]
