# -*- coding: utf-8 -*-
"""
Internal. How far this host's clock can be from a correct clock upstream, from what its daemon says. docs/bound.md derives it.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_bound"

#: How fast a clock that is disciplined may leave its course at most (PHI in RFC 5905).
PHI_PPM = 15.0

#: How wrong a frequency can be at most: no daemon corrects more (NTP_MAXFREQ in ntp.h), and one further off is none.
MAX_PPM = 500.0

#: Of the last four polls one at least must have been answered.
LAST_FOUR = 0x0F


def bound(claims, rows, system, plan):
    """
    Internal. The bound of a host that follows a planned source, one that is alive and not a mere clock of its own.

    claims
        The ``system`` of a look (``ntpcluster_ntpd.look``).
    rows
        Its ``peers``, of each whether it is ``usable``.
    system
        The row that is followed.
    plan
        ``ntpcluster.plan``: so many sources have to agree (``minsane``), and at this stratum servers go on as orphans
        (``orphan_stratum``).

    Returns a dict:

    - ``bound_ms``: no correct clock upstream is further from this clock than this; None: nothing can be promised
    - ``unbounded``: why not, in words; None: there is a bound
    - ``parts_ms``: what it is the sum of: half the ``root_delay``, ``root_dispersion``, ``offset``, ``jitter``, ``precision``,
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
    Internal. What ``bound`` returns where nothing can be promised.

    why
        In words.
    """
    return {"bound_ms": None, "unbounded": why, "parts_ms": {}}


def _no_majority(rows, wanted):
    """
    Why no majority stands behind the time that is followed, or None. A source that alone is asked is its own majority: that it
    is right is what the bound rests on then.
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
    Why what the daemon says of its clock can be an orphan's word, or None. ntpd states the stratum, root delay and dispersion
    of its last update (clock_update in ntp_proto.c), which is made of a sample up to eight polls old; its table shows the last
    packet. An orphan claims to have no error (timer in ntp_timer.c), so once it follows a source again, the clock is still that
    of the orphan. Without `orphan` in the pillar no stratum is known to be one.
    """
    stratum, before = system["stratum"], claims["stratum"] - 1
    if stratum is None or before <= stratum or (orphan and before < orphan):
        return None
    return "the clock was last set when its source was at stratum {0}; that is at {1} now".format(before, stratum)


def _parts(claims, system):
    """The parts of the sum in milliseconds, and the names of those that the daemon does not tell."""
    delay, age = claims.get("root_delay_ms"), claims.get("reference_age_s")
    offsets = (claims.get("offset_ms"), system["offset_ms"])
    parts = {
        "root_delay": None if delay is None else delay / 2.0,
        "root_dispersion": claims.get("root_dispersion_ms"),
        # The daemon's own is that of its last update, or what it has still to slew; the source's row may be younger.
        "offset": None if None in offsets else max(abs(offset) for offset in offsets),
        "jitter": system["jitter_ms"],
        "precision": claims.get("precision_ms"),
        "growth": _growth(age, claims.get("aged_ppm"), claims.get("frequency_error_ppm")),
    }
    parts["sample"] = _sample(system, claims.get("frequency_error_ppm"), parts)
    return parts, sorted(name for name, part in parts.items() if part is None)


def _sample(system, error_ppm, parts):
    """
    What has to be added, in milliseconds, because the newest sample of the source can be further off than the daemon's root
    distance says. chronyd states the root delay and dispersion of that of its samples for which they are smallest, its offset
    however is a regression over all of them (SST_GetTrackingData in sourcestats.c): if a server comes back with a wide error
    bound of its own, samples from before still vouch for an offset that the new ones have moved.
    """
    distance = [parts[name] for name in ("root_delay", "root_dispersion", "growth")]
    if system["error_ms"] is None or None in distance:  # ntpd states none of a sample; what is unknown already, is so once
        return 0.0
    if system["when_s"] is None:
        return None
    return max(0.0, system["error_ms"] + _rate(error_ppm) * system["when_s"] / 1000.0 - sum(distance))


def _rate(error_ppm):
    """How fast the clock may leave its course: by PHI, or by what the daemon shows itself, in ppm."""
    return max(PHI_PPM, min(error_ppm, MAX_PPM))


def _growth(age_s, aged_ppm, error_ppm):
    """
    What has to be added since the daemon's last update, in milliseconds: the daemon itself lets the root dispersion grow by
    `aged_ppm`, and the frequency may be wrong by PHI, or by what the daemon shows itself.
    """
    if None in (age_s, aged_ppm, error_ppm):
        return None
    return max(0.0, _rate(error_ppm) - aged_ppm) * abs(age_s) / 1000.0
