# -*- coding: utf-8 -*-
"""
What is right and what is wrong with a host's time. Facts in, judgement out: nothing here runs a program.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster"

#: Tests of ntpd that a packet or a source can fail (ntp.h, "flash bits"), and what that means here.
FLASH_DENIED = 0x0008  # TEST4: access denied
FLASH_AUTHENTICATION = 0x0010  # TEST5
FLASH_UNSYNCHRONIZED = 0x0020 | 0x0200  # TEST6 and TEST10: leap or stratum says unsynchronised
FLASH_DISTANCE = 0x0400  # TEST11: root distance beyond MAXDIST
FLASH_LOOP = 0x0800  # TEST12: it follows us

#: Sources that count as usable: the selection let them through.
SURVIVORS = ("system_peer", "pps", "candidate", "backup", "excess", "outlier")

#: Of the last four polls one at least must have been answered; a dead source keeps its `*` for about eight.
LAST_FOUR = 0x0F

#: Problem codes, worst first, and what to do about each.
REMEDIES = (
    ("invalid-pillar", "correct the pillar, then: salt-call ntpcluster.validate"),
    ("daemon-stopped", "start it: service {service} start; it ends at once if the offset is above 1000 s without -g, see the system log"),
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
        Problems known already, to be listed with the others.

    Returns what ``ntpcluster.status`` returns. The codes of its problems, worst first: ``invalid-pillar``,
    ``daemon-stopped``, ``daemon-silent``, ``no-clock-capability``, ``rival-daemon``, ``not-listed``,
    ``unresolvable``, ``denied``, ``authentication``, ``loop``, ``upstream-unsynchronized``, ``unreachable``,
    ``panic``, ``falseticker``, ``orphan``, ``unsynchronized``, ``settling``, ``offset-high``, ``frequency-limit``,
    ``reach-gaps``, ``few-sources``, ``incomplete``.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.status
    """
    found = [(p["code"], p["message"]) for p in problems or []]
    rv, rows = table["variables"], table["peers"]
    system = next((row for row in rows if row["condition"] in ("system_peer", "pps")), None)
    process = dict(process, version=rv.get("version"))
    limits = dict(plan["health"] if plan else {})
    max_offset = plan["sync"]["max_offset"] if plan else None

    synchronized = False
    settling = process["uptime_s"] is not None and process["uptime_s"] < limits.get("settle", 0)
    if not process["running"]:
        found.append(("daemon-stopped", "no ntpd process is running (service {0})".format(process["name"])))
    elif table["error"] and not rv:
        found.append(
            (
                "daemon-silent",
                "ntpd runs (pid {0}) but ntpq got no answer: {1}".format(process["pid"], table["message"]),
            )
        )
    else:
        found += _sources(plan, rows, settling)
        free = _free_running(rv, rows, system)
        found += free
        synchronized = not free and _follows(plan, rv, system, max_offset)
        found += _discipline(rv, rows, system, limits, max_offset, synchronized, settling)
        if not table["complete"]:
            found.append(
                ("incomplete", "ntpq's table is not whole: {0}".format(table["message"] or "rows are missing"))
            )

    named = {"service": process["name"], "ntp_conf": plan["platform"]["ntp_conf"] if plan else "ntp.conf"}
    return {
        "synchronized": synchronized,
        "health": _health(process, synchronized, settling, found),
        "tier": plan["tier"] if plan else None,
        "daemon": process,
        "source": system["address"] or system["remote"] if system else None,
        "stratum": rv.get("stratum"),
        "expected_stratum": system["stratum"] + 1 if system and system["stratum"] < 15 else None,
        "leap": rv.get("leap"),
        "refid": rv.get("refid"),
        "offset_ms": rv.get("offset"),
        "jitter_ms": rv.get("sys_jitter"),
        "root_delay_ms": rv.get("rootdelay"),
        "root_dispersion_ms": rv.get("rootdisp"),
        "frequency_ppm": rv.get("frequency"),
        "peers": rows,
        "problems": in_order(found, named),
    }


def in_order(found, named):
    """
    Problems as {code, message, remedy}, worst first, each once.

    found
        List of (code, message).
    named
        What the remedies name: {"service": ..., "ntp_conf": ...}.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.in_order '[["unreachable", "10.0.0.1 is silent"]]' '{service: ntpd, ntp_conf: /etc/ntp.conf}'
    """
    rank = dict((code, number) for number, (code, _) in enumerate(REMEDIES))
    remedies = dict(REMEDIES)
    ordered = sorted(set((rank[code], code, message) for code, message in found))
    return [
        {"code": code, "message": message, "remedy": remedies[code].format(**named)} for _, code, message in ordered
    ]


def _sources(plan, rows, settling):
    """What is wrong with each source, and whether the daemon has those that it should have."""
    found = []
    if plan:
        numeric = [source["address"] for source in plan["sources"] if _is_address(source["address"])]
        listed = [row["address"] or row["remote"] for row in rows]
        missing = [address for address in numeric if address not in listed]
        if missing:
            found.append(
                (
                    "not-listed",
                    "configured but unknown to the running daemon: {0}; it has {1}".format(
                        ", ".join(missing), ", ".join(listed) or "no source at all"
                    ),
                )
            )
        elif plan["sources"] and not rows:
            found.append(("not-listed", "the running daemon has no source at all"))
    for row in rows:
        trouble = _trouble(row, settling)
        if trouble:
            found.append(trouble)
    return found


