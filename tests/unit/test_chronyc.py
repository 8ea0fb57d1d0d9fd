"""The output of chronyc is read correctly: every capture, and each rule that a capture alone does not show."""

import os

import pytest

from tests.unit import py2_chrony, py2_corpus
from tests.unit.py2_chrony import ntpcluster_chronyc as chronyc
from tests.unit.py2_chrony import ntpcluster_chronyc_tables as tables

CAPTURES = py2_corpus.captures("chronyc")
EXPECTED = py2_corpus.expected("chronyc")
SHARED = os.path.join(os.path.dirname(py2_corpus.ROOT), "shared", "corpus", "chronyc")


def read(name):
    return py2_chrony.read(name, EXPECTED[name]["commands"], CAPTURES[name])


def test_every_capture_has_its_expectation():
    assert EXPECTED["keys"] == py2_chrony.KEYS
    assert set(CAPTURES) == set(EXPECTED) - {"keys"}


@pytest.mark.parametrize("name", sorted(CAPTURES))
def test_every_capture_is_read_as_expected(name):
    got = py2_chrony.looked(name, EXPECTED[name], CAPTURES[name])
    for key, wanted in EXPECTED[name].items():
        assert py2_corpus.same(got[key], wanted), (key, got[key], wanted)


@pytest.mark.parametrize("name", ["c43-start", "c43-many", "c43-user", "c43-slewing", "c40", "c461"])
def test_a_table_says_what_the_columns_of_the_same_moment_say(name):
    """Captured within 50 ms of each other: only rounding and values that change constantly may differ."""
    columns = read(name + "-csv")
    table = read(name)
    assert (table["error"], table["missing"]) == (columns["error"], columns["missing"])
    for command, answer in columns["answers"].items():
        rows, others = [answer if isinstance(answer, list) else [answer], table["answers"][command]]
        others = others if isinstance(others, list) else [others]
        assert len(rows) == len(others), command
        for row, other in zip(rows, others, strict=True):
            assert (row is None) == (other is None), command
            for key in row or {}:
                assert near(command, key, row[key], other[key]), (command, key, row[key], other[key])


def near(command, key, exact, rounded):
    """A table has four digits and whole seconds; the slewed offset, ages and the count of our own requests change."""
    if key == "inexact" or exact is None or isinstance(exact, (str, bool, list)):
        return key == "inexact" or exact == rounded
    if key.endswith("_s") or key == "commands_received":
        return 0 <= rounded - exact < (100 if key == "commands_received" else 2) or abs(exact - rounded) < 1
    moving = command == "tracking" and key in ("offset_ms", "root_dispersion_ms")
    return abs(exact - rounded) <= 0.0006 + abs(exact) * 0.05 + moving


def test_offsets_have_our_sign():
    """10.77.1.4 gives a time 5 s behind: chronyc's +4.99 of `sources` and its -5.00 of `ntpdata` are both -5 s here."""
    answers = read("c43-many-csv")["answers"]
    [source] = [row for row in answers["sources"] if row["name"] == "10.77.1.4"]
    [packet] = [row for row in answers["ntpdata"] if row["address"] == "10.77.1.4"]
    assert (round(source["offset_ms"]), round(packet["offset_ms"])) == (-5000, -5000)


def test_a_clock_that_is_slow_has_an_offset_above_zero():
    """2 s behind and slewed: `1.6 slow of NTP time`."""
    for name in ("c43-slewing-csv", "c43-slewing"):
        assert 1500 < read(name)["answers"]["tracking"]["offset_ms"] < 1700


def test_a_frequency_is_the_correction():
    """`1.5 ppm fast` and the drift file of ntpd have opposite signs."""
    said = "0A4D0101,10.77.1.1,2,1795662236.2,0.0,0.0,0.0,1.544,0.005,17.937,0.0001,0.0014,2.0,Normal"
    assert chronyc.parse(["tracking"], said)["answers"]["tracking"]["frequency_ppm"] == -1.544
    for words, wanted in (("1.544 ppm fast", -1.544), ("1.544 ppm slow", 1.544)):
        text = f"Reference ID    : 0A4D0101 (10.77.1.1)\nFrequency       : {words}\n"
        assert tables.parse(["tracking"], text)["answers"]["tracking"]["frequency_ppm"] == wanted


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("506 Cannot talk to daemon", "no-answer"),
        ("501 Not authorised", "not-permitted"),
        ("510 No command access from this host", "not-permitted"),
        ("502 Invalid command", "unknown-command"),
        ("519 Client logging is not active in the daemon", "not-enabled"),
        ("508 Bad reply from daemon", "version-mismatch"),
        ("518 Packet length mismatch", "version-mismatch"),
        ("520 Got unexpected error from daemon", "refused"),
    ],
)
def test_a_refused_answer_is_unknown_and_not_an_empty_list(said, word):
    got = chronyc.parse(["sources", "sourcestats"], said + "\n", "", 1)
    assert (got["error"], got["message"], got["complete"]) == (word, said, False)
    assert got["answers"] == {"sources": None, "sourcestats": None}
    assert got["missing"] == ["sources", "sourcestats"]


