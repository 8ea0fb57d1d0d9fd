# -*- coding: utf-8 -*-
"""
Internal. Judge firewall rules: who can reach UDP port 123, and where our rules belong. Runs no program.

Rules are compared by what they do to a packet, not by how they are spelled, so a rule that an administrator wrote
by hand counts as much as ours. Ours have the comment ``ntpcluster`` and are the only ones that are ever removed.

**Where ours go.** A network's rule comes before the first rule that is the *end* of the path for its packets:

* a DROP or REJECT of everything, of UDP, or of port 123, from everywhere or from outside some other network
  (``! -s``); and a RETURN from INPUT, which leaves the packet to the policy
* a jump to a chain that ends in this way (RH-Firewall-1-INPUT), for everyone or for one interface or network, if that chain
  admits something before it refuses the rest: such a chain is that network's firewall, not a ban
* else the end of INPUT, where the policy decides

**What stays in force** and is reported: a foreign rule before that place.

* ``blocked``: it blocks part of the network or an interface (a deliberate ban), or it matches something that is
  not understood here and its target can refuse
* ``unclear``: those of them that may block all of the network, as far as they are understood
* ``refused``: it blocks the whole network by name, as ``-s 10.0.0.0/8 -j DROP`` does: no rule of ours goes
  before it, and the port is not open. Only an administrator can decide whether that ban or the pillar is wrong

If the end is a jump, and its chain bans somebody first, ours go into the chain and not before the jump, if
no other rule leads there. ``overtaken`` lists rules that ours precede although they may be meant for the same packets.

ntpcluster_firewall_passage.py judges the other hooks that a request and its reply pass.
"""

from __future__ import absolute_import, print_function, unicode_literals

import salt.utils.stringutils
from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster_firewall_rules"

COMMENT = "ntpcluster"
LOGGING = ("LOG", "NFLOG", "ULOG")


def _arguments(network):
    """Our rule for a network, in the order in which iptables-save prints it."""
    source = ["-s", "{}".format(network)] if network.prefixlen else []
    # No state match: if no other rule accepts established traffic, it would admit only the first packet of a client, because
    # ntpd sends from port 123 to port 123 and all packets are one flow.
    return source + ["-p", "udp", "-m", "udp", "--dport", "123"] + [
        "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT",
    ]  # fmt: skip


def _text(network, chain="INPUT"):
    return " ".join(["-A", chain] + _arguments(network))


def _wanted(networks, version):
    """The caller's networks of one family, each once; only parsed networks are used further."""
    if not isinstance(networks, (list, tuple)):
        raise SaltInvocationError("networks must be a list, such as ['10.0.0.0/24'].")
    wanted = []
    for item in networks:
        try:
            network = __salt__["ntpcluster_firewall_parse.network"](salt.utils.stringutils.to_unicode(item))
        except (TypeError, ValueError) as err:
            raise SaltInvocationError(
                "'{}' is not a network: {}. Write it like 10.0.0.0/24 or 2001:db8::/64.".format(item, err)
            )
        if network.version == version and network not in wanted:
            wanted.append(network)
    return wanted


def _met(table, network):
    return __salt__["ntpcluster_firewall_packet.meet"](table, network)


def _reachable(table, chain="INPUT"):
    return __salt__["ntpcluster_firewall_packet.reachable"](table, ("end", "leave"), chain)


def _bans_some(table, chain):
    """Whether a chain blocks, or may block, part of the network before it blocks the rest."""
    return any(rule["refuses"] and takes is None for rule, _, takes in _reachable(table, chain))


def _place(table, chain="INPUT"):
    """The chain and the index in it where a network's rule belongs, and the rule there that ends its path, or None."""
    while True:
        rules = table["chains"].get(chain, [])
        outcomes = __salt__["ntpcluster_firewall_packet.outcomes"](table, chain)
        ends = [index for index, outcome in enumerate(outcomes) if outcome in ("end", "leave")]
        index, end = (ends[0], rules[ends[0]]) if ends else (len(rules), None)
        inner = end and end["target"]
        jumps = [rule for others in table["chains"].values() for rule in others if rule["target"] == inner]
        alone = inner in table["chains"] and len(jumps) == 1 and outcomes[index] == "end"
        if not (alone and __salt__["ntpcluster_firewall_packet.takes"](end["conditions"]) and _bans_some(table, inner)):
            break
        chain = inner
    while index and rules[index - 1]["target"] in LOGGING:  # so that admitted packets are not logged as dropped
        index -= 1
    return chain, index, end


def _overtaken(table, end, chain):
    """The rules that a new rule of ours precedes although they may be meant for the same packets."""
    met = _reachable(table, chain)
    while end and met and met[0][0] is not end:
        met = met[1:]
    return [
        rule["text"]
        for rule, conditions, takes in (met if end else [])
        if rule["refuses"] and (takes is None or any(name == "dport" for name, _, _, _ in conditions))
    ]


