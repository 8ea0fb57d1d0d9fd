# -*- coding: utf-8 -*-
"""
Internal. What ``chronyc`` prints, as data.

Text in, data out: nothing here runs a program, knows a threshold or judges a host.

One run of ``chronyc -n -c -m COMMAND COMMAND ...`` answers all commands in order and stops at the first that fails; the exit
code shows this (process_args in client.c). Nothing in the text separates one answer from the next, so each line is compared
with the format of its command (process_cmd_* in client.c). Without ``-c`` chronyc prints tables for people:
``ntpcluster_chronyc_tables`` reads those.

Three rules: what chronyc did not report is ``None``, never an empty list; the values of a source that has never answered are
not measurements; a line that does not look like output of chronyc goes to ``unparsed``.

Signs follow ntpd. chrony reports a positive offset of a source if this host is ahead, and a positive frequency if this host's
clock gains. Here an offset above zero means that the source is ahead, and the frequency is the correction: above zero if the
uncorrected clock is slow (set_frequency in sys_timex.c reverses the sign as well). Only ``ntpdata`` already reports its offset
with our sign. The drift files of chronyd and ntpd have opposite signs for the same reason.

Known dialects: chrony 3 to 4.6.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re
import socket

__virtualname__ = "ntpcluster_chronyc"

# All answers about a thousand sources are about 600000 characters.
MAX_TEXT = 800000
MAX_UNPARSED = 50
MAX_LINE = 200

#: Commands that print a row for each source, and commands that print nothing. All others have one answer.
ROWS = ("sources", "sourcestats", "ntpdata", "selectdata", "authdata")
SILENT = ("timeout", "retries", "dns")

# Error messages of chronyc and our code for each. The first entry found in a line decides.
ERRORS = (
    ("506 cannot talk to daemon", "no-answer"),
    ("could not open connection to daemon", "no-answer"),
    ("501 not authorised", "not-permitted"),
    ("510 no command access", "not-permitted"),
    ("unrecognized command", "unknown-command"),
    ("502 invalid command", "unknown-command"),
    ("505 facility not enabled", "not-enabled"),
    ("519 client logging is not active", "not-enabled"),
    ("508 bad reply", "version-mismatch"),
    ("517 protocol version mismatch", "version-mismatch"),
    ("518 packet length mismatch", "version-mismatch"),
    ("520 got unexpected error", "refused"),
    ("500 failure", "refused"),
    ("503 no such source", "refused"),
    ("command not found", "not-installed"),
)

MODES = {"^": "server", "=": "peer", "#": "clock"}
LEAPS = {
    "Normal": "none", "Insert second": "add", "Delete second": "del", "Not synchronised": "alarm",
    "N": "none", "+": "add", "-": "del", "?": "alarm",
}  # fmt: skip
#: States of a source in the selection (get_status_char in sources.c).
SELECTION = {
    "N": "noselect", "s": "unsynchronised", "M": "too few samples", "d": "too large a root distance", "~": "too much jitter",
    "w": "waits for samples of others", "S": "stale", "O": "orphan", "T": "not trusted", "x": "falseticker",
    "W": "waits for enough sources", "P": "another one is preferred", "U": "waits for a sample", "D": "distant",
    "L": "outlier", "+": "combined", "*": "selected", "?": "not judged yet",
}  # fmt: skip
OPTIONS = {"N": "noselect", "P": "prefer", "T": "trust", "R": "require"}
#: The tests of a packet that ``ntpdata`` prints, in its order: numbers as in RFC 5905, and chrony's own letters.
TESTS = "123567ABCD"
NEVER = "4294967295"
#: Printed until there are enough samples for an estimate (WORST_CASE_FREQ_BOUND in sourcestats.c).
WORST_SKEW_PPM = 2000.0

_DURATION = re.compile(r"^([+-]?[0-9]{1,20}(?:\.[0-9]{1,12})?)(ns|us|ms|s|m|h|d|y)?$")
_SECONDS = {None: 1, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
# A table rounds to four digits: with these units the error is more than a millisecond.
_COARSE = re.compile(r"[0-9](?:s|m|h|d|y)$")


# Readers of one value. Each raises ValueError for anything that chronyc does not print there.


def _form(pattern, make=lambda text: text):
    """A reader of text that has this form; ``make`` converts it to its value."""
    compiled = re.compile("^(?:" + pattern + ")$")

    def read(text):
        if not compiled.match(text):
            raise ValueError(text)
        return make(text)

    return read


def _word(table):
    """A reader of one of these words."""

    def read(text):
        if text not in table:
            raise ValueError(text)
        return table[text]

    return read


def _milliseconds(text):
    """Milliseconds from seconds, or from a table's number with its unit."""
    found = _DURATION.match(text)
    if not found:
        raise ValueError(text)
    # chronyc prints nothing below a nanosecond.
    return round(float(found.group(1)) * _SECONDS[found.group(2)] * 1000.0, 6)


