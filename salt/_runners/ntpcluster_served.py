"""
Internal. Whether the servers of the cluster answer their followers, proven by a packet.

The status of a server cannot show this: a switch on the path, or a rule that no state sees, can block the port too. So a few
followers of each tier query its servers, all of them in one publish: 50,000 hosts cost no more than a hundred.
"""

import itertools
import zlib

from salt.exceptions import SaltInvocationError

# The loader offers only this function; ``wanted`` and ``choose`` stay plain functions for the tests.
__load__ = ["ask"]

#: How many hosts of a tier query a server in one round, and how many rounds there are for a server that no host has reached: a
#: packet can be lost, and a follower can be cut off. The hosts of a tier usually have the same servers, so the same few hosts
#: query all of them.
FOLLOWERS, ROUNDS = 3, 2

#: Why a follower could not query.
SILENT, OLD, FAILED = "no answer within the time limit", "its modules are too old to ask", "it could not ask"
ITSELF = "it is the server itself"


def ask(hosts, tiers, owners, timeout):
    """
    Internal. Have followers of each tier query its servers, and collect which of them got an answer.

    hosts, tiers
        As in ``ntpcluster.view``.
    owners
        {address or name: id of the host of the view}.
    timeout
        As for ``ntpcluster.view``.

    Returns the ``served`` of ``ntpcluster.view``.
    """
    found = wanted(hosts, tiers, owners)
    for _ in range(ROUNDS):
        askers = choose(hosts, tiers, found)
        if not askers:
            break
        try:
            asked = __salt__["ntpcluster_ask.minions"](
                "ntpcluster_served.served",
                tgt=sorted(askers),
                tgt_type="list",
                timeout=timeout,
                enough=lambda returns, askers=askers: _all_open(found, askers, returns, owners),
            )
        except SaltInvocationError:
            asked = {"returns": {}}  # the minions answered a moment ago: unknown
        for name, tier in askers.items():
            _take(found, tier, name, asked["returns"].get(name), owners)
    return [_result(server) for servers in found.values() for server in servers.values()]


# ---------------------------------------------------------------------------------------------------------
# From here on nothing is asked: every function depends on its arguments alone.


def wanted(hosts, tiers, owners):
    """
    The servers of each tier that follows another: {tier: {host or address: what is known}}. All addresses of one host are one
    server. The servers come from the plans of the hosts; a tier without any plan has the server None.
    """
    found = {}
    for tier in tiers:
        members = [hosts[name] for name in tier["hosts"]]
        if tier["name"] is None or not tier["level"]:
            continue
        servers = found[tier["name"]] = {}
        plans = dict.fromkeys([tuple(host["planned"]) for host in members])
        for address in dict.fromkeys(itertools.chain.from_iterable(plans)):
            owner = owners.get(address.lower())
            server = servers.setdefault(owner or address, _server(tier["name"], owner))
            server["addresses"].append(address)
        if not servers:
            servers[None] = dict(_server(tier["name"], None), why=OLD)
    return found


def _server(tier, host):
    return {"tier": tier, "host": host, "addresses": [], "tried": set(), "asked": {}, "at": {}, "why": None}


def _unproven(server):
    """The addresses of a server that have not answered any follower yet."""
    return {address for address in server["addresses"] if not any(server["at"].get(address.lower(), {}).values())}


def _proven(server):
    """Whether each address has answered some follower. A host can be open in one IP family and closed in the other."""
    return any(server["asked"].values()) and not _unproven(server)


def choose(hosts, tiers, found):
    """
    The hosts that query in this round: {id: tier}, some for each server that no host has reached yet at one of its addresses; its
    ``tried`` records them. Hosts that have not been tried come first, then synchronized ones, as their network works; the rest of
    the order is a hash of their names, so that it is the same each time and spread over the tier.
    """
    askers = {}
    for tier in tiers:
        servers = found.get(tier["name"], {}).values()
        closed = [server for server in servers if not _proven(server)]
        if not closed:
            continue
        able = sorted(tier["hosts"], key=lambda name: (not hosts[name]["synchronized"], zlib.crc32(name.encode())))
        for server in closed:
            addresses, tried = _unproven(server), server["tried"]
            order = itertools.chain((name for name in able if name not in tried), sorted(tried, key=able.index))
            fit = (name for name in order if not addresses.isdisjoint(hosts[name]["planned"]))
            chosen = list(itertools.islice(fit, FOLLOWERS))
            tried.update(chosen)
            askers.update(dict.fromkeys(chosen, tier["name"]))
    return askers


def _answers(said):
    """{name of a server as in the plan: (its address, whether it answered)}; None if this is not such a return."""
    servers = said.get("servers") if isinstance(said, dict) else None
    if not isinstance(servers, (list, tuple)):
        return None
    return {
        server["name"].lower(): (str(server.get("address")).lower(), server["reachable"])
        for server in servers
        # Without an address nothing was sent.
        if isinstance(server, dict) and isinstance(server.get("name"), str)
        and isinstance(server.get("reachable"), bool) and server.get("address")
    }  # fmt: skip


def _take(found, tier, name, said, owners):
    """Record in ``found`` which servers of its tier this follower has reached."""
    answers = _answers(said)
    for server in found[tier].values():
        if server["host"] == name:
            server["why"] = server["why"] or ITSELF
            continue
        mine = {
            text: reached
            for text, (address, reached) in (answers or {}).items()
            if text in map(str.lower, server["addresses"])
            or (server["host"] and server["host"] in (owners.get(text), owners.get(address)))
        }
        if mine:
            server["asked"][name] = server["asked"].get(name, False) or any(mine.values())
            for text, reached in mine.items():
                at = server["at"].setdefault(text, {})
                at[name] = at.get(name, False) or reached
        elif answers is None:
            server["why"] = SILENT if said is None else OLD if "is not available" in str(said) else FAILED
        else:
            server["why"] = FAILED


def _all_open(found, askers, returns, owners):
    """Whether, by the returns so far, each address has answered some follower: then there is no need to wait for the others."""
    for name, tier in askers.items():
        if name in returns:
            _take(found, tier, name, returns[name], owners)
    return all(_proven(server) for tier in set(askers.values()) for server in found[tier].values())


def _result(server):
    asked = server["asked"]
    closed = [
        address for address in server["addresses"] if address.lower() in server["at"] and address in _unproven(server)
    ]
    return {
        "host": server["host"],
        "addresses": server["addresses"],
        "tier": server["tier"],
        "asked": sorted(asked),
        "answered": sorted(name for name, reached in asked.items() if reached),
        "closed": closed,
        "open": any(asked.values()) and not closed if asked else None,
        "unknown": sorted(server["tried"] - set(asked)),
        "why": server["why"] if not asked else None,
    }
