"""
One view of the whole cluster, made of what its hosts say of themselves.

A host's status tells what that host can see. This file puts all of them side by side and finds what no host can see
alone: servers that disagree, loops, a tier that hangs on one server. ``build`` is a pure function; ``ntpcluster.seen``
asks the minions and calls it. The tree, the check, the metrics and the report only show what is in the view.

A host that does not answer, answers too late, has older modules or returns nonsense is a row of the view like any
other, with the reason; it never makes the rest unreadable.

Units are in the names: ``_ms`` milliseconds, ``_s`` seconds, ``_ppm`` parts per million. An offset above zero means
that the source is ahead, so the host's clock is slow.
"""

import math
import re
import time

from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster"
# The loader offers these alone; ``build`` stays a plain function for the tests.
__load__ = ["seen", "view"]

#: Every word that ``health`` can be, best first: those of ``ntpcluster.status``, and two of the view's own.
HEALTH = ("ok", "degraded", "settling", "unsynchronized", "stopped", "unreadable", "silent")

#: Two clocks differ when they do so by more than this, beyond what the way between them can explain.
MAX_OFFSET_MS = 100.0

#: Of the last four polls one at least must have been answered; an older figure says nothing of now.
LAST_FOUR = 0x0F

#: ntpd's words for a source that the selection let through (as in ``ntpcluster.judge``).
SURVIVORS = ("system_peer", "pps", "candidate", "backup", "excess", "outlier")

NUMBERS = (
    "offset_ms",
    "jitter_ms",
    "root_delay_ms",
    "root_dispersion_ms",
    "frequency_ppm",
    "max_offset_ms",
)
WHOLE = ("stratum", "expected_stratum", "level")
WORDS = ("tier", "source", "leap", "refid", "version", "follows", "method", "saltenv")
PEER_NUMBERS = ("offset_ms", "delay_ms", "jitter_ms", "when_s", "poll_s")
PEER_WHOLE = ("stratum", "reach")
PEER_WORDS = ("remote", "address", "refid", "condition", "tally", "type", "last_event")

#: What to do about each problem that only the whole cluster shows, worst first.
REMEDIES = {
    "loop": "let each tier follow the one above only, then: salt-run state.orchestrate orch.ntp",
    "disagreement": "find out which one is wrong: salt HOST ntpcluster.query SERVERS; repair it before others follow",
    "silent": "see whether the minion runs and reaches the master: salt-run manage.status",
    "unreadable": "bring the modules to the minion: salt HOST state.apply ntp.modules, then ask again",
    "unserved": "repair the servers above first: a host is no better than what it follows",
    "outside-tier": "take the foreign source out of ntp.conf: salt HOST state.apply ntp",
    "spread": "look at the hosts at both ends: their offsets, and what they follow",
    "single-server": "add a second server to the tier above, or repair those that are down",
    "outdated": "bring the new modules to the minion: salt HOST state.apply ntp.modules",
}


def __virtual__():
    return __virtualname__


