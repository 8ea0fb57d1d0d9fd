"""
Internal. The last 24 hours in the report's page: for each tier and for the worst hosts, the share of each hour for which the clocks
were within what the pillar allows, beyond it, or for which this is unknown.

As plain data: the page (``salt/ntp/report/page.html``) turns it into bars and a table, and escapes every text.
"""

import time

# The loader offers only this function; the tests use ``bars`` directly.
__load__ = ["tell"]

#: In the order in which they are shown.
WORDS = ("within", "beyond", "unknown")
#: The number of hosts whose hours are on the page.
HOSTS = 20
#: A second in an hour must stay visible: the minimum height of a bar, in per cent of the picture.
LEAST = 4.0
#: Hours between two labels of the axis.
LABELS = 6


def tell(history, view):
    """
    Internal. The section of the last 24 hours.

    history
        As for ``ntpcluster.report``.
    view
        What ``ntpcluster.view`` returned. The section covers its hosts, in its tiers.

    Returns a dict: ``start``, ``stop`` (texts, UTC), ``axis`` [{x, text}], ``tiers`` and ``hosts``: [{``id`` or ``tier``,
    ``number`` (of hosts), ``text`` (the whole day), ``value`` (the same, shorter), ``hours``: [{``time``, ``within``,
    ``beyond``, ``unknown`` (texts), ``worst_ms``, ``bars``: see ``bars``}]}]

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
    """The entry of a tier's or a host's 24 hours on the page."""
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
    """The three sums as shares of their total, as texts."""
    whole = sum(seconds[word] for word in WORDS)
    percent = {word: __salt__["ntpcluster_slo.percent"](seconds[word] / whole, 1) for word in WORDS}
    # No line break between a number and its unit.
    return {word: text.replace(" ", "\u00a0") for word, text in percent.items()}


# ---------------------------------------------------------------------------------------------------------
# From here on all functions are pure.


def bars(hour):
    """
    One hour as up to three bars, from 0 at the top to 100 at the bottom: ``beyond`` at the top, ``within`` at the bottom,
    ``unknown`` between them.

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
    """The time of day, which is unique within 24 hours."""
    return time.strftime("%H:%M", time.gmtime(seconds))


def _utc(seconds):
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
