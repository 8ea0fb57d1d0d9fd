# -*- coding: utf-8 -*-
"""
Internal. Servers of one tier that list each other: an island, which has no sources, and a tier with ``peers``. Pure functions.

As an orphan, a server follows servers above its own stratum and none below it (ntp_proto.c; chrony's ``orphan``). So each has
its own stratum, two below that of the server before it in ``addresses``: when two reach each other again, the later one follows
the other. The stratum in between is that of a server that follows another.

The first server of an island has no such stratum. Its own clock is one of its sources, which a daemon uses only when no other
source gives the time. So when it returns, it follows the server that has taken over, whatever its own clock says.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_neighbours"

#: The stratum of the first server of an island.
ISLAND_STRATUM = 4

#: From one server's stratum as an orphan to that of the next.
RANK_STRATA = 2

#: At least one of the last four polls must have been answered.
LAST_FOUR = 0x0F

#: Failed tests of a packet (ntp.h): the other server is not synchronised (TEST6), or has its time from this host (TEST12).
NO_TIME = 0x0820

#: 16 means "not synchronised".
LAST_STRATUM = 15


def neighbours(tier, host):
    """
    Internal. The other servers of a tier whose servers list each other, in order; an empty list for any other tier.

    tier
        The pillar of the host's tier, without errors.
    host
        As ``ntpcluster_facts.facts`` returns it.

    Returns a list of names and addresses.
    """
    if not tier.get("island") and not tier.get("peers"):
        return []
    found = [__salt__["ntpcluster_address.canonical"](address) for address in tier["addresses"]]
    return [address for address in found if not __salt__["ntpcluster_address.is_host"](address, host)]


def together(tier, tiers, sources, host, orphan):
    """
    Internal. The host's relation to the other servers of its tier, for its plan.

    tier, host
        As for ``neighbours``.
    tiers
        All tiers of the pillar.
    sources
        The plan's.
    orphan
        The pillar's, or None.

    Returns a dict: ``neighbours``, ``reference``, ``local``, ``orphan``, ``step_by`` and ``turn`` of ``ntpcluster.plan``.
    """
    others, rank, island = neighbours(tier, host), _rank(tier, host), bool(tier.get("island"))
    # A neighbour has its time from the same sources: it does not confirm them.
    step_by = [one["address"] for one in sources if one["address"] not in others and not one["noselect"]]
    stratum = ISLAND_STRATUM if island else orphan
    if stratum and (island or tier.get("peers")):
        stratum = min(LAST_STRATUM, stratum + RANK_STRATA * rank)
    leads = island and rank == 0
    return {
        "turn": rank if island else 0,
        "neighbours": others,
        "step_by": others[:rank] if island else step_by,
        "reference": _reference(tier, tiers),
        "local": stratum if leads else None,
        # A host that does not serve must not be an orphan parent.
        "orphan": stratum if tier.get("serves") and not leads else None,
    }


def leads(plan, claims, rows, system):
    """
    Internal. Whether a host is a server of an island and correctly continues on its own clock: no other server gives it the
    time, or only one that follows this host.

    plan
        ``ntpcluster.plan``, or None.
    claims, rows, system
        What the daemon reports about itself and its sources, and the row that it follows or None, as in
        ``ntpcluster_judge.judge``. A missing value does not count as a yes.

    Returns True or False.
    """
    if not plan or plan["reference"] != "island" or plan["level"] or system is not None:
        return False
    telling = [
        row for row in rows if row["reach"] & LAST_FOUR and not (row["flash"] or 0) & NO_TIME and row["stratum"] != 16
    ]
    return not telling and claims.get("leap") in ("none", "add", "del") and (claims.get("stratum") or 16) < 16


def _rank(tier, host):
    """
    Return the position of a host in its tier's ``addresses``; a host that is not listed comes after all others.
    """
    addresses = tier.get("addresses") or []
    places = [place for place, text in enumerate(addresses) if __salt__["ntpcluster_address.is_host"](text, host)]
    return places[0] if places else len(addresses)


def _reference(tier, tiers):
    """
    Return what the time of a tier is traceable to: ``island``, the clock of the island's own servers; or ``utc``.
    """
    while tier.get("follows"):
        tier = tiers[tier["follows"]]
    return "island" if tier.get("island") else "utc"
