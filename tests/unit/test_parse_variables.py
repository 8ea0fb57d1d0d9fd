"""The variables of ntpq's rv."""

import pytest

from _modules import ntpcluster_parse
from tests.unit import py2_corpus

CAPTURES = py2_corpus.captures("ntpq")
EXPECTED = {name: found["variables"] for name in CAPTURES if "variables" in (found := py2_corpus.expected(name) or {})}


def parse(text):
    return ntpcluster_parse.variables(text)


def test_every_capture_of_rv_has_an_expectation():
    assert len(EXPECTED) == 26
    assert {len(EXPECTED[name]) for name in EXPECTED if name.endswith("-rv")} == {26}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_variable_is_as_expected(name):
    variables = ntpcluster_parse.ntpq(*CAPTURES[name])["variables"]
    assert py2_corpus.variable_differences(variables, EXPECTED[name]) == []
    assert parse(CAPTURES[name][0].replace("Output set to raw", "")) == variables


def test_a_comma_inside_a_value_does_not_end_it():
    text = 'associd=0 status=0615 x,\ncert="a,b=c d 0x7", flash=1600 peer_stratum, peer_dist, peer_unreach,\nx=1'
    got = parse(text)
    assert (got["cert"], got["flash"], got["x"]) == ("a,b=c d 0x7", "1600 peer_stratum, peer_dist, peer_unreach", 1)
    assert "b" not in got


def test_numbers_are_numbers_and_names_that_look_like_them_are_not():
    got = parse("offset=+0.078716, clk_jitter=6e-05, peer=23516, refid=1234, precision=-22, srcadr=10, reach=377")
    assert got == {
        "offset": 0.078716, "clk_jitter": 6e-05, "peer": 23516, "refid": "1234", "precision": -22, "srcadr": "10",
        "reach": 255,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_a_value_that_is_not_a_finite_number_is_none(text):
    assert parse(f"offset={text}, stratum=3") == {"offset": None, "stratum": 3}


@pytest.mark.parametrize(
    ("text", "word"), [("00", "none"), ("01", "add"), ("10", "del"), ("11", "alarm"), ("3", "alarm"), ("7", None)]
)
def test_leap_is_a_word(text, word):
    assert parse(f"leap={text}") == {"leap": word}


@pytest.mark.parametrize(
    ("status", "source", "event", "count"),
    [("0615", "ntp", "clock_sync", 1), ("c016", "unspec", "restart", 1), ("05f8", "local", "no_sys_peer", 15),
     ("4109", "pps", "leap_armed", 0), ("4d00", None, None, 0)],
)  # fmt: skip
def test_the_first_line_is_decoded_from_its_status_word(status, source, event, count):
    got = parse(f"associd=0 status={status} whatever, it, says,\nleap=00")
    assert (got["source"], got["last_event"], got["event_count"]) == (source, event, count)


def test_the_first_line_of_old_versions_is_not_a_variable():
    assert parse("status=f414 reach, conf, auth, sel_cand,\nstratum=2") == {"status": "f414", "stratum": 2}


def test_if_a_name_occurs_twice_the_first_counts_and_the_second_is_reported():
    text = "offset=1.000, stratum=2, offset=2.000"
    assert parse(text) == {"offset": 1.0, "stratum": 2}
    assert ntpcluster_parse.ntpq(text)["unparsed"] == ["offset=2.000"]


def test_the_clock_filter_is_a_list_or_missing_if_it_is_invalid():
    good = parse(CAPTURES["c428-rv-falsetick"][0])
    assert good["filtoffset"] == [5000.0, 5000.1, 5000.1, 5000.0, 5000.0, 5000.0, 4999.9, 5000.1]
    bad = parse(CAPTURES["sec122-rv-unreach"][0])
    assert not any(name.startswith("filt") for name in bad)
    assert bad["flash"] == "1600 peer_stratum peer_dist peer_unreach"


@pytest.mark.parametrize("text", ["", "\n", "no variable here", "***Association ID 9 unknown to server", None])
def test_text_without_variables_gives_none(text):
    assert parse(text) == {}


def test_a_filter_without_its_eight_stages_is_missing():
    assert parse("filtdelay=     0.18    0.21    0.24    0.22    0.12    0.15    0.13, stratum=2") == {"stratum": 2}


def test_raw_output_has_reach_in_decimal():
    assert parse("associd=7 status=0x963a,\nreach=255, offset=-0.005211")["reach"] == 255
    assert parse("associd=7 status=963a conf,\nreach=377, offset=-0.005")["reach"] == 255


def test_times_are_seconds_and_never_is_none():
    got = parse("reftime=eead14f6.80000000  Sun, Nov 22 2026  7:15:02.500, clock=00000000.00000000  (no time)")
    assert (got["reftime_s"], got["clock_s"]) == (1795331702.5, None)
    # After February 2036 the 32 bits start again.
    assert parse("clock=00000001.00000000 2036-02-07T06:28:17.000Z")["clock_s"] == 2085978497.0


@pytest.mark.parametrize("before", ["primary timeout 120 ms\n", "a line of somebody else's\n", "***Warning\n\n"])
@pytest.mark.parametrize("name", ["c426-steady-rv", "c428-rv-falsetick", "c428-rv-raw", "sec122-rv-unreach"])
def test_a_line_before_the_head_changes_nothing(name, before):
    """`variables` and `ntpq` have one reader."""
    text = CAPTURES[name][0]
    expected = parse(text)
    assert "status" in expected
    assert parse(before + text) == expected == ntpcluster_parse.ntpq(before + text)["variables"]


@pytest.mark.parametrize("name", ["stratum", "offset", "frequency", "rootdelay", "rootdisp", "sys_jitter", "unreach"])
@pytest.mark.parametrize("text", ["-", "x", "", '"1"', "1,5", "nan"])
def test_a_name_that_is_a_number_is_a_number_or_none(name, text):
    assert parse(f"{name}={text}, refid=x")[name] is None


@pytest.mark.parametrize("text", ["17", "-1", "99999999999999999999", "2.5"])
def test_a_stratum_is_one_of_0_to_16(text):
    assert parse(f"stratum={text}") == {"stratum": None}
