# -*- coding: utf-8 -*-
"""
Internal. How far this host's clock can be from a correct clock upstream, calculated from its daemon's report. docs/bound.md
derives it.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_bound"

#: The maximum rate at which a disciplined clock may deviate (PHI in RFC 5905).
PHI_PPM = 15.0

#: The maximum error of a frequency: no daemon corrects more (NTP_MAXFREQ in ntp.h), and a larger value is not valid.
MAX_PPM = 500.0

#: At least one of the last four polls must have been answered.
LAST_FOUR = 0x0F


def bound(claims, rows, system, wanted):
    """
    Internal. The bound of a host that follows a planned source which is alive and does not follow only its own clock.

    claims
        The ``system`` of a look (``ntpcluster_ntpd.look``).
    rows
        Its ``peers``, each with ``usable``.
    system
        The row that is followed.
    wanted
        How many sources have to agree (``minsane`` of the plan).

    Returns a dict:

    - ``bound_ms``: the maximum distance between this clock and any correct clock upstream; None: there is no bound
    - ``unbounded``: why there is none, as text; None: there is a bound
    - ``parts_ms``: the terms of the sum: half the ``root_delay``, ``root_dispersion``, ``offset``, ``jitter``, ``precision``,
      ``growth``; empty without a bound
    """
    why = _no_majority(rows, wanted)
    parts, unknown = _parts(claims, system)
    if unknown and not why:
        why = "the daemon does not report {0}".format(", ".join(unknown))
    if why:
        return nothing(why)
    return {"bound_ms": round(sum(parts.values()), 6), "unbounded": None, "parts_ms": parts}


def nothing(why):
    """
    Internal. What ``bound`` returns if there is no bound.

    why
        As text.
    """
    return {"bound_ms": None, "unbounded": why, "parts_ms": {}}


def _no_majority(rows, wanted):
    """
    Why no majority confirms the time that is followed, or None. A single source is its own majority: the bound then assumes
    that it is right.
    """
    agree = [row for row in rows if row["usable"]]
    against = [row for row in rows if row["condition"] == "falseticker" and row["reach"] & LAST_FOUR]
    if len(agree) < wanted:
        return "{0} of {1} sources that answer agree, and the plan wants {2}".format(len(agree), len(rows), wanted)
    if len(agree) <= len(against):
        return "{0} sources agree and {1} contradict them: no majority".format(len(agree), len(against))
    return None


def _parts(claims, system):
    """The terms of the sum in milliseconds, and the names of those that the daemon does not report."""
    delay, age = claims.get("root_delay_ms"), claims.get("reference_age_s")
    offsets = (claims.get("offset_ms"), system["offset_ms"])
    parts = {
        "root_delay": None if delay is None else delay / 2.0,
        "root_dispersion": claims.get("root_dispersion_ms"),
        # The daemon's own offset is from its last update, or is what it still has to slew; the source's row may be newer.
        "offset": None if None in offsets else max(abs(offset) for offset in offsets),
        "jitter": system["jitter_ms"],
        "precision": claims.get("precision_ms"),
        "growth": _growth(age, claims.get("aged_ppm"), claims.get("frequency_error_ppm")),
    }
    return parts, sorted(name for name, part in parts.items() if part is None)


def _growth(age_s, aged_ppm, error_ppm):
    """
    What has to be added since the daemon's last update, in milliseconds: the daemon itself increases the root dispersion by
    `aged_ppm`, and the frequency may be wrong by PHI, or by the error that the daemon reports.
    """
    if None in (age_s, aged_ppm, error_ppm):
        return None
    rate = max(PHI_PPM, min(error_ppm, MAX_PPM))
    return max(0.0, rate - aged_ppm) * abs(age_s) / 1000.0
