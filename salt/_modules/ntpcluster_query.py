# -*- coding: utf-8 -*-
"""
Internal. Query servers for the time, one packet each, without changing the clock.

The packets are our own (RFC 5905, mode 3) and not ``ntpdate -q``'s: that takes a second for each server, prints an offset of
zero for a server that is silent (4.2.6) or refuses, reports only one server (ntpsec), and does not exist before the package is
installed.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os
import select
import socket
import struct
import time

import salt.utils.files
from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster_query"
# The loader offers only these functions; ``read_answer`` stays a plain function for the tests.
__load__ = ["asked", "pace", "pause", "query"]

NTP_EPOCH = 2208988800  # seconds from 1900 to 1970
YEAR_2000 = 946684800

#: How many packets a server with `limited` accepts from one address (ntp_monitor() in ntp_monitor.c, with the defaults of
#: `discard`). A packet within a second of the one before is refused (`discard minimum` is 2 s, minus a second of grace, and
#: whole seconds are compared): our packets, and the daemon's first one, keep this distance.
PACE_S = 1.3
#: Each packet adds 6 s to a counter that falls by one every second; from 56 s on the server refuses (RATE with `kod`, or no
#: answer),
BURST_S, PACKET_S, FULL_S = 2, 6, 56
#: and raises the counter to 72 s again if the next packet arrives before it has reached zero: only a pause helps.
REFUSED_S = 72
#: Where the counter is stored, for the next process of this host. In ticks since boot, like monotonic().
ACCOUNT = "/var/run/ntpcluster.asked"
#: Kiss codes by which a server refuses. The others (RFC 5905, 7.4) describe the server: with INIT and STEP it is not synchronized.
REFUSALS = ("DENY", "RSTR", "RATE", "AUTH", "CRYP", "NKEY", "DROP", "RMOT", "NTSN")
LEAP = {0: "none", 1: "add", 2: "del", 3: "alarm"}


def query(servers=None, timeout=2, samples=1):
    """
    Internal. Implements ``ntpcluster.query``.
    """
    names = _servers(servers)
    for what, value, most, low in (("timeout", timeout, 60, 0.001), ("samples", samples, 8, 1)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= most:
            raise SaltInvocationError("{0}: {1!r} is not a number from {2:g} to {3}".format(what, value, low, most))
    found = [_nothing(name, _address(name)) for name in names]
    for _ in range(int(samples)):
        pace()
        asked()
        answers = _exchange([server["address"] for server in found], timeout)
        if all(answer is False for answer in answers):
            asked(-1)
        for server, answer in zip(found, answers):
            if answer and (server["delay_s"] is None or (answer["delay_s"] or timeout) < server["delay_s"]):
                server.update(answer)
    usable = [server for server in found if server["offset_s"] is not None]
    best = min(usable, key=lambda server: (server["stratum"], server["delay_s"])) if usable else None
    return {"servers": found, "best": best}


def pace(packets=1, first=0.0, **called):
    """
    Internal. Wait until servers with a rate limit accept more packets from this host.

    packets
        How many will be sent in a row: ntpd begins with eight.
    first
        After how many seconds the first of them will be sent.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    time.sleep(max(0.0, pause(packets) - first))
    return True


def pause(packets):
    """
    Internal. How many seconds this host must pause before servers with a rate limit accept that many packets from it in a row.
    """
    passed, account = _account()
    room = FULL_S - 1 - (packets - 1) * (PACKET_S - BURST_S)
    return max(0.0, PACE_S - passed, account - room)


