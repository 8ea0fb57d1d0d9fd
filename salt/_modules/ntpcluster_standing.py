# -*- coding: utf-8 -*-
"""
Internal. What this host reports to its master for the view of the cluster.
"""

from __future__ import absolute_import, print_function, unicode_literals

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_standing"


def standing(anew=False):
    """
    Internal. This host's status, and its place in the cluster.

    anew
        True judges by the pillar that the master has now, not by the minion's copy.

    Returns what ``ntpcluster.status`` returns, and in addition:

    - ``version`` of these modules
    - ``deployed``: whether this tree has been applied here and not been undone since; ``saltenv``: the environment from which
      it was applied last (None: unknown)
    - ``addresses`` of this host, as text: they identify this host in the sources of others
    - ``turn`` (in which order the servers of an island are deployed)
    - ``level`` of its tier (0 is the top), ``follows`` (name of the tier above), ``method`` (daemon or cron),
      ``planned`` (addresses or names of its sources in the pillar), ``max_offset_ms``, ``max_bound_ms`` (None: any);
      None without a valid pillar

    Never raises for a faulty host, like ``ntpcluster.status``.
    """
    if anew:
        __salt__["ntpcluster_applied.pillar"](anew=True)
    seen = __salt__["ntpcluster_status.status"]()
    seen["deployed"] = __salt__["ntpcluster_origin.deployed"]()
    seen["saltenv"] = __salt__["ntpcluster_applied.kept"]().get("saltenv")
    seen["version"] = __salt__["ntpcluster_code.version"]()
    addresses = list(__grains__.get("ipv4") or []) + list(__grains__.get("ipv6") or [])
    seen["addresses"] = [address for address in addresses if not address.startswith("127.") and address != "::1"]
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
    except (CommandExecutionError, SaltInvocationError):
        plan = None  # the status has said so already
    for key in ("level", "follows", "method", "turn"):
        seen[key] = plan[key] if plan else None
    seen["planned"] = [source["address"] for source in plan["sources"]] if plan else None
    seen["max_offset_ms"] = plan["sync"]["max_offset"] * 1000.0 if plan else None
    widest = plan["sync"]["max_bound"] if plan else None
    seen["max_bound_ms"] = None if widest is None else widest * 1000.0
    return seen
