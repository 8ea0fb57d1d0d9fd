"""One run of ntpq: three tables in one text, possible failures, and how the tables are combined."""

import pytest

from _modules import ntpcluster_parse
from tests.unit import py2_corpus

CAPTURES = py2_corpus.captures("ntpq")

# The error of a failed run, whether its answer is complete, and how many rows it still has.
FAILURES = {
    "err-noserver-426-pn": ("daemon-stopped", False, 0),
    "err-noserver-426-p-default": ("daemon-stopped", False, 0),
    "err-noserver-428-pn": ("daemon-stopped", False, 0),
    "err-noserver-428-p-default": ("daemon-stopped", False, 0),
    "err-noserver-sec-p-default": ("daemon-stopped", False, 0),
    "err-noquery-remote-426": ("timeout", False, 0),
    "err-silent-sec-pn": ("timeout", False, 0),
    "multi-silent-428": ("timeout", False, 0),
    "multi-silent-sec": ("timeout", False, 0),
    "multi-partial-428": ("timeout", False, 3),
    "multi-partial-sec": ("timeout", False, 2),
    "err-frag-426-pn": ("incomplete", False, 0),
    "err-frag-428-pn": ("incomplete", False, 0),
    "multi-frag-428": ("incomplete", False, 0),
    "multi-frag-sec": ("incomplete", False, 0),
    "multi-gone-428": ("incomplete", False, 3),
    "multi-gone-sec": ("incomplete", False, 3),
    "c428-rv-badassoc": ("incomplete", False, 0),
    "sec122-rv-badassoc": ("incomplete", False, 0),
    "c426-rv-hugeassoc": ("incomplete", False, 0),
    "c428-rv-hugeassoc": ("incomplete", False, 0),
    "c428-clockvar": ("incomplete", False, 0),
    "c428-rv0-unknownvar": ("incomplete", False, 0),
    "sec122-rv0-unknownvar": ("incomplete", False, 0),
    "err-badcmd-sec": ("incomplete", False, 0),
    "c426-apeers": ("incomplete", False, 0),
    "c426-authinfo": ("incomplete", False, 0),
    "c426-iostats": ("incomplete", False, 0),
    "c426-sysinfo": ("incomplete", False, 0),
    "err-perm-426-pn": ("not-permitted", False, 0),
    "err-perm-428-pn": ("not-permitted", False, 0),
    "multi-denied-428": ("not-permitted", False, 0),
    "multi-denied-sec": ("not-permitted", False, 0),
    "err-none-426-pn": ("no-associations", True, 0),
    "err-none-sec-pn": ("no-associations", True, 0),
    "multi-none-428": ("no-associations", True, 0),
    "multi-none-sec": ("no-associations", True, 0),
    "err-dns-426": ("unresolvable", False, 0),
    "err-dns-428": ("unresolvable", False, 0),
    "err-dns-sec": ("unresolvable", False, 0),
    "err-426-badopt-w": ("unparsable", False, 0),
    "err-sec-badopt": ("unparsable", False, 0),
    "twohosts-one-down-426": ("daemon-stopped", False, 0),
    "c426-twohosts": ("unparsable", False, 0),
    "c426-version": ("unparsable", False, 0),
    "c428-apeers": ("unparsable", False, 0),
    "c428-authinfo": ("unparsable", False, 0),
    "c428-iostats": ("unparsable", False, 0),
    "c428-sysstats": ("unparsable", False, 0),
    "sec122-apeers": ("unparsable", False, 0),
    "sec122-iostats": ("unparsable", False, 0),
    "sec122-opeers": ("unparsable", False, 0),
    # Tables that were read, next to lines that could not be read.
    "c428-mrv": (None, False, 0),
    "c428-sysinfo": (None, False, 0),
    "sec122-sysinfo": (None, False, 0),
    "sec122-kerninfo": (None, False, 0),
}

# assid, configured, authenticated, tally, last_event: read from the table by hand.
ASSOCIATIONS = [
    (1, True, True, "*", "sys_peer"),
    (2, True, False, "+", "sys_peer"),
    (3, True, None, "x", "clock_alarm"),
    (4, True, None, ".", "bad_auth"),
    (5, True, None, "-", "popcorn"),
    (6, True, None, "#", "interleave_mode"),
    (7, True, None, "o", "interleave_error"),
    (8, True, None, " ", "mobilize"),
    (9, True, None, " ", "rate_exceeded"),
    (10, True, None, " ", "access_denied"),
    (11, True, None, " ", "mobilize"),
    (12, True, None, " ", "mobilize"),
    (13, False, None, "+", "sys_peer"),
    (14, False, None, " ", "mobilize"),
    (15, True, None, " ", "unreachable"),
    (65535, True, None, "+", "reachable"),
]