def view(tgt="*", tgt_type="compound", timeout=None, anew=False):
    """
    Ask the minions how they stand and put the answers together.

    tgt, tgt_type
        Whom to ask, as for ``salt``; everyone by default. Hosts that are not asked are not in the view.
    timeout
        Seconds to wait for answers; default: the master's ``timeout``.
    anew
        True has each minion judge by the pillar as it is on the master now, even if it has not been applied.

    A target that matches no minion is one sentence and exit code 1 (``ntpcluster.sentence``). Returns a dict:

    - ``time`` (seconds since 1970, the master's clock, when the asking began), ``time_utc`` (the same as text),
      ``took_s`` (how long the asking took: no figure is older than this)
    - ``tiers``: [{``name``, ``level``, ``hosts``: [id]}], top first; hosts whose tier is not known come last, in a
      tier named None
    - ``hosts``: {id: {...}}, see below
    - ``problems``: [{``code``, ``hosts``: [id], ``message``, ``remedy``}] of the cluster, worst first: ``loop``,
      ``disagreement``, ``silent``, ``unreadable``, ``unserved``, ``outside-tier``, ``spread``, ``single-server``,
      ``outdated``
    - ``summary``: ``hosts``, ``answered``, ``synchronized`` (numbers), ``health`` {word: number}, ``problems``
      (number of problems of hosts and cluster), ``healthy`` (bool: every host is ok and the cluster has no problem),
      ``spread_ms`` and ``spread_uncertainty_ms`` (how far apart the clocks are, and how well that is known)

    A host has, each None where unknown:

    - ``id``, ``answered``, ``health`` (as in ``ntpcluster.status``, or ``silent``, ``unreadable``), ``why`` (text,
      why there is no status), ``synchronized``
    - ``tier``, ``level``, ``addresses``, ``version`` of the modules, ``deployed`` (bool: applied, and not cleaned since),
      ``saltenv`` (the environment it was applied from)
    - ``source`` (address), ``source_host`` (id, if it is one of these hosts), ``followers`` (number of hosts that
      follow it)
    - ``stratum``, ``expected_stratum``, ``leap``, ``refid``, ``offset_ms`` (the daemon's, or that of the row it
      follows, whichever is larger), ``jitter_ms``, ``root_delay_ms``,
      ``root_dispersion_ms``, ``frequency_ppm``, ``max_offset_ms``,
      ``daemon`` {name, version, running, enabled, uptime_s}
    - ``error_ms``: how far this clock is behind the top of its chain, the offsets on the way added up, and
      ``uncertainty_ms`` (half the root delay, and the root dispersion: RFC 5905, 11.2)
    - ``peers``: [{``remote``, ``address``, ``host`` (id or None), ``refid``, ``stratum``, ``reach``, ``condition``,
      ``tally``, ``type``, ``last_event``, ``offset_ms``, ``delay_ms``, ``jitter_ms``, ``when_s``, ``poll_s``,
      ``usable``}]
    - ``problems``: [{``code``, ``message``, ``remedy``}] as the host itself sees them

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.view
        salt-run ntpcluster.view 'ntp*' --out=json
    """
    try:
        return seen(tgt, tgt_type, timeout, anew)
    except SaltInvocationError as exc:
        return __salt__["ntpcluster.sentence"]("Error", exc, 1)


def seen(tgt="*", tgt_type="compound", timeout=None, anew=False):
    """
    What ``ntpcluster.view`` returns. For the other runners.

    tgt, tgt_type, timeout, anew
        As for ``ntpcluster.view``.

    Raises SaltInvocationError as ``ntpcluster.asked``.

    CLI Example: none; see ``ntpcluster.asked``.
    """
    began, watch = time.time(), time.monotonic()
    # Older modules do not know the word.
    kwarg = {"anew": True} if anew else None
    asked = __salt__["ntpcluster.asked"]("ntpcluster.standing", kwarg=kwarg, tgt=tgt, tgt_type=tgt_type, timeout=timeout)
    return build(asked["returns"], asked["expected"], began, time.monotonic() - watch)


# ---------------------------------------------------------------------------------------------------------
# From here on everything is a pure function of its arguments.


def build(returns, expected=None, now=None, took=None):
    """
    The view made of what minions returned.

    returns
        {minion: what ``ntpcluster.standing`` or ``ntpcluster.status`` returned, or anything else}
    expected
        Names of all the minions that were asked; those without a return are silent.
    now, took
        When the asking began (seconds since 1970), and how long it took.

    Returns the dict that ``view`` returns.
    """
    now = time.time() if now is None else now
    returns = returns if isinstance(returns, dict) else {}
    everyone = sorted({str(name) for name in returns} | {str(name) for name in expected or ()})
    answers = {str(name): value for name, value in returns.items()}
    hosts = {name: _host(name, name in answers, answers.get(name)) for name in everyone}
    tiers = _tiers(hosts)
    _connect(hosts)
    _estimate(hosts)
    spread, problems = _spread(hosts), []
    for finder in (_loops, _disagreements, _absent, _unserved, _outside, _single, _outdated):
        problems += finder(hosts, tiers)
    if spread["problem"]:
        problems.append(spread["problem"])
    rank = {code: number for number, code in enumerate(REMEDIES)}
    problems.sort(key=lambda problem: (rank[problem["code"]], problem["hosts"]))
    counts = dict.fromkeys(HEALTH, 0)
    for host in hosts.values():
        counts[host["health"]] += 1
    return {
        "time": now,
        "time_utc": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)),
        "took_s": None if took is None else round(took, 2),
        "tiers": tiers,
        "hosts": hosts,
        "problems": problems,
        "summary": {
            "hosts": len(hosts),
            "answered": sum(host["answered"] for host in hosts.values()),
            "synchronized": sum(host["synchronized"] for host in hosts.values()),
            "health": counts,
            "problems": len(problems) + sum(len(host["problems"]) for host in hosts.values()),
            "healthy": bool(hosts) and not problems and counts["ok"] == len(hosts),
            "spread_ms": spread["ms"],
            "spread_uncertainty_ms": spread["uncertainty_ms"],
        },
    }