def _trouble(row, settling):
    """Why one source is of no use, as (code, message), or None."""
    name, flash = row["address"] or row["remote"], row["flash"] or 0
    if row["last_event"] in ("access_denied", "rate_exceeded") or row["refid_kind"] == "kiss" or flash & FLASH_DENIED:
        return "denied", "{0} refuses: {1}".format(name, row["last_event"] or row["refid"] or "access denied")
    if row["refid"] == ".DNS.":
        return "unresolvable", "{0} has no address yet".format(name)
    if flash & FLASH_AUTHENTICATION:
        return "authentication", "{0}: its packets fail the check of their key".format(name)
    if flash & FLASH_LOOP:
        return "loop", "{0} follows this host".format(name)
    if row["condition"] == "falseticker":
        return "falseticker", "{0} says {1} ms, against the majority".format(name, row["offset_ms"])
    if not row["reach"]:
        heard = row["when_s"] is not None and row["stratum"] is not None
        if heard and flash & FLASH_UNSYNCHRONIZED and row["refid_kind"] != "state":
            return "upstream-unsynchronized", "{0} answers but is not synchronised: stratum {1}, refid {2}".format(
                name, row["stratum"], row["refid"]
            )
        if not settling:
            return "unreachable", "{0}: none of its last eight polls was answered (reach 0)".format(name)
    elif not row["reach"] & LAST_FOUR and not settling:
        return "unreachable", "{0}: its last four polls were not answered (reach {1:o})".format(name, row["reach"])
    return None


def _free_running(rv, rows, system):
    """The clock disciplined by nothing but itself looks perfect: offset 0, reach 377, stratum fine."""
    own = system is not None and (system["refid_kind"] == "local" or _is_local(system["address"]))
    if own:
        return [
            ("orphan", "it follows its own clock ({0}), which is right by nothing but luck".format(system["remote"]))
        ]
    if system is not None and "LOCAL" in "{0}".format(system["refid"]):
        return [
            (
                "orphan",
                "its source {0} follows nothing but its own clock (refid {1})".format(
                    system["address"], system["refid"]
                ),
            )
        ]
    if system is None and rv.get("refid") in ("127.0.0.1", "LOCL", ".ORPH."):
        return [("orphan", "it runs as an orphan, without any source (refid {0})".format(rv["refid"]))]
    return []


def _follows(plan, rv, system, max_offset):
    """Whether the daemon follows a live source of the host's tier, closely enough."""
    if system is None or plan is None or rv.get("leap") == "alarm" or rv.get("stratum", 16) >= 16:
        return False
    numeric = [source["address"] for source in plan["sources"] if _is_address(source["address"])]
    named = len(numeric) < len(plan["sources"])
    if not named and system["address"] not in numeric:
        return False
    return bool(system["reach"] & LAST_FOUR) and abs(rv.get("offset") or 0.0) <= max_offset * 1000.0


def _discipline(rv, rows, system, limits, max_offset, synchronized, settling):
    """What is wrong with the clock's discipline as a whole."""
    found = []
    offset = rv.get("offset") if system else next((row["offset_ms"] for row in rows if row["reach"]), None)
    if offset is not None and abs(offset) > 1000000.0:
        found.append(("panic", "the clock is {0:.3f} s off".format(offset / 1000.0)))
    elif system and max_offset is not None and abs(offset or 0.0) > max_offset * 1000.0:
        found.append(
            (
                "offset-high",
                "offset {0} ms from {1}, more than {2:g} ms".format(offset, system["address"], max_offset * 1000),
            )
        )
    if not synchronized:
        if settling:
            found.append(("settling", "no source selected yet"))
        elif not system:
            found.append(
                (
                    "unsynchronized",
                    "no source is selected; the daemon still claims stratum {0}, refid {1}".format(
                        rv.get("stratum"), rv.get("refid")
                    ),
                )
            )
    frequency = rv.get("frequency")
    if limits and frequency is not None and abs(frequency) >= limits["frequency_ppm"]:
        found.append(("frequency-limit", "frequency {0:+.3f} ppm, ntpd corrects 500 at most".format(frequency)))
    usable = [row for row in rows if row["condition"] in SURVIVORS and row["reach"] & LAST_FOUR]
    if limits and not settling and len(usable) < limits["survivors"]:
        found.append(
            ("few-sources", "{0} usable of {1} sources, {2} wanted".format(len(usable), len(rows), limits["survivors"]))
        )
    if not settling:
        for row in usable:
            if row["reach"] != 0xFF:
                found.append(
                    (
                        "reach-gaps",
                        "{0}: of its last eight polls some were not answered (reach {1:o})".format(
                            row["address"] or row["remote"], row["reach"]
                        ),
                    )
                )
    return found


def _health(process, synchronized, settling, found):
    """One word for all of it."""
    if not process["running"]:
        return "stopped"
    if synchronized:
        return "degraded" if found else "ok"
    # Asleep at the start and broken look alike for a while; a fault that no waiting mends is not settling.
    hopeless = ("daemon-silent", "not-listed", "orphan", "invalid-pillar")
    if settling and not any(code in hopeless for code, _ in found):
        return "settling"
    return "unsynchronized"


def _is_address(text):
    """Whether this is a number, not a name: only numbers can be compared with what the daemon lists."""
    return ":" in text or text.replace(".", "").isdigit()


def _is_local(address):
    """ntpd's undisciplined local clock, 127.127.1.x (ntp's driver 1)."""
    return bool(address) and address.startswith("127.127.1.")
