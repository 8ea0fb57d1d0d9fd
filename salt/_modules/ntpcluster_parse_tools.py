# -*- coding: utf-8 -*-
"""
Internal. What ``ntpdate`` and ``hwclock`` print, as data.

Text in, data out: nothing here runs a program, knows a threshold or judges a host.

The return codes of both are unreliable: ``ntpdate`` exits with 0 when it was not allowed to set the clock, ``hwclock`` of RHEL
6 exits with 0 when it did not know an option. So each reader returns what the text says, and a fixed code for every error in
it.
"""

from __future__ import absolute_import, print_function, unicode_literals

import datetime
import re

__virtualname__ = "ntpcluster_parse_tools"

MAX_TEXT = 100000
MAX_LINE = 200
MAX_ROWS = 200

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# What ntpdate writes, and our code for it; the first entry found in a line decides.
NTPDATE_ERRORS = (
    ("no server suitable for synchronization", "no-server"),
    ("no eligible servers", "no-server"),
    ("ntp socket is in use", "socket-in-use"),
    ("no servers can be used", "no-servers-given"),
    ("rate limit response", "rate"),
    ("probable kod packet", "kiss"),
    ("access denied", "denied"),
    ("operation not permitted", "not-permitted"),
    ("permission denied", "not-permitted"),
    ("failure in name resolution", "unresolvable"),
    ("name or service not known", "unresolvable"),
    ("no address associated with hostname", "unresolvable"),
    ("error resolving", "unresolvable"),
    ("can't find host", "unresolvable"),
    ("network is unreachable", "unreachable"),
    ("no route to host", "unreachable"),
    ("no key file", "key"),
    ("authentication key", "key"),
    ("unknown option", "usage"),
    ("illegal option", "usage"),
    ("invalid option", "usage"),
    ("not recognized", "usage"),
    ("usage:", "usage"),
    ("timed out after", "timeout"),
    ("command not found", "not-installed"),
)
# The same for hwclock.
HWCLOCK_ERRORS = (
    ("cannot access the hardware clock", "no-clock"),
    ("only the superuser", "not-permitted"),
    ("wait for clock tick timed out", "tick-timeout"),
    ("to read the time failed", "read-failed"),
    ("registers contain values that are either invalid", "read-failed"),
    ("to set the time failed", "set-failed"),
    ("invalid option", "usage"),
    ("unrecognized option", "usage"),
    ("mutually exclusive", "usage"),
    ("usage:", "usage"),
    ("timed out after", "timeout"),
    ("command not found", "not-installed"),
)

# "22 Nov 07:22:44 ntpdate[9140]: ": no year, local time, months always English.
_PREFIX = re.compile(r" ?[0-9]{1,2} (?:" + "|".join(_MONTHS) + r") [0-9:]{8} ntpdate ?\[[0-9]{1,7}\]: ")
_SERVER = re.compile(
    r"^server (\S+), stratum ([0-9]{1,3}), offset ([+-]?[0-9]{1,12}\.[0-9]{1,9}), delay ([+-]?[0-9]{1,9}\.[0-9]{1,9})$"
)
_ACTION = re.compile(r"^(step|adjust) time server (\S+) offset ([+-]?[0-9]{1,12}\.[0-9]{1,9}) sec$")
_NTPDIG = re.compile(
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}(?:\.[0-9]{1,9})? \([+-][0-9]{4}\) ([+-]?[0-9]{1,12}\.[0-9]{1,9})"
    r" \+/- [0-9]{1,9}\.[0-9]{1,9} (?:\S+ )?\(?([0-9A-Za-z.:%_-]{1,255})\)? s([0-9]{1,2}) \S+$"
)
_STEPPED = re.compile(r"^CLOCK: time stepped by ([+-]?[0-9]{1,12}\.[0-9]{1,9})$")
# ntpsec's libraries print this after a step that changes the date, in addition to the line above.
_DATE_CHANGED = re.compile(r"^CLOCK: time changed from [0-9-]{10} to [0-9-]{10}$")

_ISO = re.compile(
    r"^([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,6}))?"
    r"([+-])([0-9]{2}):?([0-9]{2})$"
)
_CTIME = re.compile(
    r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (" + "|".join(_MONTHS) + r") {1,2}([0-9]{1,2})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4}) {2}(-?[0-9]{0,6}\.[0-9]{1,6}) seconds$"
)


def _lines(value):
    """The lines in the first MAX_TEXT characters of a text that are not blank, stripped."""
    if value is None:
        return []
    if isinstance(value, bytes):
        value = value[: MAX_TEXT * 4 + 4].decode("utf-8", "replace")
    left_out = ["... only the first {} characters were read".format(MAX_TEXT)] if len(value) > MAX_TEXT else []
    return left_out + [line.strip() for line in value[:MAX_TEXT].split("\n") if line.strip()]


