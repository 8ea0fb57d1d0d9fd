"""
Everything that ntpq prints is read back as its original value or as unknown, never as something else.

A model of ntpq's own format strings (4.2.6p5 and 4.2.8: ntpq-subs.c, doprintpeers and prettyinterval; ntpsec:
ntp/util.py, PeerSummary) writes tables of random peers; the parser reads them.
"""

# ruff: noqa: UP031  (the formats are ntpq's own)

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _modules import ntpcluster_parse as parser
from _modules import ntpcluster_parse_table as table
from _modules import ntpcluster_parse_tools as tools
from tests.unit import py2_corpus

SETTINGS = settings(max_examples=120, database=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
DAY = 86400

# dialect: (width of the name, head, signed offsets, years are printed)
DIALECTS = {
    "4.2.6p5": (15, "offset  jitter", False, False),
    "4.2.8p15": (15, "offset  jitter", True, True),
    "ntpsec": (15, "offset   jitter", False, False),
    "ntpsec on a wide terminal": (39, "offset   jitter", False, False),
}

words = st.from_regex(r"[a-z0-9xo.+#*-][a-z0-9.-]{0,40}", fullmatch=True)
addresses = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
names = st.one_of(
    addresses, words, st.sampled_from(["LOCAL(0)", "SHM(12)"]), st.builds("{} ({})".format, st.ip_addresses(v=4), words)
)
codes = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=4).filter(str.strip)
refids = st.one_of(
    st.ip_addresses(v=4).map(str), codes.map(".{}.".format), st.sampled_from(["", "LOCAL(0)", "127.127.1.0"])
)
small = st.floats(-2000, 2000)
numbers = st.one_of(small, small, st.floats(-1e13, 1e13), st.sampled_from([-1114672.613, 34560000500.0, -0.0004]))
# Ages of 1000 to 2048 and of 10000 to 20489 days: see test_days_that_lost_their_unit_look_like_seconds.
ages = st.one_of(
    st.integers(-5, 4000),
    st.integers(0, 999 * DAY),
    st.integers(2050 * DAY, 9998 * DAY),
    st.integers(20500 * DAY, 50000 * DAY),
)
peers = st.fixed_dictionaries(
    {
        "selection": st.integers(0, 7),
        "remote": names,
        "refid": refids,
        "stratum": st.integers(0, 16),
        "type": st.sampled_from("ulpasSbBM?-"),
        "when": ages,
        "poll": st.integers(3, 17).map(lambda power: 2**power),
        "reach": st.integers(0, 255),
        "delay_ms": numbers.map(abs),
        "offset_ms": numbers,
        "jitter_ms": numbers.map(abs),
        "assid": st.integers(1, 65535),
        "bits": st.sampled_from([0x9010, 0x8017, 0xF01A, 0xD03C, 0x1014, 0x8811]),
    }
)
tables = st.lists(peers, min_size=1, max_size=12, unique_by=lambda peer: peer["assid"])
dialects = st.sampled_from(sorted(DIALECTS))