@pytest.mark.parametrize(
    ("stderr", "retcode", "word"),
    [
        ("Unrecognized command\n", 1, "unknown-command"),
        ("Could not open connection to daemon\n", 1, "no-answer"),
        ("sh: chronyc: command not found\n", 127, "not-installed"),
        ("", 137, "incomplete"),
        ("", -9, "incomplete"),
    ],
)
def test_a_run_without_output(stderr, retcode, word):
    got = chronyc.parse(["tracking", "sources"], "", stderr, retcode)
    assert (got["error"], got["answers"]) == (word, {"tracking": None, "sources": None})


def test_a_daemon_without_sources_has_an_empty_list():
    for name in ("c43-none-csv", "c43-none"):
        got = read(name)
        assert (got["complete"], got["answers"]["sources"], got["answers"]["ntpdata"]) == (True, [], [])


def test_the_answers_before_the_first_refusal_are_complete():
    got = read("c43-user-csv")
    assert got["missing"] == ["ntpdata", "selectdata", "authdata", "serverstats"]
    assert (len(got["answers"]["sources"]), got["answers"]["ntpdata"]) == (11, None)


@pytest.mark.parametrize("lost", range(1, 30))
def test_a_truncated_text_is_never_complete(lost):
    """For any missing part of its end, as when chronyc was killed."""
    stdout = CAPTURES["c40-csv"][0].rstrip("\n")[:-lost]
    commands = [one for one in EXPECTED["c40-csv"]["commands"] if one != "serverstats"]
    stdout = "\n".join(stdout.split("\n")[:-1])[:-lost]
    got = chronyc.parse(commands, stdout, "", 137)
    assert (got["complete"], got["error"]) == (False, "incomplete")
    assert "authdata" in got["missing"]


def test_rows_that_are_not_understood_make_their_answer_doubtful():
    """A later release may print unknown rows: that must not be read as having no rows."""
    lines = CAPTURES["c43-disagree-csv"][0].split("\n")
    spoilt = [line.replace(",LAB,", ",LAB,new,words,") for line in lines]
    assert spoilt != lines
    got = chronyc.parse(EXPECTED["c43-disagree-csv"]["commands"], "\n".join(spoilt))
    assert (got["answers"]["ntpdata"], got["error"], len(got["unparsed"])) == (None, "unparsable", 2)
    assert "ntpdata" in got["missing"]
    assert "sources" not in got["missing"]


def test_a_command_that_always_prints_a_row_is_not_skipped():
    """The beginning of `activity` looks like `serverstats`: so the answers in between are not known to be empty."""
    rows = ["^,*,10.0.0.1,1,6,377,11,0.1,0.1,0.1", "10.0.0.1,4,3,6,0.1,1.0,0.1,0.1", "0,0,0,0"]
    commands = ["sources", "sourcestats", "activity", "ntpdata", "serverstats"]
    got = chronyc.parse(commands, "\n".join(rows), "", 137)
    assert (got["answers"]["ntpdata"], got["answers"]["serverstats"]) == (None, None)
    assert got["missing"] == ["sourcestats", "activity", "ntpdata", "serverstats"]


def test_an_unknown_form_of_one_answer_does_not_hide_the_next():
    rows = ["0,0,3,0,0,and,more", "*,10.0.0.1,N" + ",-" * 10 + ",0,1.0,-0.1,0.1,Normal"]
    got = chronyc.parse(["activity", "selectdata"], "\n".join(rows))
    assert (got["answers"]["activity"], len(got["answers"]["selectdata"]), got["missing"]) == (
        None,
        1,
        ["activity", "selectdata"],
    )


def test_a_source_never_heard_has_no_measurement():
    answers = read("c43-start-csv")["answers"]
    assert {row["offset_ms"] for row in answers["sources"]} == {row["stratum"] for row in answers["sources"]} == {None}
    assert {row["deviation_ms"] for row in answers["sourcestats"]} == {None}
    assert {(row["leap"], row["refid"], row["failed"]) for row in answers["ntpdata"]} == {(None, None, None)}


def test_a_table_names_what_it_has_rounded():
    row = "^x 10.77.1.9                     2   4   177    11   +3600s[ +3600s] +/- 1101us"
    [source] = read_table([row])["sources"]
    assert (source["offset_ms"], source["inexact"]) == (-3600000.0, ["offset_ms", "measured_offset_ms"])


