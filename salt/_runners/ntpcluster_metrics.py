"""
Internal. The cluster's metrics for Prometheus, in the text format that node_exporter's textfile collector reads.

Names and units follow Prometheus' conventions: base units (seconds, ratios), the unit last. The HELP lines in the file say what
each metric means. ``contrib/prometheus/rules.yml`` has the alerts.

A large cluster has a million samples. This file writes them metric by metric, without prometheus_client: that library creates
an object for each sample, which takes 5 s of CPU time for 1.1 million of them even metric by metric, as long as everything else
together. Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import collections

# The loader offers only these functions; the tests use ``parts`` and the tables directly.
__load__ = ["write", "of_hosts"]

#: (metric, what it is, host's key in the view, factor to base units). A host without the value has no sample.
FIGURES = (
    ("offset_seconds", "Source's time minus this host's, as its daemon measures it", "offset_ms", 1e-3),
    ("jitter_seconds", "Jitter of that offset", "jitter_ms", 1e-3),
    ("root_delay_seconds", "Round trip to the top of the chain", "root_delay_ms", 1e-3),
    ("root_dispersion_seconds", "Dispersion up to the top of the chain", "root_dispersion_ms", 1e-3),
    ("error_seconds", "Sum of the offsets up the chain: how far this clock is behind the top", "error_ms", 1e-3),
    (
        "uncertainty_seconds",
        "Uncertainty of the error: half the round trip plus the dispersion",
        "uncertainty_ms",
        1e-3,
    ),
    ("max_offset_seconds", "Offset that the pillar allows", "max_offset_ms", 1e-3),
    (
        "bound_seconds",
        "Most by which a correct upstream clock can differ from this one; none if unknown",
        "bound_ms",
        1e-3,
    ),
    ("max_bound_seconds", "Bound that the pillar allows", "max_bound_ms", 1e-3),
    ("frequency_ratio", "Frequency correction; ntpd corrects 0.0005 at most", "frequency_ppm", 1e-6),
    ("stratum", "Stratum of this host; 16 means unsynchronized", "stratum", 1),
    ("expected_stratum", "Stratum of its source, plus one", "expected_stratum", 1),
    ("followers", "Hosts of the cluster that follow this one", "followers", 1),
)


def write(path, tgt, tgt_type, timeout, history=None):
    """
    Internal. Write the metrics of the whole cluster to a file, atomically.

    path, tgt, tgt_type, timeout, history
        As for ``ntpcluster.metrics``.

    Returns what ``ntpcluster.metrics`` returns.

    Raises SaltInvocationError as ``ntpcluster_publish.check`` and ``ntpcluster_view.take``, CommandExecutionError as
    ``ntpcluster_publish.publish`` and ``ntpcluster_history.keep``.
    """
    __salt__["ntpcluster_publish.check"](path, ".prom")
    view = __salt__["ntpcluster_view.take"](tgt=tgt, tgt_type=tgt_type, timeout=timeout, served=True)
    done = dict(__salt__["ntpcluster_publish.publish"](path, parts(view)), hosts=len(view["hosts"]))
    if history is not None:
        __salt__["ntpcluster_history.keep"](history, view)
    return done


def of_hosts(name, meaning, figures):
    """
    Internal. One metric of hosts in Prometheus' text format, as bytes.

    name, meaning
        Its name and what it is.
    figures
        {host: (its tier or None, the figure)}
    """
    samples = ((_labels(host=host, tier=tier or ""), figure) for host, (tier, figure) in figures.items())
    return _written(name, meaning, samples)


# ---------------------------------------------------------------------------------------------------------
# From here on nothing is queried: all functions are pure.


#: One metric: each of its ``samples`` is a pair of formatted labels and a number.
Family = collections.namedtuple("Family", ("name", "meaning", "samples"))


def parts(view):
    """The view in Prometheus' text format, as bytes, metric by metric."""
    for name, meaning, samples in families(view):
        yield _written(name, meaning, samples)


