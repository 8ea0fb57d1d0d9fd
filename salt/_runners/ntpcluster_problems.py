"""
Internal. Problems of the cluster that no single host can see: servers that disagree, loops, a tier that depends on
one server.
"""

import collections
import itertools
import operator
import re

# The loader offers only these functions.
__load__ = ["of_cluster", "some"]

#: Each problem, worst first: its severity (1 warning, 2 critical), and what to do about it.
PROBLEMS = {
    "loop": (2, "make each tier follow only the tier above, then: salt-run state.orchestrate orch.ntp"),
    "disagreement": (
        2,
        "find out which one is wrong: salt HOST ntpcluster.query SERVERS; repair it before others follow it",
    ),
    "silent": (2, "check that the minion runs and reaches the master: salt-run manage.status"),
    "unreadable": (2, "install the modules: salt HOST state.apply ntp.modules, then check again"),
    "unserved": (2, "repair its servers first: no host is better than its source"),
    "outside-tier": (2, "remove the unplanned source from its configuration: salt HOST state.apply ntp"),
    "unreachable-from": (
        2,
        "open UDP port 123 on the server (ntpcluster.firewall shows its own rules) and on the path, in both directions",
    ),
    "unproven": (1, "find out why no host could query it: salt HOST ntpcluster.query"),
    "spread": (1, "compare both hosts: their offsets, and what they follow"),
    "single-server": (1, "add a second server to the tier above, or repair those that are down"),
    "outdated": (1, "install the new modules: salt HOST state.apply ntp.modules"),
}

#: The remedy for a host that cannot reach a source which another host of its tier follows.
OWN_NETWORK = "look at its own network and firewall first: another host of its tier follows the same source"

#: Two clocks disagree if they differ by more than this plus the uncertainty of the path between them; used if a host has no
#: valid pillar with a limit.
MAX_OFFSET_MS = 100.0


def of_cluster(hosts, tiers, spread, served=()):
    """
    Internal. Find what is wrong between hosts.

    hosts, tiers
        As in ``ntpcluster.view``, without ``problems``.
    spread
        How far apart the clocks are: ``ms``, ``uncertainty_ms``, ``ends`` (two hosts), each None if unknown.
    served
        As in ``ntpcluster.view``; None or empty if no followers have queried the servers.

    Returns the ``problems`` of ``ntpcluster.view``.
    """
    found = _spread(spread) + _unreachable(hosts, served or ()) + _unproven(hosts, tiers, served or ())
    for finder in (_loops, _disagreements, _absent, _unserved, _outside, _single, _outdated):
        found += finder(hosts, tiers)
    rank = {code: number for number, code in enumerate(PROBLEMS)}
    return sorted(found, key=lambda problem: (rank[problem["code"]], problem["hosts"]))


def some(hosts):
    """
    Internal. Format the first names of a list, and the number of the others.

    hosts
        The names.
    """
    names = sorted(hosts)
    return ", ".join(names) if len(names) <= 5 else "{} and {} more".format(", ".join(names[:4]), len(names) - 4)


# ---------------------------------------------------------------------------------------------------------
# From here on all functions are pure.


def _problem(code, hosts, message):
    """One problem of the cluster."""
    hosts = sorted(hosts)
    whom = hosts[0] if len(hosts) == 1 else "-L {}".format(",".join(hosts)) if len(hosts) <= 5 else "'*'"
    severity, remedy = PROBLEMS[code]
    remedy = remedy.replace("HOST", whom)
    return {"code": code, "severity": severity, "hosts": hosts, "message": message, "remedy": remedy}


def _limit(host):
    """The offset that this host's pillar allows, in milliseconds."""
    return host["max_offset_ms"] or MAX_OFFSET_MS


def _spread(spread):
    """Two clocks that are too far apart, although each is close enough to its own source."""
    if not spread["ends"]:
        return []
    low, high = spread["ends"]
    bound = max(_limit(low), _limit(high))
    if spread["ms"] <= bound:
        return []
    doubt = "?" if spread["uncertainty_ms"] is None else "{:.3f} ms".format(spread["uncertainty_ms"])
    message = "the clocks of {} and {} are {:.3f} ms apart (known to within {}), more than {:g} ms".format(
        low["id"], high["id"], spread["ms"], doubt, bound
    )
    return [_problem("spread", [low["id"], high["id"]], message)]


def _loops(hosts, _tiers_):
    """Hosts that follow each other in a circle, each circle once."""
    found, done = [], set()
    for start in hosts:
        way, name = [], start
        while name and name not in done and name not in way:
            way.append(name)
            name = hosts[name]["source_host"]
        if name in way:
            ring = way[way.index(name) :]
            found.append(_problem("loop", ring, "they follow each other: {}".format(" > ".join(ring + [name]))))
        done.update(way)
    return found


