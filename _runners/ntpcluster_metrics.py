"""
Internal. The cluster's figures for Prometheus, in the text format that node_exporter's textfile collector reads.

Names and units follow Prometheus' conventions: base units (seconds, ratios), the unit last. What each metric means
is written in the file itself, in its HELP lines. ``contrib/prometheus/rules.yml`` has the alerts.
"""

from salt.exceptions import CommandExecutionError

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import GaugeMetricFamily

    HAS_PROMETHEUS = True
except ImportError:
    HAS_PROMETHEUS = False

# The loader offers this alone; ``text`` and the tables stay plain for the tests.
__load__ = ["write"]

#: (metric, what it is, host's key in the view, factor to base units). A host without the figure has no sample.
FIGURES = (
    ("offset_seconds", "Source's time minus this host's, as its daemon measures it", "offset_ms", 1e-3),
    ("jitter_seconds", "Jitter of that offset", "jitter_ms", 1e-3),
    ("root_delay_seconds", "Round trip to the top of the chain", "root_delay_ms", 1e-3),
    ("root_dispersion_seconds", "Dispersion up to the top of the chain", "root_dispersion_ms", 1e-3),
    ("error_seconds", "Sum of the offsets up the chain: how far this clock is behind the top", "error_ms", 1e-3),
    (
        "uncertainty_seconds",
        "How well the error is known: half the round trip, and the dispersion",
        "uncertainty_ms",
        1e-3,
    ),
    ("max_offset_seconds", "Offset that the pillar allows", "max_offset_ms", 1e-3),
    ("frequency_ratio", "Frequency correction; ntpd corrects 0.0005 at most", "frequency_ppm", 1e-6),
    ("stratum", "Stratum of this host, 16 unsynchronised", "stratum", 1),
    ("expected_stratum", "Stratum of its source, plus one", "expected_stratum", 1),
    ("followers", "Hosts of the cluster that follow this one", "followers", 1),
)


def write(path, tgt, tgt_type, timeout):
    """
    Internal. Write the figures of the whole cluster into a file, at once or not at all.

    path, tgt, tgt_type, timeout
        As for ``ntpcluster.metrics``.

    Returns what ``ntpcluster.metrics`` returns.

    Raises SaltInvocationError as ``ntpcluster_publish.check`` and ``ntpcluster_view.take``, CommandExecutionError as
    ``ntpcluster_publish.publish`` and without prometheus_client.
    """
    __salt__["ntpcluster_publish.check"](path, ".prom")
    if not HAS_PROMETHEUS:
        raise CommandExecutionError(
            "the Python of this master has no prometheus_client: salt-pip install prometheus_client"
        )
    view = __salt__["ntpcluster_view.take"](tgt=tgt, tgt_type=tgt_type, timeout=timeout)
    return dict(__salt__["ntpcluster_publish.publish"](path, text(view)), hosts=len(view["hosts"]))


# ---------------------------------------------------------------------------------------------------------
# From here on nothing is asked: every function depends on its arguments alone.


def text(view):
    """The view in Prometheus' text format, as bytes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families(view)))
    return generate_latest(registry)


class _Families:
    """What prometheus_client wants to be given metrics by."""

    def __init__(self, found):
        self.found = found

    def collect(self):
        return self.found


def families(view):
    """The metrics of a view, each with its samples."""
    summary = view["summary"]
    found = [
        _single("ntpcluster_view_timestamp_seconds", "When these figures were gathered, since 1970", view["time"]),
        _single("ntpcluster_hosts", "Hosts that were asked", summary["hosts"]),
    ]
    if summary["spread_ms"] is not None:
        found.append(
            _single(
                "ntpcluster_spread_seconds",
                "Largest difference between two synchronized clocks",
                summary["spread_ms"] * 1e-3,
            )
        )
    cluster = GaugeMetricFamily(
        "ntpcluster_problem_hosts", "Hosts that a problem of the cluster concerns", labels=["code"]
    )
    concerned = {}
    for problem in view["problems"]:
        concerned.setdefault(problem["code"], set()).update(problem["hosts"])
    for code, names in sorted(concerned.items()):
        cluster.add_metric([code], len(names))
    found.append(cluster)

    info = _family("info", "What this host is and follows; always 1", ["health", "source", "source_host", "version"])
    for host in view["hosts"].values():
        words = (host["health"], host["source"], host["source_host"], host["version"])
        info.add_metric(_labels(host) + [word or "" for word in words], 1)
    found.append(info)
    found += [
        _per_host(
            view,
            "up",
            "1 if the host answered with a status",
            lambda host: host["health"] not in ("silent", "unreadable"),
        ),
        _per_host(
            view, "synchronized", "1 if it follows a live source of its tier closely enough", _answer("synchronized")
        ),
        _per_host(view, "sources", "Sources that its daemon has", _sources(lambda host: len(host["peers"]))),
        _per_host(view, "usable_sources", "Sources of those that could be followed", _sources(_usable)),
        _per_host(view, "reach_ratio", "Polls of the last eight that its source answered", _reach),
        _per_host(view, "problems", "Problems that the host itself sees", _answer("problems", len)),
    ]
    for name, meaning, key, factor in FIGURES:
        found.append(_per_host(view, name, meaning, _figure(key, factor)))
    return found


def _single(name, meaning, value):
    return GaugeMetricFamily(name, meaning, value=value)


def _family(name, meaning, labels=()):
    return GaugeMetricFamily("ntpcluster_host_" + name, meaning, labels=["host", "tier", *labels])


def _labels(host):
    return [host["id"], host["tier"] or ""]


def _per_host(view, name, meaning, value):
    """One metric with a sample for each host that has the figure."""
    family = _family(name, meaning)
    for host in view["hosts"].values():
        figure = value(host)
        if figure is not None:
            family.add_metric(_labels(host), figure)
    return family


def _figure(key, factor):
    # A product of floats would show 0.00010000000000000001 where 0.0001 was measured.
    return lambda host: None if host[key] is None else round(host[key] * factor, 12)


def _answer(key, kind=int):
    """A figure of hosts that have told their status."""
    return lambda host: None if host["why"] else kind(host[key])


def _sources(count):
    """A figure of hosts whose daemon runs: that a stopped one has no source is no news."""
    return lambda host: None if host["why"] or not host["daemon"]["running"] else count(host)


def _usable(host):
    return sum(peer["usable"] for peer in host["peers"])


def _reach(host):
    """The share of the last eight polls that the followed source answered."""
    for peer in host["peers"]:
        if peer["followed"] and peer["reach"] is not None:
            return bin(peer["reach"] & 0xFF).count("1") / 8.0
    return None