def _written(name, meaning, samples):
    lines = [f"{name}{labels} {float(figure)!r}\n" for labels, figure in samples]
    return "".join([f"# HELP {name} {meaning}\n# TYPE {name} gauge\n", *lines]).encode()


def families(view):
    """The metrics of a view, each with an iterator of its samples."""
    summary, hosts = view["summary"], view["hosts"].values()
    yield _single("view_timestamp_seconds", "When these metrics were collected, since 1970", view["time"])
    yield _single("hosts", "Hosts in the target", summary["hosts"])
    if summary["spread_ms"] is not None:
        yield _single(
            "spread_seconds", "Largest difference between two synchronized clocks", summary["spread_ms"] * 1e-3
        )
    if summary["apart_ms"] is not None:
        yield _single(
            "apart_seconds",
            "Largest possible difference between two clocks that have a bound",
            summary["apart_ms"] * 1e-3,
        )
    concerned = {}
    for problem in view["problems"]:
        concerned.setdefault(problem["code"], set()).update(problem["hosts"])
    counts = [(_labels(code=code), len(names)) for code, names in sorted(concerned.items())]
    yield Family("ntpcluster_problem_hosts", "Hosts affected by a problem of the cluster", counts)

    told = ((_labels_of(host, "health", "source", "source_host", "version"), 1) for host in hosts)
    yield Family("ntpcluster_host_info", "What this host is and follows; always 1", told)
    named = [(_labels_of(host), host) for host in hosts]
    for name, meaning, value in FAMILIES:
        figures = ((labels, value(host)) for labels, host in named)
        known = ((labels, figure) for labels, figure in figures if figure is not None)
        yield Family(f"ntpcluster_host_{name}", meaning, known)


def _single(name, meaning, value):
    return Family(f"ntpcluster_{name}", meaning, [("", value)])


def _labels_of(host, *more):
    """The labels of a host's metrics, and further facts about it."""
    return _labels(**{key: host[key] or "" for key in more}, host=host["id"], tier=host["tier"] or "")


def _labels(**values):
    """Format labels. Backslash, quote and newline must be escaped in a value."""
    escaped = (
        (name, values[name].replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name in sorted(values)
    )
    return "{{{}}}".format(",".join(f'{name}="{value}"' for name, value in escaped))


def _figure(key, factor):
    # A product of floats would print 0.00010000000000000001 for a measured 0.0001.
    return lambda host: None if host[key] is None else round(host[key] * factor, 12)


def _answer(key, kind=int):
    """A value for the hosts that returned a status."""
    return lambda host: None if host["why"] else kind(host[key])


def _sources(count):
    """A value for the hosts whose daemon runs: a stopped daemon obviously has no source."""
    return lambda host: None if host["why"] or not host["daemon"]["running"] else count(host)


def _usable(host):
    return sum(peer["usable"] for peer in host["peers"])


def _reach(host):
    """The share of the last eight polls that the selected source answered."""
    for peer in host["peers"]:
        if peer["followed"] and peer["reach"] is not None:
            return bin(peer["reach"] & 0xFF).count("1") / 8.0
    return None


#: (metric, what it is, a host's figure). A host without the value has no sample.
FAMILIES = (
    ("up", "1 if the host answered with a status", lambda host: host["health"] not in ("silent", "unreadable")),
    ("synchronized", "1 if it follows a live source of its tier closely enough", _answer("synchronized")),
    ("sources", "Sources that its daemon has", _sources(lambda host: len(host["peers"]))),
    ("usable_sources", "Sources of those that could be followed", _sources(_usable)),
    ("open", "1 if each tier that has just queried this server got an answer", lambda host: host["open"]),
    ("reach_ratio", "Polls of the last eight that its source answered", _reach),
    ("problems", "Problems that the host itself sees", _answer("problems", len)),
    *((name, meaning, _figure(key, factor)) for name, meaning, key, factor in FIGURES),
)