def _disagreements(hosts, _tiers_):
    """
    Two servers of the cluster whose clocks differ, measured by a host that queries both. The difference of its two offsets is
    the difference of their clocks, with an uncertainty of half of each round trip.
    """
    sharpest = {}
    for host in hosts.values():
        seen = [
            peer
            for peer in host["peers"]
            if peer["host"] and peer["heard"] and (peer["stratum"] or 16) < 16
            and peer["offset_ms"] is not None and peer["delay_ms"] is not None
        ]  # fmt: skip
        seen.sort(key=operator.itemgetter("host"))
        for first, second in itertools.combinations(seen, 2):
            doubt = (abs(first["delay_ms"]) + abs(second["delay_ms"])) / 2.0
            pair = (first["host"], second["host"])
            if pair not in sharpest or doubt < sharpest[pair][1]:
                sharpest[pair] = (first["offset_ms"] - second["offset_ms"], doubt, host["id"])
    found = []
    for (first, second), (difference, doubt, witness) in sharpest.items():
        if first == second:
            continue
        bound = min(_limit(hosts[first]), _limit(hosts[second]))
        if abs(difference) - doubt > bound:
            ahead, behind = (first, second) if difference > 0 else (second, first)
            message = f"{ahead} is {abs(difference):.3f} ms ahead of {behind} "
            message += f"(known to within {doubt:.3f} ms, seen by {witness}), more than {bound:g} ms"
            found.append(_problem("disagreement", [first, second], message))
    return found


def _absent(hosts, _tiers_):
    """Hosts without a status."""
    found = []
    silent = [name for name, host in hosts.items() if host["health"] == "silent"]
    if silent:
        found.append(_problem("silent", silent, f"no answer from {some(silent)}"))
    reasons = {}
    for name, host in hosts.items():
        if host["health"] == "unreadable":
            reasons.setdefault(host["why"], []).append(name)
    for why, names in reasons.items():
        found.append(_problem("unreadable", names, f"{some(names)}: {why}"))
    return found


def _unserved(hosts, _tiers_):
    """Hosts that no tier matches, and hosts without a source that gives the time, with the state of their sources."""
    found, groups, followers = [], {}, {}
    for name, host in hosts.items():
        if host["synchronized"] and host["source"]:
            followers.setdefault((host["tier"], host["source_host"] or host["source"]), name)
    for name, host in hosts.items():
        if host["health"] in ("silent", "unreadable", "stopped", "settling") or host["method"] == "cron":
            continue
        if any(item["code"] == "daemon-silent" for item in host["problems"]):
            continue  # its sources are unknown
        if "tier" not in host["missing"] and host["tier"] is None:
            groups.setdefault("no tier of the pillar matches {}", []).append(name)
        # The leader of an island is synchronized without a source.
        elif (
            not host["synchronized"]
            and not any(peer["usable"] for peer in host["peers"])
            and "peers" not in host["missing"]
        ):
            causes = sorted({_cause(hosts, peer, followers.get(_way(host, peer))) for peer in host["peers"]})
            causes = "; ".join(causes or ["it has no source at all"]).replace("{", "(").replace("}", ")")
            groups.setdefault("nobody serves {}: " + causes, []).append(name)
    for message, names in groups.items():
        found.append(_problem("unserved", names, message.format(some(names))))
        if any(_way(hosts[name], peer) in followers for name in names for peer in hosts[name]["peers"]):
            found[-1]["remedy"] = OWN_NETWORK
    return found


def _way(host, peer):
    """The tier of a host and one of its sources: if one host of a tier follows the source, the others should reach it as
    well."""
    return host["tier"], peer["host"] or peer["address"]


def _cause(hosts, peer, follower):
    """Why a source gives no time, as far as the cluster's data shows. `follower`: another host of the tier that follows it, or
    None."""
    though = f", though {follower} follows it" if follower else ""
    if peer["host"]:
        host = hosts[peer["host"]]
        state = "does not answer the master either" if host["health"] == "silent" else "is {}".format(host["health"])
        if host["health"] in ("ok", "degraded"):
            state += (
                " but cannot be reached" if not peer["heard"] else " but is not chosen ({})".format(peer["condition"])
            )
        return "{} {}{}".format(peer["host"], state, though)
    return "{} is not a host of this cluster and gives no time{}".format(peer["address"], though)


