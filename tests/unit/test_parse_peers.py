"""Tables of peers: every row and every field of real output of ntpq."""

import json
import re

import pytest

from _modules import ntpcluster_parse
from tests.unit import py2_corpus

CAPTURES = py2_corpus.captures("ntpq")
TABLES = {name: table for name in CAPTURES if (table := py2_corpus.expected(name)) and "rows" in table}
HEADER = re.compile(r"^( *remote +)refid      st t when poll reach   delay   offset  ? jitter$")

# The true values for multi-num, num-u (the daemon's own, in ms): offset, delay, jitter.
TRUE_NUMBERS = [
    (-0.001, 0.001, 0.0),
    (-99.999, 999.999, 9999.999),
    (-999.999, 1000.0, 10000.0),
    (-10000.123, 12345.678, 100000.5),
    (-99999.999, 0.0, 1000000.0),
    (-100000.123, 1.234, 0.0),
    (-1114672.613, 1.234, 0.045),
    (1114672.613, 1.234, 0.045),
    (99999.999, 1.234, 0.045),
    (999999.999, 1.234, 0.045),
    (34560000500.25, -0.015, 0.045),
    (-1795332392000.0, 1.234, 0.045),
    (0.0, 0.0, 0.0),
]


def rows_of(name):
    return ntpcluster_parse.ntpq(CAPTURES[name][0])["peers"]


def test_no_captured_table_is_without_expectation():
    with_table = {
        name for name, capture in CAPTURES.items() if any(HEADER.match(line) for line in capture[0].splitlines())
    }
    assert with_table == set(TABLES)
    assert sum(len(table["rows"]) for table in TABLES.values()) > 500


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_row_and_every_field_is_as_expected(name):
    result = ntpcluster_parse.ntpq(*CAPTURES[name])
    assert py2_corpus.table_differences(result["peers"], TABLES[name]) == []
    assert result["unparsed"] == []


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_expectations_stand_in_the_captured_columns(name):
    """Reads the columns only by position, independently of the parser."""
    lines = CAPTURES[name][0].replace("\r", "").split("\n")
    start = next(number for number, line in enumerate(lines) if HEADER.match(line))
    width = len(HEADER.match(lines[start]).group(1)) - 7
    body = []
    for line in lines[start + 2 :]:
        if not line.strip():
            break
        body.append(line)
    texts, names = [line for line in body if len(line) > 70], [line for line in body if len(line) <= 70]
    assert len(texts) == len(TABLES[name]["rows"])
    for text, wanted in zip(texts, TABLES[name]["rows"], strict=True):
        row = dict(zip(TABLES[name]["keys"], wanted, strict=True))
        if text[: width + 2].strip():
            assert text[0] + text[1 : width + 1].rstrip() == row["tally"] + row["remote"]
        else:
            assert names.pop(0) == row["tally"] + row["remote"]
        columns = text[width + 17 :]
        assert text[width + 2 : width + 17].strip().replace("..", "") == (row["refid"] or "").replace("..", "")
        assert int(columns[:3]) == row["stratum"]
        assert columns[4] == row["type"]
        assert (columns[6:10].strip() == "-") <= (row["when_s"] is None)
        assert int(columns[15:20], 8) == row["reach"]
        for printed, key in zip(columns[20:].split(), ("delay_ms", "offset_ms", "jitter_ms"), strict=True):
            if row[key] is None:
                assert key in row["inexact"]
            elif printed[-1].isdigit() or printed[-1] == ".":
                assert float(printed) == row[key]
    assert names == []


@pytest.mark.parametrize("name", ["multi-num-428", "multi-num-sec", "num-u-sec"])
def test_a_number_is_the_true_one_or_none(name):
    rows = rows_of(name)
    assert len(rows) == len(TRUE_NUMBERS)
    for row, true in zip(rows, TRUE_NUMBERS, strict=True):
        for key, value in zip(("offset_ms", "delay_ms", "jitter_ms"), true, strict=True):
            if row[key] is None:
                assert key in row["inexact"]
                assert abs(value) > 99999 or value < 0
            else:
                assert abs(row[key] - value) <= 1.0


def test_the_offset_of_a_daemon_that_steps_is_not_used():
    assert "-111467 " in CAPTURES["step426-pn"][0]
    stepped = rows_of("step426-pn")[0]
    assert (stepped["offset_ms"], stepped["inexact"]) == (None, ["offset_ms"])


