# -*- coding: utf-8 -*-
"""
Internal. What ``ntpq`` prints, as data.

Text in, data out: nothing here runs a program, knows a threshold or judges a host.

``ntpq`` writes for people. It exits with 0 when it failed, truncates numbers to seven characters without a mark, prints an age
of 49710 days as ``4971``, and leaves a table incomplete when the daemon stops answering. So there are three rules: a value that
is not certain is ``None``, a truncated value is named in ``inexact``, and a line that does not look like output of ntpq goes to
``unparsed``; nothing is guessed.

Known dialects: ntp 4.2.6p5 and 4.2.8 ("classic"), ntpsec 0.9 to 1.2.
"""

from __future__ import absolute_import, print_function, unicode_literals

import math
import re

__virtualname__ = "ntpcluster_parse"

# A thousand peers make about 150000.
MAX_TEXT = 400000
MAX_UNPARSED = 50
MAX_LINE = 200

# The index is the low four bits of a status word; the words are from ntpq and its manual.
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

# What ntpq writes, and its code in `error`. The first entry found in a line decides.
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

_ASSIGNMENT = re.compile(r"^\s*[A-Za-z_][A-Za-z0-9_.]*[ \t]*=")
# A quoted string, or the start of a variable: no `name=` follows a comma inside a date or a list.
_VARIABLE = re.compile(r"\"[^\"]*\"|(?:^|,)\s*([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=")
_STATUS = re.compile(r"^\s*(?:associd=([0-9]{1,5})\s+)?status=(?:0x)?([0-9A-Fa-f]{4})\b[^\n]*")
_TIMESTAMP = re.compile(r"^(?:0x)?([0-9a-f]{8})\.([0-9a-f]{8})\b")
_NUMBER = re.compile(r"^[+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?(?:[eE][+-]?[0-9]{1,3})?$")
_WHOLE = re.compile(r"^[+-]?[0-9]+$")
# Numbers, or None if the daemon says something else: a `-`, a word, nothing at all.
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
    """The lines in the first MAX_TEXT characters of a text, and a line about the rest."""
    if value is None:
        value = ""
    elif isinstance(value, bytes):
        value = value[: MAX_TEXT * 4 + 4].decode("utf-8", "replace")
    left_out = ["... only the first {} characters were read".format(MAX_TEXT)] if len(value) > MAX_TEXT else []
    # Not splitlines(): that also cuts at control characters inside a line.
    return [line.rstrip("\r") for line in value[:MAX_TEXT].split("\n")], left_out


def _short(lines):
    """The lines, limited in number and length for a report."""
    kept = [line[:MAX_LINE] for line in lines[:MAX_UNPARSED]]
    return kept + ["... and {} more lines".format(len(lines) - MAX_UNPARSED)] * (len(lines) > MAX_UNPARSED)


def _unix_seconds(text):
    """Unix seconds of an NTP timestamp in hex, None for "never". A time before 1970 is taken as one after 2036."""
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
    number = int(text) if _WHOLE.match(text) else float(text)
    if name == "stratum":
        return number if number in range(17) else None
    return None if math.isinf(number) else number


def _variables(text):
    """The variables of one ``rv``, and the pieces of text that are not variables."""
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
            # ntpd of ntpsec 1.2 sends uninitialised bytes here.
            continue
        found[name] = value
        if name in ("reftime", "clock", "rec"):
            found[name + "_s"] = _unix_seconds(value)
    return found, [piece.strip(" \t\r\n,") for piece in rest if piece.strip(" \t\r\n,")]


def _error_of(line):
    """(word, line) for a line that says what went wrong, else None."""
    lowered = line[:MAX_LINE].lower()
    for part, word in ERRORS:
        if part in lowered:
            return word, line.strip()[:MAX_LINE]
    return None


def _sorted(lines):
    """Sorts the lines that are not rows: (the lines of each answer to ``rv``, the first error or None, all others)."""
    answers, error, unparsed, inside = [], None, [], False
    for line in lines:
        known = _error_of(line)
        if not line.strip():
            inside = False
        elif known:
            error = error or known
        elif _ASSIGNMENT.match(line):
            if not inside or _STATUS.match(line):
                answers.append([])
            inside = True
            answers[-1].append(line)
        elif not _NOISE.match(line.strip()):
            unparsed.append(line)
    return answers, error, unparsed