def _wider(table, networks, everyone):
    """The rules, and the policy, that let in more than the networks."""
    met = _met(table, everyone)
    wider = __salt__["ntpcluster_firewall_packet.wider"](met, networks)
    if table["policy"].get("INPUT", "ACCEPT") == "ACCEPT" and _place(met)[2] is None:
        wider.append("-P INPUT ACCEPT")
    return wider


def _judge(table, networks, everyone, base="INPUT"):
    """
    ``present`` and ``stale`` as rules; ``added`` as [(network, chain, number, line), ...], in the order in which the rules are
    inserted at these numbers; ``first``: the stale rules that are removed before that; and ``overtaken``.
    """
    present, missing = [], []
    for network in networks:
        opened = __salt__["ntpcluster_firewall_packet.opened"](_met(table, network), base)
        same = [rule for rule, to in opened if to == network]
        present += same[:1]
        missing += [] if same else [network]
    stale, first = [], []
    opens = __salt__["ntpcluster_firewall_packet.opens"]
    chains = _met(table, everyone)["chains"]
    for chain in sorted(chains):
        for rule in chains[chain]:
            ours = rule["comment"] == COMMENT and rule["target"] == "ACCEPT"
            network = opens(rule["conditions"], everyone.version) if ours else None
            if network in missing:  # no packet reaches it
                first.append(rule)
            elif network is not None and network not in networks:
                stale.append(rule)
    table = _without(table, first)
    places, added, overtaken = [], [], []
    for network in missing:
        met = _met(table, network)
        chain, index, end = _place(met, base)
        before = sum(1 for place in places if place[0] == chain and place[1] <= index)
        places.append((chain, index))
        added.append((network, chain, index + before + 1, _line(table, chain, index)))
        overtaken += [text for text in _overtaken(met, end, base) if text not in overtaken]
    return {"present": present, "added": added, "first": first, "stale": stale, "overtaken": overtaken}


def _without(table, gone):
    lines = [rule["line"] for rule in gone]
    chains = dict(
        (chain, [rule for rule in rules if rule["line"] not in lines]) for chain, rules in table["chains"].items()
    )
    return dict(table, chains=chains)


def _line(table, chain, index):
    """The line that a rule put into a chain at this index comes before."""
    rules = table["chains"].get(chain, [])
    if index < len(rules):
        return rules[index]["line"]
    return rules[-1]["line"] + 1 if rules else table["commit"]


def _steps(judged):
    """
    The changes in a safe order, as {"verb", "text", "arguments" of iptables}.

    Rules are removed by their text, never by number: by then the number may belong to a foreign rule. So
    ours that no packet reaches are removed first (later, -D would find the new one of the same text), and ours for
    other networks last (if a step fails, nobody has lost access).
    """

    def removed(rules):
        return [
            {"verb": "removed", "text": rule["text"], "arguments": ["-D", rule["chain"]] + rule["arguments"]}
            for rule in rules
        ]

    added = [
        {
            "verb": "added",
            "text": _text(network, chain),
            "arguments": ["-I", chain, "{}".format(number)] + _arguments(network),
        }
        for network, chain, number, _ in judged["added"]
    ]
    return removed(judged["first"]) + added + removed(judged["stale"])


def wanted(networks, family):
    """
    Internal. The networks of one family, ``ipv4`` or ``ipv6``, each once, as ipaddress objects.

    Raises SaltInvocationError for anything that is not a network.
    """
    return _wanted(networks, __salt__["ntpcluster_firewall_packet.everyone"](family).version)


def needed(table, networks, everyone, chain):
    """
    Internal. The changes that a base chain of nftables needs so that these networks get through it.

    table
        its table with the chains that it leads to, as from ``ntpcluster_firewall_nft.hooks``
    networks, everyone
        ipaddress objects of one family
    chain
        the chain's name

    Returns ``present``, ``first``, ``stale``: [rule, ...]; ``added``: [(network, chain, number, line), ...], in the order in
    which the rules are inserted, before the rule of that line in the chain, or at its end if there is none; ``overtaken``.
    """
    return _judge(table, networks, everyone, chain)


def listed(hooks, networks, family, here):
    """
    Internal. Judge rules that iptables made in nftables from nft's listing, which does not show some of their conditions.

    hooks
        those of one family in the tables of iptables, as from ``ntpcluster_firewall_nft.hooks``
    networks, family, here
        as for ``ntpcluster_firewall_rules.judge``

    If nft made one of our rules in a chain, the chain is marked ``left_to_nft``.

    Returns the keys of ``ntpcluster_firewall_rules.judge`` without ``networks``, ``refused``, ``unclear`` and ``blocked``. Returns
    None if a change is needed or something is unknown: then ``iptables-save`` has to be run.
    """
    everyone = __salt__["ntpcluster_firewall_packet.everyone"](family)
    wanted = _wanted(networks, everyone.version)
    way = __salt__["ntpcluster_firewall_passage.passage"](hooks, wanted, here)
    found = {"present": [], "wider": [], "guarded": False, "missing": [], "stale": [], "steps": [], "overtaken": []}
    if way["refused"] or way["unclear"]:
        return None
    for hook in hooks:
        if hook["place"][1] != "filter" or hook["chain"] != "chain INPUT":
            continue
        chains = dict(hook["table"]["chains"], INPUT=hook["table"]["chains"]["chain INPUT"])
        del chains["chain INPUT"]
        table = {"chains": chains, "policy": {"INPUT": hook["policy"]}, "commit": -1}
        judged = _judge(table, wanted, everyone)
        if judged["added"] or judged["first"] or judged["stale"] or not _ours_are_known(_met(table, everyone)):
            return None
        made = [rule["of_iptables"] for rule in judged["present"] if rule["comment"] == COMMENT]
        if made and not all(made):  # nft made our rules there, so only nft changes them
            hook["left_to_nft"] = True
            continue
        found["present"] = [hook["prefix"] + rule["text"] for rule in judged["present"]]
        found["wider"] = [hook["prefix"] + text for text in _wider(table, wanted, everyone)] if wanted else []
        found["guarded"] = bool(chains["INPUT"]) or hook["policy"] != "ACCEPT"
    return found