@pytest.mark.parametrize(
    ("printed", "seconds"),
    [("-", None), ("0", 0), ("1", 1), ("2048", 2048), ("2049", None), ("4971", None), ("34m", 2040), ("300m", 18000),
     ("5h", 18000), ("96h", 345600), ("4d", 345600), ("999d", 86313600), ("29y", 914544000)],
)  # fmt: skip
def test_when_is_seconds_or_none_if_its_unit_was_truncated(printed, seconds):
    text = CAPTURES["c426-lost-pn"][0].split("\n")
    row = f"*10.77.1.1       .GPS.            1 u {printed:>4} 1024  377    0.165    0.050   0.050"
    assert ntpcluster_parse.ntpq("\n".join([*text[:2], row]))["peers"][0]["when_s"] == seconds


@pytest.mark.parametrize(
    ("printed", "seconds"),
    [("8", 8), ("64", 64), ("1024", 1024), ("2048", 2048), ("34m", 2048), ("68m", 4096), ("137m", 8192),
     ("273m", 16384), ("9h", 32768), ("18h", 65536), ("36h", 131072), ("-", None)],
)  # fmt: skip
def test_poll_is_a_power_of_two_again(printed, seconds):
    text = CAPTURES["c426-lost-pn"][0].split("\n")
    row = f"*10.77.1.1       .GPS.            1 u    1 {printed:>4}  377    0.165    0.050   0.050"
    assert ntpcluster_parse.ntpq("\n".join([*text[:2], row]))["peers"][0]["poll_s"] == seconds


@pytest.mark.parametrize("name", sorted(TABLES))
def test_neither_line_ends_nor_missing_last_ones_matter(name):
    text = CAPTURES[name][0]
    wanted = rows_of(name)
    assert ntpcluster_parse.ntpq(text.rstrip())["peers"] == wanted
    assert ntpcluster_parse.ntpq(text.replace("\r", "").replace("\n", "\r\n"))["peers"] == wanted
    assert ntpcluster_parse.ntpq(text.encode("utf-8"))["peers"] == wanted


@pytest.mark.parametrize("name", ["c426-steady-pn", "c428-steady-pn"])
def test_a_row_cut_off_anywhere_is_reported_and_no_value_is_made_up(name):
    lines = CAPTURES[name][0].rstrip("\n").split("\n")[:5]
    whole = ntpcluster_parse.ntpq("\n".join(lines))["peers"]
    for length in range(1, len(lines[-1])):
        result = ntpcluster_parse.ntpq("\n".join([*lines[:-1], lines[-1][:length]]))
        assert result["peers"][:2] == whole[:2]
        assert (result["complete"], len(result["unparsed"])) == (False, 1)
        for row in result["peers"][2:]:
            assert row == dict(whole[2], jitter_ms=None)


def test_at_most_the_last_digit_of_an_ntpsec_row_is_lost_unnoticed():
    """The digit is the fourth decimal: ntpsec prints only three for older daemons."""
    lines = CAPTURES["sec122-steady-p"][0].rstrip("\n").split("\n")[:5]
    whole = ntpcluster_parse.ntpq("\n".join(lines))["peers"]
    for length in range(1, len(lines[-1]) - 1):
        result = ntpcluster_parse.ntpq("\n".join([*lines[:-1], lines[-1][:length]]))
        assert (result["complete"], len(result["unparsed"])) == (False, 1)
        assert result["peers"] in (whole[:2], [*whole[:2], dict(whole[2], jitter_ms=None)])


def test_rows_that_look_the_same_are_kept_separate():
    head = CAPTURES["c428-steady-pn"][0].split("\n")[:2]
    row = "-2001:db8:1102:: 192.0.2.18       2 u  613  68m  377    2.916   -0.165   0.066"
    rows = ntpcluster_parse.ntpq("\n".join([*head, row, row]))["peers"]
    assert len(rows) == 2
    assert rows[0]["inexact"] == ["address"]


def test_columns_moved_by_a_name_that_is_not_ascii_are_read_where_they_are():
    lines = CAPTURES["c426-steady-pn"][0].split("\n")[:3]
    # ntpq counts bytes: fifteen of them are fourteen characters here.
    moved = lines[2].replace("10.77.1.1       .GPS.    ", "m\u00fcnchen.examp 10.77.1.1")
    row = ntpcluster_parse.ntpq("\n".join([*lines[:2], moved]))["peers"][0]
    assert (row["tally"], row["remote"], row["refid"], row["stratum"]) == ("*", "m\u00fcnchen.examp", "10.77.1.1", 1)
    unclear = ntpcluster_parse.ntpq("\n".join([*lines[:2], moved.replace("10.77.1.1", "one,two")]))
    assert (unclear["peers"], unclear["unparsed"]) == ([], [moved.replace("10.77.1.1", "one,two")])


