# -*- coding: utf-8 -*-
"""
Internal. Query the servers of this host: an answer proves that the server's port is open.

A server with a rate limit counts our packets and those of this host's daemon together. If ours arrives less than a second
before one of the daemon's, the server refuses the daemon, and a refused ntpd (RATE) polls less often from then on. So this
module queries when the daemon does not.
"""

from __future__ import absolute_import, print_function, unicode_literals

import time

__virtualname__ = "ntpcluster_served"
# The loader offers only this function; ``wait`` stays a plain function for the tests.
__load__ = ["served"]

#: A daemon that has just started sends up to eight packets to each source, 2 s apart (`iburst` of ntpd); the sources follow each
#: other a second apart. The first regular poll comes 16 s or more after the first packet: with polls of 16 s, only the time of the
#: second one can be told from the time of the last.
STARTED_S = 24
#: Our packet keeps this distance from the daemon's polls. ntpd sends one from 1 s before to 2 s after its time (RANDPOLL of
#: ntp.h).
AFTER_S, BEFORE_S = 4, 3
#: The maximum wait for such a moment; with short polls of many sources there may be none.
LONGEST_S = 20


def served():
    """
    Internal. Query each server of this host's plan once, at a moment that does not disturb the daemon. Changes nothing.

    Returns what ``ntpcluster.query`` returns: ``reachable`` says whether a server answered.

    Raises SaltInvocationError if there is no plan, or a plan without sources.
    """
    seen = __salt__["ntpcluster_status.status"]()
    uptime = seen["daemon"]["uptime_s"]
    if uptime is not None and uptime < STARTED_S:
        time.sleep(STARTED_S - uptime)
        seen = __salt__["ntpcluster_status.status"]()
    time.sleep(wait(seen["peers"]))
    return __salt__["ntpcluster_query.query"]()


def wait(peers):
    """
    Seconds from now until our packet does not disturb the daemon's.

    peers
        The daemon's sources as in ``ntpcluster.status``.
    """
    # A server that does not answer does not count our packets.
    polled = [row for row in peers if row["answers"] and row["poll_s"] and row["when_s"] is not None]
    for later in range(LONGEST_S + 1):
        since = [((row["when_s"] + later) % row["poll_s"], row["poll_s"]) for row in polled]
        if all(AFTER_S <= passed <= poll - BEFORE_S for passed, poll in since):
            return later
    return 0