def problem(code, hosts, message):
    """One problem of the cluster."""
    hosts = sorted(hosts)
    whom = hosts[0] if len(hosts) == 1 else "-L {}".format(",".join(hosts)) if len(hosts) <= 5 else "'*'"
    remedy = REMEDIES[code].replace("HOST", whom)
    return {"code": code, "hosts": hosts, "message": message, "remedy": remedy}


def _number(value):
    """A finite number, else None. JSON and msgpack both carry infinities and booleans where a number should be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def _whole(value):
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _word(value):
    return value if isinstance(value, str) and value else None


def _flag(value):
    """True or false, else None: a minion that cannot see whether its daemon runs says None itself."""
    return value if isinstance(value, bool) else None


def _mapping(value):
    return value if isinstance(value, dict) else {}


def _list(value):
    return value if isinstance(value, (list, tuple)) else []


def _host(name, answered, value):
    """One host's row, whatever it returned."""
    said = _mapping(value)
    why = None
    if not answered:
        health, why = "silent", "no answer within the time limit"
    elif said.get("health") not in HEALTH[:5] or not isinstance(said.get("synchronized"), bool):
        health, why = "unreadable", _reason(value)
        said = {}
    else:
        health = said["health"]
    host = {"id": name, "answered": answered, "health": health, "why": why}
    host["synchronized"] = bool(said.get("synchronized"))
    host["deployed"] = said.get("deployed") if isinstance(said.get("deployed"), bool) else None
    host.update({key: _word(said.get(key)) for key in WORDS})
    host.update({key: _whole(said.get(key)) for key in WHOLE})
    host.update({key: _number(said.get(key)) for key in NUMBERS})
    host["addresses"] = [text for text in _list(said.get("addresses")) if _word(text)]
    host["planned"] = [text for text in _list(said.get("planned")) if _word(text)]
    daemon = _mapping(said.get("daemon"))
    host["daemon"] = {key: _word(daemon.get(key)) for key in ("name", "version")}
    host["daemon"].update({key: _flag(daemon.get(key)) for key in ("running", "enabled")})
    host["daemon"]["uptime_s"] = _number(daemon.get("uptime_s"))
    host["peers"] = [_peer(peer) for peer in _list(said.get("peers")) if isinstance(peer, dict)]
    host["problems"] = [
        {"code": item["code"], "message": _word(item.get("message")) or "", "remedy": _word(item.get("remedy")) or ""}
        for item in _list(said.get("problems"))
        if isinstance(item, dict) and _word(item.get("code"))
    ]
    # ntpd's own figure stands still while it waits for a spike to pass, or measures the frequency after its first start.
    rows = [peer["offset_ms"] for peer in host["peers"] if peer["condition"] in ("system_peer", "pps")]
    figures = [offset for offset in [host["offset_ms"], *rows] if offset is not None]
    host["offset_ms"] = max(figures, key=abs, default=None)
    host["missing"] = sorted({"tier", "source", "stratum", "offset_ms", "peers", "daemon"} - set(said)) if said else []
    return host