def read_table(
    rows, head="MS Name/IP address         Stratum Poll Reach LastRx Last sample               \n" + "=" * 79 + "\n"
):
    return tables.parse(["sources"], head + "\n".join(rows) + "\n")["answers"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("1199", 1199), ("20m", 1200), ("10h", 36000), ("4d", 345600), ("-", None)]
)
def test_ages_of_a_table(text, seconds):
    row = f"^* 10.77.1.1                     1   6   377  {text:>4}    +11us[  +62us] +/- 1073us"
    assert read_table([row])["sources"][0]["when_s"] == seconds


def test_chrony_3_says_how_many_rows_there_are():
    head = "MS Name/IP address         Stratum Poll Reach LastRx Last sample               \n"
    row = "^* 10.77.1.1                     1   6   377    11    +11us[  +62us] +/- 1073us\n"
    for count, complete in ((1, True), (2, False)):
        got = tables.parse(["sources"], f"210 Number of sources = {count}\n{head}{row}")
        assert (got["complete"], got["missing"]) == (complete, [] if complete else ["sources"])


# Samples that we may not redistribute, or that were not captured for this purpose: read in place if they exist. Per sample: the
# command, the number of its rows, and fields of rows by index, or of the answer.
SAMPLES = {
    "c43-startup-sources": ("sources", 9, {0: {"state": "?", "reach": 1, "offset_ms": 0.092}, 1: {"when_s": None}}),
    "c43-startup-tracking": ("tracking", None, {"leap": "alarm", "stratum": 0, "refid": "0.0.0.0", "reference_time_s": None}),
    "c43-sync-csv-sources": ("sources", 9, {1: {"state": "*", "offset_ms": 0.01996, "reach": 0o177},
                                            4: {"when_s": None, "offset_ms": None}, 5: {"offset_ms": -3600123.779297}}),
    "c43-sync-sources-names": ("sources", 9, {1: {"name": "a-very-long-server-name.>", "offset_ms": 0.02}}),
    "c43-sync-sources-v": ("sources", 9, {8: {"name": "long6.example.net", "stratum": 2, "poll_s": 16}}),
    "c43-sync-tracking": ("tracking", None, {"refid": "10.77.1.2", "name": "10.77.1.2", "offset_ms": 0.415879,
                                             "last_offset_ms": 0.017219, "frequency_ppm": 1.047, "leap": "none"}),
    "fx-ntpmon-05aae847": ("sources", 8, {1: {"mode": "peer", "poll_s": 1024, "when_s": 904}, 6: {"offset_ms": 21.903355}}),
    "web-checkmk-505ms": ("tracking", None, {"offset_ms": 505.17, "last_offset_ms": 0.442775, "frequency_ppm": -2.054}),
    "web-checkmk-tracking": ("tracking", None, {"refid": "212.18.3.18", "offset_ms": -0.000353, "leap": None,
                                                "last_offset_ms": None, "frequency_ppm": 10.725, "root_delay_ms": 27.455}),
    "web-insights-old-header": ("sources", 4, {2: {"state": "*", "offset_ms": 0.091, "measured_offset_ms": 0.128,
                                                   "error_ms": 30.0, "poll_s": 1024}}),
}  # fmt: skip
REFUSED = {
    "c43-badcmd": ("frob", "unknown-command"),
    "c43-dns": ("tracking", "no-answer"),
    "c43-nodaemon-csv": ("sources", "no-answer"),
    "c43-sync-ntpdata": ("ntpdata", "not-permitted"),
    "c43-sync-serverstats": ("serverstats", "not-permitted"),
}
there = pytest.mark.skipif(
    not os.path.isdir(SHARED), reason="the samples that may not be published are not beside the project"
)


def sample(name):
    texts = []
    for kind in (".txt", ".err"):
        path = os.path.join(SHARED, name + kind)
        texts.append(open(path, encoding="utf-8").read() if os.path.exists(path) else "")
    return texts


@there
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_shared_sample_has_its_rows_and_fields(name):
    command, rows, fields = SAMPLES[name]
    form = chronyc if "csv" in name or "ntpmon" in name else tables
    got = form.parse([command], *sample(name))
    answer = got["answers"][command]
    if rows is None:
        assert {key: answer[key] for key in fields} == fields
        return
    assert len(answer) == rows
    for place, wanted in fields.items():
        assert {key: answer[place][key] for key in wanted} == wanted
    # The page truncated two rows of the last one: its own first line says six.
    assert got["complete"] == (name != "web-insights-old-header")


@there
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_shared_refusal_has_its_code(name):
    command, word = REFUSED[name]
    got = chronyc.parse([command], *sample(name), 1)
    assert (got["error"], got["answers"][command]) == (word, None)


@there
def test_every_shared_sample_is_read():
    assert set(SAMPLES) | set(REFUSED) == {name[:-4] for name in os.listdir(SHARED) if name.endswith(".txt")}
