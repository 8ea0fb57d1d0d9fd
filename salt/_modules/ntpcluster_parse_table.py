# -*- coding: utf-8 -*-
"""
Internal. Parse the two tables that ``ntpq`` prints, peers and associations, and join them row by row.

Text in, data out: nothing here runs a program, knows a threshold or judges a host. ``ntpcluster_parse`` reads the rest of
ntpq's output.
"""

from __future__ import absolute_import, print_function, unicode_literals

import math
import re
import socket

__virtualname__ = "ntpcluster_parse_table"

# The index is the three selection bits of a peer's status word (RFC 9327, section 3.2).
TALLIES = " x.-+#*o"
CONDITIONS = ["reject", "falseticker", "excess", "outlier", "candidate", "backup", "system_peer", "pps"]

# Codes between dots in the refid column. At stratum 0 and 1 an unlisted code is the name of a clock.
REFID_CODES = {
    "pool": ["POOL"],
    "broadcast": ["BCST"],
    "multicast": ["MCST"],
    "manycast": ["ACST"],
    "state": ["INIT", "STEP", "XFAC", "DNS", "NTS", "AUTO"],
    "kiss": ["RATE", "DENY", "RSTR", "CRYP", "AUTH", "NKEY", "DROP", "RMOT", "NTSN"],
    "local": ["LOCL", "LOCAL"],
    "orphan": ["LOOP", "ORPH"],
}

PEERS_HEADER = ["remote", "refid", "st", "t", "when", "poll", "reach", "delay", "offset", "jitter"]
ASSOCIATIONS_HEADER = ["ind", "assid", "status", "conf", "reach", "auth", "condition", "last_event", "cnt"]
# What a row of peers takes over from its association.
JOINED = ["assid", "last_event", "configured", "authenticated"]

