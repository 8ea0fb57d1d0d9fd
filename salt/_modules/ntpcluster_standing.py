# -*- coding: utf-8 -*-
"""
Internal. What this host tells its master about itself, so that all hosts together make one view of the cluster.
"""

from __future__ import absolute_import, print_function, unicode_literals

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_standing"


def standing(anew=False):
    """
    Internal. This host's status, and what it takes to find the host's place among the others.

    anew
        True judges by the pillar as the master has it now, not as the minion remembers it.

    Returns what ``ntpcluster.status`` returns, and beside it:

    - ``version`` of these modules
    - ``deployed``: whether this tree has been applied here, and not been taken off again; ``saltenv``: from which
      environment it was applied last (None: unknown)
    - ``addresses`` of this host, as text: by these the others' sources become hosts
    - ``turn`` (in which order the servers of an island are deployed)
    - ``level`` of its tier (0 is the top), ``follows`` (name of the tier above), ``method`` (daemon or cron),
      ``planned`` (addresses or names of the sources the pillar gives it), ``max_offset_ms``, ``max_bound_ms`` (None: any);
      None without a valid pillar

    Never raises for a sick host, as ``ntpcluster.status``.
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