def _peer(said):
    """One row of a host's table of sources."""
    peer = {key: _word(said.get(key)) for key in PEER_WORDS}
    peer.update({key: _whole(said.get(key)) for key in PEER_WHOLE})
    peer.update({key: _number(said.get(key)) for key in PEER_NUMBERS})
    peer["address"] = peer["address"] or peer["remote"]
    peer["usable"] = peer["condition"] in SURVIVORS and bool((peer["reach"] or 0) & LAST_FOUR)
    return peer


def _reason(value):
    """Why a return is no status, in one line that is fit to be shown."""
    if isinstance(value, str) and value.strip():
        if "is not available" in value:
            return "it does not have the modules of ntpcluster"
        # A traceback says last what went wrong; every other text says it first.
        return _short(value.strip().splitlines()[-1 if "Traceback" in value else 0])
    if isinstance(value, dict):
        return "the return has no health that is known here: {}".format(_short(value.get("health")))
    return f"the return is no status: {_short(value)}"


def _short(value):
    text = re.sub(r"\s+", " ", str(value))
    return text if len(text) <= 160 else text[:157] + "..."


def _tiers(hosts):
    """
    The tiers, top first; each host's level is filled in. A host says its tier's level itself; where none does
    (older modules), tiers are put in the order of their hosts' strata.
    """
    members = {}
    for name, host in hosts.items():
        members.setdefault(host["tier"], []).append(name)
    levels = {}
    for tier, names in members.items():
        said = [hosts[name]["level"] for name in names if hosts[name]["level"] is not None]
        if said:
            levels[tier] = max(set(said), key=said.count)
    unknown = [tier for tier in members if tier is not None and tier not in levels]
    base = max(levels.values(), default=-1) + 1
    for number, tier in enumerate(sorted(unknown, key=lambda t: (_stratum(hosts, members[t]), t))):
        levels[tier] = base + number
    for tier, names in members.items():
        for name in names:
            hosts[name]["level"] = levels.get(tier) if tier is not None else None
    order = sorted((tier for tier in members if tier is not None), key=lambda t: (levels[t], t))
    return [
        {"name": tier, "level": levels.get(tier) if tier is not None else None, "hosts": sorted(members[tier])}
        for tier in order + [None] * (None in members)
    ]


