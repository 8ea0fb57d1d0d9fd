"""What ntpdate and hwclock print."""

import pytest

from _modules import ntpcluster_parse_tools as tools
from tests.unit import py2_corpus

CASES = [(program, name) for program in ("ntpdate", "hwclock") for name in py2_corpus.captures(program)]


@pytest.mark.parametrize(("program", "name"), CASES)
def test_every_capture_is_read_as_expected(program, name):
    got = py2_corpus.tool_result(program, name, py2_corpus.captures(program)[name])
    assert py2_corpus.same(got, py2_corpus.expected(program)[name]), got


def test_the_same_check_runs_as_a_plain_script():
    compared, differences = py2_corpus.check()
    assert (compared > 120, differences) == (True, [])


@pytest.mark.parametrize("name", ["nd426-eperm-step", "nd428-eperm-step", "nd426-eperm-adjust"])
def test_a_clock_that_may_not_be_set_is_an_error_although_ntpdate_ends_with_0(name):
    stdout, stderr, retcode = py2_corpus.captures("ntpdate")[name]
    result = tools.ntpdate(stdout, stderr, retcode)
    assert retcode == 0
    assert (result["action"], [error["code"] for error in result["errors"]]) == (None, ["not-permitted"])
    assert "Operation not permitted" in result["errors"][0]["message"]


def test_two_messages_on_one_line_are_one_error():
    result = tools.ntpdate(*py2_corpus.captures("ntpdate")["nd426-dns-mixed"])
    message = "name server cannot be used: Temporary failure in name resolution (-3)"
    assert result["errors"] == [{"code": "unresolvable", "message": message}]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("10 Feb 01:02:03 ntpdate[7]: the NTP socket is in use, exiting", "socket-in-use"),
        (" 1 Feb 01:02:03 ntpdate[7]: bind() fails: Permission denied", "not-permitted"),
        (" 1 Feb 01:02:03 ntpdate[7]: sendto(192.0.2.1): Network is unreachable", "unreachable"),
        (" 1 Feb 01:02:03 ntpdate[7]: no key file </etc/ntp/keys>, exiting", "key"),
        (" 1 Feb 01:02:03 ntpdate[7]: authentication key 7 unknown", "key"),
        (" 1 Feb 01:02:03 ntpdate[7]: something never heard of", "unknown"),
        ("CLOCK: something never heard of", "unknown"),
        ("/bin/sh: ntpdate: command not found", "not-installed"),
    ],
)
def test_an_error_of_ntpdate_has_a_code(line, code):
    result = tools.ntpdate("", line, 0)
    assert [error["code"] for error in result["errors"]] == [code]
    assert result["servers"] == []


def test_a_failure_without_output_is_an_error_nevertheless():
    assert tools.ntpdate("", "", 3)["errors"] == [{"code": "unknown", "message": "ntpdate ended with code 3"}]
    assert tools.ntpdate("", "", 127)["errors"][0]["code"] == "not-installed"
    assert tools.ntpdate("", "", 0)["errors"] == []


def test_other_text_on_stderr_is_not_an_error():
    result = tools.ntpdate("", "host found : ntp.example.net", 0)
    assert (result["errors"], result["unparsed"]) == ([], ["host found : ntp.example.net"])


def test_a_server_of_which_nothing_was_measured_has_no_offset():
    lines = [
        "server 192.0.2.1, stratum 0, offset 0.000000, delay 0.00000",
        "server 192.0.2.2, stratum 16, offset -0.000417, delay 0.02644",
        "server 192.0.2.3, stratum 2, offset 0.000000, delay 0.02583",
        "server 192.0.2.4, stratum 0, offset -5.000000, delay 0.02583",
    ]
    servers = tools.ntpdate("\n".join(lines))["servers"]
    assert [row["reachable"] for row in servers] == [False, True, True, True]
    assert [row["offset_s"] for row in servers] == [None, None, 0.0, None]
    assert [row["stratum"] for row in servers] == [None, 16, 2, 0]


def test_a_truncated_line_is_not_a_measurement():
    line = "server 192.0.2.1, stratum 2, offset 5.000108, delay 0.02580"
    for length in range(1, len(line) - 4):
        result = tools.ntpdate(line[:length])
        assert (result["servers"], len(result["unparsed"])) == ([], 1)


@pytest.mark.parametrize(
    ("hosts", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("ntp.example.net 192.0.2.1", "192.0.2.1"),
        ("ntp.example.net (2001:db8::1)", "2001:db8::1"),
    ],
)
def test_ntpdig_may_print_a_name_before_the_address(hosts, address):
    line = f"2026-11-22 07:24:16.9 (+0800) -1114.672570 +/- 0.000367 {hosts} s2 no-leap"
    result = tools.ntpdate(line)
    assert (result["server"], result["offset_s"], result["servers"][0]["stratum"]) == (address, -1114.67257, 2)


