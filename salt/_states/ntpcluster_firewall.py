# -*- coding: utf-8 -*-
"""
The firewall of a host that serves time
=======================================

.. code-block:: yaml

    open-ntp-port:
      ntpcluster_firewall.opened: []

opens UDP port 123 to the networks that the pillar's ``serves`` lists for this host, in the live rules if a firewall is
running and in the saved file if there is one, and closes it to networks that are no longer listed. It fails if a
foreign rule still blocks a network.
"""

from __future__ import absolute_import, print_function, unicode_literals

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_firewall"


def __virtual__():
    if "ntpcluster_firewall.apply" in __salt__:
        return True
    return (False, "The execution module ntpcluster is missing: state.apply ntp.modules installs it")


def _remarks(report, changes):
    """Where the rules are, how foreign rules affect them, and whether they survive a reboot: one sentence each."""
    remarks = []
    for family, found in sorted(report.items()):
        saved = found["saved"]["file"]
        if found["networks"] or family in changes or family + " saved" in changes:
            live = "running rules" if found["running"] else "not running"
            remarks.append("{}: {}, {}.".format(family, live, saved or "no saved file"))
        if found["running"] and found["networks"] and not saved:
            remarks.append(
                "The rules are lost at the next boot, or when another program loads its own. To keep them: {}.".format(
                    found["keep"] or "save them"
                )
            )
        elif found["networks"] and found["saved"].get("silent"):
            remarks.append(
                "After the next boot, UDP 123 may be closed: it loads {}, which does not mention the port.".format(
                    found["saved"]["silent"]
                )
            )
        later = ["{} (`{}`)".format(*one) for one in sorted(found["saved"]["refused"].items())]
        if later and not found["refused"]:
            remarks.append("With the saved rules, UDP 123 is not open to {}.".format("; ".join(later)))
        if found["wider"]:
            remarks.append("Not changed, though open wider than the pillar: {}.".format("; ".join(found["wider"])))
        unclear = [rule for rules in found["unclear"].values() for rule in rules]
        some = [rule for rule in found["blocked"] if rule not in unclear]
        if some:
            remarks.append("Not changed, but may block served networks: {}.".format("; ".join(some)))
    return remarks


def _first(report, networks, tense):
    """Which networks are admitted now, and which are still blocked."""
    refused = dict((network, rule) for found in report.values() for network, rule in found["refused"].items())
    if not networks:
        return ("There are no rules of ours.", "Our rules would be removed.", "Our rules have been removed.")[tense]
    said = [
        "UDP 123 is not open to {}: `{}` blocks it. This rule is not ours to change: open UDP 123 there, or remove the "
        "network from `serves`.".format(network, rule)
        for network, rule in sorted(refused.items())
    ]
    served = [network for found in report.values() for network in found["networks"]]
    apart = list(refused) + [network for found in report.values() for network in found["unclear"]]
    # as written in the pillar, if all of them are admitted
    shown = [network for network in served if network not in apart] if apart else networks
    if shown:
        verb = ("is open", "would be opened", "has been opened")[tense]
        said.append("UDP 123 {} to {}.".format(verb, ", ".join(shown)))
    return " ".join(said)


def _unclear(report):
    """The networks for which access is unknown, and why, one sentence each."""
    return [
        "It is unknown whether UDP 123 is open to {}: `{}` may block it. This rule is not ours to change. To find out, have a "
        "host of that network query this one: salt-run ntpcluster.check.".format(network, "`, `".join(rules))
        for found in report.values()
        for network, rules in sorted(found["unclear"].items())
    ]


def _settled(report):
    """Whether nothing needs to be done, and this is certain."""
    return not any(
        found["error"] or found["missing"] or found["stale"] or found["saved"]["missing"] or found["saved"]["stale"]
        for found in report.values()
    )


def _settle(name, platform, networks, everywhere=False):
    """Brings the firewall in line with ``networks`` and reports; ``everywhere``: those that this host had before as well."""
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    test = __opts__["test"]
    try:
        report = __salt__["ntpcluster_firewall.firewall"](platform, networks)
        overtaken = [rule for found in report.values() for rule in found["overtaken"]]
        if everywhere or not _settled(report):
            ret["changes"] = __salt__["ntpcluster_firewall.apply"](platform, networks, test=test, everywhere=everywhere)
        if ret["changes"] and not test:
            report = __salt__["ntpcluster_firewall.firewall"](platform, networks)
    except (CommandExecutionError, SaltInvocationError) as err:
        ret["result"] = False
        ret["changes"] = (getattr(err, "info", None) or {}).get("changes", {})
        ret["comment"] = getattr(err, "strerror_without_changes", err.strerror)
        if ret["changes"]:
            ret["comment"] += " The changes list what was done before; the next run continues from there."
        return ret
    tense = 0 if not ret["changes"] else 1 if test else 2
    if any(found["refused"] for found in report.values()):
        ret["result"] = False
    elif tense == 1:
        ret["result"] = None
    unclear = _unclear(report)
    if unclear:
        ret["warnings"] = unclear  # Salt shows and counts them with the states that succeeded
    said = [text for text in [_first(report, networks, tense)] if text] + unclear + _remarks(report, ret["changes"])
    if ret["changes"] and overtaken:
        said.append("Our rules precede: {}.".format("; ".join(overtaken)))
    ret["comment"] = " ".join(said)
    return ret


def _plan(name):
    """The plan, or the state's return when there is none."""
    try:
        return __salt__["ntpcluster_plan.plan"](), None
    except (CommandExecutionError, SaltInvocationError) as err:
        return None, {"name": name, "changes": {}, "result": False, "comment": err.strerror}


def opened(name, networks=None, manage=True):
    """
    UDP port 123 is open to these networks, by our rules or equivalent ones, and our rules open it to no other network.

    A stopped firewall stays stopped: then only its saved file is edited. Foreign rules are not changed; the comment names
    those that admit more, and those that may block part of a network. The state fails if a rule blocks a whole network, or
    may do so and is not understood (a chain of nftables).

    name
        only the state's name
    networks
        list of networks, such as ``[10.0.0.0/24]``; default: those that this host serves by its plan
    manage
        false: do not change the firewall, like ``ntp:firewall:manage`` in the pillar

    .. code-block:: yaml

        open-ntp-port:
          ntpcluster_firewall.opened:
            - networks: [10.0.0.0/24]
    """
    plan, failed = _plan(name) if manage else (None, None)
    if failed:
        return failed
    if not plan or not plan["firewall"]["manage"]:
        return {"name": name, "changes": {}, "result": True, "comment": "The firewall is not managed."}
    return _settle(name, plan["platform"], plan["firewall"]["networks"] if networks is None else networks)


def absent(name):
    """
    None of our rules remains, neither in the live rules nor in the saved file, nor in a firewall that is stopped now.

    name
        only the state's name

    .. code-block:: yaml

        close-ntp-port:
          ntpcluster_firewall.absent: []
    """
    # Needs only the platform from the plan, so it works with an invalid pillar too.
    try:
        pillar = __salt__["ntpcluster_applied.pillar"]()
        return _settle(name, __salt__["ntpcluster_facts.facts"](pillar)["platform"] or {}, [], everywhere=True)
    except (CommandExecutionError, SaltInvocationError) as err:
        return {"name": name, "changes": {}, "result": False, "comment": err.strerror}
