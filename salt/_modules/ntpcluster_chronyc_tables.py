# -*- coding: utf-8 -*-
"""
Internal. Convert the tables that ``chronyc`` prints for people to the columns of ``chronyc -c``.

This tree always runs chronyc with ``-c``. This module is for captures and for output that people send: chrony 4 and 3, and
1.29, which had fewer lines and no ``-c``. The numbers of a table are rounded to four digits.
"""

from __future__ import absolute_import, print_function, unicode_literals

import calendar
import re

__virtualname__ = "ntpcluster_chronyc_tables"

#: At most this many characters are read, as in ntpcluster_chronyc.
MAX_TEXT = 800000

#: How the table of each command begins.
HEADERS = (
    ("MS Name/IP address ", "sources"),
    ("Name/IP Address            NP ", "sourcestats"),
    ("S Name/IP Address ", "selectdata"),
    ("Name/IP address             Mode ", "authdata"),
)

#: Labels of an answer in ``Label : text`` lines, in the order of ``-c``; the first one begins the answer.
LABELS = (
    (
        "Reference ID", "Stratum", "Ref time (UTC)", "System time", "Last offset", "RMS offset", "Frequency", "Residual freq",
        "Skew", "Root delay", "Root dispersion", "Update interval", "Leap status",
    ),
    (
        "Remote address", "Remote port", "Local address", "Leap status", "Version", "Mode", "Stratum", "Poll interval",
        "Precision", "Root delay", "Root dispersion", "Reference ID", "Reference time", "Offset", "Peer delay",
        "Peer dispersion", "Response time", "Jitter asymmetry", "NTP tests", "Interleaved", "Authenticated",
        "TX timestamping", "RX timestamping", "Total TX", "Total RX", "Total valid RX",
    ),
    ("NTP packets received", "NTP packets dropped", "Command packets received", "Command packets dropped"),
)  # fmt: skip
ACTIVITY = (
    "online", "offline", "doing burst (return to online)", "doing burst (return to offline)", "with unknown address",
)  # fmt: skip
#: In UTC and always in English.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_ACTIVITY = re.compile("^([0-9]{1,9}) sources (" + "|".join(re.escape(words) for words in ACTIVITY) + ")$")
_COUNTED = re.compile(r"^210 Number of sources = ([0-9]{1,9})$")
_DATE = re.compile(
    "^[A-Z][a-z]{2} (" + "|".join(MONTHS) + ") +([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4})$"
)
_LABELLED = re.compile(r"^([A-Z][^:]{2,30}?) *: ?(.*)$")
_MEASURE = re.compile(r"^(\S+) (?:seconds|ppm)(?: (fast|slow)(?: of NTP time)?)?$")
_PAIR = re.compile(r"^(\S*) \((\S*?)(?: seconds)?\)$")
_SOURCE = re.compile(
    r"^(\S)(\S) (\S+) +([0-9]{1,3}) +(-?[0-9]{1,3}) +([0-7]{1,3}) +(\S+) +([+-]\S+?)\[ *([+-]\S+?)\] \+/- +(\S+)$"
)


def parse(commands, stdout, stderr="", retcode=0):
    """
    Internal. Read the tables of one run of ``chronyc``. The arguments and the return value are those of
    ``ntpcluster_chronyc.parse``; what an older chronyc does not print is None.
    """
    text = (stdout or "")[: MAX_TEXT * 4 + 4]
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return __salt__["ntpcluster_chronyc.parse"](commands, "\n".join(columns(text)), stderr, retcode)


def columns(text):
    """
    Internal. The lines that ``chronyc -c`` would have printed, as far as the tables show them. A line of unknown form is not
    changed.

    text
        What chronyc printed without ``-c``, with its legends (``-v``) or without.

    Returns a list of lines.
    """
    table = _Tables()
    for line in text[:MAX_TEXT].split("\n"):
        table.take(line.rstrip("\r"))
    table.end_block()
    table.end_table()
    return table.lines + ["... only the first {0} characters were read".format(MAX_TEXT)] * (len(text) > MAX_TEXT)


class _Tables(object):
    """Reads tables once."""

    def __init__(self):
        self.lines = []
        self.section = self.counted = None
        self.first = 0
        self.labels, self.order, self.activity = {}, (), []

    def take(self, line):
        """Takes one line."""
        header = next((command for start, command in HEADERS if line.startswith(start)), None)
        labelled, counted, activity = _LABELLED.match(line), _COUNTED.match(line), _ACTIVITY.match(line)
        if header or counted or activity:
            self.end_block()
        if header:
            self.section, self.first = header, len(self.lines)
        elif counted:
            self.end_table()
            self.counted = line
        elif activity:
            self.section = None
            self.activity = (self.activity + [activity.group(1)]) * (activity.group(2) == ACTIVITY[len(self.activity)])
            if len(self.activity) == len(ACTIVITY):
                self.lines.append(",".join(self.activity))
                self.activity = []
        elif not (labelled and self.labelled(labelled.group(1), labelled.group(2).strip())):
            self.row(line)

    def row(self, line):
        """Takes a row of the current table, or a line of unknown form; leaves out blank lines, rules and legends."""
        source = _SOURCE.match(line)
        if self.section == "sources" and source:
            self.lines.append(",".join(source.groups()))
        elif self.section and self.section != "sources" and line[:1] not in ("", " ", "|") and len(line.split()) >= 8:
            self.lines.append(",".join(line.split()))
        elif line.strip() and line[0] not in " |=" and line != "200 OK":
            self.lines.append(line)

    def labelled(self, label, text):
        """Takes a line ``Label : text``; returns False where no such line is expected."""
        order = next((labels for labels in LABELS if labels[0] == label), ())
        if order and (label in self.labels or label not in self.order):
            self.end_block()
            self.order = order
        if not self.order:
            return False
        self.section = None
        self.labels[label] = text
        return True

    def end_block(self):
        """Writes out the labelled lines read so far."""
        if self.order:
            self.lines.append(
                ",".join(token for label in self.order for token in _tokens(label, self.labels.get(label)))
            )
        self.labels, self.order = {}, ()

    def end_table(self):
        """If chrony 3 announced another number of sources than it printed rows, its line is kept: the table is incomplete."""
        if self.counted and int(self.counted.split()[-1]) != len(self.lines) - self.first:
            self.lines.append(self.counted)
        self.counted = None


def _tokens(label, text):
    """The columns that a label's text has in ``-c``; empty ones if the label is missing."""
    several = {"NTP tests": 3}.get(label, 2 if label in ("Reference ID", "Poll interval", "Precision") else 1)
    if label.endswith(" address"):
        several = 2
    if text is None:
        return [""] * several
    date, pair, measure = _DATE.match(text), _PAIR.match(text), _MEASURE.match(text)
    if date:
        month, day, hour, minute, second, year = date.groups()
        numbers = [int(year), MONTHS.index(month) + 1] + [int(part) for part in (day, hour, minute, second)]
        return ["{0}".format(calendar.timegm(numbers + [0, 0, 0]))]
    if pair:
        return list(pair.groups())
    if label == "NTP tests":
        return text.split(" ")
    if measure:
        # `-c` prints a plus for "slow of NTP time" and for a frequency that is "fast".
        minus = measure.group(2) == ("fast" if label == "System time" else "slow")
        return ["-" * minus + measure.group(1)]
    return [text]
