# -*- coding: utf-8 -*-
"""
Internal. What a firewall's rules do to the packets of one network: a request to UDP 123, or our reply to it.

This file and ntpcluster_firewall_parse.py decide which matches of a rule are understood. ntpcluster_firewall_rules.py judges
whether rules are missing, and ntpcluster_firewall_passage.py what all hooks together let through.
"""

from __future__ import absolute_import, print_function, unicode_literals

import collections

try:
    import ipaddress
except ImportError:  # Python 2
    from salt._compat import ipaddress

__virtualname__ = "ntpcluster_firewall_packet"

PORT = 123
BROADCAST = ipaddress.ip_address("255.255.255.255")
EVERYONE = {4: ipaddress.ip_network("0.0.0.0/0"), 6: ipaddress.ip_network("::/0")}
REFUSING = ("DROP", "REJECT")
TRANSLATING = ("DNAT", "REDIRECT", "dnat", "redirect")
# Targets after which the packet continues. Any other may keep it from ntpd: NFQUEUE, DNAT, TPROXY.
HARMLESS = (
    None, "ACCEPT", "RETURN", "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "CT", "NOTRACK", "TOS", "DSCP", "ECN", "TTL",
    "HL", "CHECKSUM", "CLASSIFY", "TCPMSS", "TCPOPTSTRIP", "TRACE", "AUDIT", "TEE", "SET", "SECMARK", "CONNSECMARK",
    "RATEEST", "LED", "IDLETIMER",
)  # fmt: skip

NOT_KNOWN = {"interfaces": (), "addresses": ()}
# The first packet from any client in ``network`` to UDP 123 here, or our reply to it; ``state``: its state in connection
# tracking, such as ``NEW``, or None if unknown; ``here``: see ``meet``.
Packet = collections.namedtuple("Packet", ("network", "answer", "state", "here"))


def _inside(inner, outer):
    return inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def _everyone(packet):
    return EVERYONE[packet.network.version]


def _near(packet):
    """The condition that names the client's address."""
    return "destination" if packet.answer else "source"


def _whole(parts, network):
    return len(parts) > 1 and list(ipaddress.collapse_addresses(parts)) == [network]


def _meets_address(name, value, packet):
    if name == _near(packet):
        if any(_inside(packet.network, part) for part in value):
            return True
        parts = [part for part in value if _inside(part, packet.network)]
        return True if _whole(parts, packet.network) else None if parts else False
    if any(_inside(_everyone(packet), part) for part in value):
        return True
    # this host's own address; ntpd does not serve a group address
    if all(part.is_multicast or part.is_loopback or part.network_address == BROADCAST for part in value):
        return False
    met = [any(_inside(own, part) for part in value) for own in packet.here["addresses"]]
    return met[0] if len(set(met)) == 1 else None


def _meets_interface(value, packet):
    if "+" in value:
        return True
    if set(value) == {"lo"}:
        return False
    # "eth+" of iptables and "eth*" of nft: all names with this prefix
    met = [
        any(one == name or (name[-1:] in ("+", "*") and one.startswith(name[:-1])) for name in value)
        for one in packet.here["interfaces"]
    ]
    return met[0] if len(set(met)) == 1 else None


def _meets_port(name, value, packet):
    if name == ("sport" if packet.answer else "dport"):
        return any(first <= PORT <= last for first, last in value)
    if name == "either port" and any(first <= PORT <= last for first, last in value):
        return True
    # a client may use any port
    return True if any(first <= 1 and last == 65535 for first, last in value) else None


def _meets(name, value, packet):
    """Whether such packets meet this condition: True, False, or None: some do, or it is not understood."""
    if value == []:  # a set of nftables without members
        return False
    if name in ("source", "destination"):
        return _meets_address(name, value, packet)
    if name.endswith("port"):
        return _meets_port(name, value, packet)
    if name == "protocol":
        return any(word in ("udp", "all") for word in value)
    if name == "state":
        return packet.state in value if packet.state else None
    if name in ("input", "output"):
        return _meets_interface(value, packet)
    if name == "version":
        return packet.network.version in value
    if name == "fragment":
        return False  # the later fragments of a packet; packets of ntpd have 48 bytes
    if name in ("destination type", "packet type") and not packet.answer:
        return any(word in ("LOCAL", "HOST") or word == "UNICAST" and name == "packet type" for word in value)
    return None


