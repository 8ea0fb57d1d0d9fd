# -*- coding: utf-8 -*-
"""
Internal. What chronyd says of itself and its sources, in the words in which a daemon is judged, whichever it is.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_chrony_look"

STATES = {"*": "system_peer", "+": "candidate", "-": "outlier", "x": "falseticker", "~": "reject", "?": "reject"}
TYPES = {"server": "u", "peer": "s", "clock": "l"}

#: Kiss codes by which a server says that this host is not wanted at all (RFC 5905, 7.4).
UNWANTED = ("DENY", "RSTR")

#: Failed tests as bits, where RFC 5905 numbers them (ntpd's `flash`), and chrony's test of a loop as ntpd's twelfth.
TESTS_AS_BITS = {"1": 0x001, "2": 0x002, "3": 0x004, "5": 0x010, "6": 0x020, "7": 0x040, "D": 0x800}
DENIED, AUTHENTICATION = 0x008, 0x010

#: Errors after which nothing vouches for what was said before. The others are refusals of one command.
CUT_SHORT = ("no-answer", "incomplete", "unparsable")

#: Of the last four polls one at least must have been answered.
LAST_FOUR = 0x0F


def look(read, now=None):
    """
    Internal. Put what chronyc said into the neutral form.

    read
        ``ntpcluster_chronyc.parse`` of a run with ``-n -c -m``; the command that it lacks is unknown.
    now
        Unix seconds of this host's clock when chronyc was asked; without it no age of a reference is known.

    Returns a dict:

    - ``error``, ``message``: why something is missing, as ``ntpcluster_chronyc.parse`` says
    - ``complete``: the list of sources is whole. ``missing``: the commands that told nothing, or half
    - ``system``: {``leap`` (none, add, del, alarm), ``stratum`` (16: not synchronised), ``refid``, ``source`` (its address;
      None: none), ``offset_ms`` (the true time, as the daemon knows it, is ahead of the clock by this), ``jitter_ms``,
      ``root_delay_ms``, ``root_dispersion_ms``, ``frequency_ppm`` (above zero: the clock is too slow by itself),
      ``unresolved`` (names without address; None: unknown), ``version`` (None: chronyc does not tell the daemon's),
      ``reference_age_s``, ``precision_ms``, ``aged_ppm``, ``frequency_error_ppm`` as ``ntpcluster_ntpd.look`` says};
      empty if ``tracking`` was not answered
    - ``peers``: a row for each source: ``remote`` (name as printed), ``address`` (None: it is none), ``type`` (u server, s
      peer, l a clock of this host), ``stratum`` (16: never heard, or without the time; None: unknown), ``refid`` and
      ``refid_kind`` (as ``ntpcluster_parse_table.refid_kind``), ``reach`` (the register as a number), ``poll_s``, ``when_s``
      since the last sample, ``offset_ms`` (the source is ahead of this host's clock; by that sample), ``error_ms`` (how far that
      can be off: half of its root delay, and its root dispersion), ``delay_ms``, ``jitter_ms``, ``root_delay_ms``,
      ``root_dispersion_ms``, ``tally`` (chronyc's character), ``condition`` (system_peer, candidate, outlier, falseticker,
      reject), ``selection`` (why, in words), ``flash`` (failed tests as bits: 8 denied, 0x10 authentication, 0x20 unsynchronised,
      0x800 loop; None: unknown), ``heard`` (something came from it, acceptable or not; None: unknown), ``answers`` (something came
      within the last four polls; None: unknown), ``authenticated`` (None: no
      key), ``reference_age_s`` (how long before its last packet its own clock was set), ``inexact``; and ``last_event``,
      ``unreach``, ``assid``, ``configured``, which chrony has not: None

    What ntpq has and chronyc has not: the daemon's version, events (so a refusal that has passed leaves no trace), the time
    of a packet that was no sample (``answers`` is what follows from the packets counted), the number of polls without an
    answer, ``tc`` and ``clk_wander``, ``reftime`` without root. What chronyc has and ntpq has not: what is still to be
    slewed, the frequency's error (``skew_ppm``), the estimated error of a source, the state of the selection in words,
    the key of a source and whether this host has it, NTS, names that have no address yet, packets counted per source.

    chronyc's offsets of sources are those of the time that chronyd has corrected already: while it slews, they are near
    zero and the clock is wrong all the same (seen: 1.97 s). So what is still to be slewed is added to each.
    """
    answers = read["answers"]
    tracking, sources = answers.get("tracking"), answers.get("sources") or []
    more = _more(sources, answers)
    names = [row["name"] for row in sources]
    stats = answers.get("sourcestats")
    # The list is asked for source by source: one that changes meanwhile shows twice, or in one list only.
    steady = len(set(names)) == len(names) and (stats is None or [row["name"] for row in stats] == names)
    whole = answers.get("sources") is not None and "sources" not in read["missing"] and read["error"] not in CUT_SHORT
    return {
        "error": read["error"],
        "message": read["message"],
        "missing": read["missing"],
        "complete": whole and (steady or "sourcestats" in read["missing"]),
        "system": _system(tracking, answers.get("activity"), now) if tracking else {},
        "peers": [_peer(row, extra, (tracking or {}).get("offset_ms"), now) for row, extra in zip(sources, more)],
    }


def _more(sources, answers):
    """For each source its rows of the other answers: {command: row or {}}. `ntpdata` and `authdata` have no clocks."""
    found = [{} for _ in sources]
    for command in ("sourcestats", "ntpdata", "selectdata", "authdata"):
        for place, row in zip(_places(sources, command), answers.get(command) or []):
            name = sources[place]["name"]
            # Before 4.1 `ntpdata` names no source from which nothing came; any other name belongs to another source.
            if row.get("name", row.get("address")) in (name, None):
                found[place][command] = row
    return [dict({"sourcestats": {}, "ntpdata": {}, "selectdata": {}, "authdata": {}}, **rows) for rows in found]


def _places(sources, command):
    """The places of the sources that a command has rows for, in their order."""
    for place, row in enumerate(sources):
        clock, nameless = row["mode"] == "clock", row["name"].startswith("ID#")
        if not (clock and command in ("ntpdata", "authdata")) and not (nameless and command == "ntpdata"):
            yield place


def _system(tracking, activity, now):
    """The system's part of a look. chronyd's own error of its frequency is what its root dispersion grows by (reference.c)."""
    unsynchronised, set_at = tracking["leap"] == "alarm", tracking["reference_time_s"]
    rates = (tracking["skew_ppm"], tracking["residual_ppm"])
    error = None if None in rates else round(rates[0] + abs(rates[1]), 6)
    return {
        "leap": tracking["leap"],
        "stratum": 16 if unsynchronised else tracking["stratum"],
        "refid": tracking["refid"],
        "source": tracking["name"],
        "offset_ms": tracking["offset_ms"],
        "jitter_ms": tracking["rms_offset_ms"],
        "root_delay_ms": tracking["root_delay_ms"],
        "root_dispersion_ms": tracking["root_dispersion_ms"],
        "frequency_ppm": tracking["frequency_ppm"],
        "unresolved": activity["unresolved"] if activity else None,
        "version": None,
        "reference_age_s": None if None in (set_at, now) else round(now - set_at, 3),
        "precision_ms": 0.0,  # it is in the dispersion of each of its samples already (ntp_core.c)
        "aged_ppm": error,
        "frequency_error_ppm": error,
    }


def _peer(row, more, slewing_ms, now):
    """One source's row. `slewing_ms`: what chronyd has not corrected yet."""
    packet, address = more["ntpdata"], row["name"]
    numeric = __salt__["ntpcluster_chronyc.is_address"](address)
    offset = None if None in (row["offset_ms"], slewing_ms) else round(row["offset_ms"] + slewing_ms, 6)
    flash, refid, stratum = _flash(row, packet, more["authdata"]), packet.get("refid"), _stratum(row, packet)
    return {
        "remote": address,
        "address": address if numeric else None,
        "type": TYPES[row["mode"]],
        "stratum": stratum,
        "refid": refid,
        "refid_kind": __salt__["ntpcluster_parse_table.refid_kind"](refid, stratum),
        "reach": row["reach"],
        "poll_s": row["poll_s"],
        "when_s": row["when_s"],
        "offset_ms": offset,
        "error_ms": row["error_ms"],
        "delay_ms": packet.get("delay_ms") if not packet.get("failed") else None,
        "jitter_ms": more["sourcestats"].get("deviation_ms"),
        "root_delay_ms": packet.get("root_delay_ms"),
        "root_dispersion_ms": packet.get("root_dispersion_ms"),
        "tally": row["state"],
        "condition": STATES[row["state"]],
        "selection": more["selectdata"].get("selection"),
        "flash": flash,
        "heard": _heard(row, packet),
        "answers": _answers(row, packet),
        "authenticated": _authenticated(packet, more["authdata"], flash),
        "reference_age_s": _reference_age(row, packet, offset, now),
        "inexact": row["inexact"] + (["address"] if address.endswith(">") else []),
        "last_event": None,
        "unreach": None,
        "assid": None,
        "configured": None,
    }


def _stratum(row, packet):
    """16 for a source that was never heard or says that it has no time; a clock of this host is at 0."""
    if packet.get("valid"):
        return 16 if packet["leap"] == "alarm" or not packet["stratum"] else min(packet["stratum"], 16)
    return 16 if row["stratum"] is None else row["stratum"]


def _flash(row, packet, key):
    """Failed tests as bits: those of the last packet, and what else shows that none can pass."""
    if not packet:
        return None
    flash = sum(TESTS_AS_BITS.get(test, 0) for test in packet["failed"] or [])
    if packet["refid"] in UNWANTED and "6" in (packet["failed"] or []):
        flash |= DENIED
    unsigned = packet["received"] > packet["valid"] and not row["reach"] & LAST_FOUR
    # A key that this host lacks; or packets come, and none of them is signed with the key.
    if key.get("mode") == "symmetric" and (key["key_bits"] == 0 or unsigned):
        flash |= AUTHENTICATION
    return flash


def _heard(row, packet):
    """Whether something came from a source, acceptable or not; None: nothing acceptable, and the packets are not known."""
    if row["reach"] or row["when_s"] is not None:
        return True
    return bool(packet["received"]) if packet else None


def _answers(row, packet):
    """
    Whether something came within the last four polls. chronyd counts the packets of a source, and does not note when the last
    one came that gave no sample: fewer than four lost in all leave no room for four lost in a row.
    """
    if row["reach"] & LAST_FOUR:
        return True
    if not packet:
        return None
    if not packet["received"]:
        return False
    return True if packet["sent"] - packet["received"] < 4 else None


def _authenticated(packet, key, flash):
    """Whether a source has proven itself by its key; None: it has none, or that is not known."""
    if not key or not key["mode"]:
        return None
    return bool(packet.get("valid")) and not (flash or 0) & AUTHENTICATION


def _reference_age(row, packet, offset_ms, now):
    """How long before the last packet the source's own clock was set, both by the source's clock; None: unknown."""
    set_at = packet.get("reference_time_s")
    if packet.get("failed") or None in (set_at, now, offset_ms, row["when_s"]):
        return None
    return round(now - row["when_s"] + offset_ms / 1000.0 - set_at, 3)
