# -*- coding: utf-8 -*-
"""
Internal. What a firewall's rules ask of a packet, answered for one packet: a question to UDP 123, or our answer to it.

Which of the questions of a rule are understood is decided here and in ntpcluster_firewall_parse.py; what follows
for a chain, in ntpcluster_firewall_rules.py.
"""

from __future__ import absolute_import, print_function, unicode_literals

import collections

__virtualname__ = "ntpcluster_firewall_packet"

try:
    import ipaddress
except ImportError:  # Python 2
    from salt._compat import ipaddress


PORT = 123
BROADCAST = ipaddress.ip_address("255.255.255.255")
EVERYONE = {4: ipaddress.ip_network("0.0.0.0/0"), 6: ipaddress.ip_network("::/0")}
# Targets after which the packet goes on its way. Any other may keep it from ntpd: NFQUEUE, DNAT, TPROXY.
HARMLESS = (
    None, "ACCEPT", "RETURN", "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "CT", "NOTRACK", "TOS", "DSCP", "ECN", "TTL",
    "HL", "CHECKSUM", "CLASSIFY", "TCPMSS", "TCPOPTSTRIP", "TRACE", "AUDIT", "TEE", "SET", "SECMARK", "CONNSECMARK",
    "RATEEST", "LED", "IDLETIMER",
)  # fmt: skip

# The first packet from any client in ``network`` to UDP 123 here, or our answer to it; ``state``: what connection
# tracking says of it, such as ``NEW``, or None where that is not known.
Packet = collections.namedtuple("Packet", ("network", "answer", "state"))


def _inside(inner, outer):
    return inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def _everyone(packet):
    return EVERYONE[packet.network.version]


def _near(packet):
    """The condition that names the client's address."""
    return "destination" if packet.answer else "source"


def _meets_address(name, value, packet):
    if name == _near(packet):
        if any(_inside(packet.network, part) for part in value):
            return True
        return None if any(_inside(part, packet.network) for part in value) else False
    if any(_inside(_everyone(packet), part) for part in value):
        return True
    # this host's own address, which is not known here; but ntpd serves no group of hosts
    if all(part.is_multicast or part.is_loopback or part.network_address == BROADCAST for part in value):
        return False
    return None


def _meets_port(name, value, packet):
    if name == ("sport" if packet.answer else "dport"):
        return any(first <= PORT <= last for first, last in value)
    if name == "either port" and any(first <= PORT <= last for first, last in value):
        return True
    # a client may ask from any port
    return True if any(first <= 1 and last == 65535 for first, last in value) else None


def _meets(name, value, packet):
    """Do such packets meet this condition? True, False, or None: some do, or it is not understood."""
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
        return True if "+" in value else False if set(value) == {"lo"} else None
    if name == "version":
        return packet.network.version in value
    if name == "fragment":
        return False  # the later parts of a packet; one of ntpd's is 48 bytes
    if name in ("destination type", "packet type") and not packet.answer:
        return any(word in ("LOCAL", "HOST") or word == "UNICAST" and name == "packet type" for word in value)
    return None


def _aimed(rule, packet):
    """Does a rule name those it is for, by network or interface?"""
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


def meet(table, network, answer=False, state="NEW"):
    """
    Internal. Answer what each rule of a table asks, for the packets of one network. For its siblings.

    table
        as from ``ntpcluster_firewall_parse.table``
    network
        the clients' network, as an ipaddress object
    answer
        judge the host's answer to them rather than their question
    state
        the packet's state in connection tracking; None when it is not known

    Returns the table with other rules, in which

    * ``conditions`` is [(name, value, negated, verdict), ...]: True when all such packets meet the condition, False
      when none does, None when some do or it is not understood; the client's address is called ``client`` now
    * ``aimed`` says whether the rule names whom it is for, by network or interface
    * ``refuses`` says whether its target may keep the packet from ntpd

    CLI Example: none; it takes a parsed table.
    """
    packet = Packet(network, answer, state)
    chains = {}
    for chain, rules in table["chains"].items():
        chains[chain] = [
            dict(
                rule,
                conditions=[_answered(packet, *condition) for condition in rule["conditions"]],
                aimed=_aimed(rule, packet),
                refuses=rule["target"] not in HARMLESS and rule["target"] not in table["chains"],
            )
            for rule in rules
        ]
    return dict(table, chains=chains)