def _aimed(rule, packet):
    """Whether a rule names its clients, by network or interface."""
    for name, value, negated in rule["conditions"]:
        if name == _near(packet) and not negated:
            return not any(_inside(_everyone(packet), part) for part in value)
        if name in ("input", "output") and not negated and "+" not in value:
            return True
    return False


def _answered(packet, name, value, negated):
    verdict = _meets(name, value, packet)
    name = "client" if name == _near(packet) else name
    return (name, value, negated, verdict if verdict is None else verdict != negated)


def _away(rule, packet):
    """Whether a rule redirects the packet to another host, or to another port of this one; None: unknown."""
    if rule["target"] not in TRANSLATING:
        return False
    if rule["to"] is None:
        return None
    address, port = rule["to"]
    own = [one.network_address for one in packet.here["addresses"]]
    if port not in (None, PORT):
        return True
    if address is None:
        return False
    return None if address.is_loopback or not own else address not in own


def _judged(rule, chains, packet):
    """A rule with the keys that ``meet`` adds."""
    away = _away(rule, packet)
    return dict(
        rule,
        conditions=[_answered(packet, *condition) for condition in rule["conditions"]],
        aimed=_aimed(rule, packet),
        refuses=rule["target"] not in HARMLESS + TRANSLATING and rule["target"] not in chains or away is not False,
        drops=rule["target"] in REFUSING or away is True,
    )


def _takes(conditions, any_interface=False):
    """
    Whether a rule with these conditions matches such packets: True, False, or None: some of them, or unknown. With
    ``any_interface`` a rule for one interface is judged for the packets that arrive there.
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
    """Whether a chain accepts anything new from the network, on any port."""
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
    The outcome of this rule for the network's packets: ``end`` and ``ban`` refuse them all (see the head of
    ntpcluster_firewall_rules.py), ``accept``, ``leave`` the chain; None if some of them continue.
    """
    target, conditions = rule["target"], rule["conditions"]
    takes = _takes(conditions)
    if target in ("ACCEPT", "RETURN"):
        return ("accept" if target == "ACCEPT" else "leave") if takes else None
    if rule["drops"]:
        if rule["aimed"]:
            return "ban" if takes else None
        # everyone outside another network: it is the end even if the other network overlaps with ours
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


def _way(table, stops, chain, path=(), seen=()):
    """Implements ``reachable``; ``path``: the conditions of the jumps that lead to the chain."""
    met = []
    for rule in table["chains"].get(chain, []):
        conditions = list(path) + rule["conditions"]
        verdict = _takes(conditions)
        if verdict is False:
            continue
        met.append((rule, conditions, verdict))
        target = rule["target"]
        if target in table["chains"] and target not in seen:
            met += _way(table, stops, target, conditions, seen + (chain,))
        if _outcome(table, rule) in stops:
            break
    return met


def _too_wide(rule, conditions, networks):
    """Whether this rule admits, or may admit, requests from outside the networks."""
    takes = _takes([one for one in conditions if one[0] != "client"], any_interface=True)
    about_time = bool(_about(conditions, "dport", "either port"))
    if rule["target"] != "ACCEPT" or takes is False or not (takes or about_time):
        return False
    sources = [parts for _, parts, negated, _ in _about(conditions, "client") if not negated]
    sources.append([EVERYONE[networks[0].version]])
    if any(all(any(_inside(part, network) for network in networks) for part in parts) for parts in sources):
        return False
    # A rule that trusts one address for everything (an administrator's host) is not about time and not reported.
    return about_time or any(
        all(any(_inside(network, part) for part in parts) for parts in sources) for network in networks
    )


