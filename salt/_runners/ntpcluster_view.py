"""
Internal. One view of the whole cluster, made from the reports of its hosts.

A host's status shows what that host can see. This file combines all of them; ``ntpcluster_problems`` finds what no host can see
alone. ``take`` queries the minions; ``build`` makes the same view from given returns. The tree, the check, the metrics and the
report display the view, and judge nothing themselves.

A host that does not answer, answers too late, has older modules or returns nonsense is a row of the view like any other, with
the reason; it does not affect the other rows.

Clusters can be large: a return is converted to a row when it arrives, and then discarded; texts that many hosts return are
stored once.

Units are in the names: ``_ms`` milliseconds, ``_s`` seconds, ``_ppm`` parts per million. An offset above zero means
that the source is ahead, so the host's clock is slow.
"""

import functools
import ipaddress
import math
import re
import sys
import time

# The loader offers only this function; ``build`` stays a plain function for the tests.
__load__ = ["take"]

#: Every value of ``health``, best first, and its severity: 0 ok, 1 warning, 2 critical. The first five are those of
#: ``ntpcluster.status``, the last two are used only in the view.
HEALTH = {
    "ok": 0,
    "degraded": 1,
    "settling": 1,
    "unsynchronized": 2,
    "stopped": 2,
    "unreadable": 2,
    "silent": 2,
}
OF_STATUS = tuple(HEALTH)[:5]

#: The severity of a cluster without hosts.
UNKNOWN = 3

#: At least one of the last four polls must have been answered; an older value says nothing about the present.
LAST_FOUR = 0x0F

#: ntpd's words for the source that it follows, and for all sources that passed the selection (as in ntpcluster_judge).
FOLLOWED = ("system_peer", "pps")
SURVIVORS = (*FOLLOWED, "candidate", "backup", "excess", "outlier")


def take(tgt="*", tgt_type="compound", timeout=None, anew=False, served=False):
    """
    Internal. Query the status of the minions and combine the answers.

    tgt, tgt_type, timeout, anew
        As for ``ntpcluster.view``.
    served
        True makes followers of each tier query its servers (``ntpcluster_served.ask``).

    Returns the dict that ``ntpcluster.view`` returns.

    Raises SaltInvocationError as ``ntpcluster_ask.minions``.
    """
    began, watch = time.time(), time.monotonic()
    asked = __salt__["ntpcluster_ask.minions"](
        "ntpcluster_standing.standing",
        kwarg={"anew": bool(anew)},
        tgt=tgt,
        tgt_type=tgt_type,
        timeout=timeout,
        kept=_host,
    )
    took = time.monotonic() - watch

    def prove(hosts, tiers, owners):
        return __salt__["ntpcluster_served.ask"](hosts, tiers, owners, timeout) if served else None

    return _view(asked["returns"], asked["expected"], began, took, prove)


# ---------------------------------------------------------------------------------------------------------
# From here on only ``prove`` queries minions: all other functions are pure.


def build(returns, expected=None, now=None, took=None, served=None):
    """
    The view made from the returns of minions.

    returns
        {minion: what ``ntpcluster_standing.standing`` or ``ntpcluster.status`` returned, or anything else}
    expected
        Names of all the minions that were asked; those without a return are silent.
    now, took
        When the query began (seconds since 1970), and how long it took.
    served
        What ``ntpcluster_served.ask`` returned; None: it was not called.

    Returns the dict that ``ntpcluster.view`` returns.
    """
    returns = returns if isinstance(returns, dict) else {}
    rows = {name: _host(name, value) for name, value in returns.items()}
    return _view(rows, expected or (), time.time() if now is None else now, took, lambda *_: served)


def _rows(rows, expected):
    """The hosts {id: row}, made from the rows of the minions that answered and the names of all that were asked."""
    found = {row["id"]: row for row in rows.values()}
    for name in expected:
        if name not in rows:
            found.setdefault(printable(str(name)), _host(name, None, answered=False))
    return {name: found[name] for name in sorted(found)}


def _view(rows, expected, now, took, prove):
    """
    The view made from the rows of the minions that answered. ``prove``, called with hosts, tiers and owners, returns what
    ``ntpcluster_served.ask`` returns. The other arguments are those of ``build``.
    """
    hosts = _rows(rows, expected)
    tiers, owners = _tiers(hosts), _connect(hosts)
    served = prove(hosts, tiers, owners)
    _reached(hosts, served)
    for tier in tiers:
        tier.update(_bounds(hosts, tier["hosts"]))
    _estimate(hosts)
    spread = _spread(hosts)
    problems = __salt__["ntpcluster_problems.of_cluster"](hosts, tiers, spread, served)
    counts = dict.fromkeys(HEALTH, 0)
    for host in hosts.values():
        counts[host["health"]] += 1
    severity = max([each["severity"] for each in [*hosts.values(), *problems]], default=UNKNOWN)
    return {
        "time": now,
        "time_utc": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)),
        "took_s": None if took is None else round(took, 2),
        "tiers": tiers,
        "hosts": hosts,
        "problems": problems,
        "host_problems": _grouped(hosts),
        "served": served,
        "summary": {
            "hosts": len(hosts),
            "answered": sum(host["answered"] for host in hosts.values()),
            "synchronized": sum(host["synchronized"] for host in hosts.values()),
            "health": counts,
            "problems": len(problems) + sum(len(host["problems"]) for host in hosts.values()),
            "severity": severity,
            "healthy": severity == 0,
            "spread_ms": spread["ms"],
            "spread_uncertainty_ms": spread["uncertainty_ms"],
            **_bounds(hosts, hosts),
        },
    }