def _ours_are_known(table):
    """Whether it is certain which network each of our rules opens to."""
    opens = __salt__["ntpcluster_firewall_packet.opens"]
    ours = [rule for rules in table["chains"].values() for rule in rules if rule["comment"] == COMMENT]
    return all(opens(rule["conditions"], table["version"]) for rule in ours)


def judge(text, networks, family="ipv4", beside=(), here=None):
    """
    Internal. Judge a firewall's rules against the networks that should reach UDP 123.

    text
        what ``iptables-save`` prints, or a file with the same content
    networks
        list of networks, such as ``["10.0.0.0/24"]``; those of the other family are ignored
    family
        ``ipv4`` or ``ipv6``
    beside
        hooks in addition to those of the text, as from ``ntpcluster_firewall_nft.hooks``
    here
        as for ``ntpcluster_firewall_passage.passage``

    Returns None if the text has no complete filter table, else a dict with every rule as text:

    * ``networks``: those of this family
    * ``guarded``: whether INPUT has a rule, or a policy other than ACCEPT
    * ``present``, ``missing``: the rules that exist in any spelling, and those that are needed
    * ``stale``: our rules for a network that is not wanted, or that no packet reaches
    * ``wider``: foreign rules (or the policy) that admit, or may admit, more than the networks
    * ``steps``: the changes in order, {``verb``, ``text``, ``arguments`` of iptables}
    * ``overtaken``: rules that the new ones precede although they may be meant for the same packets
    * ``refused``, ``unclear``, ``blocked``: for the rules after these steps, as from ``ntpcluster_firewall_passage.passage``

    Raises SaltInvocationError for anything that is not a network.
    """
    everyone = __salt__["ntpcluster_firewall_packet.everyone"](family)
    wanted = _wanted(networks, everyone.version)
    tables = __salt__["ntpcluster_firewall_parse.table"](text, family)
    table = tables.get("filter")
    if table is None:
        return None
    judged = _judge(table, wanted, everyone)
    stale = judged["first"] + judged["stale"]
    wider = _wider(_without(table, stale), wanted, everyone) if wanted else []
    policy = table["policy"].get("INPUT", "ACCEPT")
    steps = _steps(judged)
    after = _edit(text, judged) if steps else tables
    hooks = __salt__["ntpcluster_firewall_parse.hooks"](after, family) + list(beside)
    way = __salt__["ntpcluster_firewall_passage.passage"](hooks, wanted, here)
    return {
        "networks": ["{}".format(network) for network in wanted],
        "guarded": bool(table["chains"].get("INPUT")) or policy != "ACCEPT",
        "present": [rule["text"] for rule in judged["present"]],
        "missing": [_text(network, chain) for network, chain, _, _ in judged["added"]],
        "stale": [rule["text"] for rule in stale],
        "wider": wider,
        "steps": steps,
        "overtaken": judged["overtaken"],
        "refused": way["refused"],
        "unclear": way["unclear"],
        "blocked": way["blocked"],
    }


def _edit(text, judged):
    gone = [rule["line"] for rule in judged["first"] + judged["stale"]]
    lines = []
    for number, line in enumerate(text.split("\n")):
        lines += [_text(network, chain) for network, chain, _, before in judged["added"] if before == number]
        if number not in gone:
            lines.append(line)
    return "\n".join(lines)


def edit(text, networks, family="ipv4"):
    """
    Internal. Add our rules for these networks to the text of a saved file, and remove those for other networks.

    text, networks, family
        as for ``ntpcluster_firewall_rules.judge``

    Returns the new text. All other lines are unchanged; so is a text without a complete filter table.

    Raises SaltInvocationError for anything that is not a network.
    """
    everyone = __salt__["ntpcluster_firewall_packet.everyone"](family)
    networks = _wanted(networks, everyone.version)
    text = salt.utils.stringutils.to_unicode(text)
    table = __salt__["ntpcluster_firewall_parse.table"](text, family).get("filter")
    return text if table is None else _edit(text, _judge(table, networks, everyone))
