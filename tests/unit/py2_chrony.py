# -*- coding: utf-8 -*-
# ruff: noqa: UP009, UP010, UP020, UP032, B905
"""
The captures of chronyc and chronyd, and the expected result of each.

Runs by itself under Python 2.7 and 3, with nothing but the standard library: ``python py2_chrony.py`` compares every
capture with its expectation, prints the differences and exits with 1 if there are any. The tests use the same functions.

``corpus/expected/chronyc.json``: for each capture its commands, the moment, the error, what is missing, the system and (as
lists, in the order of ``keys``) the rows of the look; ``chronyd.json``: what was read.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "_modules")]

import ntpcluster_chrony_look  # noqa: E402
import ntpcluster_chronyc  # noqa: E402
import ntpcluster_chronyc_tables  # noqa: E402
import ntpcluster_chronyd  # noqa: E402
import ntpcluster_parse_table  # noqa: E402
from py2_corpus import captures, expected, same  # noqa: E402

CALLS = {
    "ntpcluster_chronyc.parse": ntpcluster_chronyc.parse,
    "ntpcluster_chronyc.is_address": ntpcluster_chronyc.is_address,
    "ntpcluster_parse_table.refid_kind": ntpcluster_parse_table.refid_kind,
}
ntpcluster_chrony_look.__salt__ = ntpcluster_chronyc_tables.__salt__ = CALLS

KEYS = [
    "remote", "type", "stratum", "refid", "refid_kind", "reach", "poll_s", "when_s", "offset_ms", "delay_ms", "jitter_ms",
    "condition", "selection", "flash", "heard", "answers", "authenticated", "reference_age_s", "inexact",
]  # fmt: skip


def read(name, commands, capture):
    """The result of the reader for the form of a capture: those named ``...-csv`` are of ``chronyc -c``."""
    form = ntpcluster_chronyc if name.endswith("-csv") else ntpcluster_chronyc_tables
    return form.parse(commands, *capture)


def looked(name, wanted, capture):
    """The look of a capture in the short form of the expectations."""
    got = read(name, wanted["commands"], capture)
    look = ntpcluster_chrony_look.look(got, wanted["now"])
    return {
        "commands": wanted["commands"],
        "now": wanted["now"],
        "error": got["error"],
        "missing": got["missing"],
        "complete": look["complete"],
        "unparsed": got["unparsed"],
        "system": look["system"],
        "rows": [[row[key] for key in KEYS] for row in look["peers"]],
    }


def ran(name, wanted, capture):
    """The result of the reader for a capture of chronyd."""
    return ntpcluster_chronyd.proof(*capture)


def check():
    """(number of captures compared, differences as text)"""
    compared, found = 0, []
    for program, make in (("chronyc", looked), ("chronyd", ran)):
        wanted = expected(program)
        for name, capture in sorted(captures(program).items()):
            got = make(name, wanted[name], capture)
            compared += 1
            for key in sorted(set(got) | set(wanted[name])):
                if not same(got.get(key), wanted[name].get(key)):
                    found.append("{}/{} {}: {!r}, expected {!r}".format(
                        program, name, key, got.get(key), wanted[name].get(key)))  # fmt: skip
    return compared, found


def main():
    """Prints the differences; returns their number."""
    compared, found = check()
    print("\n".join(found + ["Python {}: {} captures".format(sys.version.split()[0], compared)]))
    return len(found)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