def _turned(read):
    """The reader with its sign reversed; 0 stays 0."""
    return lambda text: 0.0 - read(text)


_number = _form(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,12})?", float)
_count = _form("[0-9]{1,10}", int)
_register = _form("[0-3]?[0-7]{1,2}", lambda text: int(text, 8))
# A polling interval is a power of two, also below a second; seconds.
_interval = _form("-?[0-9]{1,2}", lambda text: 2 ** int(text) if text[0] != "-" else 2.0 ** int(text))
# Seconds of an age, None for never. A table has minutes, hours, days and years, rounded down.
_ago = _form("-|[0-9]{1,10}[mhdy]?", lambda text: None if text in (NEVER, "-") else int(_milliseconds(text) / 1000.0))
# Unix seconds, None for chrony's zero.
_stamp = _form(r"[0-9]{1,20}(?:\.[0-9]{1,12})?", lambda text: float(text) or None)
_options = _form("[NPTR-]{5}", lambda text: [OPTIONS[letter] for letter in text if letter != "-"])
_name = _form(r"[!-+\--~]{1,255}")  # any printable character except a comma
_refid_form = _form(r"[0-9A-F]{8}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_flag = _word({"Yes": True, "No": False, "Y": True, "N": False})
_any = _form(".{0,40}")

#: The columns of each answer: their minimum number (later releases append theirs), and (key, reader) of each. A column with the
#: key None is not kept.
COLUMNS = {
    "tracking": (
        14, ("refid", _refid_form), ("name", _name), ("stratum", _count), ("reference_time_s", _stamp),
        ("offset_ms", _milliseconds), ("last_offset_ms", _turned(_milliseconds)), ("rms_offset_ms", _milliseconds),
        ("frequency_ppm", _turned(_number)),
        ("residual_ppm", _turned(_number)), ("skew_ppm", _number), ("root_delay_ms", _milliseconds),
        ("root_dispersion_ms", _milliseconds), ("update_interval_s", _number), ("leap", _word(LEAPS)),
    ),
    "sources": (
        10, ("mode", _word(MODES)), ("state", _form(r"[*+x~?-]")), ("name", _name), ("stratum", _count), ("poll_s", _interval),
        ("reach", _register), ("when_s", _ago), ("offset_ms", _turned(_milliseconds)),
        ("measured_offset_ms", _turned(_milliseconds)), ("error_ms", _milliseconds),
    ),
    "sourcestats": (
        8, ("name", _name), ("samples", _count), ("runs", _count), ("span_s", _ago), ("frequency_ppm", _turned(_number)),
        ("skew_ppm", _number), ("offset_ms", _turned(_milliseconds)), ("deviation_ms", _milliseconds),
    ),
    "activity": (
        5, ("online", _count), ("offline", _count), ("burst_online", _count), ("burst_offline", _count), ("unresolved", _count),
    ),
    "ntpdata": (
        33, ("address", _name), (None, _refid_form), (None, _count), (None, _name), (None, _refid_form), ("leap", _word(LEAPS)),
        ("version", _count), (None, _form("[A-Za-z ]{1,30}")), ("stratum", _count), ("poll_s", _interval), (None, _number),
        (None, _form("-?[0-9]{1,3}")), (None, _number), ("root_delay_ms", _milliseconds), ("root_dispersion_ms", _milliseconds),
        ("refid", _refid_form), ("name", _any), ("reference_time_s", _stamp), ("offset_ms", _milliseconds),
        ("delay_ms", _milliseconds), ("dispersion_ms", _milliseconds), (None, _number), (None, _number),
        ("tests", _form("[01]{3}")), ("more_tests", _form("[01]{3}")), ("own_tests", _form("[01]{4}")), (None, _flag),
        ("authenticated", _flag), (None, _any), (None, _any), ("sent", _count), ("received", _count), ("valid", _count),
    ),
    "selectdata": (
        10, ("selection", _word(SELECTION)), ("name", _name), ("authenticated", _flag), (None, _options), ("options", _options),
        ("when_s", _ago), ("score", _number), (None, _milliseconds), (None, _milliseconds), ("leap", _word(LEAPS)),
    ),
    "authdata": (
        10, ("name", _name), ("mode", _word({"-": None, "SK": "symmetric", "NTS": "nts", "?": "unknown"})), ("key", _count),
        ("key_type", _count), ("key_bits", _count), ("established_s", _ago), ("attempts", _count), ("naks", _count),
        ("cookies", _count), ("cookie_length", _count),
    ),
    "serverstats": (
        4, ("received", _count), ("dropped", _count), ("commands_received", _count), ("commands_dropped", _count),
    ),
}  # fmt: skip
#: Commands that got more columns in later releases.
GROWING = ("ntpdata", "serverstats")


def _row(command, tokens):
    """One row of a command as data. ValueError if the line is not such a row."""
    least, columns = COLUMNS[command][0], COLUMNS[command][1:]
    if command == "selectdata" and len(tokens) == 18:
        # Each option letter is a separate column.
        tokens = tokens[:3] + ["".join(tokens[3:8]), "".join(tokens[8:13])] + tokens[13:]
    if len(tokens) < least or len(tokens) > least + 30 * (command in GROWING):
        raise ValueError(",".join(tokens))
    row = {"inexact": []}
    for (key, read), token in zip(columns, tokens):
        # The local clock has no name; a table of chrony 1 has no leap status.
        value = None if not token and command == "tracking" else read(token)
        if key:
            row[key] = value
            row["inexact"] += [key] * bool(key.endswith("_ms") and _COARSE.search(token))
    return _without_place_holders(command, row)


def _row_or_none(command, line):
    """The line as a row of this command, None if it is not one; an old chronyc may not know the command."""
    try:
        return _row(command, line.split(",")) if command in COLUMNS else None
    except ValueError:
        return None


def _without_place_holders(command, row):
    """The row, with None in place of the values printed before the first sample or packet: they are placeholders."""
    nothing = ()
    if command == "sources" and row["when_s"] is None:
        nothing = ("stratum", "offset_ms", "measured_offset_ms", "error_ms")
    elif command == "sourcestats" and row["skew_ppm"] == WORST_SKEW_PPM:
        nothing = ("frequency_ppm", "skew_ppm", "deviation_ms") + ("offset_ms",) * (not row["samples"])
    elif command == "ntpdata":
        row["failed"] = _failed(row.pop("tests"), row.pop("more_tests"), row.pop("own_tests"))
        row["address"] = row["address"] if is_address(row["address"] or "") else None
        if not row["valid"]:
            nothing = [key for key in row if key not in ("address", "sent", "received", "valid", "inexact")]
    row.update(dict.fromkeys(nothing))
    if "refid" in row:
        row["refid"] = _refid(row["refid"], row.pop("name") if command == "ntpdata" else row["name"])
    return row


def _failed(*groups):
    """The tests that the last packet failed. chrony applies its own four only if the packet passed those of the RFC."""
    if None in groups:
        return None
    failed = [test for test, bit in zip(TESTS, "".join(groups)) if bit == "0"]
    return [test for test in failed if test.isdigit()] or failed


def _refid(refid, name):
    """A refid as text: the letters of a clock or a kiss code, else four numbers separated by dots."""
    if refid is None or "." in refid:
        return refid
    octets = [int(refid[place : place + 2], 16) for place in (0, 2, 4, 6)]
    letters = "".join(chr(octet) for octet in octets if 32 <= octet < 127)
    return name if name and name == letters else ".".join("{0}".format(octet) for octet in octets)


def is_address(text):
    """
    Internal. Tell whether a name that chronyc prints is an address, with or without a zone.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, str(text.partition("%")[0]))
            return True
        except (socket.error, ValueError, TypeError):
            pass
    return False


class _Reader(object):
    """Reads chronyc's output once and assigns each line to the command that prints such a line."""

    def __init__(self, commands):
        self.asked = [command for command in commands if command not in SILENT]
        self.answers = dict.fromkeys(self.asked)
        self.unparsed, self.error, self.doubtful = [], None, set()
        # The current command, the command of the last row, and the command from which on lines were not understood.
        self.place, self.last, self.doubt = 0, 0, None

    def read(self, lines):
        """Takes all lines."""
        for line in lines:
            error = _error_of(line)
            if error:
                self.error = self.error or error
            elif line.strip() and not self.take(line):
                self.unparsed.append(line)
                self.doubt = self.place if self.doubt is None else self.doubt
        self.settle(len(self.asked))

    def settle(self, place):
        """Records which answers may lack the lines that were not understood."""
        if self.doubt is not None:
            self.doubtful.update(self.asked[self.doubt : place])
        self.doubt = None

    def take(self, line):
        """True if the line is a row of the current command or of a later one."""
        for place in range(self.place, len(self.asked)):
            command = self.asked[place]
            row = _row_or_none(command, line)
            if row:
                # chronyc stops at the first command that fails, so all commands before this one have answered.
                self.settle(place + 1)
                self.pass_by(place)
                if command in ROWS:
                    self.answers[command] = (self.answers[command] or []) + [row]
                else:
                    self.answers[command] = row
                self.place, self.last = place + (command not in ROWS), place
                return True
            if command not in ROWS and self.doubt is None:
                # This command always prints a row, and no row of a later command comes before it.
                return False
        return False

    def pass_by(self, place):
        """A command that was passed without a row, and without a line that was not understood, has an empty answer."""
        for command in self.asked[self.place : place]:
            if command in ROWS and self.answers[command] is None and command not in self.doubtful:
                self.answers[command] = []


def _error_of(line):
    """(word, line) for a line that says what went wrong, else None."""
    said = line.strip()[:MAX_LINE]
    return next(((word, said) for part, word in ERRORS if part in said.lower()), None)


def _text(value):
    """The lines in the first MAX_TEXT characters of a text, and a line about the rest."""
    text = (value or "")[: MAX_TEXT * 4 + 4]
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    cut = ["... only the first {0} characters were read".format(MAX_TEXT)] * (len(text) > MAX_TEXT)
    # Not splitlines(): that also cuts at control characters inside a line.
    return [line.rstrip("\r") for line in text[:MAX_TEXT].split("\n")], cut


def parse(commands, stdout, stderr="", retcode=0):
    """
    Internal. Read what one run of ``chronyc -c`` printed.

    commands
        List of the commands it was given, in order: ``tracking``, ``sources``, ``sourcestats``, ``activity``, ``ntpdata``,
        ``selectdata``, ``authdata``, ``serverstats``, with their options; ``timeout N``, ``retries N`` and ``dns`` print
        nothing. More than one command needs ``-m``. Put the commands that need the daemon's socket last: only root may use
        ``ntpdata``, ``selectdata``, ``authdata`` and ``serverstats``, and the first refusal ends the run.
    stdout, stderr, retcode
        What it wrote (at most 800000 characters of each are read), and its exit code: 0 if every command was answered.

    Returns a dict:

    - ``error``: None, or ``no-answer`` (chronyc does not distinguish a dead daemon from one that does not answer),
      ``not-permitted``, ``unknown-command`` (chronyc is older than it), ``not-enabled``, ``version-mismatch`` (chronyc and the
      daemon are of different releases, as after an update without a restart), ``refused``, ``not-installed``, ``incomplete``
      (it was killed), ``unparsable``; ``message``: the line about it
    - ``answers``: {command: its answer}. None: not answered, so unknown. An empty list: the daemon has no such source
    - ``missing``: the commands without an answer, or with an incomplete one
    - ``complete``: True when nothing is missing and every line was understood
    - ``unparsed``: lines of unknown form, at most 50

    Offsets and delays are in milliseconds (``_ms``), times in seconds (``_s``), frequencies in ppm. ``leap`` is ``none``,
    ``add``, ``del``, ``alarm`` (not synchronised). ``inexact`` names the values that a table has rounded by more than a
    millisecond.

    - ``tracking``: {``refid`` (four numbers with dots, or a clock's letters), ``name`` of the source (None: none, or
      the local clock), ``stratum`` (0: not synchronised), ``reference_time_s`` of the last update (None: never), ``offset_ms``
      (how far chronyd's estimate of true time is ahead of the system clock: what it has not slewed yet), ``last_offset_ms``,
      ``rms_offset_ms``, ``frequency_ppm``, ``residual_ppm``, ``skew_ppm``, ``root_delay_ms``, ``root_dispersion_ms``,
      ``update_interval_s``, ``leap``}
    - ``sources``: [{``mode`` (server, peer, clock), ``state`` (chronyc's character), ``name``, ``stratum``, ``poll_s``,
      ``reach`` (0 to 255), ``when_s`` since the last sample (None: there is none, and only mode, name, poll and reach are
      known), ``offset_ms`` (of the corrected time, not of the system clock: see ``tracking``), ``measured_offset_ms``,
      ``error_ms``}]. A name without an address is not listed; with ``-a`` it is ``ID#N``
    - ``sourcestats``: [{``name``, ``samples``, ``runs``, ``span_s``, ``frequency_ppm``, ``skew_ppm``, ``offset_ms``,
      ``deviation_ms``}]
    - ``activity``: {``online``, ``offline``, ``burst_online``, ``burst_offline``, ``unresolved``}: sources
    - ``ntpdata``: about the last packet with a valid signature [{``address`` (None: no packet has arrived, chrony before 4.1),
      ``leap``, ``version``, ``stratum``, ``poll_s``, ``root_delay_ms``, ``root_dispersion_ms``, ``refid``,
      ``reference_time_s``, ``offset_ms``, ``delay_ms``, ``dispersion_ms``, ``failed`` (tests of RFC 5905 by their number,
      or of chrony: A to C the delay, D a loop), ``authenticated``; all None while ``valid`` is 0; ``sent``, ``received``,
      ``valid`` packets}]. Clocks and names without an address have no row
    - ``selectdata``: [{``selection`` (a word of SELECTION), ``name``, ``authenticated``, ``options`` in effect,
      ``when_s``, ``score``, ``leap``}]
    - ``authdata``: [{``name``, ``mode`` (None, ``symmetric``, ``nts``), ``key``, ``key_type``, ``key_bits`` (0: this host
      has no such key), ``established_s``, ``attempts``, ``naks``, ``cookies``, ``cookie_length``}]; no clocks
    - ``serverstats``: {``received``, ``dropped``, ``commands_received``, ``commands_dropped``}: packets
    """
    reader = _Reader([command.split()[0] for command in commands])
    lines, cut = _text(stdout)
    reader.read(lines)
    complaints, more_cut = _text(stderr)
    strange = [line for line in complaints if line.strip() and not _error_of(line)]
    error = next((_error_of(line) for line in complaints if _error_of(line)), None) or reader.error
    unparsed = cut + more_cut + reader.unparsed
    if not error and retcode:
        word = "not-installed" if retcode == 127 else "incomplete"
        error = (word, (strange + ["chronyc ended with code {0}".format(retcode)])[0][:MAX_LINE])
        # It was killed: its last line may be incomplete.
        reader.place = reader.last
    asked, answers = reader.asked, reader.answers
    if not error:
        reader.pass_by(len(asked))
        reader.place = len(asked)
    missing = [
        command
        for place, command in enumerate(asked)
        if answers[command] is None or place >= reader.place or (command in ROWS and command in reader.doubtful)
    ]
    if missing and not error:
        text = unparsed + strange + ["chronyc printed nothing for {0}".format(missing[0])]
        error = ("unparsable", text[0][:MAX_LINE])
    found = unparsed + strange
    kept = [line[:MAX_LINE] for line in found[:MAX_UNPARSED]]
    return {
        "error": error[0] if error else None,
        "message": error[1] if error else "",
        "answers": answers,
        "missing": missing,
        "complete": not (error or missing or unparsed),
        "unparsed": kept + ["... and {0} more lines".format(len(found) - len(kept))] * (len(found) > len(kept)),
    }