# The columns that have only one possible form, from the left, each separated by a blank.
_ROW_FORMAT = re.compile(r"^[0-9]{1,3} [A-Za-z0-9?-] \S+ \S+ [0-3]?[0-7]{1,2} ")
_ASSOCIATION_FORMAT = re.compile(r"^[0-9]{1,5} [0-9]{1,5} [0-9A-Fa-f]{4} (?:yes|no) ")
_INTERVAL = re.compile("^([0-9]{1,6})([mhdy]?)$")
_SECONDS = {"": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
_DURATION = re.compile("^([+-]?[0-9]{1,20}(?:\\.([0-9]{0,20}))?)(ps|ns|us|\u00b5s|\u03bcs|ms|s|ks)?$")
_MS = {"ps": 1e-9, "ns": 1e-6, "us": 1e-3, "\u00b5s": 1e-3, "\u03bcs": 1e-3, "ms": 1.0, "s": 1e3, "ks": 1e6}
# ntpq -p may print `192.0.2.1 (name`: an address and the other name that it belongs to.
_REMOTE = re.compile(r"^\S+(?: \(.*)?$")
# Only a refid of four characters can contain blanks: anything longer is two rows on one line.
_REFID = re.compile(r"^(?:\S*|\..{1,16}\.)$")
_REFCLOCK = re.compile(r"^[A-Za-z][A-Za-z0-9_]*\([0-9]+\)$")
_IPV4 = re.compile(r"^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$")


def _is_address(text):
    """True for an IPv4 or IPv6 address, with or without a zone (`fe80::1%2`)."""
    if _IPV4.match(text):
        return all(int(part) < 256 for part in text.split("."))
    try:
        socket.inet_pton(socket.AF_INET6, str(text.partition("%")[0]))
    except (socket.error, ValueError, TypeError):
        return False
    return True


def _interval(text):
    """
    Seconds of `when`, None for `-`. ValueError for anything that ntpq does not print.

    Up to 2048 ntpq prints plain seconds, then minutes, hours, days, years. A larger number without a unit has lost its unit,
    because the column is four characters wide: 4.2.6p5 prints 4971 (49710 days) for a packet from the future.
    """
    if text == "-":
        return None
    match = _INTERVAL.match(text)
    if not match:
        raise ValueError(text)
    seconds = int(match.group(1)) * _SECONDS[match.group(2)]
    return None if seconds > 2048 and not match.group(2) else seconds


def _poll(text):
    """Seconds of `poll`: ntpq rounds 4096 to `68m`, but the daemon uses only powers of two."""
    seconds = _interval(text)
    return 2 ** int(round(math.log(seconds, 2))) if seconds and text[-1] in "mhdy" else seconds


def _milliseconds(text, whole_numbers):
    """
    Milliseconds, and whether digits were truncated. ValueError for anything that ntpq does not print.

    Classic ntpq keeps seven characters of a number with three decimals (`%7.7s` in ntpq-subs.c): seven digits
    without a point are the start of a longer number. ntpsec (`whole_numbers`) drops decimals, never digits.
    """
    if text in ("nan", "X"):
        return None, False
    match = _DURATION.match(text)
    if not match:
        raise ValueError(text)
    number, decimals, unit = match.groups()
    if unit:
        # Rounded, not truncated; but `-1.000ks` can hide half a second.
        coarse = _MS[unit] * 10.0 ** -len(decimals or "") > 1.0001
        return (None, True) if coarse else (float(number) * _MS[unit], False)
    if len(text) < 7 and len(decimals or "") < 3:
        raise ValueError(text)
    if whole_numbers or len(text) != 7 or decimals:
        return float(number), False
    return (float(number) if decimals == "" else None), True


def _columns(line):
    """A row's left part and its eight right columns; None when the line is not a row."""
    parts = line.rsplit(None, 8)
    if len(parts) == 8:
        parts.insert(0, "")
    return parts if len(parts) == 9 and _ROW_FORMAT.match(" ".join(parts[1:])) else None


def _split_left(left, width):
    """Tally, remote and refid of a row's left part; None when it does not have ntpq's layout."""
    if not left or left[0] not in TALLIES:
        return None
    remote, refid = left[1 : width + 1].rstrip(), left[width + 2 :].strip()
    if left[width + 1 : width + 2].strip() or not _REMOTE.match(remote):
        # The columns have moved (a name that is not ASCII): only an unambiguous refid is taken.
        parts = left[1:].rsplit(None, 1)
        if len(parts) != 2 or not (_IPV4.match(parts[1]) or re.match(r"^\.\S{1,4}\.$", parts[1])):
            return None
        remote, refid = parts
    return (left[0], remote, refid) if _REMOTE.match(remote) else None


def _peer(line, layout, name):
    """
    One row, and whether every column of it was understood; None when the line is not a row.

    `name` is the previous line if -w put a long name there, else None.
    """
    parts, width = _columns(line), layout["width"]
    left = parts and ((name[0], name[1:], parts[0].strip()) if name else _split_left(parts[0], width))
    if not left or not _REFID.match(left[2]):
        return None
    tally, remote, refid = left
    # ntpsec prints `..` for an empty refid, and stratum 20 when the daemon sent none.
    refid = None if refid in ("", "..") else refid
    stratum = int(parts[1]) if int(parts[1]) <= 16 else None
    row = {
        "remote": remote,
        "refid": refid,
        "refid_kind": refid_kind(refid, stratum),
        "stratum": stratum,
        "type": parts[2],
        "reach": int(parts[5], 8),
        "tally": tally,
        "condition": CONDITIONS[TALLIES.index(tally)],
        "inexact": [],
    }
    row.update(dict.fromkeys(JOINED))
    understood = True
    for key, text, read in (("when_s", parts[3], _interval), ("poll_s", parts[4], _poll)):
        try:
            row[key] = read(text)
        except ValueError:
            row[key], understood = None, False
    for key, text in zip(("delay_ms", "offset_ms", "jitter_ms"), parts[6:]):
        try:
            row[key], cut = _milliseconds(text, layout["whole_numbers"])
        except ValueError:
            row[key], cut, understood = None, False, False
        row["inexact"] += [key] * cut
    # A name that fills its column may have been truncated. The longest IPv4 address fills the narrowest column exactly.
    whole = name or len(remote) < width or _IPV4.match(remote)
    row["address"] = remote if whole and _is_address(remote) else None
    row["inexact"] += [] if whole else ["address"]
    return row, understood


def _association(line, old):
    """One row of the association table, None when the line is not a row."""
    parts = line.split()
    if not 8 <= len(parts) <= 9 or not _ASSOCIATION_FORMAT.match(" ".join(parts)):
        return None
    status = int(parts[2], 16)
    code, broadcast = status & 15, status & 0x0800
    return {
        "assid": int(parts[1]),
        "configured": bool(status & 0x8000),
        # ntpsec sets the "authentic" bit on associations without a key.
        "authenticated": bool(status & 0x2000) if status & 0x4000 and not broadcast else None,
        "tally": TALLIES[(status >> 8) & 7],
        # Before 4.2.6 only these two codes had their present meaning.
        "last_event": code if not old or code in (3, 4) else None,
    }


class _Tables(object):
    """Reads ntpq's output once and takes the rows out of it."""

    def __init__(self, lines):
        self.peers, self.associations, self.headers, self.unparsed, self.rest = [], [], set(), [], []
        self.section = self.layout = None
        skip = False
        for line, following in zip(lines, lines[1:] + [""]):
            if skip:
                skip = False
            elif not line.strip() or self.header(line):
                self.rest.append("")
            elif self.section:
                skip = self.take(line, following)
            else:
                self.rest.append(line)

    def header(self, line):
        """True when the line is the header of a table; records its layout."""
        words = line.split()
        if words == PEERS_HEADER:
            # One blank separates name and refid; "refid" is where its column starts, "remote" 5 characters after the start of
            # its own.
            width = line.index("refid") - line.index("remote") - 2
            if width < 15:
                # The columns are lost (blanks removed by copying): tally and name cannot be told apart.
                return False
            self.section = "peers"
            self.layout = {"width": width, "whole_numbers": "offset   jitter" in line}
        elif [word.lower() for word in words] == ASSOCIATIONS_HEADER:
            self.section = "associations"
            self.layout = {"old": words[1] == "assID"}
        else:
            return False
        self.headers.add(self.section)
        return True

    def take(self, line, following):
        """Takes one line; returns True if it took the next one as well."""
        if self.section == "peers":
            wrapped = self.is_wrapped(line, following)
            taken = _peer(following if wrapped else line, self.layout, line if wrapped else None)
            if taken:
                self.peers.append(taken[0])
                self.unparsed += [] if taken[1] else [line]
                return wrapped
        else:
            association = _association(line, self.layout["old"])
            if association:
                self.associations.append(association)
                return False
        self.rest.append(line)
        return False

    def is_wrapped(self, line, following):
        """True if -w put a long name on this line and the rest of its row on the next."""
        width = self.layout["width"]
        if line[0] not in TALLIES or len(line) <= width + 1 or not _REMOTE.match(line[1:]) or _columns(line):
            return False
        return not following[: width + 2].strip() and bool(_columns(following))


def _join(peers, associations):
    """
    Adds the facts of its association to each row; returns True if no row was ambiguous.

    Both tables list the daemon's associations in the same order, so the n-th row is the n-th association, and the tallies must
    agree. If the counts differ (`peers` hides some), a row is joined only if it has the same place in the leftmost and in the
    rightmost match of one table within the other.
    """
    swapped = len(peers) > len(associations)
    short, long_ = (associations, peers) if swapped else (peers, associations)
    first = _fit(short, long_)
    last = [len(long_) - 1 - place for place in reversed(_fit(short[::-1], long_[::-1]))]
    if len(first) < len(short):
        return False
    for index, place in enumerate(first):
        if last[index] == place:
            row, association = (long_[place], short[index]) if swapped else (short[index], long_[place])
            row.update((key, association[key]) for key in JOINED)
    return len(short) == len(long_)


def _fit(short, long_):
    """The indexes in `long_` that match the tallies of `short`, in order, as early as possible."""
    places, place = [], 0
    for row in short:
        while place < len(long_) and long_[place]["tally"] != row["tally"]:
            place += 1
        if place == len(long_):
            break
        places.append(place)
        place += 1
    return places


def refid_kind(refid, stratum):
    """
    Internal. What a refid says: a word of REFID_CODES, ``address``, ``clock``, ``unknown``, or None.

    ``local`` is a source's own clock: ntpd's local clock driver (127.127.1.x, which ntpq prints as LOCAL(x), or LOCL at
    stratum 1; chronyd's `local` and Windows say the same), and the internal clock of older routers (127.127.7.x, which
    classic ntpq prints as CHU_AUDIO(x)). ``orphan``: LOOPBACKADR in ntp_proto.c.
    """
    if refid is None or refid == "0.0.0.0":
        return None
    if refid.startswith(("127.127.1.", "127.127.7.", "LOCAL(", "CHU_AUDIO(")):
        return "local"
    if refid.startswith("127.127.") or _REFCLOCK.match(refid):
        return "clock"
    if _is_address(refid):
        return "orphan" if refid == "127.0.0.1" else "address"
    for kind, codes in REFID_CODES.items():
        if refid.strip(".") in codes:
            return kind
    return "clock" if stratum in (0, 1) else "unknown"


def read(lines):
    """
    Internal. Take both tables out of the lines that ntpq printed.

    lines
        list of text, without line ends

    Returns a dict:

    - ``peers``: a row for each source, as ``ntpcluster_parse.ntpq`` describes them; ``last_event`` is its number
    - ``tables``: the set of those that are there, ``peers`` and ``associations``
    - ``complete``: False when one of them is empty, or when the two do not fit each other
    - ``unparsed``: rows of which something was not understood
    - ``rest``: all lines that are not rows, with a blank one in place of a table's header
    """
    seen = _Tables(lines)
    joined = len(seen.headers) < 2
    if seen.peers and seen.associations:
        joined = _join(seen.peers, seen.associations)
    empty = ("peers" in seen.headers and not seen.peers) or ("associations" in seen.headers and not seen.associations)
    return {
        "peers": seen.peers,
        "tables": seen.headers,
        "complete": joined and not empty,
        "unparsed": seen.unparsed,
        "rest": seen.rest,
    }
