# -*- coding: utf-8 -*-
"""
Internal. The routes and addresses of this host, which show whether a firewall rule for one interface or one address matches a
network's packets. Reads the kernel's files and runs no program.
"""

from __future__ import absolute_import, print_function, unicode_literals

import binascii
import io
import re
import socket
import struct

try:
    import ipaddress
except ImportError:  # Python 2
    from salt._compat import ipaddress

__virtualname__ = "ntpcluster_firewall_here"

ROUTES = {4: "/proc/net/route", 6: "/proc/net/ipv6_route"}
LOCAL4, LOCAL6 = "/proc/net/fib_trie", "/proc/net/if_inet6"
REJECTED = 0x0200  # RTF_REJECT of linux/route.h
GLOBAL = "00"  # the scope in LOCAL6
OWN = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")


def _read(path):
    """A file's text; empty if it cannot be read, which means unknown."""
    try:
        with io.open(path, encoding="latin-1") as handle:
            return handle.read()
    except (IOError, OSError):
        return ""


def _address6(digits):
    return "{}".format(socket.inet_ntop(socket.AF_INET6, binascii.unhexlify(digits)))


def _address4(digits):
    """The kernel prints the number in the processor's byte order."""
    return "{}".format(socket.inet_ntoa(struct.pack(str("=I"), int(digits, 16))))


def _routes(version):
    """The routes as [(network, interface), ...]."""
    found = []
    for words in [line.split() for line in _read(ROUTES[version]).splitlines()]:
        if version == 4 and len(words) > 7 and words[1] != "Destination":
            to, flags, name = _address4(words[1]) + "/" + _address4(words[7]), int(words[3], 16), words[0]
        elif version == 6 and len(words) > 9:
            to, flags, name = "{}/{}".format(_address6(words[0]), int(words[1], 16)), int(words[8], 16), words[9]
        else:
            continue
        if not flags & REJECTED and name != "lo":
            found.append((ipaddress.ip_network(to, strict=False), name))
    return found


def _addresses(version):
    """This host's own addresses that others can reach."""
    if version == 4:
        found = OWN.findall(_read(LOCAL4))
    else:
        lines = [line.split() for line in _read(LOCAL6).splitlines()]
        found = [_address6(words[0]) for words in lines if len(words) > 3 and words[3] == GLOBAL]
    found = [ipaddress.ip_network(address) for address in sorted(set(found))]
    return [one for one in found if not one.is_loopback]


def here():
    """
    Internal. The facts about this host that firewall rules may test.

    Returns {4: {``routes``: [(network, name of the interface), ...], ``addresses``: [this host's own, as networks]}, 6: the
    same}; either list is empty if it is unknown.
    """
    return dict((version, {"routes": _routes(version), "addresses": _addresses(version)}) for version in ROUTES)
