# -*- coding: utf-8 -*-
"""
Internal. Select the server to believe from those that were queried. Pure functions of what ``ntpcluster.query`` returns.
"""

from __future__ import absolute_import, print_function, unicode_literals

from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_answers"

#: Two servers that differ by more than this cannot both be right, and a step to the time of either may make the clock worse.
AGREEMENT_S = 1.0

#: A server this close to the median of a majority is preferred if its stratum is lower or its answer faster.
CLOSE_S = 0.05


def trusted(servers):
    """
    Internal. The server to set the clock from: the best of those close to the median of a majority that agrees to a second.
    ``ntpcluster.status`` judges the clock of a host without a daemon by the same median. If two servers are in the middle, the
    median is the one nearer to the clock: with the other one, each step would undo the step before.

    servers
        As ``ntpcluster.query`` returns them.

    Returns one of them. Raises CommandExecutionError if none has the time, or if no majority agrees.
    """
    if not any(server["offset_s"] is not None for server in servers):
        asked = ", ".join("{0} ({1})".format(server["name"], _why_not(server)) for server in servers)
        raise CommandExecutionError(
            "not stepped: no server gives the time: {0}. Check that one of them is synchronized and that UDP 123 is "
            "open there".format(asked)
        )
    agreed = majority(servers)
    if not agreed:
        said = ", ".join(
            "{0} {1:+.3f} s".format(server["address"], server["offset_s"])
            for server in servers
            if server["offset_s"] is not None
        )
        raise CommandExecutionError(
            "not stepped: the servers disagree by more than {0:g} s and none has a majority: {1}".format(
                AGREEMENT_S, said
            )
        )
    nearer = middle(agreed)[0]
    close = [server for server in agreed if abs(server["offset_s"] - nearer["offset_s"]) <= CLOSE_S]
    return min(close, key=lambda server: (server["stratum"], server["delay_s"] or 0.0))


def majority(servers):
    """
    Internal. The servers that agree, to a second, with more than half of all servers that have the time; an empty list if there
    is none.

    servers
        As ``ntpcluster.query`` returns them.
    """
    usable = [server for server in servers if server["offset_s"] is not None]
    camps = [
        [other for other in usable if abs(other["offset_s"] - server["offset_s"]) <= AGREEMENT_S] for server in usable
    ]
    largest = max(camps, key=len) if camps else []
    return largest if len(largest) * 2 > len(usable) else []


def middle(servers):
    """
    Internal. The server with the median offset of those that agree; for an even number the two in the middle, the one nearer to
    the clock first.

    servers
        As ``ntpcluster_answers.majority`` returns them; at least one.
    """
    ordered = sorted(servers, key=lambda server: server["offset_s"])
    return sorted(ordered[(len(servers) - 1) // 2 : len(servers) // 2 + 1], key=lambda server: abs(server["offset_s"]))


def _why_not(server):
    """Why a server gives no time, in a word or two."""
    if server["address"] is None:
        return "unknown name"
    if not server["reachable"]:
        return "no answer"
    return "refuses: {0}".format(server["kiss"]) if server["kiss"] else "not synchronized itself"
