# -*- coding: utf-8 -*-
"""
Internal. What ``chronyd -p`` prints about a configuration file.

Text in, data out: nothing here runs a program, knows a threshold or judges a host.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

__virtualname__ = "ntpcluster_chronyd"

MAX_TEXT = 100000
MAX_LINE = 200

FATAL = "Fatal error : "
#: A line of an error begins with this.
_STAMP = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z ")
_PLACE = re.compile(r" at line ([0-9]{1,9})(?: in file (\S+))?$")


def _lines(text):
    """The lines of a text that are not blank, without their timestamps."""
    if isinstance(text, bytes):
        text = text[: 4 * MAX_TEXT + 4].decode("utf-8", "replace")
    return [_STAMP.sub("", line.strip(), 1) for line in (text or "")[:MAX_TEXT].split("\n") if line.strip()]


def proof(stdout, stderr="", retcode=0):
    """
    Internal. Read the output of ``chronyd -p -f FILE``. It parses directives and options; it opens none of the files they name,
    and does not detect conflicts between two directives (``rtcsync`` and ``rtcfile``, ``ratelimit`` and ``noclientlog``).

    stdout, stderr, retcode
        What it wrote, and its exit code.

    Returns a dict: ``good`` (True, False; None: this chronyd has no such check, as before 4.0, or could not be run),
    ``message`` (why not), ``line`` (its number) and ``text`` (of the directive); None where unknown.
    """
    errors = [line for line in _lines(stderr) if line.startswith(FATAL) or "invalid option" in line]
    if not retcode and not errors:
        return {"good": True, "message": "", "line": None, "text": None}
    told = errors[0] if errors else "chronyd ended with code {0}".format(retcode)
    message = told.replace(FATAL, "", 1)[:MAX_LINE]
    place, shown = _PLACE.search(message), _lines(stdout)
    return {
        # Other fatal errors, such as a missing user, say nothing about the file.
        "good": False if told.startswith(FATAL) and (place or message.startswith("Could not open ")) else None,
        "message": message,
        "line": int(place.group(1)) if place else None,
        # It prints each directive before it parses it.
        "text": shown[-1][:MAX_LINE] if place and shown else None,
    }
