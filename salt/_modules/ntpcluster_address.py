# -*- coding: utf-8 -*-
"""
Internal. Read, compare and normalise the addresses, names and networks of the pillar. Pure functions.
"""

from __future__ import absolute_import, print_function, unicode_literals

import binascii
import re
import socket

__virtualname__ = "ntpcluster_address"

KINDS = {4: socket.AF_INET, 6: socket.AF_INET6}
BITS = {4: 32, 6: 128}

#: Addresses that no time server can have, the most specific networks first.
NOWHERE = (
    (
        "127.127.0.0/16",
        "is a reference clock of ntpd, not a server: write {refclock: ...}; for the local clock `island: true`",
    ),
    ("127.0.0.0/8", "is this host itself"),
    ("0.0.0.0/8", "is no host"),
    ("224.0.0.0/3", "is a multicast or reserved address"),
    ("::1", "is this host itself"),
    ("::", "is no host"),
    ("::ffff:0:0/96", "is an IPv4 address; write it in dotted form"),
    ("fe80::/10", "is valid on one link only, and names no link"),
    ("ff00::/8", "is a multicast address"),
)


def family(text):
    """
    Internal. Return 4 or 6 for an address of a checked pillar, None for a name.
    """
    if ":" in text:
        return 6
    return 4 if re.match(r"[0-9.]+\Z", text) else None


def number(text):
    """
    Internal. Return (family, number) of a numeric address, None for anything else.
    """
    # This is called for each item of a list, and a call through Salt would take longer than the function itself.
    if not isinstance(text, type("")) or not re.match(r"[0-9A-Fa-f:.]+\Z", text):
        return None
    kind = 6 if ":" in text else 4
    try:
        return (kind, int(binascii.hexlify(socket.inet_pton(KINDS[kind], text)), 16))
    except (socket.error, ValueError):
        return None


def canonical(text):
    """
    Internal. Return an address in its canonical form, a name in lower case, so that equal ones compare equal.
    """
    known = number(text.split("%")[0])
    return _written(*known) if known else text.lower()


def network(text):
    """
    Internal. Return (family, number, prefix length) of a network and None; or None and what is wrong with it.
    """
    form = "must be a network such as 10.0.0.0/24 or 2001:db8::/64, or one address"
    match = re.match(r"([0-9A-Fa-f:.]+)(?:/([0-9]{1,3}))?\Z", text) if isinstance(text, type("")) else None
    address = number(match.group(1)) if match else None
    if not address:
        return None, form
    kind, start = address
    length = BITS[kind] if match.group(2) is None else int(match.group(2))
    if length > BITS[kind]:
        return None, form
    host = start & ((1 << (BITS[kind] - length)) - 1)
    if host:
        return None, "has host bits; the network is {}/{}".format(_written(kind, start - host), length)
    return (kind, start, length), None


def spelled(text):
    """
    Internal. Return a network of a checked pillar as {network, address, netmask, family}.
    """
    kind, start, length = network(text)[0]
    address = _written(kind, start)
    return {
        "network": "{}/{}".format(address, length),
        "address": address,
        "netmask": _written(kind, (1 << BITS[kind]) - (1 << (BITS[kind] - length))),
        "family": kind,
    }


def inside(address, net):
    """
    Internal. Tell whether an address, as ``number`` returns it, belongs to a network, as ``network`` does.
    """
    shift = BITS[address[0]] - net[2]
    return address[0] == net[0] and address[1] >> shift == net[1] >> shift


def nowhere(text):
    """
    Internal. Return why no time server can have a numeric address, as text that follows the address; None if one can.
    """
    address = number(text)
    return next((why for net, why in NOWHERE if inside(address, network(net)[0])), None)


def is_host(text, host):
    """
    Internal. Tell whether a name or address of the pillar is the host itself, as ``ntpcluster_facts.facts`` describes it.
    """
    address = canonical(text)
    return address in host["addresses"] or address in host["names"]


def _written(kind, value):
    packed = binascii.unhexlify("{:0{}x}".format(value, BITS[kind] // 4).encode("ascii"))
    return "{}".format(socket.inet_ntop(KINDS[kind], packed))
