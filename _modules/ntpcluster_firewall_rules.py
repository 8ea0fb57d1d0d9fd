# -*- coding: utf-8 -*-
"""
Internal. Judging firewall rules: who is let through to UDP 123, and where our rules belong. Runs no program.

Rules are compared by what they do to a packet, not by how they are spelled, so a rule that an administrator wrote
by hand counts as much as ours. Ours carry the comment ``ntpcluster`` and are the only ones that are ever taken out.

**Where ours go.** A network's rule stands before the first rule that is the *end* of the way for it:

* a DROP or REJECT of everything, of UDP, or of port 123, whoever asks or whoever is not in some other network
  (``! -s``); and a RETURN from INPUT, which leaves the packet to the policy
* a jump to a chain that ends so (RH-Firewall-1-INPUT), for everyone or for one interface or network, if that chain
  lets something in before it refuses the rest: such a chain is that network's firewall, not a ban
* else the end of INPUT, where the policy decides

**What stays in force** and is told: a rule of others ahead of that place.

* ``blocked``: it refuses a part of the network or an interface (a deliberate ban), or it asks for something that is
  not understood here and its target can refuse
* ``refused``: it refuses the whole network by naming it, as ``-s 10.0.0.0/8 -j DROP`` does: no rule of ours goes
  before it, and the port is not open. Only an administrator can tell whether that ban or the pillar is wrong

Where the end is a jump, and its chain bans somebody on the way, ours go into the chain and not before the jump, if
no other rule leads there. ``overtaken`` names what ours come before although it may have been meant for them too.

The other hooks that a question and its answer pass can refuse but not open, so they are only judged.
"""

from __future__ import absolute_import, print_function, unicode_literals

import collections

import salt.utils.stringutils
from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster_firewall_rules"

try:
    import ipaddress
except ImportError:  # Python 2
    from salt._compat import ipaddress


COMMENT = "ntpcluster"
PORT = 123
VERSIONS = {"ipv4": 4, "ipv6": 6}
EVERYONE = {4: ipaddress.ip_network("0.0.0.0/0"), 6: ipaddress.ip_network("::/0")}

REFUSING = ("DROP", "REJECT")
LOGGING = ("LOG", "NFLOG", "ULOG")


# What becomes of the packets of one network; ``table`` is one from ``ntpcluster_firewall_packet.meet``


def _inside(inner, outer):
    return inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def _met(table, network, answer=False, state="NEW"):
    return __salt__["ntpcluster_firewall_packet.meet"](table, network, answer, state)


def _takes(conditions, any_interface=False):
    """
    Does a rule with these conditions take such packets? True, False, or None: some of them, or unknown. With
    ``any_interface`` a rule for one interface is judged for the packets that come in there.
    """
    verdicts = [
        verdict
        for name, _, _, verdict in conditions
        if not (any_interface and verdict is None and name in ("input", "output"))
    ]
    return False if False in verdicts else None if None in verdicts else True


def _about(conditions, *names):
    return [condition for condition in conditions if condition[0] in names]


def _lets_some_in(table, chain, seen=()):
    """Does a chain accept anything new from the network, whatever the port?"""
    for rule in table["chains"][chain]:
        if _takes(_about(rule["conditions"], "client", "state", "input")) is False:
            continue
        target = rule["target"]
        if target == "ACCEPT":
            return True
        if target in table["chains"] and target not in seen and _lets_some_in(table, target, seen + (chain,)):
            return True
    return False


def _outcome(table, rule, seen=()):
    """
    What becomes of the network's packets at this rule: ``end`` and ``ban`` refuse them all (see the head of this
    file), ``accept``, ``leave`` the chain; None when some of them go on.
    """
    target, conditions = rule["target"], rule["conditions"]
    takes = _takes(conditions)
    if target in ("ACCEPT", "RETURN"):
        return ("accept" if target == "ACCEPT" else "leave") if takes else None
    if target in REFUSING:
        if rule["aimed"]:
            return "ban" if takes else None
        # whoever is not in another network: that the other one overlaps with ours makes it no less the end
        return "end" if _takes([one for one in conditions if one[0] != "client" or one[3] is False]) else None
    if target not in table["chains"] or target in seen or not _takes(conditions, any_interface=True):
        return None
    found = None
    for inner in table["chains"][target]:
        found = found or _outcome(table, inner, seen + (target,))
    if found == "end" and rule["aimed"] and not _lets_some_in(table, target):
        found = "ban"
    if found == "leave" or (not takes and found != "end"):
        found = None
    return "leave" if found is None and takes and rule["goto"] else found