def test_a_name_that_overflows_its_column_is_not_split():
    lines = CAPTURES["c426-steady-pn"][0].split("\n")[:3]
    long = lines[2].replace("10.77.1.1       .GPS. ", "much-too-long-a-name 192.0.2.77")
    row = ntpcluster_parse.ntpq("\n".join([*lines[:2], long]))["peers"][0]
    assert (row["remote"], row["refid"], row["offset_ms"]) == ("much-too-long-a-name", "192.0.2.77", 0.05)


def test_a_row_is_never_taken_for_the_name_of_the_next():
    lines = CAPTURES["c426-steady-pn"][0].split("\n")[:3]
    first = lines[2].replace("10.77.1.1      ", "192.0.2.123 (ti")
    nameless = " " * 17 + lines[2][17:]
    result = ntpcluster_parse.ntpq("\n".join([*lines[:2], first, nameless]))
    assert [row["remote"] for row in result["peers"]] == ["192.0.2.123 (ti"]
    assert result["unparsed"] == [nameless]


def test_only_a_name_that_did_not_fit_is_on_a_separate_line():
    lines = CAPTURES["when-w-428"][0].split("\n")
    place = lines.index("+2001:db8:1234:5678:9abc:def0:1234:5678")
    short = [*lines[:2], "+2001:db8::15", lines[place + 1]]
    result = ntpcluster_parse.ntpq("\n".join(short))
    assert (result["peers"], result["unparsed"]) == ([], short[2:])


def test_an_impossible_stratum_is_none():
    lines = CAPTURES["sec122-steady-p"][0].split("\n")[:3]
    rows = ntpcluster_parse.ntpq("\n".join([*lines[:2], lines[2].replace("  1 u", " 20 u")]))["peers"]
    assert [row["stratum"] for row in rows] == [None]


def test_a_column_of_another_form_becomes_none_and_is_reported():
    lines = CAPTURES["c426-steady-pn"][0].split("\n")[:3]
    odd = lines[2].replace("0.050   0.050", "foobar   0.050")
    result = ntpcluster_parse.ntpq("\n".join([*lines[:2], odd]))
    assert result["peers"][0]["offset_ms"] is None
    assert result["peers"][0]["jitter_ms"] == 0.05
    assert (result["complete"], result["unparsed"]) == (False, [odd])


def test_a_table_that_lost_its_blanks_is_not_read():
    lines = [re.sub(r" +", " ", line).strip() for line in CAPTURES["c426-steady-pn"][0].split("\n")]
    result = ntpcluster_parse.ntpq("\n".join(lines))
    assert (result["error"], result["peers"]) == ("unparsable", [])
    assert len(result["unparsed"]) == 17


@pytest.mark.parametrize(
    "name", ["c426-twohosts", "c428-apeers", "sec122-apeers", "sec122-opeers", "twohosts-one-down-426"]
)
def test_a_table_with_other_columns_is_reported_not_read(name):
    result = ntpcluster_parse.ntpq(*CAPTURES[name])
    assert (result["peers"], result["complete"]) == ([], False)
    assert any("reach" in line for line in result["unparsed"])


def test_rows_are_plain_data():
    assert json.loads(json.dumps(rows_of("multi-when-428"))) == rows_of("multi-when-428")


def test_two_rows_on_one_line_are_reported_not_mixed():
    lines = CAPTURES["c426-steady-pn"][0].split("\n")[:5]
    for glue in ("", " ", "\r"):
        glued = glue.join(lines[2:4])
        result = ntpcluster_parse.ntpq("\n".join([*lines[:2], glued, lines[4]]))
        assert [row["address"] for row in result["peers"]] == [lines[4][1:].split()[0]]
        assert (result["complete"], result["unparsed"]) == (False, [glued])


def test_a_refid_of_four_characters_may_have_blanks():
    lines = CAPTURES["c426-steady-pn"][0].split("\n")[:3]
    row = lines[2].replace(".GPS.  ", ".x y . ")
    assert ntpcluster_parse.ntpq("\n".join([*lines[:2], row]))["peers"][0]["refid"] == ".x y ."


@pytest.mark.parametrize("refid", ["127.127.1.1", "127.127.7.1", "LOCAL(1)", "CHU_AUDIO(1)", ".LOCL."])
def test_an_undisciplined_clock_is_local(refid):
    lines = CAPTURES["c426-steady-pn"][0].split("\n")[:3]
    row = lines[2].replace(".GPS.".ljust(15), refid.ljust(15))
    assert ntpcluster_parse.ntpq("\n".join([*lines[:2], row]))["peers"][0]["refid_kind"] == "local"