def interval(seconds, dialect):
    """How ntpq prints an age: ntpsec divides without rounding down, 4.2.8 has years."""
    divide = (lambda a, b: a / b) if dialect.startswith("ntpsec") else (lambda a, b: a // b)
    if seconds <= 0:
        return "-"
    if seconds <= 2048:
        return "%d" % seconds
    minutes = divide(seconds + 29, 60)
    if minutes <= 300:
        return "%dm" % minutes
    hours = divide(minutes + 29, 60)
    if hours <= 96:
        return "%dh" % hours
    days = divide(hours + 11, 24)
    if days > 999 and DIALECTS[dialect][3]:
        return "%dy" % ((days + 182) // 365)
    return "%dd" % days


def number(value, dialect, signed=False):
    if not dialect.startswith("ntpsec"):
        return ("%+.3f" if signed and DIALECTS[dialect][2] else "%.3f") % value
    # As many decimals as fit into eight columns.
    for decimals, above, below in ((4, -100.0, 1000.0), (3, -1000.0, 10000.0), (2, -1e4, 1e5), (1, -1e5, 1e6)):
        if above < value < below:
            return "%8.*f" % (decimals, value)
    return "%8d" % value


def row(peer, dialect, wide):
    width = DIALECTS[dialect][0]
    tally = table.TALLIES[peer["selection"]]
    name = "%s%-*.*s " % (tally, width, width, peer["remote"])
    if wide and len(peer["remote"]) > width:
        name = "%s%s\n%*s" % (tally, peer["remote"], width + 2, "")
    form = "%8s %8s %8s" if dialect.startswith("ntpsec") else "%7.7s %8.7s %7.7s"
    columns = " %2d %s %4.4s %4.4s  %3o " + ("" if dialect.startswith("ntpsec") else " ") + form
    return name + "%-15s" % peer["refid"] + columns % (
        peer["stratum"], peer["type"], interval(peer["when"], dialect), interval(peer["poll"], dialect), peer["reach"],
        number(peer["delay_ms"], dialect), number(peer["offset_ms"], dialect, True), number(peer["jitter_ms"], dialect),
    )  # fmt: skip


def billboard(table, dialect, wide=False):
    width, head, _, _ = DIALECTS[dialect]
    first = "     remote" + " " * (width - 4) + "refid      st t when poll reach   delay   " + head
    return "\n".join([first, "=" * len(first)] + [row(peer, dialect, wide) for peer in table]) + "\n"


def status(peer):
    return peer["bits"] | (peer["selection"] << 8)


def associations(table):
    lines = ["", "ind assid status  conf reach auth condition  last_event cnt", "=" * 59]
    lines += ["%3d %5d  %04x   yes   yes  none %9.9s %11s %2s" % (number, peer["assid"], status(peer), "reject", "", 1)
              for number, peer in enumerate(table, 1)]  # fmt: skip
    return "\n".join(lines) + "\n"


def check_row(got, peer, dialect, wide):
    width = DIALECTS[dialect][0]
    uncut = wide and len(peer["remote"]) > width
    assert got["remote"] == (peer["remote"] if uncut else peer["remote"][:width].rstrip())
    assert got["tally"] == table.TALLIES[peer["selection"]]
    assert got["refid"] == (peer["refid"].strip() or None)
    assert (got["stratum"], got["type"], got["reach"]) == (peer["stratum"], peer["type"], peer["reach"])
    assert got["poll_s"] == peer["poll"]
    if got["address"] is not None:
        # "192.0.2.1 (name" may lose the name, never a digit.
        assert got["address"] == peer["remote"].partition(" (")[0]
    elif table._is_address(peer["remote"]):
        assert "address" in got["inexact"]
    if got["when_s"] is None:
        assert peer["when"] <= 0 or peer["when"] > 2048 * DAY
    else:
        # The unit that ntpq printed limits the precision.
        unit = interval(peer["when"], dialect)[-1]
        coarse = {"m": 60, "h": 3661, "d": DAY + 3661, "y": 184 * DAY}.get(unit, 0)
        assert abs(got["when_s"] - peer["when"]) <= coarse
    for key in ("delay_ms", "offset_ms", "jitter_ms"):
        text = number(peer[key], dialect, key == "offset_ms").strip()
        cut = not dialect.startswith("ntpsec") and "." not in text[:6]
        assert (key in got["inexact"]) == cut
        if got[key] is None:
            assert cut and "." not in text[:7]
        else:
            shown = text if dialect.startswith("ntpsec") else text[:7]
            last_digit = 10.0 ** -len(shown.partition(".")[2])
            assert abs(got[key] - peer[key]) <= last_digit * 1.001 + abs(peer[key]) * 1e-12


@SETTINGS
@given(tables, dialects, st.booleans())
def test_a_written_table_is_read_back(table, dialect, wide):
    result = parser.ntpq(billboard(table, dialect, wide))
    assert (result["error"], result["complete"], result["unparsed"]) == (None, True, [])
    assert len(result["peers"]) == len(table)
    for got, peer in zip(result["peers"], table, strict=True):
        check_row(got, peer, dialect, wide)


@SETTINGS
@given(tables, dialects)
def test_both_tables_together_are_joined(table, dialect):
    variables = "associd=0 status=0615 leap_none,\nleap=00\n\n"
    result = parser.ntpq(variables + billboard(table, dialect) + associations(table))
    assert (result["complete"], result["variables"]["leap"]) == (True, "none")
    assert [got["assid"] for got in result["peers"]] == [peer["assid"] for peer in table]
    for got, peer in zip(result["peers"], table, strict=True):
        assert got["last_event"] == parser.PEER_EVENTS[peer["bits"] & 15]
        assert got["configured"] == bool(peer["bits"] & 0x8000)


@SETTINGS
@given(tables, dialects, st.data())
def test_rows_missing_on_one_side_never_lead_to_a_wrong_join(table, dialect, data):
    kept = data.draw(st.lists(st.sampled_from(table), unique_by=lambda peer: peer["assid"], max_size=len(table) - 1))
    kept = [peer for peer in table if peer in kept]
    for shown, listed in ((kept, table), (table, kept)):
        result = parser.ntpq(billboard(shown, dialect) + associations(listed))
        assert result["complete"] is False
        for got, peer in zip(result["peers"], shown, strict=True):
            assert got["assid"] in (None, peer["assid"])


@SETTINGS
@given(tables, dialects, st.data())
def test_lost_lines_lose_their_rows_and_no_other(table, dialect, data):
    lines = billboard(table, dialect).split("\n")
    gone = data.draw(st.integers(2, len(lines) - 1))
    wanted = parser.ntpq("\n".join(lines))["peers"]
    del wanted[gone - 2 : gone - 1]
    assert parser.ntpq("\n".join(lines[:gone] + lines[gone + 1 :]))["peers"] == wanted


def test_days_that_lost_their_unit_look_like_seconds():
    """The only ambiguity in the text; the docstring of `ntpq` describes it."""
    peer = {"selection": 0, "remote": "192.0.2.1", "refid": ".STEP.", "stratum": 16, "type": "u", "when": 1041 * DAY,
            "poll": 64, "reach": 0, "delay_ms": 0.0, "offset_ms": 0.0, "jitter_ms": 0.0}  # fmt: skip
    assert interval(peer["when"], "4.2.6p5") == "1041d"
    assert parser.ntpq(billboard([peer], "4.2.6p5"))["peers"][0]["when_s"] == 1041
    assert parser.ntpq(billboard([peer], "4.2.8p15"))["peers"][0]["when_s"] == 3 * 365 * DAY
    assert parser.ntpq(billboard([dict(peer, when=49710 * DAY)], "4.2.6p5"))["peers"][0]["when_s"] is None


values = st.one_of(
    st.integers(-(10**9), 10**9).map(lambda value: (str(value), value)),
    st.floats(-1e6, 1e6).map(lambda value: ("%+.6f" % value, round(value, 6))),
    st.text("abc =,[]", max_size=20).map(lambda value: ('"%s"' % value, value)),
    st.from_regex(r"[a-z(][a-z(). ]{4,8}[a-z)]", fullmatch=True).map(lambda value: (value, value)),
)


@SETTINGS
@given(st.dictionaries(st.from_regex(r"v[a-z_.]{0,8}", fullmatch=True), values, max_size=12), st.data())
def test_written_variables_are_read_back(variables, data):
    text = "associd=0 status=0615 leap_none, sync_ntp, 1 event, clock_sync,\n"
    for number, (name, (written, _)) in enumerate(variables.items()):
        text += (data.draw(st.sampled_from([", ", ",\n"])) if number else "") + name + "=" + written
    got = parser.variables(text)
    assert {name: got[name] for name in variables} == {name: value for name, (_, value) in variables.items()}
    assert got["source"] == "ntp"


def read_everything(text):
    """Run every reader on one text: none may raise an exception, and the returns must have the right form."""
    for result in (parser.ntpq(text), parser.ntpq("", text), parser.ntpq(text, text, 1)):
        assert len(result["peers"]) <= text.count("\n") + 1
        assert result["error"] or result["peers"] or result["variables"] or result["unparsed"] or result["complete"]
    parser.variables(text)
    assert all(line["condition"] for line in parser.ntpq(text)["peers"])
    for parse in (tools.ntpdate, tools.hwclock):
        assert isinstance(parse(text), dict)
        assert isinstance(parse("", text, 1), dict)


@SETTINGS
@given(st.text(max_size=2000))
def test_any_text_is_read_without_an_exception(text):
    read_everything(text)


@SETTINGS
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_without_an_exception(data):
    read_everything(data.decode("latin-1"))
    parser.ntpq(data, data, -9)
    tools.ntpdate(data, data)


def test_damaged_captures_are_read_without_an_exception():
    """Real output with pieces removed, repeated and overwritten: closer to valid input than random text."""
    dice = random.Random(4265)
    texts = [capture[0] + capture[1] for program in ("ntpq", "ntpdate", "hwclock")
             for capture in py2_corpus.captures(program).values()]  # fmt: skip
    for text in texts:
        for _ in range(8):
            pieces = list(text)
            for _ in range(dice.randint(1, 12)):
                place, length = dice.randrange(len(pieces) + 1), dice.choice((1, 1, 3, 40))
                other = dice.choice('\0\t\n =",*x.-0123456789\u00a0\u0661\u2028')
                pieces[place : place + length] = dice.choice(("", other, "".join(pieces[:length])))
            read_everything("".join(pieces))


def test_ten_megabytes_of_anything_are_read_quickly():
    """Limited by the amount of text that is read; each of these made the time of some parser grow quadratically."""
    head = billboard([], "4.2.6p5")
    blocks = [
        "\n", "x\n", " ", "a=", ", ", 'a="', "9", "***\n", "\u00a0x\r", "status=1234\n", head, head + "*\t",
        head + "+2001:db8:1234:5678:9abc:def0:1234:5678\n", "22 Nov 07:22:44 ntpdate[1]: ",
    ]  # fmt: skip
    for block in blocks:
        text = block * (10000000 // len(block))
        result = parser.ntpq(text)
        assert any("only the first" in line for line in result["unparsed"])
        assert len(result["unparsed"]) <= 51
        parser.variables(text)
        for parse in (tools.ntpdate, tools.hwclock):
            parse(text)
