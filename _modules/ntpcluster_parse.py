# -*- coding: utf-8 -*-
"""
Internal. What ``ntpq`` prints, as data.

Text in, data out: nothing here runs a program, knows a threshold or judges a host.

``ntpq`` was written for eyes. It ends with 0 when it failed, cuts numbers to seven characters without a mark, prints
an age of 49710 days as ``4971``, and leaves a table half printed when the daemon stops answering. Three rules follow:
what is not certain is ``None``, what was cut is named in ``inexact``, and a line that does not look like ntpq's own
goes to ``unparsed`` instead of being guessed at.

Known dialects: ntp 4.2.6p5 and 4.2.8 ("classic"), ntpsec 0.9 to 1.2.
"""

from __future__ import absolute_import, print_function, unicode_literals

import math
import re
import socket

__virtualname__ = "ntpcluster_parse"

# A thousand peers make about 150000.
MAX_TEXT = 400000
MAX_UNPARSED = 50
MAX_LINE = 200

# The index is the three selection bits of a peer's status word (RFC 9327, section 3.2).
TALLIES = " x.-+#*o"
CONDITIONS = ["reject", "falseticker", "excess", "outlier", "candidate", "backup", "system_peer", "pps"]
# The index is the low four bits of a status word; the words are those of ntpq and of its manual.
PEER_EVENTS = [
    None, "mobilize", "demobilize", "unreachable", "reachable", "restart", "no_reply", "rate_exceeded",
    "access_denied", "leap_armed", "sys_peer", "clock_alarm", "bad_auth", "popcorn", "interleave_mode", "interleave_error",
]  # fmt: skip
SYSTEM_EVENTS = [
    None, "freq_not_set", "freq_set", "spike_detect", "freq_mode", "clock_sync", "restart", "panic_stop",
    "no_sys_peer", "leap_armed", "leap_disarmed", "leap_event", "clock_step", "kern", "tai", "stale_leapsecond_values",
]  # fmt: skip
SOURCES = ["unspec", "pps", "lf_radio", "hf_radio", "uhf_radio", "local", "ntp", "other", "wristwatch", "telephone"]
LEAPS = {"00": "none", "01": "add", "10": "del", "11": "alarm", "0": "none", "1": "add", "2": "del", "3": "alarm"}

# Codes between dots in the refid column. One that is in no list is a clock's name at stratum 0 and 1.
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

# What ntpq writes, and the word of `error` for it. The first entry found in a line names the line.
ERRORS = (
    ("connection refused", "daemon-stopped"),
    ("probably ntpd is not running", "daemon-stopped"),
    ("server disallowed request", "not-permitted"),
    ("server error code permission", "not-permitted"),
    ("timed out with incomplete data", "incomplete"),
    ("response from server was incomplete", "incomplete"),
    ("request timed out", "timeout"),
    ("timed out, nothing received", "timeout"),
    ("timed out after", "timeout"),
    ("no association id", "no-associations"),
    ("failure in name resolution", "unresolvable"),
    ("name or service not known", "unresolvable"),
    ("no address associated with hostname", "unresolvable"),
    ("-mode lookup of ", "unresolvable"),
    ("command not found", "not-installed"),
    ("unknown associd", "incomplete"),
    ("***", "incomplete"),
)

PEERS_HEADER = ["remote", "refid", "st", "t", "when", "poll", "reach", "delay", "offset", "jitter"]
ASSOCIATIONS_HEADER = ["ind", "assid", "status", "conf", "reach", "auth", "condition", "last_event", "cnt"]
# What a row of peers takes over from its association.
JOINED = ["assid", "last_event", "configured", "authenticated"]