def cut_before(text, word):
    """The lines of a text before the one that begins with a given word, and the rest."""
    lines = text.split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith(word))
    return lines[:place], lines[place:]


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_a_failed_run_says_what_failed_and_keeps_what_it_has(name):
    result = ntpcluster_parse.ntpq(*CAPTURES[name])
    assert (result["error"], result["complete"], len(result["peers"])) == FAILURES[name]
    assert bool(result["message"]) == bool(result["error"])


def test_every_other_capture_is_read_without_errors():
    for name in sorted(set(CAPTURES) - set(FAILURES)):
        result = ntpcluster_parse.ntpq(*CAPTURES[name])
        assert (name, result["error"], result["complete"], result["unparsed"]) == (name, None, True, [])
        assert result["peers"] or result["variables"] or "ind assid" in CAPTURES[name][0]


@pytest.mark.parametrize("name", sorted(name for name in FAILURES if FAILURES[name][0]))
def test_both_streams_in_one_text_are_understood_as_well(name):
    stdout, stderr, retcode = CAPTURES[name]
    result = ntpcluster_parse.ntpq(stderr + stdout, "", retcode)
    assert (result["error"], len(result["peers"])) == (FAILURES[name][0], FAILURES[name][2])


@pytest.mark.parametrize(
    ("stdout", "stderr", "retcode", "error"),
    [
        ("", "", 0, "unparsable"),
        ("", "/bin/sh: ntpq: command not found", 127, "not-installed"),
        ("", "", 127, "not-installed"),
        ("", "", -11, "incomplete"),
        ("ntpq -n -c lpeers : Timed out after 20 seconds", "", 1, "timeout"),
        (None, None, 0, "unparsable"),
    ],
)
def test_a_run_that_printed_nothing_of_use_has_an_error(stdout, stderr, retcode, error):
    result = ntpcluster_parse.ntpq(stdout, stderr, retcode)
    assert (result["error"], result["complete"], result["peers"], result["variables"]) == (error, False, [], {})


def test_a_program_that_crashed_after_its_tables_is_not_complete():
    stdout, stderr, _ = CAPTURES["c426-multicmd"]
    result = ntpcluster_parse.ntpq(stdout, stderr, -11)
    assert (result["error"], result["complete"], len(result["peers"])) == ("incomplete", False, 16)


def test_a_warning_on_stderr_does_not_spoil_two_tables_that_agree():
    warning = "/usr/bin/ntpq:12: SyntaxWarning: invalid escape sequence"
    both = ntpcluster_parse.ntpq(CAPTURES["c426-multicmd"][0], warning)
    assert (both["error"], both["complete"], both["unparsed"]) == (None, True, [warning])
    one = ntpcluster_parse.ntpq(CAPTURES["c426-steady-pn"][0], warning)
    assert (one["error"], one["complete"]) == (None, False)


@pytest.mark.parametrize("name", ["c426-multicmd", "sec122-multicmd", "multi-when-428", "multi-when-sec"])
def test_rows_get_their_association_by_order(name):
    rows, unparsed = py2_corpus.associations(CAPTURES[name][0])
    result = ntpcluster_parse.ntpq(*CAPTURES[name])
    assert unparsed == []
    assert [row["assid"] for row in result["peers"]] == [row["assid"] for row in rows]
    assert (result["complete"], result["variables"]["associd"]) == (True, 0)


def test_a_refusal_that_the_table_of_peers_hides_is_the_last_event():
    row = ntpcluster_parse.ntpq(*CAPTURES["c426-multicmd"])["peers"][5]
    assert (row["remote"], row["refid"], row["last_event"]) == ("10.77.1.6", ".INIT.", "rate_exceeded")


