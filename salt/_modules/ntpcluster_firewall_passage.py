# -*- coding: utf-8 -*-
"""
Internal. Whether requests to UDP 123 get through all the hooks that they and their replies pass. Runs no program.

Hooks other than INPUT of the filter table can refuse but not open, so they are only judged.
"""

from __future__ import absolute_import, print_function, unicode_literals

import collections

__virtualname__ = "ntpcluster_firewall_passage"


def _met(table, network, answer, state, here=None):
    return __salt__["ntpcluster_firewall_packet.meet"](table, network, answer, state, here)


def _reachable(table, chain):
    return __salt__["ntpcluster_firewall_packet.reachable"](table, ("leave",), chain)


def _unknown(conditions):
    return any(condition[0] == "unknown" for condition in conditions)


def _names(conditions):
    """Whether the conditions on the client's address, if any, match the whole network."""
    return __salt__["ntpcluster_firewall_packet.takes"](conditions, "client")


def _unclear(conditions):
    """Whether a rule may match all packets of the network, as far as it is understood. A rule with a limit matches only
    some."""
    open_ = [condition[0] for condition in conditions if condition[3] is None and condition[0] != "client"]
    return _names(conditions) is True and open_ != ["partly"]


def _verdict(table, hook, network, gone):
    """
    The rule that refuses all such packets in this hook, or None; the rules that may refuse some; and those of them that may
    refuse all. ``gone`` lists the parts of the network that earlier hooks refuse by name; those that this hook refuses are
    appended.
    """
    doubts, unclear, hope = [], [], False

    def doubt(text, conditions):
        doubts.append(text)
        unclear.extend([text] if _unclear(conditions) else [])

    left = []  # chains that packets may have left before their end
    for rule, conditions, takes in _reachable(table, hook["chain"]):
        if rule["target"] == "ACCEPT":
            if takes:
                return None, doubts, unclear
            # perhaps it matches all of them: for instance, if all clients use this interface
            understood = not (hook["strict"] and _unknown(conditions))
            hope = hope or (understood and _names(conditions) is True)
        elif rule["refuses"]:
            drops = rule["drops"] and rule["chain"] not in left
            if drops and not takes and not hope:
                gone += __salt__["ntpcluster_firewall_packet.parts"](conditions, network)
            sure = drops and (takes or __salt__["ntpcluster_firewall_packet.whole"](gone, network))
            if not hope and (sure or (hook["strict"] and _unknown(conditions))):
                return hook["prefix"] + rule["text"], doubts, []
            doubt(hook["prefix"] + rule["text"], conditions)
            if sure:
                return None, doubts, unclear
        elif rule["target"] == "RETURN" and rule["chain"] == hook["chain"] and hook["policy"] != "ACCEPT" and not takes:
            doubt(hook["prefix"] + rule["text"], conditions)  # the policy refuses those
        elif rule["target"] == "RETURN" and not _unknown(conditions) and _names(conditions):
            left.append(rule["chain"])
    if hook["policy"] == "ACCEPT":
        return None, doubts, unclear
    if not hope:
        return hook["says"], doubts, []
    doubt(hook["says"], [])
    return None, doubts, unclear


def _untracks(rule):
    return rule["target"] == "NOTRACK" or (rule["target"] == "CT" and "--notrack" in rule["arguments"])


def _untracked(hooks, network, here):
    """Whether rules exempt such packets from connection tracking. None: some of them, or perhaps."""
    found = False
    for hook in hooks:
        if not any(_untracks(rule) for rules in hook["table"]["chains"].values() for rule in rules):
            continue
        met = _reachable(_met(hook["table"], network, hook["answer"], None, here), hook["chain"])
        away = False  # may some packets have left the chain before
        for rule, _, takes in met:
            if _untracks(rule):
                if takes and not away:
                    return True
                found = None
            away = away or rule["target"] in ("ACCEPT", "RETURN")
    return found


def _near(here, network):
    """
    The interfaces of a network's packets, from its most specific route and from routes to parts of it, and this host's
    addresses; None if unknown. The outgoing interfaces are assumed to be the incoming ones.
    """
    if not here:
        return None
    routes = here[network.version]["routes"]
    wide = [(to.prefixlen, name) for to, name in routes if network.prefixlen >= to.prefixlen and network[0] in to]
    narrowest = max(wide)[0] if wide else None
    names = [name for to, name in routes if to.prefixlen > network.prefixlen and to[0] in network]
    names += [name for length, name in wide if length == narrowest]
    return {"interfaces": sorted(set(names)), "addresses": here[network.version]["addresses"]}


def _states(hooks, network, here):
    """The state of the request and that of the reply; None: unknown."""
    question = _untracked([hook for hook in hooks if not hook["answer"]], network, here)
    answer = _untracked([hook for hook in hooks if hook["answer"]], network, here)
    return (
        {True: "UNTRACKED", False: "NEW"}.get(question),
        # if the request was not tracked, the reply is the first packet of the connection
        "UNTRACKED" if answer else {True: "NEW", False: "ESTABLISHED"}.get(question) if answer is False else None,
    )


def end(hook, network):
    """
    Internal. The rule or policy of a hook that refuses those requests of a network that no earlier rule has decided on.

    Returns its text; None if such requests get through.
    """
    for rule, _, takes in _reachable(_met(hook["table"], network, hook["answer"], "NEW"), hook["chain"]):
        if takes and rule["target"] == "ACCEPT":
            return None
        if takes and rule["drops"]:
            return hook["prefix"] + rule["text"]
    return None if hook["policy"] == "ACCEPT" else hook["says"]


def passage(hooks, networks, here=None):
    """
    Internal. Judge whether requests from these networks get through these hooks, and the replies back.

    hooks
        list, as from ``ntpcluster_firewall_parse.hooks``; those of the other family are ignored
    networks
        list of ipaddress objects of one family
    here
        as from ``ntpcluster_firewall_here.here``; None: rules for one interface or address of this host count as uncertain

    Returns {``refused``: {network: the rule or policy that refuses it}, ``blocked``: [rule, ...] that may refuse some,
    ``unclear``: {network that is not refused: [those of them that may refuse all of it]}}.
    """
    refused, unclear, blocked = collections.OrderedDict(), collections.OrderedDict(), []
    for network in networks:
        passed = [hook for hook in hooks if network.version in hook["versions"]]
        near, gone = _near(here, network), []
        states = _states(passed, network, near)
        for hook in passed:
            met = _met(hook["table"], network, hook["answer"], states[hook["answer"]], near)
            found, doubts, may = _verdict(met, hook, network, gone)
            blocked += [doubt for doubt in doubts if doubt not in blocked]
            if found:
                refused["{}".format(network)] = found
                unclear.pop("{}".format(network), None)
                break
            if may:
                unclear.setdefault("{}".format(network), []).extend(may)
    return {"refused": refused, "unclear": unclear, "blocked": blocked}