def ntpq(stdout, stderr="", retcode=0):
    """
    Internal. Read the output of one run of ``ntpq -n -c "rv 0" -c lpeers -c lassoc``, or of any of the three. The table of
    peers may also come from ``-p``, ``-pn`` or ``-w``, in any width.

    stdout, stderr
        what ntpq wrote; at most 400000 characters of each are read
    retcode
        its return code; ntpq exits with 0 after nearly every failure, so only a signal (negative) counts

    Returns a dict:

    - ``error``: None, or ``daemon-stopped``, ``timeout``, ``incomplete``, ``not-permitted``, ``no-associations``,
      ``unresolvable``, ``not-installed``, ``unparsable``; ``message``: ntpq's own line about it
    - ``complete``: True when nothing was truncated, unreadable or contradictory
    - ``variables``: see ``ntpcluster_parse.variables``
    - ``peers``: a row for each source, in ntpq's order, as below
    - ``unparsed``: lines of unknown format, at most 50

    A row of ``peers`` has:

    - ``remote``: as printed, often truncated; ``address``: the whole address, None when it is not certain from the text
    - ``refid``: as printed, None when blank; ``refid_kind``: ``address`` (or four bytes of a digest that look like
      one), ``clock``, ``local`` (the undisciplined local clock), ``orphan``, ``pool``, ``broadcast``, ``multicast``,
      ``manycast``, ``state`` (INIT, STEP: no answer used yet), ``kiss`` (refused), ``unknown``, None
    - ``stratum``: 0 to 16 or None; ``type``: ntpq's letter
    - ``when_s``: seconds since the last packet or None. A number of 1000 to 2048 may also be days without their unit: for
      freshness, trust ``reach`` instead
    - ``poll_s``: seconds, a power of two; ``reach``: 0 to 255, the newest poll in bit 0
    - ``delay_ms``, ``offset_ms``, ``jitter_ms``: float or None; a positive offset means that the source is ahead
    - ``tally``: one character; ``condition``: ``system_peer``, ``candidate``, ``outlier``, ``falseticker``,
      ``excess``, ``backup``, ``pps``, ``reject``
    - ``assid``, ``last_event``, ``configured``, ``authenticated``: from the association table, else None;
      ``authenticated`` is None for a source without a key
    - ``inexact``: which of the three numbers and ``address`` ntpq truncated; ``ntpq -c "rv ASSID"`` prints them in full. Such a
      number is None, unless it ends in its decimal point: it lost less than a millisecond
    """
    lines, left_out = _lines(stdout)
    complaints, more_left_out = _lines(stderr)
    seen = __salt__["ntpcluster_parse_table.read"](lines)
    answers, error, rest = _sorted(seen["rest"])
    found, more_rest = _variables("\n".join(answers[0])) if answers else ({}, [])
    unparsed = left_out + more_left_out + seen["unparsed"] + rest + more_rest
    unparsed += [line for answer in answers[1:] for line in answer]

    complaints = [(_error_of(line), line) for line in complaints if line.strip()]
    strange = [line for known, line in complaints if not known]
    error = next((known for known, line in complaints if known), error)
    if not error and retcode and retcode < 0:
        error = ("incomplete", "ntpq was ended by signal {}".format(-retcode))
    if not error and not (seen["tables"] or found):
        text = strange + unparsed + ["ntpq printed nothing"]
        error = ("not-installed" if retcode == 127 else "unparsable", text[0][:MAX_LINE])

    for row in seen["peers"]:
        row["last_event"] = PEER_EVENTS[row["last_event"] or 0]
    failed = error and error[0] != "no-associations"
    return {
        "error": error[0] if error else None,
        "message": error[1] if error else "",
        # An unknown line on stderr may be harmless (a warning of Python): it is ignored if both tables agree.
        "complete": seen["complete"] and not (failed or unparsed or (strange and len(seen["tables"]) < 2)),
        "variables": found,
        "peers": seen["peers"],
        "unparsed": _short(unparsed + strange),
    }


def variables(text):
    """
    Internal. Read the variables of ``ntpq -c "rv 0"``, of ``rv ASSID``, or of ``rv 0 name,name``.

    text
        ntpq's standard output; text that is not ``name=value`` is left out; if a name occurs twice, the first counts

    Returns a dict with ntpq's own names and units (``offset``, ``rootdelay``, ``rootdisp``, ``sys_jitter`` in milliseconds,
    ``frequency`` in ppm). Numbers are numbers, ``reach`` is read as octal, ``leap`` is ``none``, ``add``, ``del`` or ``alarm``.
    ``filtdelay``, ``filtoffset``, ``filtdisp`` are lists of eight, left out when the daemon sent something invalid.
    ``reftime_s``, ``clock_s``, ``rec_s`` are those times as Unix seconds, None for never. From the first line: ``associd``,
    ``status`` (hex text), ``last_event``, ``event_count``, and for the system ``source`` (``ntp``, ``local``, ``pps``,
    ``unspec`` ...). The last event is history, not the present state.
    """
    answers = _sorted(_lines(text)[0])[0]
    return _variables("\n".join(answers[0]))[0] if answers else {}


def associations(text):
    """
    Internal. Split the output of one run of ntpq before its answers to ``rv ASSID``, and read these.

    text
        ntpq's standard output

    Returns the text before the first answer, and {association: its variables, as from ``ntpcluster_parse.variables``}. An
    association that no longer exists is missing.
    """
    # ntpsec 1.2.2 ends its answers without a newline, so an answer may begin in the middle of a line.
    starts = [found.start() for found in re.finditer(r"associd=(?!0\b)", text)] + [len(text)]
    answers = [variables(text[start:end]) for start, end in zip(starts, starts[1:])]
    return text[: starts[0]], dict((answer.get("associd"), answer) for answer in answers)