_ROW_FORMAT = ((1, "^[0-9]{1,3}$"), (2, "^[A-Za-z0-9?-]$"), (5, "^[0-3]?[0-7]{1,2}$"))
_ASSOCIATION_FORMAT = ((0, "^[0-9]{1,5}$"), (1, "^[0-9]{1,5}$"), (2, "^[0-9A-Fa-f]{4}$"), (3, "^(?:yes|no)$"))
_INTERVAL = re.compile("^([0-9]{1,6})([mhdy]?)$")
_SECONDS = {"": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
_DURATION = re.compile("^([+-]?[0-9]{1,20}(?:\\.([0-9]{0,20}))?)(ps|ns|us|\u00b5s|\u03bcs|ms|s|ks)?$")
_MS = {"ps": 1e-9, "ns": 1e-6, "us": 1e-3, "\u00b5s": 1e-3, "\u03bcs": 1e-3, "ms": 1.0, "s": 1e3, "ks": 1e6}
# ntpq -p may print `192.0.2.1 (name`: an address and the other name that it belongs to.
_REMOTE = re.compile(r"^\S+(?: \(.*)?$")
# Blanks belong to a refid of four characters only: what is longer is a row that another one was glued to.
_REFID = re.compile(r"^(?:\S*|\..{1,16}\.)$")
_REFCLOCK = re.compile(r"^[A-Za-z][A-Za-z0-9_]*\([0-9]+\)$")
_IPV4 = re.compile(r"^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$")
_ASSIGNMENT = re.compile(r"^\s*[A-Za-z_][A-Za-z0-9_.]*[ \t]*=")
# A quoted string, or the start of a variable: a comma inside a date or a list is followed by no `name=`.
_VARIABLE = re.compile(r"\"[^\"]*\"|(?:^|,)\s*([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=")
_STATUS = re.compile(r"^\s*(?:associd=([0-9]{1,5})\s+)?status=(?:0x)?([0-9A-Fa-f]{4})\b[^\n]*")
_TIMESTAMP = re.compile(r"^(?:0x)?([0-9a-f]{8})\.([0-9a-f]{8})\b")
_NUMBER = re.compile(r"^[+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?(?:[eE][+-]?[0-9]{1,3})?$")
# Numbers, or None where the daemon says something else: a `-`, a word, nothing at all.
_NUMBERS = (
    "stratum", "precision", "rootdelay", "rootdisp", "rootdist", "peer", "tc", "mintc", "offset", "frequency", "sys_jitter",
    "clk_jitter", "clk_wander", "tai", "delay", "dispersion", "jitter", "hpoll", "ppoll", "hmode", "pmode", "headway",
    "unreach", "srcport", "dstport", "keyid", "bias", "xleave",
)  # fmt: skip
# Text, even if it looks like a number.
_TEXTS = (
    "refid", "version", "processor", "system", "srcadr", "dstadr", "srchost", "status", "flash", "host",
    "ident", "reftime", "clock", "rec", "xmt", "org",
)  # fmt: skip
_FILTERS = ("filtdelay", "filtoffset", "filtdisp")
_NOISE = re.compile(r"^(?:=+|(?:primary )?timeout [0-9]+ ms|Output set to (?:raw|cooked))$")


def _lines(value):
    """The lines of at most MAX_TEXT characters of a text, and what to say about the rest."""
    if value is None:
        value = ""
    elif isinstance(value, bytes):
        value = value[: MAX_TEXT * 4 + 4].decode("utf-8", "replace")
    left_out = ["... only the first {} characters were read".format(MAX_TEXT)] if len(value) > MAX_TEXT else []
    # Not splitlines(): that also cuts at control characters inside a line.
    return [line.rstrip("\r") for line in value[:MAX_TEXT].split("\n")], left_out


def _short(lines):
    """The lines fit for a report: not too many, none too long."""
    kept = [line[:MAX_LINE] for line in lines[:MAX_UNPARSED]]
    return kept + ["... and {} more lines".format(len(lines) - MAX_UNPARSED)] * (len(lines) > MAX_UNPARSED)


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
    Seconds of `when`, None for `-`. ValueError for what ntpq does not print.

    Up to 2048 ntpq prints plain seconds, then minutes, hours, days, years. More than that without a unit is a number
    whose unit fell off its four columns: 4.2.6p5 prints 4971 (49710 days) for a packet from the future.
    """
    if text == "-":
        return None
    match = _INTERVAL.match(text)
    if not match:
        raise ValueError(text)
    seconds = int(match.group(1)) * _SECONDS[match.group(2)]
    return None if seconds > 2048 and not match.group(2) else seconds


def _poll(text):
    """Seconds of `poll`: ntpq rounds 4096 to `68m`, but the daemon knows powers of two only."""
    seconds = _interval(text)
    return 2 ** int(round(math.log(seconds, 2))) if seconds and text[-1] in "mhdy" else seconds


def _milliseconds(text, whole_numbers):
    """
    Milliseconds, and whether digits were cut off. ValueError for what ntpq does not print.

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
        # Rounded, not cut; but `-1.000ks` hides half a second.
        coarse = _MS[unit] * 10.0 ** -len(decimals or "") > 1.0001
        return (None, True) if coarse else (float(number) * _MS[unit], False)
    if len(text) < 7 and len(decimals or "") < 3:
        raise ValueError(text)
    if whole_numbers or len(text) != 7 or decimals:
        return float(number), False
    return (float(number) if decimals == "" else None), True


def _refid_kind(refid, stratum):
    """What a refid says: a word of REFID_CODES, `address`, `clock`, `unknown`, or None."""
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


def _has_format(parts, formats):
    """True when the columns that can have one form only have it."""
    return all(re.match(pattern, parts[index]) for index, pattern in formats)


def _columns(line):
    """A row's left part and its eight right columns; None when the line is no row."""
    parts = line.rsplit(None, 8)
    if len(parts) == 8:
        parts.insert(0, "")
    return parts if len(parts) == 9 and _has_format(parts, _ROW_FORMAT) else None


def _split_left(left, width):
    """Tally, remote and refid of a row's left part; None when it is not laid out as ntpq does."""
    if not left or left[0] not in TALLIES:
        return None
    remote, refid = left[1 : width + 1].rstrip(), left[width + 2 :].strip()
    if left[width + 1 : width + 2].strip() or not _REMOTE.match(remote):
        # The columns moved (a name that is not ASCII): only a refid that can be nothing else is taken.
        parts = left[1:].rsplit(None, 1)
        if len(parts) != 2 or not (_IPV4.match(parts[1]) or re.match(r"^\.\S{1,4}\.$", parts[1])):
            return None
        remote, refid = parts
    return (left[0], remote, refid) if _REMOTE.match(remote) else None


def _peer(line, layout, name):
    """
    One row, and whether every column of it was understood; None when the line is no row.

    `name` is the line before when -w put a long name there, else None.
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
        "refid_kind": _refid_kind(refid, stratum),
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
    # A name that fills its column may be longer. The longest IPv4 address fills the narrowest column exactly.
    whole = name or len(remote) < width or _IPV4.match(remote)
    row["address"] = remote if whole and _is_address(remote) else None
    row["inexact"] += [] if whole else ["address"]
    return row, understood


def _association(line, old):
    """One row of the association table, None when the line is no row."""
    parts = line.split()
    if not 8 <= len(parts) <= 9 or not _has_format(parts, _ASSOCIATION_FORMAT):
        return None
    status = int(parts[2], 16)
    selection, code, broadcast = (status >> 8) & 7, status & 15, status & 0x0800
    return {
        "assid": int(parts[1]),
        "status": status,
        "configured": bool(status & 0x8000),
        # ntpsec sets the "authentic" bit on associations without a key.
        "authenticated": bool(status & 0x2000) if status & 0x4000 and not broadcast else None,
        "reachable": None if broadcast else bool(status & 0x1000),
        "tally": TALLIES[selection],
        "condition": CONDITIONS[selection],
        # Before 4.2.6 only these two codes had the meaning they have now.
        "last_event": PEER_EVENTS[code] if not old or code in (3, 4) else None,
        "event_count": (status >> 4) & 15,
    }


def _unix_seconds(text):
    """Unix seconds of an NTP timestamp in hex, None for "never". What would be before 1970 is after 2036."""
    match = _TIMESTAMP.match(text)
    if not match or not int(match.group(1), 16):
        return None
    seconds = (int(match.group(1), 16) - 2208988800) % (1 << 32)
    return seconds + int(match.group(2), 16) / 4294967296.0


def _value(name, text, reach_base):
    """One variable's value: text, number, list (the eight stages of the clock filter) or None."""
    if name == "leap":
        return LEAPS.get(text)
    if name == "reach":
        return int(text, reach_base) if re.match("^[0-%d]{1,3}$" % (reach_base - 1), text) else None
    if name in _FILTERS:
        stages = [stage for stage in text.split(" ") if stage]
        return [float(stage) for stage in stages] if all(_NUMBER.match(stage) for stage in stages) else None
    if text.startswith('"') and name not in _NUMBERS:
        return text.strip('"')
    if name in _TEXTS:
        return text
    if not _NUMBER.match(text):
        return None if name in _NUMBERS or text in ("nan", "inf", "-inf") else text
    number = int(text) if re.match(r"^[+-]?[0-9]+$", text) else float(text)
    if name == "stratum":
        return number if number in range(17) else None
    return None if math.isinf(number) else number


def _variables(text):
    """The variables of one ``rv``, and the pieces of text that are none."""
    found, rest = {}, []
    head = _STATUS.match(text)
    # `raw` shows numbers as they were sent: reach in decimal.
    raw = head and "status=0x" in head.group()
    if head:
        found["status"] = head.group(2)
        if head.group(1):
            status, system = int(head.group(2), 16), int(head.group(1)) == 0
            found["associd"] = int(head.group(1))
            found["last_event"] = (SYSTEM_EVENTS if system else PEER_EVENTS)[status & 15]
            found["event_count"] = (status >> 4) & 15
            if system:
                found["source"] = dict(enumerate(SOURCES)).get((status >> 8) & 63)
        text = text[head.end() :]
    starts = [start for start in _VARIABLE.finditer(text) if start.group(1)]
    rest.append(text[: starts[0].start()] if starts else text)
    for start, following in zip(starts, starts[1:] + [None]):
        name, end = start.group(1), following.start() if following else len(text)
        if name in found:
            rest.append(text[start.start() : end])
            continue
        value = _value(name, text[start.end() : end].strip().rstrip(",").rstrip(), 10 if raw else 8)
        if name in _FILTERS and (not value or len(value) != 8):
            # ntpd of ntpsec 1.2 sends left-over bytes here.
            continue
        found[name] = value
        if name in ("reftime", "clock", "rec"):
            found[name + "_s"] = _unix_seconds(value)
    return found, [piece.strip(" \t\r\n,") for piece in rest if piece.strip(" \t\r\n,")]


class _Reader(object):
    """Goes through ntpq's output once and sorts its lines into the three sections."""

    def __init__(self, lines):
        self.peers, self.associations, self.blocks, self.unparsed, self.headers = [], [], [], [], []
        self.section = self.layout = self.error = None
        skip = False
        for line, following in zip(lines, lines[1:] + [""]):
            if skip:
                skip = False
            elif line.strip():
                skip = not self.header(line) and self.take(line, following)
            elif self.section == "variables":
                self.section = None

    def header(self, line):
        """True when the line is the head of a table; notes its layout."""
        words = line.split()
        if words == PEERS_HEADER:
            # Between name and refid is one blank; "refid" stands where the column starts, "remote" 5 further right.
            width = line.index("refid") - line.index("remote") - 2
            if width < 15:
                # No columns any more (blanks lost in a copy): tally and name cannot be told apart.
                return False
            self.section = "peers"
            self.layout = {"width": width, "whole_numbers": "offset   jitter" in line}
        elif [word.lower() for word in words] == ASSOCIATIONS_HEADER:
            self.section = "associations"
            self.layout = {"old": words[1] == "assID"}
        else:
            return False
        self.headers.append(self.section)
        return True

    def take(self, line, following):
        """Takes one line; True when it took the next one as well."""
        if self.section == "peers":
            wrapped = self.is_wrapped(line, following)
            taken = _peer(following if wrapped else line, self.layout, line if wrapped else None)
            if taken:
                self.peers.append(taken[0])
                self.unparsed += [] if taken[1] else [line]
                return wrapped
        if self.section == "associations":
            association = _association(line, self.layout["old"])
            if association:
                self.associations.append(association)
                return False
        error = _error_of(line)
        if error:
            self.error = self.error or error
        elif _ASSIGNMENT.match(line):
            if self.section != "variables" or _STATUS.match(line):
                self.blocks.append([])
            self.section = "variables"
            self.blocks[-1].append(line)
        elif not _NOISE.match(line.strip()):
            self.unparsed.append(line)
        return False

    def is_wrapped(self, line, following):
        """True when -w put a long name on this line and the rest of its row on the next."""
        width = self.layout["width"]
        if line[0] not in TALLIES or len(line) <= width + 1 or not _REMOTE.match(line[1:]) or _columns(line):
            return False
        return not following[: width + 2].strip() and bool(_columns(following))


def _error_of(line):
    """(word, line) for a line that says what went wrong, else None."""
    lowered = line[:MAX_LINE].lower()
    for part, word in ERRORS:
        if part in lowered:
            return word, line.strip()[:MAX_LINE]
    return None


def _join(peers, associations):
    """
    Gives rows their association's facts; True when every row got its own without doubt.

    Both tables list the daemon's associations in one order, so the n-th row is the n-th association, and the
    tallies must agree. When the counts differ (`peers` hides some), a row is joined only if it stands at the same
    place in the leftmost and in the rightmost way of fitting one table into the other.
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
    """The places in `long_` where the tallies of `short` are found, in order, as early as possible."""
    places, place = [], 0
    for row in short:
        while place < len(long_) and long_[place]["tally"] != row["tally"]:
            place += 1
        if place == len(long_):
            break
        places.append(place)
        place += 1
    return places


def ntpq(stdout, stderr="", retcode=0):
    """
    Internal. Read the output of one run of ``ntpq -n -c "rv 0" -c lpeers -c lassoc``, or of any of the three; the
    table of peers may also be that of ``-p``, ``-pn`` or ``-w``, of any width.

    stdout, stderr
        what ntpq wrote; of each at most 400000 characters are read
    retcode
        its return code; ntpq ends with 0 after nearly every failure, so only a signal (negative) counts

    Returns a dict:

    - ``error``: None, or ``daemon-stopped``, ``timeout``, ``incomplete``, ``not-permitted``, ``no-associations``,
      ``unresolvable``, ``not-installed``, ``unparsable``; ``message``: ntpq's own line about it
    - ``complete``: True when nothing was cut short, unreadable or contradictory
    - ``variables``: see ``parse_variables``
    - ``peers``: a row for each source, in ntpq's order, as below
    - ``unparsed``: lines of no known format, at most 50

    A row of ``peers`` has:

    - ``remote``: as printed, often cut; ``address``: the whole address, None when the text does not prove it
    - ``refid``: as printed, None when blank; ``refid_kind``: ``address`` (or four bytes of a digest that look like
      one), ``clock``, ``local`` (the undisciplined local clock), ``orphan``, ``pool``, ``broadcast``, ``multicast``,
      ``manycast``, ``state`` (INIT, STEP: no answer used yet), ``kiss`` (refused), ``unknown``, None
    - ``stratum``: 0 to 16 or None; ``type``: ntpq's letter
    - ``when_s``: seconds since the last packet or None. A number of 1000 to 2048 may also be days that lost their
      unit: trust ``reach``, not this, for freshness
    - ``poll_s``: seconds, a power of two; ``reach``: 0 to 255, the newest poll in bit 0
    - ``delay_ms``, ``offset_ms``, ``jitter_ms``: float or None; a positive offset means that the source is ahead
    - ``tally``: one character; ``condition``: ``system_peer``, ``candidate``, ``outlier``, ``falseticker``,
      ``excess``, ``backup``, ``pps``, ``reject``
    - ``assid``, ``last_event``, ``configured``, ``authenticated``: from the association table, else None;
      ``authenticated`` is None for a source without a key
    - ``inexact``: those of the three numbers and ``address`` whose text ntpq cut; ``ntpq -c "rv ASSID"`` has them
      whole. Such a number is None, except one that ends in its decimal point: that lost less than a millisecond
    """
    lines, left_out = _lines(stdout)
    complaints, more_left_out = _lines(stderr)
    reader = _Reader(lines)
    peers, associations = reader.peers, reader.associations
    variables, rest = _variables("\n".join(reader.blocks[0])) if reader.blocks else ({}, [])
    unparsed = left_out + more_left_out + reader.unparsed + rest
    unparsed += [line for block in reader.blocks[1:] for line in block]

    complaints = [(_error_of(line), line) for line in complaints if line.strip()]
    strange = [line for known, line in complaints if not known]
    error = next((known for known, line in complaints if known), reader.error)
    if not error and retcode and retcode < 0:
        error = ("incomplete", "ntpq was ended by signal {}".format(-retcode))
    if not error and not (reader.headers or variables):
        text = strange + unparsed + ["ntpq printed nothing"]
        error = ("not-installed" if retcode == 127 else "unparsable", text[0][:MAX_LINE])

    both = bool(peers and associations)
    joined = _join(peers, associations) if both else len(set(reader.headers)) < 2
    empty = ("peers" in reader.headers and not peers) or ("associations" in reader.headers and not associations)
    failed = error and error[0] != "no-associations"
    return {
        "error": error[0] if error else None,
        "message": error[1] if error else "",
        # An unknown line on stderr may be harmless (a warning of Python): two tables that agree outweigh it.
        "complete": joined and not (failed or empty or unparsed or (strange and not both)),
        "variables": variables,
        "peers": peers,
        "unparsed": _short(unparsed + strange),
    }


def variables(text):
    """
    Internal. Read the variables of ``ntpq -c "rv 0"``, of ``rv ASSID``, or of ``rv 0 name,name``.

    text
        ntpq's standard output; what is no ``name=value`` is left out, of a name that comes twice the first counts

    Returns a dict with ntpq's own names and units (``offset``, ``rootdelay``, ``rootdisp``, ``sys_jitter`` in
    milliseconds, ``frequency`` in ppm). Numbers are numbers, ``reach`` is read as octal, ``leap`` is ``none``,
    ``add``, ``del`` or ``alarm``. ``filtdelay``, ``filtoffset``, ``filtdisp`` are lists of eight, left out when the
    daemon sent rubbish. ``reftime_s``, ``clock_s``, ``rec_s`` are those times as Unix seconds, None for never.
    From the first line: ``associd``, ``status`` (hex text), ``last_event``, ``event_count``, and for the system
    ``source`` (``ntp``, ``local``, ``pps``, ``unspec`` ...). The last event is history, not the state of now.
    """
    blocks = _Reader(_lines(text)[0]).blocks
    return _variables("\n".join(blocks[0]))[0] if blocks else {}
