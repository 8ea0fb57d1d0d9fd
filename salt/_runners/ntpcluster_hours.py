"""
Internal. The last 24 hours in the report's page: for each tier and for the worst hosts, the share of each hour for which the clocks
were within what the pillar allows, beyond it, or for which this is unknown.

As plain data: the page (``salt/ntp/report/page.html``) turns it into bars and a table, and escapes every text.
"""

import time

# The loader offers this alone; ``bars`` stays plain for the tests.
__load__ = ["tell"]

#: In the order in which they are told.
WORDS = ("within", "beyond", "unknown")
#: So many hosts have their hours in the page.
HOSTS = 20
#: A second in an hour must still be seen: no bar is lower than this part of the picture, in per cent.
LEAST = 4.0
#: Each so many hours the axis has a label.
LABELS = 6


def tell(history, view):
    """
    Internal. The section of the last 24 hours.

    history
        As for ``ntpcluster.report``.
    view
        What ``ntpcluster.view`` returned. Its hosts are told of, in its tiers.

    Returns a dict: ``start``, ``stop`` (texts, UTC), ``axis`` [{x, text}], ``tiers`` and ``hosts``: [{``id`` or ``tier``,
    ``number`` (of hosts), ``text`` (the whole day), ``value`` (the same in short), ``hours``: [{``time``, ``within``, ``beyond``,
    ``unknown`` (texts), ``worst_ms``, ``bars``: see ``bars``}]}]

    Raises SaltInvocationError and CommandExecutionError as ``ntpcluster_history.hours``.
    """
    tiers = view["tiers"]
    found = __salt__["ntpcluster_history.hours"](history, [tier["hosts"] for tier in tiers], view["time"], HOSTS)
    return {
        "start": _utc(found["start"]),
        "stop": _utc(found["stop"]),
        "axis": _axis(found["start"]),
        "tiers": [
            {"tier": tier["name"], "number": len(tier["hosts"]), **_row(hours)}
            for tier, hours in zip(tiers, found["groups"])  # noqa: B905 (Python 3.9)
        ],
        "hosts": [{"id": name, **_row(hours)} for name, hours in found["hosts"].items()],
    }


def _row(hours):
    """What a tier's or a host's 24 hours have in the page."""
    whole = {word: sum(hour[word] for hour in hours) for word in WORDS}
    worst = [hour["worst_ms"] for hour in hours if hour["worst_ms"] is not None]
    shares = _shares(whole)
    text = ", ".join(f"{word} {shares[word]}" for word in WORDS if whole[word])
    return {
        "text": text + (f"; worst bound {max(worst):,.3f} ms" if worst else "; no bound was known"),
        "value": shares["within"] + " within" if whole["within"] or whole["beyond"] else "unknown",
        "hours": [
            {"time": _clock(hour["start"]), "worst_ms": hour["worst_ms"], "bars": bars(hour), **_shares(hour)}
            for hour in hours
        ],
    }


def _shares(seconds):
    """The three sums as shares of their whole, as texts."""
    whole = sum(seconds[word] for word in WORDS)
    percent = {word: __salt__["ntpcluster_slo.percent"](seconds[word] / whole, 1) for word in WORDS}
    # A line of the page may not end between a figure and its unit.
    return {word: text.replace(" ", "\u00a0") for word, text in percent.items()}


# ---------------------------------------------------------------------------------------------------------
# From here on every function depends on its arguments alone.


def bars(hour):
    """
    One hour as up to three bars, from 0 at the top to 100: beyond hangs from the top, within stands on the ground, unknown is
    between them.

    Returns a list of dicts: ``word``, ``y``, ``height``.
    """
    whole = sum(hour[word] for word in WORDS)
    heights = {word: max(LEAST, 100 * hour[word] / whole) for word in WORDS if hour[word]}
    excess, y, found = sum(heights.values()) / 100, 0.0, []
    for word in ("beyond", "unknown", "within"):
        if word in heights:
            height = heights[word] / excess
            found.append({"word": word, "y": round(y, 1), "height": round(height, 1)})
            y += height
    return found


def _axis(start):
    """Labels of the hours, each at the middle of its hour, in per cent of the axis."""
    return [
        {"x": round((number + 0.5) / 0.24, 2), "text": _clock(start + 3600 * number)} for number in range(1, 24, LABELS)
    ]


def _clock(seconds):
    """The time of day; none is twice in 24 hours."""
    return time.strftime("%H:%M", time.gmtime(seconds))


def _utc(seconds):
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