def _word(line, table):
    """Our code for an error message, None if the table does not have it."""
    lowered = line.lower()
    for part, word in table:
        if part in lowered:
            return word
    return None


def _first_error(lines, table):
    """(code, line) of the first line that matches the table, else (None, "")."""
    for line in lines:
        word = _word(line, table)
        if word:
            return word, line[:MAX_LINE]
    return None, ""


def _epoch(moment):
    """Unix seconds of a naive datetime in UTC."""
    passed = moment - datetime.datetime(1970, 1, 1)
    return passed.days * 86400 + passed.seconds + passed.microseconds / 1e6


def _ntpdate_server(match):
    """The row of a ``server A, stratum N, offset F, delay F`` line."""
    stratum, offset, delay = int(match.group(2)), float(match.group(3)), float(match.group(4))
    row = {"address": match.group(1), "stratum": stratum, "offset_s": offset, "delay_s": delay, "reachable": True}
    if stratum == 0 and offset == 0 and delay == 0:
        # 4.2.6p5 prints this line for a server without a usable answer: zeros, not a measurement.
        row.update(stratum=None, offset_s=None, delay_s=None, reachable=False)
    elif not 0 < stratum < 16:
        # A refusal (kiss code) or an unsynchronised server: its offset means nothing.
        row.update(offset_s=None, delay_s=None)
    return row


def ntpdate(stdout, stderr="", retcode=0):
    """
    Internal. Read the output of ``ntpdate``, with or without ``-q``: ntp 4.2.6p5, 4.2.8, and ntpsec's wrapper around ``ntpdig``.

    The text is not proof of what happened: with ``-q`` ntpdate says "step time server" and changes nothing, and it exits with 0
    after "Operation not permitted". The clock was set if ``action`` is not None, ``errors`` is empty, the return code is 0 and
    ``-q`` was not given, which only the caller knows.

    stdout, stderr, retcode
        what the program wrote and how it ended

    Returns a dict:

    - ``servers``: a row for each server that ntpdate lists {``address``, ``stratum``, ``offset_s``, ``delay_s``,
      ``reachable``}. Offset, delay and stratum are None when nothing was measured. 4.2.8 does not list servers that do not
      answer; ntpsec lists only the best one, without a delay. A server at stratum 16 answered but is not synchronised.
    - ``action``: None, ``step`` or ``adjust`` (slew); ntpsec does not say when it slews
    - ``server``, ``offset_s``: the chosen server and its offset, None if none was chosen; positive: the server is ahead
    - ``errors``: list of {``code``, ``message``}; codes ``no-server``, ``socket-in-use``, ``no-servers-given`` (or
      none that resolve), ``unresolvable``, ``unreachable``, ``not-permitted``, ``rate``, ``kiss`` (some refusal),
      ``denied``, ``key``, ``usage``, ``timeout``, ``not-installed``, ``unknown``
    - ``unparsed``: other lines, at most 200
    """
    result = {"servers": [], "action": None, "server": None, "offset_s": None, "errors": [], "unparsed": []}
    out, err = _lines(stdout), _lines(stderr)
    # "Exiting, ...: Temporary failure (-3)22 Nov 07:22:53 ntpdate[9624]: ..." are two messages on one line. Everything that
    # ntpdate logs to stderr is an error, known or not; the rest of stderr does not matter.
    pieces = [
        (piece.strip(), is_err and place > 0)
        for lines, is_err in ((out, False), (err, True))
        for line in lines
        for place, piece in enumerate(_PREFIX.split(line))
        if piece.strip()
    ]
    for piece, is_complaint in pieces:
        server, action = _SERVER.match(piece), _ACTION.match(piece)
        ntpdig, stepped = _NTPDIG.match(piece), _STEPPED.match(piece)
        if server:
            result["servers"].append(_ntpdate_server(server))
        elif action:
            result["action"], result["server"] = action.group(1), action.group(2)
            result["offset_s"] = float(action.group(3))
        elif ntpdig:
            offset, address, stratum = float(ntpdig.group(1)), ntpdig.group(2), int(ntpdig.group(3))
            result["servers"].append(
                {"address": address, "stratum": stratum, "offset_s": offset, "delay_s": None, "reachable": True}
            )
            result["server"], result["offset_s"] = address, offset
        elif stepped:
            result["action"], result["offset_s"] = "step", float(stepped.group(1))
        elif not _DATE_CHANGED.match(piece):
            _complaint(result, piece, is_complaint)
    for error in result["errors"]:
        if error["code"] in ("rate", "kiss"):
            # The refusal is an answer: the server is there.
            for row in result["servers"]:
                if row["address"] in error["message"].replace(":", " ").split():
                    row["reachable"] = True
    if retcode and not result["errors"]:
        word = "not-installed" if retcode == 127 else "unknown"
        text = (result["unparsed"] or ["ntpdate ended with code {}".format(retcode)])[0]
        result["errors"].append({"code": word, "message": text})
    result["unparsed"] = result["unparsed"][:MAX_ROWS]
    return result