def _outside(hosts, tiers):
    """
    Hosts that follow the wrong source: one outside the tier above or, at the top, a host of the cluster that the pillar does
    not make a neighbour, or a source that is not in the pillar.
    """
    names = {tier["name"]: set(tier["hosts"]) for tier in tiers}
    found = []
    for name, host in hosts.items():
        source, above = host["source"], host["source_host"]
        if not source or host["tier"] is None or source.startswith("127.127."):
            continue
        wanted = host["follows"] or _above(tiers, host["level"])
        if above and wanted:
            if above in names.get(wanted, ()):
                continue
            message = "{} follows {} of tier {}, not tier {}".format(name, above, hosts[above]["tier"], wanted)
        elif above and not (source in host["planned"] and hosts[above]["tier"] == host["tier"]):
            message = f"{name} is at the top and follows {above} of its own cluster"
        elif host["planned"] and host["planned"] == host["planned_addresses"] and source not in host["planned"]:
            message = f"{name} follows {source}, which is not in its pillar"
        elif wanted and not host["planned"] and all(hosts[each]["addresses"] for each in names.get(wanted, ())):
            message = f"{name} follows {source}, which is not a host of tier {wanted}"
        else:
            continue
        found.append(_problem("outside-tier", [name], message))
    return found


def _above(tiers, level):
    """Name of the only tier directly above a level, for hosts that do not report which one they follow."""
    if not level:
        return None
    names = [tier["name"] for tier in tiers if tier["level"] == level - 1]
    return names[0] if len(names) == 1 else None


def _unreachable(hosts, served):
    """Servers that answered none of the followers that queried them, or none at one of their addresses."""
    found = []
    for server in served:
        if server["open"] is not False:
            continue
        host = hosts.get(server["host"])
        message = "{} answered none of the hosts of tier {} that queried it: {}".format(
            _called(server, server["closed"]), server["tier"], some(server["asked"])
        )
        if server["answered"]:
            message += "; it answers at its other addresses"
        if host and host["health"] not in ("ok", "degraded"):
            message += "; it is {}".format(host["health"])
        found.append(_problem("unreachable-from", [server["host"]] if host else server["asked"], message))
    return found


def _called(server, addresses=()):
    """A server and the addresses at which it was queried: the given ones, or all."""
    addresses = ", ".join(addresses or server["addresses"])
    return "{} ({})".format(server["host"], addresses) if server["host"] else addresses


def _unproven(hosts, tiers, served):
    """Tiers of which it is unknown whether a server answers them."""
    found, groups = [], {}
    for server in served:
        if server["open"] is None:
            groups.setdefault((server["tier"], server["why"]), []).append(server)
    members = {tier["name"]: [name for name in tier["hosts"] if hosts[name]["answered"]] for tier in tiers}
    for (tier, why), servers in groups.items():
        names = sorted({_called(server) for server in servers if server["addresses"]})
        askers = servers[0]["unknown"] or members[tier]
        message = "it is unknown whether {} {} tier {}: {}: {}".format(
            some(names) or "its servers", "answers" if len(names) == 1 else "answer", tier, some(askers), why
        )
        found.append(_problem("unproven", askers, message))
    return found


def _single(hosts, tiers):
    """Tiers whose hosts all have the same single usable source. The servers of an island follow one, but any can lead."""
    found = []
    for tier in tiers:
        members = [hosts[name] for name in tier["hosts"] if hosts[name]["peers"]]
        members = [host for host in members if host["reference"] != "island" or host["level"]]
        usable = {peer["host"] or peer["address"] for host in members for peer in host["peers"] if peer["usable"]}
        if tier["name"] is not None and len(usable) == 1 and all(host["health"] != "settling" for host in members):
            message = "tier {} depends on a single server, {}: there is no failover, and a false one cannot be detected"
            found.append(
                _problem("single-server", [h["id"] for h in members], message.format(tier["name"], usable.pop()))
            )
    return found


def _outdated(hosts, _tiers_):
    """Hosts whose modules are older than others, differ from the majority's within one release, or return less than they
    should."""
    found = []
    versions = collections.Counter(host["version"] for host in hosts.values() if host["version"])
    newest = max(versions, key=lambda text: (_version(text), versions[text]), default=None)
    old = [name for name, host in hosts.items() if host["version"] and host["version"] != newest]
    if old:
        found.append(_problem("outdated", old, f"{some(old)}: modules other than {newest}"))
    short = [name for name, host in hosts.items() if host["missing"]]
    if short:
        parts = sorted({key for name in short for key in hosts[name]["missing"]})
        message = "{}: the return lacks {}".format(some(short), ", ".join(parts))
        found.append(_problem("outdated", short, message))
    return found


def _version(text):
    """A release as numbers; the part after a plus distinguishes builds, but does not order them."""
    return [int(part) for part in re.findall(r"\d+", text.partition("+")[0])]