def _reachable(table, stops, chain="INPUT", path=(), seen=()):
    """
    What a packet may meet on its way through a chain, in order, until a rule with one of these outcomes:
    [(rule, its conditions and those of the jumps that lead to it), ...].
    """
    met = []
    for rule in table["chains"].get(chain, []):
        conditions = list(path) + rule["conditions"]
        if _takes(conditions) is False:
            continue
        met.append((rule, conditions))
        target = rule["target"]
        if target in table["chains"] and target not in seen:
            met += _reachable(table, stops, target, conditions, seen + (chain,))
        if _outcome(table, rule) in stops:
            break
    return met


def _verdict(table, hook):
    """What refuses all such packets in this hook, or None; and what may refuse some."""
    doubts, hope = [], False
    left = []  # chains that packets may have left before their end
    for rule, conditions in _reachable(table, ("leave",), hook["chain"]):
        takes = _takes(conditions)
        if rule["target"] == "ACCEPT":
            if takes:
                return None, doubts
            # perhaps it takes them all: for instance, who asks comes by this interface
            understood = not (hook["strict"] and _about(conditions, "unknown"))
            hope = hope or (understood and _takes(_about(conditions, "client")) is True)
        elif rule["refuses"]:
            sure = takes and rule["target"] in REFUSING and rule["chain"] not in left
            if not hope and (sure or (hook["strict"] and _about(conditions, "unknown"))):
                return hook["prefix"] + rule["text"], doubts
            doubts.append(hook["prefix"] + rule["text"])
            if sure:
                return None, doubts
        elif rule["target"] == "RETURN" and rule["chain"] == hook["chain"] and hook["policy"] != "ACCEPT" and not takes:
            doubts.append(hook["prefix"] + rule["text"])  # the policy refuses those
        elif rule["target"] == "RETURN" and not _about(conditions, "unknown") and _takes(_about(conditions, "client")):
            left.append(rule["chain"])
    if hook["policy"] == "ACCEPT":
        return None, doubts
    return (None, doubts + [hook["says"]]) if hope else (hook["says"], doubts)


def _untracks(rule):
    return rule["target"] == "NOTRACK" or (rule["target"] == "CT" and "--notrack" in rule["arguments"])


def _untracked(hooks, network):
    """Do rules take such packets out of connection tracking? None: some of them, or perhaps."""
    found = False
    for hook in hooks:
        if not any(_untracks(rule) for rules in hook["table"]["chains"].values() for rule in rules):
            continue
        met = _reachable(_met(hook["table"], network, hook["answer"], None), ("leave",), hook["chain"])
        away = False  # may some packets have left the chain before
        for rule, conditions in met:
            if _untracks(rule):
                if _takes(conditions) and not away:
                    return True
                found = None
            away = away or rule["target"] in ("ACCEPT", "RETURN")
    return found


def _states(hooks, network):
    """The state of the question and that of the answer; None: not known."""
    question = _untracked([hook for hook in hooks if not hook["answer"]], network)
    answer = _untracked([hook for hook in hooks if hook["answer"]], network)
    return (
        {True: "UNTRACKED", False: "NEW"}.get(question),
        # of a connection whose question was not tracked, the answer is the first packet
        "UNTRACKED" if answer else {True: "NEW", False: "ESTABLISHED"}.get(question) if answer is False else None,
    )


def passage(hooks, networks, family="ipv4"):
    """
    Internal. Judge whether questions from these networks get through these hooks, and the answers back. For its siblings.

    hooks
        list, as from ``ntpcluster_firewall_parse.hooks``; those of another family are left out of account
    networks, family
        as for ``ntpcluster_firewall_rules.judge``

    Returns {``refused``: {network: the rule or policy that refuses it}, ``blocked``: [rule, ...] that may refuse some}.
    """
    version = VERSIONS[family]
    refused, blocked = collections.OrderedDict(), []
    passed = [hook for hook in hooks if version in hook["versions"]]
    for network in _wanted(networks, version):
        states = _states(passed, network)
        for hook in passed:
            found, doubts = _verdict(_met(hook["table"], network, hook["answer"], states[hook["answer"]]), hook)
            blocked += [doubt for doubt in doubts if doubt not in blocked]
            if found:
                refused["{}".format(network)] = found
                break
    return {"refused": refused, "blocked": blocked}


# Who is let in, and by which rule