def printable(text):
    """
    A text that is safe to show on a terminal, on a page or in a label: unprintable characters (control characters, marks that
    change the direction of writing, lone surrogates) are escaped.
    """
    return text if text.isprintable() else "".join(map(_spelt, text))


def _spelt(char):
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


def _number(value):
    """A finite number, else None. JSON and msgpack both carry infinities and booleans where a number should be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def _whole(value):
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _word(value):
    """A text that is not empty, made printable; else None."""
    return sys.intern(printable(value)) if isinstance(value, str) and value else None


def _line(value):
    """Such a text with its lines joined into one (an invalid pillar has one line for each error); else None."""
    return _word(" ".join(value.split())) if isinstance(value, str) else None


def _words(value):
    """The members of a list that are such texts."""
    return [word for word in map(_word, _list(value)) if word]


def _flag(value):
    """True or false, else None: a minion that cannot see whether its daemon runs says None itself."""
    return value if isinstance(value, bool) else None


@functools.lru_cache(maxsize=1024)
def _is_address(text):
    """Whether this is an address and not a name: ``ntp1`` and ``cafe`` are names."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _mapping(value):
    return value if isinstance(value, dict) else {}


def _list(value):
    return value if isinstance(value, (list, tuple)) else []


#: What a row copies from a status, and what a row of its table of sources copies, each with its reader.
OF_HOST = {
    **dict.fromkeys(("tier", "source", "leap", "refid", "version", "follows", "method", "saltenv", "unbounded"), _word),
    "reference": _word,
    **dict.fromkeys(("stratum", "expected_stratum", "level", "turn"), _whole),
    **dict.fromkeys(("offset_ms", "jitter_ms", "root_delay_ms", "root_dispersion_ms"), _number),
    **dict.fromkeys(("frequency_ppm", "max_offset_ms", "bound_ms", "max_bound_ms"), _number),
}
OF_PEER = {
    **dict.fromkeys(("remote", "address", "refid", "condition", "tally", "type", "last_event"), _word),
    **dict.fromkeys(("stratum", "reach"), _whole),
    **dict.fromkeys(("offset_ms", "delay_ms", "jitter_ms", "when_s", "poll_s"), _number),
}


def _host(name, value, answered=True):
    """One host's row, whatever it returned."""
    said = _mapping(value)
    why = None
    if not answered:
        health, why = "silent", "no answer within the time limit"
    elif said.get("health") not in OF_STATUS or not isinstance(said.get("synchronized"), bool):
        health, why = "unreadable", printable(_reason(value))
        said = {}
    else:
        health = _word(said["health"])
    host = {"id": printable(str(name)), "answered": answered, "health": health, "severity": HEALTH[health], "why": why}
    host["synchronized"] = bool(said.get("synchronized"))
    host["deployed"] = _flag(said.get("deployed"))
    host.update({key: read(said.get(key)) for key, read in OF_HOST.items()})
    host["addresses"] = _words(said.get("addresses"))
    host["planned"] = _words(said.get("planned"))
    host["planned_addresses"] = [text for text in host["planned"] if _is_address(text)]
    daemon = _mapping(said.get("daemon"))
    host["daemon"] = {key: _word(daemon.get(key)) for key in ("name", "version")}
    host["daemon"].update({key: _flag(daemon.get(key)) for key in ("running", "enabled")})
    host["daemon"]["uptime_s"] = _number(daemon.get("uptime_s"))
    host["peers"] = [_peer(peer) for peer in _list(said.get("peers")) if isinstance(peer, dict)]
    host["problems"] = [
        {key: _line(item.get(key)) or "" for key in ("code", "message", "remedy")}
        for item in _list(said.get("problems"))
        if isinstance(item, dict) and _word(item.get("code"))
    ]
    # ntpd's own value does not change while it waits for a spike to pass, or measures the frequency after its first start.
    rows = [peer["offset_ms"] for peer in host["peers"] if peer["followed"]]
    figures = [offset for offset in [host["offset_ms"], *rows] if offset is not None]
    host["offset_ms"] = max(figures, key=abs, default=None)
    host["missing"] = sorted({"tier", "source", "stratum", "offset_ms", "peers", "daemon"} - set(said)) if said else []
    return host