def meet(table, network, answer=False, state="NEW", here=None):
    """
    Internal. Evaluate the conditions of each rule of a table for the packets of one network.

    table
        as from ``ntpcluster_firewall_parse.table``
    network
        the clients' network, as an ipaddress object
    answer
        judge the host's reply to them instead of their request
    state
        the packet's state in connection tracking; None when it is not known
    here
        {``interfaces``: names of those on the path to the network, ``addresses``: this host's own, as networks}, each empty if
        unknown; None: both are unknown

    Returns the table with the ``version`` of IP and with other rules, in which

    * ``conditions`` is [(name, value, negated, verdict), ...]: True if all such packets meet the condition, False if none does,
      None if some do or it is not understood; here the client's address is called ``client``
    * ``aimed`` says whether the rule names its clients, by network or interface
    * ``refuses`` says whether its target may keep the packet from ntpd, ``drops`` whether it certainly does, also by sending it
      to another host or port
    """
    packet = Packet(network, answer, state, here or NOT_KNOWN)
    chains = {}
    for chain, rules in table["chains"].items():
        chains[chain] = [_judged(rule, table["chains"], packet) for rule in rules]
    return dict(table, chains=chains, version=network.version)


def reachable(table, stops, chain="INPUT"):
    """
    Internal. The rules that a packet may reach in a chain.

    table
        as from ``ntpcluster_firewall_packet.meet``
    stops
        the path is followed up to a rule with one of these outcomes, as from ``ntpcluster_firewall_packet.outcomes``

    Returns [(rule, conditions, verdict), ...] in order: the conditions are those of the rule and of the jumps that lead
    to it, the verdict is True if the rule matches all such packets, None if it matches some of them or this is unknown.
    """
    return _way(table, stops, chain)


def outcomes(table, chain):
    """
    Internal. The outcome of each rule of a chain for the packets, as a list of words.

    ``end`` and ``ban`` refuse them all (see the head of ntpcluster_firewall_rules.py), ``accept`` lets them in, ``leave``
    takes them out of the chain; None if some of them continue.
    """
    return [_outcome(table, rule) for rule in table["chains"].get(chain, [])]


def takes(conditions, *names):
    """
    Internal. Whether a rule with these conditions matches the packets: True, False, or None: some of them, or unknown. With
    names, only the conditions with these names are evaluated.
    """
    return _takes(_about(conditions, *names) if names else conditions)


def everyone(family):
    """
    Internal. The network of all hosts of a family, ``ipv4`` or ``ipv6``, as an ipaddress object.
    """
    return EVERYONE[4 if family == "ipv4" else 6]


def parts(conditions, network):
    """
    Internal. The parts of a network whose packets all meet these conditions. Returns a list; empty unless the conditions name some
    of the network's clients and test nothing else that a packet may fail.
    """
    open_ = [condition for condition in conditions if condition[3] is not True]
    if len(open_) != 1 or open_[0][0] != "client" or open_[0][2]:
        return []
    return [part for part in open_[0][1] if _inside(part, network)]


def whole(found, network):
    """
    Internal. Whether these parts of a network make up all of it.
    """
    return _whole(found, network)


def opens(conditions, version):
    """
    Internal. The network to which a rule with these conditions opens UDP 123, if that is all it does; else None.

    conditions
        as from ``ntpcluster_firewall_packet.reachable``
    version
        4 or 6
    """
    if any(negated for _, _, negated, _ in conditions):
        return None
    if len(_about(conditions, "version", "client", "protocol", "dport", "state")) < len(conditions):
        return None
    asked = [(name, value) for name, value, _, _ in conditions]
    if ("protocol", ["udp"]) not in asked or ("dport", [(PORT, PORT)]) not in asked:
        return None
    if not _takes(_about(conditions, "version", "protocol", "dport", "state")):
        return None
    narrowest = EVERYONE[version]
    for _, parts in [one for one in asked if one[0] == "client"]:
        if len(parts) > 1:
            return None
        narrowest = parts[0] if _inside(parts[0], narrowest) else narrowest
    return narrowest


def opened(table, chain="INPUT"):
    """
    Internal. The rules of a chain that let packets in and do no more than open UDP 123, as [(rule, network), ...].
    """
    met = [(rule, conditions) for rule, conditions, _ in _way(table, ("end", "leave"), chain)]
    return [(rule, opens(conditions, table["version"])) for rule, conditions in met if rule["target"] == "ACCEPT"]


def wider(table, networks):
    """
    Internal. The rules that admit, or may admit, requests from outside these networks, as text.

    table
        as from ``ntpcluster_firewall_packet.meet``, for everyone
    """
    found = []
    for rule, conditions, _ in _way(table, ("end", "leave"), "INPUT"):
        if _too_wide(rule, conditions, networks) and rule["text"] not in found:
            found.append(rule["text"])
    return found
