# -*- coding: utf-8 -*-
"""
Internal. What ``chronyd`` prints when it runs once: to step the clock (``-q``), to measure it (``-Q``), to read a file
(``-p``).

Text in, data out: nothing here runs a program, knows a threshold or judges a host.

``-q`` steps by any distance, small or large: ``maxchange`` and ``makestep`` do not apply (case REF_ModeUpdateOnce in
reference.c). To apply a limit, measure first with ``-Q``.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

__virtualname__ = "ntpcluster_chronyd"

MAX_TEXT = 100000
MAX_LINE = 200

#: Error messages of chronyd and our code for each. The first entry found in a line decides.
ERRORS = (
    ("no suitable source", "no-server"),
    ("timeout reached", "timeout"),
    ("another chronyd may already be running", "running"),
    ("not superuser", "not-permitted"),
    ("operation not permitted", "not-permitted"),
    ("permission denied", "not-permitted"),
    ("could not get user/group", "no-user"),
    ("invalid option", "usage"),
    ("invalid argument", "usage"),
    ("command not found", "not-installed"),
)

#: With -d or -q every line begins with this.
_STAMP = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z ")
_WRONG = re.compile(r"^System clock wrong by (-?[0-9]{1,12}\.[0-9]{1,9}) seconds \((step|ignored)\)$")
_VERSION = re.compile(r"^chronyd version (\S+) starting ")
_PLACE = re.compile(r" at line ([0-9]{1,9})(?: in file (\S+))?$")


def _lines(*texts):
    """The lines of the texts that are not blank, without their timestamps."""
    found = []
    for text in texts:
        if isinstance(text, bytes):
            text = text[: 4 * MAX_TEXT + 4].decode("utf-8", "replace")
        found += [_STAMP.sub("", line.strip(), 1) for line in (text or "")[:MAX_TEXT].split("\n") if line.strip()]
    return found


def _complaint(line):
    """{code, message} of a line that says what went wrong, else None."""
    fatal = line.startswith("Fatal error : ")
    message = (line[len("Fatal error : ") :] if fatal else line)[:MAX_LINE]
    known = next((word for part, word in ERRORS if part in message.lower()), None)
    if not known and fatal:
        known = "configuration" if _PLACE.search(message) or message.startswith("Could not open ") else "unknown"
    return {"code": known, "message": message} if known else None


def once(stdout, stderr="", retcode=0):
    """
    Internal. Read the output of ``chronyd -q`` or ``chronyd -Q``.

    stdout, stderr, retcode
        What it wrote (all of it to stderr), and its exit code: 0 if it knows the offset.

    Returns a dict:

    - ``offset_s``: how far the servers are ahead of this host; None if chronyd does not know
    - ``stepped``: True after a step (``-q``), False after a measurement (``-Q``), None if it did neither
    - ``version`` of chronyd, None if it does not say
    - ``errors``: list of {``code``, ``message``}; codes ``no-server`` (all of them silent, not synchronised, or refusing:
      chronyd does not say which), ``timeout`` (the same, or they disagree, or a name has no address: the time of ``-t`` ended
      first), ``running`` (a daemon runs: with ``-q`` only one may), ``not-permitted``, ``no-user``, ``configuration``,
      ``usage``,
      ``not-installed``, ``unknown`` (among them a timeout before chrony 4.1, which does not mention it)
    """
    result = {"offset_s": None, "stepped": None, "version": None, "errors": []}
    for line in _lines(stdout, stderr):
        wrong, version, complaint = _WRONG.match(line), _VERSION.match(line), _complaint(line)
        if wrong:
            result["offset_s"], result["stepped"] = float(wrong.group(1)), wrong.group(2) == "step"
        elif version:
            result["version"] = version.group(1)
        elif complaint and complaint not in result["errors"]:
            result["errors"].append(complaint)
    if not result["errors"] and (retcode or result["offset_s"] is None):
        code = "not-installed" if retcode == 127 else "unknown"
        said = "chronyd ended with code {0} and did not say why".format(retcode)
        result["errors"].append({"code": code, "message": said})
    return result


def proof(stdout, stderr="", retcode=0):
    """
    Internal. Read the output of ``chronyd -p -f FILE``. It parses directives and options; it opens none of the files they name,
    and does not detect conflicts between two directives (``rtcsync`` and ``rtcfile``, ``ratelimit`` and ``noclientlog``).

    stdout, stderr, retcode
        What it wrote, and its exit code.

    Returns a dict: ``good`` (True, False; None: this chronyd has no such check, as before 4.0, or could not be run),
    ``message`` (why not), ``line`` (its number) and ``text`` (of the directive); None where unknown.
    """
    errors = [complaint for complaint in [_complaint(line) for line in _lines(stderr)] if complaint]
    told = errors[0] if errors else {"code": "unknown", "message": "chronyd ended with code {0}".format(retcode)}
    if not retcode and not errors:
        return {"good": True, "message": "", "line": None, "text": None}
    place, shown = _PLACE.search(told["message"]), _lines(stdout)
    return {
        "good": False if told["code"] == "configuration" else None,
        "message": told["message"],
        "line": int(place.group(1)) if place else None,
        # It prints each directive before it parses it.
        "text": shown[-1][:MAX_LINE] if place and shown else None,
    }