def test_a_hidden_row_leaves_only_what_is_certain_joined():
    before, table = cut_before(CAPTURES["c426-multicmd"][0], "ind assid")
    # Without its fifth row, the table of peers is what `peers` prints for an association that is not configured.
    hidden = [line for line in before if not line.startswith(" 10.77.1.5 ")]
    result = ntpcluster_parse.ntpq("\n".join(hidden + table))
    assert (len(result["peers"]), result["complete"]) == (15, False)
    true = {row["remote"]: row["assid"] for row in ntpcluster_parse.ntpq(*CAPTURES["c426-multicmd"])["peers"]}
    joined = {row["remote"]: row["assid"] for row in result["peers"] if row["assid"] is not None}
    assert joined == {name: true[name] for name in joined}
    assert {"10.77.1.1", "10.77.1.4", "10.77.1.9", "10.77.255.255"} <= set(joined)
    # One of the four rejected sources between the falsetickers is missing; which one is unknown.
    assert [row["assid"] for row in result["peers"] if row["remote"] in ("10.77.1.6", "10.77.1.7")] == [None, None]


def test_a_lost_association_leaves_only_what_is_certain_joined():
    before, table = cut_before(CAPTURES["c426-multicmd"][0], "ind assid")
    result = ntpcluster_parse.ntpq("\n".join(before + table[:2] + table[3:]))
    assert (len(result["peers"]), result["complete"]) == (16, False)
    assert result["peers"][0]["assid"] is None
    assert [row["assid"] for row in result["peers"][1:4]] == [49735, 49736, 49737]


def test_tables_that_contradict_each_other_are_not_joined():
    before, table = cut_before(CAPTURES["c426-multicmd"][0], "ind assid")
    table[2] = table[2].replace("963a", "943a")
    result = ntpcluster_parse.ntpq("\n".join(before + table))
    assert (len(result["peers"]), result["complete"]) == (16, False)
    assert {row["assid"] for row in result["peers"]} == {None}


def test_an_association_table_alone_and_a_header_without_rows_are_distinguished():
    _, table = cut_before(CAPTURES["c426-multicmd"][0], "ind assid")
    assert ntpcluster_parse.ntpq("\n".join(table))["complete"] is True
    assert ntpcluster_parse.ntpq("\n".join(table[:2]))["complete"] is False
    head = "\n".join(CAPTURES["c426-steady-pn"][0].split("\n")[:2])
    assert ntpcluster_parse.ntpq(head)["complete"] is False


@pytest.mark.parametrize(
    ("name", "hidden"), [("scripted-as-426", {14}), ("scripted-as-428", {14}), ("scripted-as-sec", set())]
)
def test_associations_are_decoded_from_their_status_word(name, hidden):
    rows, unparsed = py2_corpus.associations(CAPTURES[name][0])
    keys = ("assid", "configured", "authenticated", "tally", "last_event")
    got = [tuple(row[key] for key in keys) for row in rows]
    assert got == [row for row in ASSOCIATIONS if row[0] not in hidden]
    assert unparsed == []


def test_the_words_beside_the_status_word_are_not_needed():
    line = "  5     5  933d   yes   yes  none   outlyer              3"
    head = CAPTURES["scripted-as-426"][0].split("\n")[:3]
    for text in (line, line.replace("outlyer", "outlier"), line.replace("outlyer", "nonsense")):
        row = py2_corpus.associations("\n".join([*head, text]))[0][0]
        assert (row["tally"], row["last_event"]) == ("-", "popcorn")


def test_before_4_2_6_only_two_events_meant_what_they_mean_now():
    head = "ind assID status  conf reach auth condition  last_event cnt\n" + "=" * 59
    first = "  1 15641  9414   yes   yes  none  candidat   reachable  1"
    second = "  2 15642  9415   yes   yes  none  candidat clock_expt  1"
    rows = py2_corpus.associations("\n".join([head, first, second]))[0]
    assert [row["last_event"] for row in rows] == ["reachable", None]


def test_two_sets_of_variables_are_not_mixed():
    before, _ = cut_before(CAPTURES["c426-multicmd"][0], "     remote")
    other = CAPTURES["c428-rv-falsetick"][0].split("\n")
    result = ntpcluster_parse.ntpq("\n".join(before + other))
    assert (result["variables"]["associd"], result["variables"]["offset"]) == (0, 0.05)
    assert "srcadr" not in result["variables"]
    assert (result["complete"], len(result["unparsed"])) == (False, 12)


def test_text_beyond_the_limit_is_truncated_and_reported():
    result = ntpcluster_parse.ntpq(CAPTURES["c426-multicmd"][0] + "x\n" * 5000000)
    assert len(result["peers"]) == 16
    assert (result["complete"], result["unparsed"][0]) == (False, "... only the first 400000 characters were read")
    assert len(result["unparsed"]) == 51
    assert result["unparsed"][-1].endswith("more lines")