def test_the_reading_of_an_old_hwclock_needs_to_know_its_zone():
    text = py2_corpus.captures("hwclock")["ul2172-show-ok"][0]
    local, utc = tools.hwclock(text), tools.hwclock(text, utc=True)
    assert (local["time"], local["epoch_s"]) == ("2026-11-22T07:26:27.626127", None)
    assert utc["time"] == "2026-11-22T07:26:27.626127+00:00"
    assert utc["epoch_s"] == pytest.approx(1795332387.626127, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "epoch"),
    [("2026-11-22 15:25:34.914082+08:00", 1795332334.914082), ("2026-11-22 02:55:34.5-0430", 1795332334.5),
     ("2026-11-22 07:25:34+00:00", 1795332334.0)],
)  # fmt: skip
def test_an_offset_that_hwclock_prints_wins_over_the_zone_given(text, epoch):
    for utc in (False, True):
        got = tools.hwclock(text, utc=utc)
        assert got["epoch_s"] == pytest.approx(epoch, abs=1e-6)
        assert got["time"][:19] == text[:10] + "T" + text[11:19]


@pytest.mark.parametrize(
    "text",
    [
        "Sun Nov 31 07:26:28 2026  -0.373873 seconds",
        "Sun Nov 22 25:26:28 2026  -0.1 seconds",
        "2026-13-22 07:25:34+00:00",
        "Mon Jan  1 00:00:00 0001  -5.000000 seconds",
        "Sun Nov 22 07:26:28 2026",
    ],
)
def test_an_impossible_time_is_not_accepted(text):
    got = tools.hwclock(text)
    assert (got["time"], got["epoch_s"], got["error"]) == (None, None, "unparsable")


def test_hwclock_of_rhel_6_ends_with_0_after_an_option_it_does_not_know():
    usage = "hwclock - query and set the hardware clock (RTC)\n\nUsage: hwclock [function] [options...]\n"
    got = tools.hwclock(usage, "hwclock: unrecognized option '--nonsense'\n", 0)
    assert (got["error"], got["present"]) == ("usage", None)


@pytest.mark.parametrize(
    ("stderr", "error", "present"),
    [
        ("Sorry, only the superuser can change the Hardware Clock.", "not-permitted", None),
        ("hwclock: ioctl(RTC_RD_TIME) to /dev/rtc0 to read the time failed: Invalid argument", "read-failed", True),
        ("hwclock: select() to /dev/rtc0 to wait for clock tick timed out", "tick-timeout", True),
        ("something never heard of", "unparsable", None),
    ],
)
def test_a_failure_of_hwclock_has_a_code(stderr, error, present):
    got = tools.hwclock("", stderr, 1)
    assert (got["error"], got["present"], got["message"]) == (error, present, stderr)


@pytest.mark.parametrize(
    ("stderr", "error", "present"),
    [
        # display_time() of hwclock.c in util-linux 2.17.2
        (
            "The Hardware Clock registers contain values that are either invalid (e.g. 50th day of month) or beyond "
            "the range we can handle (e.g. Year 2095).",
            "read-failed",
            True,
        ),
        ("something never heard of", "unparsable", None),
        ("", "unparsable", None),
    ],
)
def test_an_hwclock_that_ends_with_0_and_shows_no_time_has_read_none(stderr, error, present):
    got = tools.hwclock("", stderr, 0)
    assert (got["error"], got["present"], got["message"]) == (error, present, stderr or "hwclock printed nothing")


def test_silence_is_success_when_the_clock_was_to_be_set():
    got = tools.hwclock("", "", 0, setting=True)
    assert (got["error"], got["present"]) == (None, True)


def test_text_beyond_the_limit_is_truncated_and_reported():
    assert tools.ntpdate("x\n" * 5000000)["unparsed"][0] == "... only the first 100000 characters were read"


def test_a_step_that_changes_the_date_is_a_step_and_not_an_error():
    """ntpsec's libraries print an additional message when the step changes the date."""
    text = (
        "2026-11-22 07:24:16.752541 (+0000) -274469780.001479 +/- 0.001819 10.77.1.1 s1 no-leap\n"
        "CLOCK: time stepped by -274469780.001479\nCLOCK: time changed from 2035-08-05 to 2026-11-22\n"
    )
    seen = tools.ntpdate(text)
    assert (seen["action"], seen["errors"]) == ("step", [])