def _opens(conditions, version):
    """The network to which a rule of these conditions opens UDP 123, when that is all it does; else None."""
    if any(negated for _, _, negated, _ in conditions):
        return None
    if len(_about(conditions, "client", "protocol", "dport", "state")) < len(conditions):
        return None
    asked = [(name, value) for name, value, _, _ in conditions]
    if ("protocol", ["udp"]) not in asked or ("dport", [(PORT, PORT)]) not in asked:
        return None
    if not _takes(_about(conditions, "protocol", "dport", "state")):
        return None
    narrowest = EVERYONE[version]
    for _, parts in [one for one in asked if one[0] == "client"]:
        if len(parts) > 1:
            return None
        narrowest = parts[0] if _inside(parts[0], narrowest) else narrowest
    return narrowest


def _too_wide(rule, conditions, networks):
    """Does this rule let ask for the time, or may it, who is in none of the networks?"""
    takes = _takes([one for one in conditions if one[0] != "client"], any_interface=True)
    about_time = bool(_about(conditions, "dport", "either port"))
    if rule["target"] != "ACCEPT" or takes is False or not (takes or about_time):
        return False
    sources = [parts for _, parts, negated, _ in _about(conditions, "client") if not negated]
    sources.append([EVERYONE[networks[0].version]])
    if any(all(any(_inside(part, network) for network in networks) for part in parts) for parts in sources):
        return False
    # Trust in one address for everything (an administrator's desk) is not about time and goes unmentioned.
    return about_time or any(
        all(any(_inside(network, part) for part in parts) for parts in sources) for network in networks
    )


def _wider(table, networks, version):
    """The rules, and the policy, that let in more than the networks."""
    everyone = _met(table, EVERYONE[version])
    wider = []
    for rule, conditions in _reachable(everyone, ("end", "leave")):
        if _too_wide(rule, conditions, networks) and rule["text"] not in wider:
            wider.append(rule["text"])
    if table["policy"].get("INPUT", "ACCEPT") == "ACCEPT" and _place(everyone)[2] is None:
        wider.append("-P INPUT ACCEPT")
    return wider


# Our own rules


def _arguments(network):
    """Our rule for a network, in the order in which iptables-save prints it."""
    source = ["-s", "{}".format(network)] if network.prefixlen else []
    # No state match: where no other rule accepts established traffic it would let in the first packet of a
    # client and not the second, as ntpd asks from port 123 to port 123 and stays one flow.
    return source + ["-p", "udp", "-m", "udp", "--dport", "{}".format(PORT)] + [
        "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT",
    ]  # fmt: skip


def _text(network, chain="INPUT"):
    return " ".join(["-A", chain] + _arguments(network))


def _wanted(networks, version):
    """The caller's networks of one family, each once; nothing but a parsed network gets any further."""
    if not isinstance(networks, (list, tuple)):
        raise SaltInvocationError("networks must be a list, such as ['10.0.0.0/24'].")
    wanted = []
    for item in networks:
        try:
            text = salt.utils.stringutils.to_unicode(item)
            network = ipaddress.ip_network(text)
            mask = text.partition("/")[2]
            if "%" in text or ("." in mask and mask != "{}".format(network.netmask)):
                raise ValueError("a host mask or an interface is no part of a network")
        except (TypeError, ValueError) as err:
            raise SaltInvocationError(
                "'{}' is no network: {}. Write it like 10.0.0.0/24 or 2001:db8::/64.".format(item, err)
            )
        if network.version == version and network not in wanted:
            wanted.append(network)
    return wanted


def _bans_some(table, chain):
    """Does a chain refuse a part of the network, or may it, before it refuses the rest?"""
    return any(
        rule["refuses"] and _takes(conditions) is None
        for rule, conditions in _reachable(table, ("end", "leave"), chain)
    )


def _place(table):
    """The chain and the index in it where a network's rule belongs, and the rule there that is its end, or None."""
    chain = "INPUT"
    while True:
        rules = table["chains"].get(chain, [])
        ends = [index for index, rule in enumerate(rules) if _outcome(table, rule) in ("end", "leave")]
        index, end = (ends[0], rules[ends[0]]) if ends else (len(rules), None)
        inner = end and end["target"]
        jumps = [rule for others in table["chains"].values() for rule in others if rule["target"] == inner]
        alone = inner in table["chains"] and len(jumps) == 1 and _takes(end["conditions"])
        if not (alone and _outcome(table, end) == "end" and _bans_some(table, inner)):
            break
        chain = inner
    while index and rules[index - 1]["target"] in LOGGING:  # packets let in are not logged as dropped
        index -= 1
    return chain, index, end


