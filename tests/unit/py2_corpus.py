# -*- coding: utf-8 -*-
# ruff: noqa: UP009, UP010, UP020, UP032, B905
"""
The corpus of captured program output, and the expected result of each capture.

Runs by itself under Python 2.7 and 3, with nothing but the standard library: ``python py2_corpus.py`` compares every
capture with its expectation, prints the differences and exits with 1 if there are any. The tests use the same functions.

``corpus/INDEX.tsv`` lists the captures. ``corpus/expected`` contains, for each capture, the rows of a table (as lists, in the
order of ``keys``) or the variables; and one file for each of the other programs.
"""

from __future__ import absolute_import, print_function, unicode_literals

import io
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CORPUS = os.path.join(ROOT, "tests", "corpus")

sys.path.insert(0, os.path.join(ROOT, "_modules"))

import ntpcluster_parse  # noqa: E402
import ntpcluster_parse_table  # noqa: E402
import ntpcluster_parse_tools  # noqa: E402

ntpcluster_parse.__salt__ = {"ntpcluster_parse_table.read": ntpcluster_parse_table.read}


def read(path):
    """The text of a file of the corpus, with unchanged line ends."""
    with io.open(os.path.join(CORPUS, path), encoding="utf-8", newline="") as capture:
        return capture.read()


def captures(program):
    """{name: (stdout, stderr, return code)} of every capture of a program."""
    found = {}
    for line in read("INDEX.tsv").splitlines()[1:]:
        path, _, retcode, stderr, _ = line.split("\t")
        folder, name = path.split("/")
        if folder == program:
            found[name[: -len(".txt")]] = (read(path), read(stderr) if stderr else "", int(retcode))
    return found


def expected(name):
    """The content of one file of expectations; None if it does not exist."""
    path = os.path.join(CORPUS, "expected", name + ".json")
    if not os.path.exists(path):
        return None
    with io.open(path, encoding="utf-8") as lines:
        return json.load(lines)


def associations(text):
    """The rows of an association table, before they are joined to the peers, and the lines that are not rows."""
    seen = ntpcluster_parse_table._Tables(text.splitlines())
    for row in seen.associations:
        row["last_event"] = ntpcluster_parse.PEER_EVENTS[row["last_event"] or 0]
    return seen.associations, ntpcluster_parse.ntpq(text)["unparsed"]


def same(got, wanted):
    """Equality; for floats, to the last printed digit."""
    if isinstance(got, float) and isinstance(wanted, float):
        return abs(got - wanted) <= 1e-9 * max(1.0, abs(wanted))
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(same(one, other) for one, other in zip(got, wanted))
    if isinstance(got, dict) and isinstance(wanted, dict):
        return set(got) == set(wanted) and all(same(got[key], wanted[key]) for key in wanted)
    return got == wanted and isinstance(got, bool) == isinstance(wanted, bool)


def table_differences(rows, table):
    """The differences between rows of peers and an expected table, as text."""
    if len(rows) != len(table["rows"]):
        return ["{} rows, expected {}".format(len(rows), len(table["rows"]))]
    found = []
    for number, (row, wanted) in enumerate(zip(rows, table["rows"])):
        for key, value in zip(table["keys"], wanted):
            if not same(row[key], value):
                found.append("row {} {}: {!r}, expected {!r}".format(number, key, row[key], value))
        missing = set(row) - set(table["keys"])
        if any(row[key] is not None for key in missing):
            found.append("row {}: nothing was expected in {}".format(number, sorted(missing)))
    return found


def variable_differences(variables, wanted):
    """The differences between variables and expected ones, as text. A printed date has milliseconds."""
    found = []
    for key in sorted(set(variables) | set(wanted)):
        got, value = variables.get(key, "missing"), wanted.get(key, "missing")
        if key.endswith("_s") and isinstance(got, float) and isinstance(value, float):
            if abs(got - value) > 0.0011:
                found.append("{}: {!r}, expected {!r}".format(key, got, value))
        elif not same(got, value):
            found.append("{}: {!r}, expected {!r}".format(key, got, value))
    return found


def tool_result(program, name, capture):
    """The result of ntpdate's or hwclock's reader, in the short form of the expectations."""
    how = {"setting": True} if "systohc" in name else {}
    result = getattr(ntpcluster_parse_tools, program)(*capture, **how)
    if program == "ntpdate":
        codes = [error["code"] for error in result["errors"]]
        return dict(result, errors=codes, unparsed=len(result["unparsed"]))
    for key in ("message", "unparsed"):
        result.pop(key, None)
    return result


def check():
    """(number of captures compared, differences as text)"""
    compared, found = 0, []
    for name, capture in sorted(captures("ntpq").items()):
        wanted = expected(name)
        if not wanted:
            continue
        result = ntpcluster_parse.ntpq(*capture)
        differences = table_differences(result["peers"], wanted) if "rows" in wanted else []
        if "variables" in wanted:
            differences += variable_differences(result["variables"], wanted["variables"])
        compared += 1
        found += ["ntpq/{}: {}".format(name, difference) for difference in differences]
    for program in ("ntpdate", "hwclock"):
        wanted = expected(program)
        for name, capture in sorted(captures(program).items()):
            got = tool_result(program, name, capture)
            compared += 1
            if not same(got, wanted[name]):
                found.append("{}/{}: {!r}, expected {!r}".format(program, name, got, wanted[name]))
    return compared, found


if __name__ == "__main__":
    COMPARED, DIFFERENCES = check()
    for text in DIFFERENCES:
        print(text)
    print("Python {}: {} captures, {} differences".format(sys.version.split()[0], COMPARED, len(DIFFERENCES)))
    sys.exit(1 if DIFFERENCES else 0)