def _peer(said):
    """One row of a host's table of sources."""
    peer = {key: read(said.get(key)) for key, read in OF_PEER.items()}
    peer["address"] = peer["address"] or peer["remote"]
    peer["followed"] = peer["condition"] in FOLLOWED
    peer["heard"] = bool((peer["reach"] or 0) & LAST_FOUR)
    peer["usable"] = peer["heard"] and peer["condition"] in SURVIVORS
    return peer


def _reason(value):
    """Why a return is not a status, in one printable line."""
    if isinstance(value, str) and value.strip():
        if "is not available" in value:
            return "it does not have the modules of this release of ntpcluster"
        # A traceback has its error in the last line, every other text in the first.
        return _short(value.strip().splitlines()[-1 if "Traceback" in value else 0])
    if isinstance(value, dict):
        return "the return has an unknown health: {}".format(_short(value.get("health")))
    return f"the return is not a status: {_short(value)}"


def _short(value):
    text = re.sub(r"\s+", " ", str(value))
    return text if len(text) <= 160 else text[:157] + "..."


def _tiers(hosts):
    """
    The tiers, top first; each host's level is filled in. The hosts report the level of their tier; if none does (older
    modules), the tiers are ordered by the strata of their hosts.
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
        {
            "name": tier,
            "level": levels.get(tier) if tier is not None else None,
            "hosts": sorted(members[tier]),
        }
        for tier in order + [None] * (None in members)
    ]


def _stratum(hosts, names):
    """The median stratum of some hosts, 16 if none is known."""
    known = sorted(hosts[name]["stratum"] for name in names if hosts[name]["stratum"] is not None)
    return known[len(known) // 2] if known else 16


def _connect(hosts):
    """Fill in which host each source is. Returns {address or name: id}."""
    owners = {}
    for name, host in hosts.items():
        for address in host["addresses"]:
            # Loopback and link-local addresses do not identify a host.
            if not address.startswith(("127.", "fe80:", "169.254.")) and address != "::1":
                owners.setdefault(address.lower(), name)
        # If sources are names, a minion may be identified by its name.
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
    return owners


def _reached(hosts, served):
    """Fill in whether followers of each tier that queried a server got an answer; None: not queried, or unknown."""
    told = {}
    for server in served or ():
        told.setdefault(server["host"], []).append(server["open"])
    for name, host in hosts.items():
        said = told.get(name, [None])
        host["open"] = False if False in said else None if None in said else True


def _chain(hosts, name):
    """The hosts that this one follows, nearest first, and whether the chain is a loop."""
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
    """How far each clock is behind the top of its chain, and the uncertainty of that."""
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
    """
    How far apart the synchronized clocks are.

    Returns a dict: ``ms`` (the largest difference), ``uncertainty_ms``, ``ends`` (the host furthest behind, the host furthest
    ahead), each None if fewer than two clocks are known.
    """
    known = sorted((host for host in hosts.values() if host["error_ms"] is not None), key=lambda host: host["error_ms"])
    if len(known) < 2:
        return {"ms": None, "uncertainty_ms": None, "ends": None}
    low, high = known[0], known[-1]
    doubts = [host["uncertainty_ms"] for host in (low, high)]
    return {
        "ms": round(high["error_ms"] - low["error_ms"], 6),
        "uncertainty_ms": None if None in doubts else sum(doubts),
        "ends": (low, high),
    }


def _bounds(hosts, names):
    """
    How far the clocks of these hosts can be off and apart: ``bound_ms``, the worst known bound; ``apart_ms``, the largest
    possible difference between two clocks, each off by its bound in opposite directions; ``unbounded``, the number of hosts
    without a bound.

    A bound is relative to the reference at the top. How far two islands are apart is unknown, and each has its own leader at
    the top of its hosts' chains: so only hosts with the same top are compared.
    """
    known = [name for name in names if hosts[name]["bound_ms"] is not None]
    references = {}
    for name in known:
        island = hosts[name]["reference"] == "island"
        top = (_chain(hosts, name)[0] or [name])[-1] if island else None
        references.setdefault(top, []).append(hosts[name]["bound_ms"])
    pairs = [sum(sorted(bounds)[-2:]) for bounds in references.values() if len(bounds) > 1]
    return {
        "bound_ms": max((hosts[name]["bound_ms"] for name in known), default=None),
        "apart_ms": round(max(pairs), 6) if pairs else None,
        "unbounded": len(names) - len(known),
    }


def _grouped(hosts):
    """The hosts' own problems, equal ones combined."""
    groups = {}
    for name, host in hosts.items():
        for item in host["problems"]:
            groups.setdefault((item["code"], item["message"], item["remedy"]), []).append(name)
    return [
        {"code": code, "message": message, "remedy": remedy, "hosts": sorted(set(names))}
        for (code, message, remedy), names in groups.items()
    ]