def _overtaken(table, end):
    """The rules that a new rule of ours comes before although they may have been meant for it too."""
    met = _reachable(table, ("end", "leave"))
    while end and met and met[0][0] is not end:
        met = met[1:]
    return [
        rule["text"]
        for rule, conditions in (met if end else [])
        if rule["refuses"] and (_takes(conditions) is None or _about(conditions, "dport"))
    ]


def _judge(table, networks, version):
    """
    ``present`` and ``stale`` as rules; ``added`` as [(network, chain, number, line), ...], in the order in which the
    rules go in at these numbers; ``first``: those of the stale that are taken out before that; and ``overtaken``.
    """
    present, missing = [], []
    for network in networks:
        met = _reachable(_met(table, network), ("end", "leave"))
        same = [rule for rule, path in met if rule["target"] == "ACCEPT" and _opens(path, version) == network]
        present += same[:1]
        missing += [] if same else [network]
    stale, first = [], []
    chains = _met(table, EVERYONE[version])["chains"]
    for chain in sorted(chains):
        for rule in chains[chain]:
            ours = rule["comment"] == COMMENT and rule["target"] == "ACCEPT"
            network = _opens(rule["conditions"], version) if ours else None
            if network in missing:  # no packet gets there
                first.append(rule)
            elif network is not None and network not in networks:
                stale.append(rule)
    table = _without(table, first)
    places, added, overtaken = [], [], []
    for network in missing:
        met = _met(table, network)
        chain, index, end = _place(met)
        before = sum(1 for place in places if place[0] == chain and place[1] <= index)
        places.append((chain, index))
        added.append((network, chain, index + before + 1, _line(table, chain, index)))
        overtaken += [text for text in _overtaken(met, end) if text not in overtaken]
    return {"present": present, "added": added, "first": first, "stale": stale, "overtaken": overtaken}


def _without(table, gone):
    lines = [rule["line"] for rule in gone]
    chains = dict(
        (chain, [rule for rule in rules if rule["line"] not in lines])
        for chain, rules in table["chains"].items()
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

    Rules are taken out by what they say, never by number: by then a number may be somebody else's rule. So
    ours that no packet reaches go first (later, -D would find the new one of the same text), and ours for
    other networks go last (should a step fail, nobody has lost anything).
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


def judge(text, networks, family="ipv4", beside=()):
    """
    Internal. Judge a firewall's rules against the networks that are to reach UDP 123.

    text
        what ``iptables-save`` prints, or a file with the same content
    networks
        list of networks, such as ``["10.0.0.0/24"]``; those of the other family are left out of account
    family
        ``ipv4`` or ``ipv6``
    beside
        hooks besides those of the text, as from ``ntpcluster_firewall_nft.hooks``

    Returns None when the text has no complete filter table, else a dict, every rule as text:

    * ``networks``: those of this family
    * ``guarded``: has INPUT a rule, or a policy other than ACCEPT
    * ``present``, ``missing``: the rules that are there in any spelling, and those that are needed
    * ``stale``: ours for a network that is not wanted, or where no packet gets to them
    * ``wider``: rules of others (or the policy) that let in more than the networks, or may
    * ``steps``: the changes in order, {``verb``, ``text``, ``arguments`` of iptables}
    * ``overtaken``: rules that the new ones come before although they may have been meant for them too
    * ``refused``, ``blocked``: of the rules as they are after the steps, as from ``ntpcluster_firewall_rules.passage``

    Raises SaltInvocationError for anything that is not a network.
    """
    version = VERSIONS[family]
    wanted = _wanted(networks, version)
    tables = __salt__["ntpcluster_firewall_parse.table"](text, family)
    table = tables.get("filter")
    if table is None:
        return None
    judged = _judge(table, wanted, version)
    stale = judged["first"] + judged["stale"]
    wider = _wider(_without(table, stale), wanted, version) if wanted else []
    policy = table["policy"].get("INPUT", "ACCEPT")
    steps = _steps(judged)
    after = _edit(text, judged) if steps else tables
    hooks = __salt__["ntpcluster_firewall_parse.hooks"](after, family) + list(beside)
    way = passage(hooks, networks, family)
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
    Internal. Put our rules for these networks into the text of a saved file, and those for other networks out of it.

    text, networks, family
        as for ``ntpcluster_firewall_rules.judge``

    Returns the new text. Every other line is as it was; so is everything without a complete filter table.

    Raises SaltInvocationError for anything that is not a network.
    """
    version = VERSIONS[family]
    networks = _wanted(networks, version)
    text = salt.utils.stringutils.to_unicode(text)
    table = __salt__["ntpcluster_firewall_parse.table"](text, family).get("filter")
    return text if table is None else _edit(text, _judge(table, networks, version))
