# -*- coding: utf-8 -*-
"""
Internal. What chronyd reports about itself and its sources, in the neutral form in which every daemon is judged.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_chrony_look"

STATES = {"*": "system_peer", "+": "candidate", "-": "outlier", "x": "falseticker", "~": "reject", "?": "reject"}
TYPES = {"server": "u", "peer": "s", "clock": "l"}

#: Kiss codes of a server that does not serve this host at all (RFC 5905, 7.4).
UNWANTED = ("DENY", "RSTR")

#: Failed tests as bits, numbered as in RFC 5905 (ntpd's `flash`), and chrony's test of a loop as ntpd's twelfth.
TESTS_AS_BITS = {"1": 0x001, "2": 0x002, "3": 0x004, "5": 0x010, "6": 0x020, "7": 0x040, "D": 0x800}
DENIED, AUTHENTICATION = 0x008, 0x010

#: The refid of a chronyd that continues on its own clock (`local`). Its list still marks the source that it selected last, which
#: by now gets its time from this host, or is at a stratum beyond that of `local ... orphan` (REF_GetReferenceParams in
#: reference.c).
LOCAL_CLOCK = "127.127.1."

#: Errors after which the earlier answers are not reliable either. The others are refusals of one command.
CUT_SHORT = ("no-answer", "incomplete", "unparsable")

#: At least one of the last four polls must have been answered.
LAST_FOUR = 0x0F


def look(read, now=None):
    """
    Internal. Convert the answers of chronyc to the neutral form.

    read
        ``ntpcluster_chronyc.parse`` of a run with ``-n -c -m``; the answer to a command that was not run is unknown.
    now
        Unix seconds of this host's clock when chronyc ran; without it the age of a reference is unknown.

    Returns a dict:

    - ``error``, ``message``: why something is missing, as from ``ntpcluster_chronyc.parse``
    - ``complete``: the list of sources is complete. ``missing``: the commands without an answer, or with an incomplete one
    - ``system``: {``leap`` (none, add, del, alarm), ``stratum`` (16: not synchronised), ``refid``, ``source`` (its address;
      None: none), ``offset_ms`` (how far the daemon's estimate of true time is ahead of the clock), ``jitter_ms``,
      ``root_delay_ms``, ``root_dispersion_ms``, ``frequency_ppm`` (above zero: the uncorrected clock is slow), ``unresolved``
      (names without an address; None: unknown), ``version`` (None: chronyc does not report the daemon's), ``reference_age_s``,
      ``precision_ms``, ``aged_ppm``, ``frequency_error_ppm`` as from ``ntpcluster_ntpd.look``}; empty if ``tracking`` was not
      answered
    - ``peers``: a row for each source: ``remote`` (name as printed), ``address`` (None: the name is not an address), ``type``
      (u server, s peer, l a clock of this host), ``stratum`` (16: never heard, or not synchronised; None: unknown), ``refid``
      and ``refid_kind`` (as ``ntpcluster_parse_table.refid_kind``), ``reach`` (the register as a number), ``poll_s``,
      ``when_s`` since the last sample, ``offset_ms`` (the source is ahead of this host's clock), ``error_ms`` (how far off
      that sample can be: half of its root delay, plus its root dispersion), ``delay_ms``, ``jitter_ms``, ``root_delay_ms``,
      ``root_dispersion_ms``, ``tally`` (chronyc's character), ``condition`` (system_peer, candidate,
      outlier, falseticker, reject), ``selection`` (why, as text), ``flash`` (failed tests as bits: 8 denied, 0x10
      authentication, 0x20 unsynchronised, 0x800 loop; None: unknown), ``heard`` (a packet arrived from it, acceptable or not;
      None: unknown), ``answers`` (a packet arrived within the last four polls; None: unknown), ``authenticated`` (None: no
      key), ``reference_age_s`` (how long before its last packet its clock was set), ``inexact``; and ``last_event``,
      ``unreach``, ``assid``, ``configured``, which chrony does not have: None

    Only ntpq reports: the daemon's version, events (so chronyc shows no trace of a past refusal), the time of a packet that
    gave no sample (``answers`` is derived from the packet counts), the number of polls without an answer, ``tc`` and
    ``clk_wander``, ``reftime`` without root. Only chronyc reports: the offset still to be slewed, the frequency's error
    (``skew_ppm``), the estimated error of a source, the state of the selection in words, the key of a source and whether this
    host has it, NTS, names without an address, packet counts per source.

    chronyc's offsets of sources are relative to the time as chronyd has corrected it: while it slews, they are near zero
    although the clock is still wrong (seen: 1.97 s). So the offset still to be slewed is added to each.
    """
    answers = read["answers"]
    tracking, sources = answers.get("tracking"), answers.get("sources") or []
    more = _more(sources, answers)
    if tracking and (tracking["refid"] or "").startswith(LOCAL_CLOCK):
        sources = [dict(row, state="?") if row["state"] == "*" else row for row in sources]
    names = [row["name"] for row in sources]
    stats = answers.get("sourcestats")
    # chronyc requests the list source by source: a source that changes meanwhile is listed twice, or in only one list.
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
    """For each source its rows in the other answers: {command: row or {}}. `ntpdata` and `authdata` do not list clocks."""
    found = [{} for _ in sources]
    for command in ("sourcestats", "ntpdata", "selectdata", "authdata"):
        for place, row in zip(_places(sources, command), answers.get(command) or []):
            name = sources[place]["name"]
            # Before 4.1 `ntpdata` has no name for a source that never answered; any other name belongs to another source.
            if row.get("name", row.get("address")) in (name, None):
                found[place][command] = row
    return [dict({"sourcestats": {}, "ntpdata": {}, "selectdata": {}, "authdata": {}}, **rows) for rows in found]


def _places(sources, command):
    """The indexes of the sources that a command has rows for, in order."""
    for place, row in enumerate(sources):
        clock, nameless = row["mode"] == "clock", row["name"].startswith("ID#")
        if not (clock and command in ("ntpdata", "authdata")) and not (nameless and command == "ntpdata"):
            yield place


def _system(tracking, activity, now):
    """The system's part of a look. chronyd's root dispersion grows by its own error of the frequency (reference.c)."""
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
        "precision_ms": 0.0,  # the dispersion of each sample includes it already (ntp_core.c)
        "aged_ppm": error,
        "frequency_error_ppm": None if error is None else max([error] + _arisen(tracking)),
    }


def _arisen(tracking):
    """
    The frequency error in ppm that the last offsets show, in a list; empty if unknown. As with ntpd: an offset that arose between
    two updates arises again if the frequency is wrong. From a server that is being slewed chronyd learns a wrong frequency, which
    its skew does not show, but its offsets do (``RMS offset``: each update has a weight of 0.1, reference.c).
    """
    offsets, interval = (tracking["last_offset_ms"], tracking["rms_offset_ms"]), tracking["update_interval_s"]
    return [] if None in offsets or not interval else [round(1000.0 * max(map(abs, offsets)) / interval, 6)]


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
    """16 for a source that was never heard or reports that it is not synchronised; a clock of this host is at 0."""
    if packet.get("valid"):
        return 16 if packet["leap"] == "alarm" or not packet["stratum"] else min(packet["stratum"], 16)
    return 16 if row["stratum"] is None else row["stratum"]


def _flash(row, packet, key):
    """Failed tests as bits: those of the last packet, and those that no packet can pass, as other answers show."""
    if not packet:
        return None
    flash = sum(TESTS_AS_BITS.get(test, 0) for test in packet["failed"] or [])
    if packet["refid"] in UNWANTED and "6" in (packet["failed"] or []):
        flash |= DENIED
    unsigned = packet["received"] > packet["valid"] and not row["reach"] & LAST_FOUR
    # This host lacks the key; or packets arrive, and none of them is signed with the key.
    if key.get("mode") == "symmetric" and (key["key_bits"] == 0 or unsigned):
        flash |= AUTHENTICATION
    return flash


def _heard(row, packet):
    """Whether a packet arrived from a source, acceptable or not; None: no acceptable one, and the packet counts are unknown."""
    if row["reach"] or row["when_s"] is not None:
        return True
    return bool(packet["received"]) if packet else None


def _answers(row, packet):
    """
    Whether a packet arrived within the last four polls. chronyd counts the packets of a source, but does not record when the
    last packet without a sample arrived: if fewer than four were lost in all, four in a row cannot have been lost.
    """
    if row["reach"] & LAST_FOUR:
        return True
    if not packet:
        return None
    if not packet["received"]:
        return False
    return True if packet["sent"] - packet["received"] < 4 else None


def _authenticated(packet, key, flash):
    """Whether a source is authenticated by its key; None: it has none, or this is unknown."""
    if not key or not key["mode"]:
        return None
    return bool(packet.get("valid")) and not (flash or 0) & AUTHENTICATION


def _reference_age(row, packet, offset_ms, now):
    """How long before the last packet the source's clock was set, both times by the source's clock; None: unknown."""
    set_at = packet.get("reference_time_s")
    if packet.get("failed") or None in (set_at, now, offset_ms, row["when_s"]):
        return None
    return round(now - row["when_s"] + offset_ms / 1000.0 - set_at, 3)