def _stratum(hosts, names):
    """The middle stratum of some hosts, 16 if none is known."""
    known = sorted(hosts[name]["stratum"] for name in names if hosts[name]["stratum"] is not None)
    return known[len(known) // 2] if known else 16


def _connect(hosts):
    """Say of every source which of the hosts it is."""
    owners = {}
    for name, host in hosts.items():
        for address in host["addresses"]:
            # Loopback and link-local addresses are everybody's.
            if not address.startswith(("127.", "fe80:", "169.254.")) and address != "::1":
                owners.setdefault(address.lower(), name)
        # A minion may be known by name where sources are names.
        owners.setdefault(name.lower(), name)
    for host in hosts.values():
        host["followers"] = 0
    for name, host in hosts.items():
        for peer in host["peers"]:
            peer["host"] = owners.get((peer["address"] or "").lower())
        host["source_host"] = owners.get((host["source"] or "").lower())
        if host["source_host"] == name:
            host["source_host"] = None
        if host["source_host"]:
            hosts[host["source_host"]]["followers"] += 1


def _chain(hosts, name):
    """The hosts that this one follows, nearest first, and whether the chain comes back to itself."""
    way, seen = [], {name}
    above = hosts[name]["source_host"]
    while above:
        if above in seen:
            return way, True
        way.append(above)
        seen.add(above)
        above = hosts[above]["source_host"]
    return way, False


def _estimate(hosts):
    """How far each clock is behind the top of its chain, and how well that is known."""
    for name, host in hosts.items():
        host["error_ms"] = host["uncertainty_ms"] = None
        way, loop = _chain(hosts, name)
        offsets = [hosts[each]["offset_ms"] for each in [name] + way]
        if loop or not host["synchronized"] or None in offsets or not all(hosts[each]["synchronized"] for each in way):
            continue
        host["error_ms"] = round(math.fsum(offsets), 6)
        if host["root_delay_ms"] is not None and host["root_dispersion_ms"] is not None:
            host["uncertainty_ms"] = round(host["root_delay_ms"] / 2.0 + host["root_dispersion_ms"], 6)


def _spread(hosts):
    """How far apart the synchronized clocks are: the largest difference, its uncertainty, and the problem if any."""
    known = [host for host in hosts.values() if host["error_ms"] is not None]
    if len(known) < 2:
        return {"ms": None, "uncertainty_ms": None, "problem": None}
    low = min(known, key=lambda host: host["error_ms"])
    high = max(known, key=lambda host: host["error_ms"])
    spread = high["error_ms"] - low["error_ms"]
    bound = max(limit(low), limit(high))
    ends = [host["uncertainty_ms"] for host in (low, high)]
    uncertainty = None if None in ends else sum(ends)
    found = None
    if spread > bound:
        message = "the clocks of {} and {} are {:.3f} ms apart (known to within {}), more than {:g} ms".format(
            low["id"], high["id"], spread, "?" if uncertainty is None else f"{uncertainty:.3f} ms", bound
        )
        found = problem("spread", [low["id"], high["id"]], message)
    return {"ms": round(spread, 6), "uncertainty_ms": uncertainty, "problem": found}


def limit(host):
    """The offset that this host's pillar allows, in milliseconds."""
    return host["max_offset_ms"] or MAX_OFFSET_MS


# ---------------------------------------------------------------------------------------------------------
# What no single host can see.


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
            found.append(problem("loop", ring, "they follow each other: {}".format(" > ".join(ring + [name]))))
        done.update(way)
    return found


def _disagreements(hosts, _tiers_):
    """
    Two servers of the cluster whose clocks differ, as a host sees it that asks both. The difference of its two
    offsets is the difference of their clocks; half of each round trip is what the way can have added to it.
    """
    sharpest = {}
    for host in hosts.values():
        seen = [
            peer
            for peer in host["peers"]
            if peer["host"] and (peer["reach"] or 0) & LAST_FOUR and (peer["stratum"] or 16) < 16
            and peer["offset_ms"] is not None and peer["delay_ms"] is not None
        ]  # fmt: skip
        for number, one in enumerate(seen):
            for other in seen[number + 1 :]:
                if one["host"] == other["host"]:
                    continue
                first, second = sorted((one, other), key=lambda peer: peer["host"])
                doubt = (abs(one["delay_ms"]) + abs(other["delay_ms"])) / 2.0
                pair = (first["host"], second["host"])
                if pair not in sharpest or doubt < sharpest[pair][1]:
                    sharpest[pair] = (first["offset_ms"] - second["offset_ms"], doubt, host["id"])
    found = []
    for (first, second), (difference, doubt, witness) in sharpest.items():
        bound = min(limit(hosts[first]), limit(hosts[second]))
        if abs(difference) - doubt > bound:
            ahead, behind = (first, second) if difference > 0 else (second, first)
            message = f"{ahead} is {abs(difference):.3f} ms ahead of {behind} "
            message += f"(known to within {doubt:.3f} ms, seen by {witness}), more than {bound:g} ms"
            found.append(problem("disagreement", [first, second], message))
    return found


def _absent(hosts, _tiers_):
    """Hosts without a status."""
    found = []
    silent = [name for name, host in hosts.items() if host["health"] == "silent"]
    if silent:
        found.append(problem("silent", silent, f"no answer from {_names(silent)}"))
    reasons = {}
    for name, host in hosts.items():
        if host["health"] == "unreadable":
            reasons.setdefault(host["why"], []).append(name)
    for why, names in reasons.items():
        found.append(problem("unreadable", names, f"{_names(names)}: {why}"))
    return found


def _unserved(hosts, _tiers_):
    """Hosts that no tier takes, and hosts none of whose sources gives them time, with the sources' own state."""
    found, groups = [], {}
    for name, host in hosts.items():
        if host["health"] in ("silent", "unreadable", "stopped", "settling") or host["method"] == "cron":
            continue
        if "tier" not in host["missing"] and host["tier"] is None:
            groups.setdefault("no tier of the pillar takes {}", []).append(name)
        elif not any(peer["usable"] for peer in host["peers"]) and "peers" not in host["missing"]:
            causes = sorted({_cause(hosts, peer) for peer in host["peers"]}) or ["it has no source at all"]
            groups.setdefault("nobody serves {}: " + "; ".join(causes).replace("{", "(").replace("}", ")"), []).append(
                name
            )
    for message, names in groups.items():
        found.append(problem("unserved", names, message.format(_names(names))))
    return found


def _cause(hosts, peer):
    """Why a source gives no time, as the cluster knows it."""
    if peer["host"]:
        host = hosts[peer["host"]]
        state = "does not answer the master either" if host["health"] == "silent" else "is {}".format(host["health"])
        if host["health"] in ("ok", "degraded"):
            state += (
                " but cannot be reached" if not peer["reach"] else " but is not chosen ({})".format(peer["condition"])
            )
        return "{} {}".format(peer["host"], state)
    return "{} is no host of this cluster and gives no time".format(peer["address"])


def _outside(hosts, tiers):
    """
    Hosts that follow another than they should: one outside the tier above, or, at the top, one of the cluster or
    one that the pillar does not name.
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
        elif above:
            message = f"{name} is at the top and follows {above} of its own cluster"
        elif host["planned"] and not _named(host["planned"]) and source not in host["planned"]:
            message = f"{name} follows {source}, which its pillar does not name"
        elif wanted and not host["planned"] and all(hosts[each]["addresses"] for each in names.get(wanted, ())):
            message = f"{name} follows {source}, no host of tier {wanted}"
        else:
            continue
        found.append(problem("outside-tier", [name], message))
    return found


def _named(planned):
    """Whether some of the planned sources are names: these cannot be compared with an address."""
    return any(not re.match(r"[0-9a-fA-F:.]+\Z", text) for text in planned)


def _above(tiers, level):
    """Name of the one tier right above a level, where hosts do not say themselves whom they follow."""
    if not level:
        return None
    names = [tier["name"] for tier in tiers if tier["level"] == level - 1]
    return names[0] if len(names) == 1 else None


def _single(hosts, tiers):
    """Tiers all of whose hosts have one and the same usable source."""
    found = []
    for tier in tiers:
        members = [hosts[name] for name in tier["hosts"] if hosts[name]["peers"]]
        usable = {peer["host"] or peer["address"] for host in members for peer in host["peers"] if peer["usable"]}
        if tier["name"] is not None and len(usable) == 1 and all(host["health"] != "settling" for host in members):
            message = (
                "tier {} hangs on one single server, {}: nothing takes over from it, and nothing shows when it lies"
            )
            found.append(
                problem("single-server", [h["id"] for h in members], message.format(tier["name"], usable.pop()))
            )
    return found


def _outdated(hosts, _tiers_):
    """Hosts whose modules are not the newest, or of one release not those of most, or return less than they should."""
    found = []
    versions = [host["version"] for host in hosts.values() if host["version"]]
    newest = max(versions, key=lambda text: (_version(text), versions.count(text)), default=None)
    old = [name for name, host in hosts.items() if host["version"] and host["version"] != newest]
    if old:
        found.append(problem("outdated", old, f"{_names(old)}: modules other than {newest}"))
    short = [name for name, host in hosts.items() if host["missing"]]
    if short:
        parts = sorted({key for name in short for key in hosts[name]["missing"]})
        message = "{}: the return lacks {}".format(_names(short), ", ".join(parts))
        found.append(problem("outdated", short, message))
    return found


def _version(text):
    """A release as numbers; what follows a plus tells builds apart, and not which is newer."""
    return [int(part) for part in re.findall(r"\d+", text.partition("+")[0])]


def _names(names):
    """Some names, not all of five thousand."""
    names = sorted(names)
    return ", ".join(names) if len(names) <= 5 else "{} and {} more".format(", ".join(names[:4]), len(names) - 4)
