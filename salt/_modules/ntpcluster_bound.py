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


def bound(claims, rows, system, plan):
    """
    Internal. The bound of a host that follows a planned source which is alive and does not follow only its own clock.

    claims
        The ``system`` of a look (``ntpcluster_ntpd.look``).
    rows
        Its ``peers``, each with ``usable``.
    system
        The row that is followed.
    plan
        ``ntpcluster.plan``: how many sources have to agree (``minsane``), and the stratum of an orphan (``orphan_stratum``).

    Returns a dict:

    - ``bound_ms``: the maximum distance between this clock and any correct clock upstream; None: there is no bound
    - ``unbounded``: why there is none, as text; None: there is a bound
    - ``parts_ms``: the terms of the sum: half the ``root_delay``, ``root_dispersion``, ``offset``, ``jitter``, ``precision``,
      ``growth``, ``sample``; empty without a bound
    """
    why = _no_majority(rows, plan["minsane"]) or _set_by_an_orphan(claims, system, plan["orphan_stratum"])
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


def _set_by_an_orphan(claims, system, orphan):
    """
    Why the root dispersion that the daemon reports may be that of an orphan, or None. ntpd reports the stratum, root delay and
    dispersion of its last update (clock_update in ntp_proto.c), from a sample up to eight polls old; the source's row is from the
    last packet. An orphan reports a dispersion of 0 (timer in ntp_timer.c). When it follows a source again, its clients' clocks
    still have the orphan's error. Without `orphan` in the pillar, any stratum may have been an orphan's.
    """
    stratum, before = system["stratum"], claims["stratum"] - 1
    if stratum is None or before <= stratum or (orphan and before < orphan):
        return None
    return "the clock was last set when its source was at stratum {0}; that is at {1} now".format(before, stratum)


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
    parts["sample"] = _sample(system, claims.get("frequency_error_ppm"), parts)
    return parts, sorted(name for name, part in parts.items() if part is None)


def _sample(system, error_ppm, parts):
    """
    The amount, in milliseconds, by which the error of the source's newest sample exceeds the root distance of the daemon. chronyd
    reports the root delay and dispersion of its best sample, but its offset is a regression over all samples
    (SST_GetTrackingData in sourcestats.c). So if the server's own error grows, for example at its restart, older samples hide it.
    """
    distance = [parts[name] for name in ("root_delay", "root_dispersion", "growth")]
    if system["error_ms"] is None or None in distance:  # ntpd reports no error of a sample
        return 0.0
    if system["when_s"] is None:
        return None
    return max(0.0, system["error_ms"] + _rate(error_ppm) * system["when_s"] / 1000.0 - sum(distance))


def _rate(error_ppm):
    """The maximum frequency error in ppm: PHI, or the error that the daemon reports if that is larger."""
    return max(PHI_PPM, min(error_ppm, MAX_PPM))


def _growth(age_s, aged_ppm, error_ppm):
    """
    What has to be added since the daemon's last update, in milliseconds: the daemon itself increases the root dispersion by
    `aged_ppm`, and the frequency may be wrong by PHI, or by the error that the daemon reports.
    """
    if None in (age_s, aged_ppm, error_ppm):
        return None
    return max(0.0, _rate(error_ppm) - aged_ppm) * abs(age_s) / 1000.0