def _complaint(result, piece, is_complaint):
    """Records a line that is neither a server nor an action as an error or as unparsed."""
    message = piece[len("Exiting, ") :] if piece.startswith("Exiting, ") else piece
    message = message[:MAX_LINE]
    word = _word(message, NTPDATE_ERRORS)
    if not word and (is_complaint or message.startswith(("ntpdate: ", "ntpdig: ", "CLOCK: "))):
        word = "unknown"
    if not word:
        result["unparsed"].append(message)
        return
    error = {"code": word, "message": message}
    if error not in result["errors"] and len(result["errors"]) < MAX_ROWS:
        result["errors"].append(error)


def hwclock(stdout, stderr="", retcode=0, utc=False, setting=False):
    """
    Internal. Read the output of ``hwclock`` (util-linux 2.17.2 of RHEL 6 to 2.38), run with ``LC_ALL=C``.

    stdout, stderr, retcode
        what the program wrote and how it ended
    utc
        True when a time without a zone (2.17.2) is in UTC, because hwclock ran with ``TZ=UTC``
    setting
        True when it was told to set the clock: only then does no output mean success. 2.17.2 also exits with 0 when the clock
        holds no valid time, and says so only on stderr (display_time of hwclock.c).

    Returns a dict:

    - ``present``: True when there is a clock, False when hwclock found none (most containers, many virtual
      machines), None when the text does not say
    - ``time``: what the clock showed when hwclock was started, as ISO 8601; with an offset if hwclock printed one or ``utc``
      was given, else local time without one; None if there is no reading. 2.17.2 prints the tick it waited for, and the wait as
      ``-0.373873 seconds``: the two are combined here.
    - ``epoch_s``: the same as Unix seconds, None if the zone is not known
    - ``error``: None, ``no-clock``, ``read-failed``, ``set-failed``, ``tick-timeout``, ``not-permitted``, ``usage``,
      ``timeout``, ``not-installed``, ``unparsable``; ``message``: the line that says so
    """
    result = {"present": None, "time": None, "epoch_s": None, "error": None, "message": ""}
    out, err = _lines(stdout), _lines(stderr)
    result["error"], result["message"] = _first_error(err + out, HWCLOCK_ERRORS)
    if result["error"]:
        # A clock is present even if it cannot be read or set, or never ticks.
        known = {"no-clock": False, "read-failed": True, "set-failed": True, "tick-timeout": True}
        result["present"] = known.get(result["error"])
        return result
    if retcode:
        text = (err + out + ["hwclock ended with code {}".format(retcode)])[0]
        result["error"], result["message"] = ("not-installed" if retcode == 127 else "unparsable"), text[:MAX_LINE]
        return result
    if setting:
        # On success it prints nothing, or only its --debug lines.
        result["present"] = True
        return result
    if not out:
        result["error"], result["message"] = "unparsable", (err + ["hwclock printed nothing"])[0][:MAX_LINE]
        return result
    try:
        moment, offset = _clock_reading(out[-1])
    except (ValueError, OverflowError):
        result["error"], result["message"] = "unparsable", out[-1][:MAX_LINE]
        return result
    result["present"] = True
    if offset is None and utc:
        offset = 0
    result["time"] = moment.isoformat()
    if offset is not None:
        result["time"] += "{}{:02d}:{:02d}".format("-" if offset < 0 else "+", *divmod(abs(offset), 60))
        result["epoch_s"] = _epoch(moment) - offset * 60
    return result


def _clock_reading(line):
    """A naive datetime, and its offset from UTC in minutes or None. ValueError for anything that hwclock does not print."""
    match = _ISO.match(line)
    if match:
        numbers = [int(part) for part in match.groups()[:6]]
        numbers.append(int((match.group(7) or "0").ljust(6, str("0"))))
        minutes = int(match.group(9)) * 60 + int(match.group(10))
        return datetime.datetime(*numbers), -minutes if match.group(8) == "-" else minutes
    match = _CTIME.match(line)
    if not match:
        raise ValueError(line)
    day, hour, minute, second, year = [int(part) for part in match.groups()[1:6]]
    tick = datetime.datetime(year, _MONTHS.index(match.group(1)) + 1, day, hour, minute, second)
    return tick + datetime.timedelta(microseconds=int(round(float(match.group(7)) * 1e6))), None