def asked(packets=1, refused=False, **called):
    """
    Internal. Record the packets that this host has sent, for ``ntpcluster_query.pace`` in this process and in later ones.

    packets
        How many were sent, the last one just now. -1: the last one was rejected, so no server has counted it.
    refused
        A server has answered that they were too many, or has not answered.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    account = REFUSED_S if refused else max(0.0, _account()[1] + packets * PACKET_S)
    entry = (__salt__["ntpcluster_program.monotonic"](), account)
    __context__["ntpcluster_query.asked"] = entry
    try:
        with salt.utils.files.fopen(ACCOUNT, "w") as record:
            record.write("{0:.2f} {1:.2f}\n".format(*entry))
    except (IOError, OSError):
        pass  # not root: only this process knows
    return True


def _account():
    """Seconds since the last packet of any process of this host, and what the servers' counters are at now."""
    entries = [(-1e6, 0), __context__.get("ntpcluster_query.asked", (-1e6, 0))]
    try:
        with salt.utils.files.fopen(ACCOUNT) as record:
            last, account = [float(word) for word in record.read().split()]
        entries.append((last, min(max(account, 0), REFUSED_S)))
    except (IOError, OSError, ValueError):
        pass
    now = __salt__["ntpcluster_program.monotonic"]()
    # An entry in the future was made before the last boot.
    last, account = max(entry for entry in entries if entry[0] <= now)
    # Servers count whole seconds from packet to packet.
    return now - last, max(0.0, account - (now - last) // 1)


def _servers(servers):
    """A list of servers to query: the given ones, or the sources of this host's plan."""
    if servers is None:
        servers = [source["address"] for source in __salt__["ntpcluster_plan.plan"]()["sources"]]
    if not isinstance(servers, (list, tuple)):
        servers = [servers]
    for server in servers:
        text = "{0}".format(server)
        if not text or text.startswith("-") or not all(c.isalnum() or c in ".-_:%" for c in text):
            raise SaltInvocationError("servers: {0!r} is neither a host name nor an address".format(server))
    if not servers:
        raise SaltInvocationError("servers: none given, and this host's plan has no source")
    return ["{0}".format(server) for server in servers]


def _nothing(name, address):
    """The entry of a server that has not answered. `address`: None if the name does not resolve."""
    unknown = "{0} does not resolve: the name is unknown, or this host's resolver does not answer".format(name)
    return {
        "name": name,
        "address": address,
        "message": unknown if address is None else None,
        "reachable": False,
        "stratum": None,
        "leap": None,
        "refid": None,
        "kiss": None,
        "reference_age_s": None,
        "offset_s": None,
        "delay_s": None,
    }


def _address(name):
    """The first address of a name; a separate program queries the resolver, which may not answer for a long time."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, str(name))
            return name
        except (socket.error, ValueError):
            pass
    done = __salt__["ntpcluster_program.run"]("getent", "libc-bin (glibc-common on EL)", ["ahosts", name], timeout=5)
    words = done["stdout"].split()
    return words[0] if words else None


def _exchange(addresses, timeout):
    """
    Send one packet to each address and collect the answers: a list in the same order. None: no answer. False: the packet was
    rejected by ICMP (no process listens there, or a firewall rejects it), or it could not be sent.
    """
    answers = [None] * len(addresses)
    waiting = {}
    try:
        for number, address in enumerate(addresses):
            sock = _ask(address)
            if sock:
                waiting[sock[0]] = (number,) + sock[1:]
            else:
                answers[number] = False
        until = __salt__["ntpcluster_program.monotonic"]() + timeout
        while waiting:
            left = until - __salt__["ntpcluster_program.monotonic"]()
            ready = select.select(list(waiting), [], [], max(0.0, left))[0]
            if not ready:
                break
            for sock in ready:
                number, nonce, sent, sent_at = waiting[sock]
                try:
                    packet = sock.recv(2048)
                except (socket.error, OSError):
                    packet = None
                trip = _precise() - sent_at
                answer = False if packet is None else read_answer(packet, nonce, sent, trip)
                if answer is not None:
                    answers[number] = answer
                    del waiting[sock]
                    sock.close()
    finally:
        for sock in waiting:
            sock.close()
    return answers


def _ask(address):
    """Send a request: (socket, nonce, local time of sending, reading of the precise clock), or None if impossible."""
    if address is None:
        return None
    family, sock = socket.AF_INET6 if ":" in address else socket.AF_INET, None
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)  # a kernel without IPv6 refuses
        # A connected socket accepts answers from this server only.
        sock.connect((str(address), 123))
        # The transmit timestamp is a random number: it shows that an answer belongs to this request, and does not disclose a
        # wrong clock (draft-ietf-ntp-data-minimization).
        nonce = os.urandom(8)
        sent, sent_at = time.time(), _precise()
        sock.send(struct.pack(str("!B39x"), 0x23) + nonce)
    except (socket.error, OSError):  # no route
        if sock:
            sock.close()
        return None
    return sock, nonce, sent, sent_at


def _precise():
    """A clock for the round trip, in seconds: monotonic where Python has such a clock."""
    return getattr(time, "perf_counter", time.time)()


def read_answer(packet, nonce, sent, trip):
    """
    Internal. Decode a server's answer: pure arithmetic on 48 bytes.

    packet
        The answer, as bytes.
    nonce
        The transmit timestamp of the request: 8 bytes.
    sent
        Local time of sending, in seconds since 1970.
    trip
        Seconds from sending to the answer's arrival.

    Returns the fields that ``ntpcluster.query`` takes from the answer, or None if this is not an answer to that request (RFC
    5905, 8: the origin timestamp must be the one sent).
    """
    if len(packet) < 48:
        return None
    first, stratum = struct.unpack(str("!BB"), packet[:2])
    if first & 7 != 4 or packet[24:32] != nonce:
        return None
    refid = packet[12:16]
    answer = {"reachable": True, "stratum": stratum or 16, "leap": LEAP[first >> 6], "kiss": None}
    answer["refid"] = _refid(refid, stratum)
    answer["reference_age_s"] = None
    if stratum == 0 and answer["refid"] in REFUSALS:
        answer["kiss"] = answer["refid"]
    if not 0 < stratum < 16 or answer["leap"] == "alarm":
        return dict(answer, offset_s=None, delay_s=None)
    received, transmitted = _stamp(packet[32:40]), _stamp(packet[40:48])
    if packet[16:24] != bytes(bytearray(8)):
        answer["reference_age_s"] = round(transmitted - _stamp(packet[16:24]), 3)
    delay = max(0.0, trip - (transmitted - received))
    offset = ((received - sent) + (transmitted - (sent + trip))) / 2
    return dict(answer, offset_s=round(offset, 6), delay_s=round(delay, 6))


def _stamp(packed):
    """Seconds since 1970 of an NTP timestamp. Its 32 bits mean a time from 2000 to 2136, independently of the local clock."""
    seconds, fraction = struct.unpack(str("!II"), packed)
    seconds -= NTP_EPOCH
    if seconds < YEAR_2000:
        seconds += 2**32
    return seconds + fraction / 2.0**32


def _refid(packed, stratum):
    """Four letters for a clock or a kiss code, an address for a server's source (RFC 5905, 7.3)."""
    if stratum > 1:
        return ".".join("{0}".format(octet) for octet in bytearray(packed))
    return "".join(chr(octet) for octet in bytearray(packed) if 32 < octet < 127)
