"""
Internal. For how long each host was within its bound, as a table and for Prometheus.
"""

import time

from salt.exceptions import SaltInvocationError

# The loader offers only these functions.
__load__ = ["tell", "table", "percent"]

#: (metric, what it is, the share)
SHARES = tuple(
    (f"ntpcluster_slo_{word}_ratio", f"Share of the time for which {meaning}", word)
    for word, meaning in (
        ("within", "the host's bound was within what the pillar allows"),
        ("beyond", "the host's bound was beyond what the pillar allows"),
        ("unknown", "this is unknown: no bound, no answer, or no run"),
    )
)


def tell(path, days, prom):
    """
    Internal. For how long each host was within its bound.

    path, days, prom
        As for ``ntpcluster.slo``.

    Returns what ``ntpcluster_history.shares`` returns.

    Raises SaltInvocationError for an invalid number of days, and as ``ntpcluster_history.shares`` and
    ``ntpcluster_publish.publish``.
    """
    if isinstance(days, bool) or not isinstance(days, (int, float)) or not 0 < days <= 92:
        raise SaltInvocationError(f"days: {days!r} is not a number above 0 and up to 92")
    if prom is not None:
        __salt__["ntpcluster_publish.check"](prom, ".prom")
    found = __salt__["ntpcluster_history.shares"](path, days)
    if prom is not None:
        text = __salt__["ntpcluster_metrics.of_hosts"]
        parts = (
            text(name, meaning, {host: (said["tier"], said[word]) for host, said in found["hosts"].items()})
            for name, meaning, word in SHARES
        )
        __salt__["ntpcluster_publish.publish"](prom, parts)
    return found


def table(found):
    """
    Internal. The shares as text, the worst host first.

    found
        What ``tell`` returned.
    """
    stamps = [time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found[key])) for key in ("start", "stop")]
    lines = ["{} to {}, {} hosts".format(*stamps, len(found["hosts"])), ""]
    width = max(4, *map(len, found["hosts"]))
    heads = "  ".join(f"{word:>10}" for word in ("within", "beyond", "unknown"))
    lines.append(f"{'host':<{width}}  {heads}  {'worst bound ms':>14}  {'days':>6}")
    order = sorted(found["hosts"].items(), key=lambda item: (item[1]["within"], item[0]))
    for name, said in order:
        shares = "  ".join(f"{percent(said[word]):>10}" for word in ("within", "beyond", "unknown"))
        worst = "-" if said["worst_ms"] is None else "{:.3f}".format(said["worst_ms"])
        lines.append(f"{name:<{width}}  {shares}  {worst:>14}  {said['seconds'] / 86400:>6.2f}")
    return "\n".join(lines)


def percent(share, digits=4):
    """
    Internal. A share as text. A share below 100 % is never rounded up to 100 %, and a share above 0 % never down to 0 %.

    share
        From 0 to 1.
    digits
        Number of decimals.
    """
    least = 10.0**-digits
    figure = min(share * 100, 100 - least) if share < 1 else 100.0
    return f"{max(figure, least) if share > 0 else 0.0:.{digits}f} %"
