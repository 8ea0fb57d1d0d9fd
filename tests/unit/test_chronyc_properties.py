"""
Everything that chronyc prints is read back as its original value or as unknown, never as something else.

A model of chronyc's own formats (4.3: client.c, print_report and what it calls) writes the answers of random daemons, as
``-c`` and as tables; the readers read them.
"""

# ruff: noqa: UP031  (the formats are chronyc's own)

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit import py2_corpus
from tests.unit.py2_chrony import ntpcluster_chrony_look as looking
from tests.unit.py2_chrony import ntpcluster_chronyc as chronyc
from tests.unit.py2_chrony import ntpcluster_chronyc_tables as tables
from tests.unit.py2_chrony import ntpcluster_chronyd as chronyd

SETTINGS = settings(
    max_examples=120, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
COMMANDS = ["tracking", "sources", "sourcestats", "activity", "ntpdata", "selectdata", "authdata", "serverstats"]
NEVER = 4294967295
LEAPS = {"none": "Normal", "add": "Insert second", "del": "Delete second", "alarm": "Not synchronised"}

names = st.one_of(
    st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), st.from_regex(r"ID#[0-9]{10}", fullmatch=True)
)
small = st.floats(-1000, 1000)
offsets = st.one_of(small, st.floats(-1e-3, 1e-3), st.floats(-1e9, 1e9), st.sampled_from([0.0, -0.0, 1114.672613]))
positive = offsets.map(abs)
counts = st.integers(0, 2**32 - 2)
tests = st.from_regex(r"[01]{10}", fullmatch=True)
sources = st.fixed_dictionaries(
    {
        "mode": st.sampled_from("^=#"),
        "state": st.sampled_from("*+-x~?"),
        "name": names,
        "stratum": st.integers(0, 16),
        "poll": st.integers(-6, 24),
        "reach": st.integers(0, 255),
        "since": st.one_of(st.just(NEVER), st.integers(0, 1199), st.integers(1200, 10**9)),
        "offset": offsets,
        "measured": offsets,
        "error": positive,
        "samples": st.integers(0, 64),
        "skew": st.one_of(st.just(2000.0), st.floats(0, 1999)),
        "frequency": st.floats(-99999, 99999),
        "deviation": positive,
        "leap": st.sampled_from(sorted(LEAPS)),
        "selection": st.sampled_from(sorted(chronyc.SELECTION)),
        "options": st.tuples(*[st.booleans()] * 4),
        "key": st.sampled_from([("-", 0, 0), ("SK", 7, 160), ("SK", 7, 0), ("NTS", 0, 256)]),
        "valid": st.integers(0, 1000),
        "lost": st.integers(0, 9),
        "tests": tests,
        "refid": st.integers(0, 2**32 - 1),
        "reference": st.integers(0, 2**32 - 1),
    }
)
daemons = st.fixed_dictionaries(
    {
        "refid": st.integers(0, 2**32 - 1),
        "stratum": st.integers(0, 15),
        "reference": st.integers(0, 2**32 - 1),
        "offset": offsets,
        "last": offsets,
        "rms": positive,
        "frequency": st.floats(-99999, 99999),
        "skew": st.floats(0, 1e6),
        "delay": positive,
        "dispersion": positive,
        "interval": st.floats(0, 1e6),
        "leap": st.sampled_from(sorted(LEAPS)),
        "activity": st.tuples(*[st.integers(0, 99)] * 5),
        "served": st.tuples(*[counts] * 11),
        "sources": st.lists(sources, max_size=8, unique_by=lambda source: source["name"]),
    }
)


def letters(refid):
    return "".join(chr(octet) for octet in refid.to_bytes(4, "big") if 32 <= octet < 127)


def visible(source):
    """`ntpdata` and `authdata` do not list clocks, and `ntpdata` does not list names without an address."""
    return source["mode"] != "#" and not source["name"].startswith("ID#")


def options(source, separator=""):
    return separator.join([*(letter if on else "-" for letter, on in zip("NPTR", source["options"], strict=True)), "-"])


def as_columns(daemon):
    """`chronyc -n -c -m ...`"""
    lines = [
        "%08X,%s,%d,%d.%09d,%.9f,%.9f,%.9f,%.3f,%.3f,%.3f,%.9f,%.9f,%.1f,%s" % (
            daemon["refid"], "10.0.0.1", daemon["stratum"], daemon["reference"], 0, daemon["offset"], daemon["last"],
            daemon["rms"], daemon["frequency"], 0.0, daemon["skew"], daemon["delay"], daemon["dispersion"],
            daemon["interval"], LEAPS[daemon["leap"]],
        )
    ]  # fmt: skip
    all_sources = daemon["sources"]
    for one in all_sources:
        lines.append("%s,%s,%s,%d,%d,%o,%d,%.9f,%.9f,%.9f" % (
            one["mode"], one["state"], one["name"], one["stratum"], one["poll"], one["reach"], one["since"],
            one["offset"], one["measured"], one["error"]))  # fmt: skip
    for one in all_sources:
        lines.append("%s,%d,%d,%d,%.3f,%.3f,%.9f,%.9f" % (
            one["name"], one["samples"], 0, 14, one["frequency"], one["skew"], one["offset"], one["deviation"]))  # fmt: skip
    lines.append("%d,%d,%d,%d,%d" % daemon["activity"])
    for one in filter(visible, all_sources):
        stratum, valid = one["stratum"], one["valid"]
        lines.append(
            "%s,%08X,%d,%s,%08X,%s,%d,%s,%d,%d,%.0f,%d,%.9f,%.6f,%.6f,%08X,%s,%d.%09d,%.9f,%.9f,%.9f,%.9f,%.2f,%s,%s,%s,"
            "%s,%s,%s,%s,%d,%d,%d,%d" % (
                one["name"], 1, 123, "[UNSPEC]", 0, LEAPS[one["leap"]], 4, "Server", stratum, one["poll"], 2.0, -20, 1e-6,
                abs(one["measured"]) % 10, one["error"] % 10, one["refid"], letters(one["refid"]) if stratum <= 1 else "",
                one["reference"], 0, one["measured"], one["error"], one["error"], 0.0, 0.0, one["tests"][:3],
                one["tests"][3:6], one["tests"][6:], "No", "Yes", "Kernel", "Kernel", valid + one["lost"], valid, valid, 0,
            )
        )  # fmt: skip
    for one in all_sources:
        lines.append("%s,%s,%s,%s,%s,%d,%.1f,%.9f,%.9f,%s" % (
            one["selection"], one["name"], "N", options(one, ","), options(one, ","), one["since"], 1.0, one["offset"],
            one["measured"], LEAPS[one["leap"]]))  # fmt: skip
    for one in all_sources:
        if one["mode"] != "#":
            lines.append("%s,%s,%d,%d,%d,%d,0,0,0,0" % (
                one["name"], one["key"][0], one["key"][1], 2 if one["key"][2] else 0, one["key"][2], NEVER))  # fmt: skip
    lines.append(",".join("%d" % count for count in daemon["served"]))
    return "\n".join(lines) + "\n"


def nanoseconds(value, signed=True):
    """print_signed_nanoseconds() and print_nanoseconds()."""
    size, mark = abs(value), "+" if signed else ""
    for above, divisor, unit in ((9999.5e-9, 1e-9, "ns"), (9999.5e-6, 1e-6, "us"), (9999.5e-3, 1e-3, "ms")):
        if size < above:
            return f"%{mark}{5 if signed else 4}.0f{unit}" % (value / divisor)
    if size < 999.5:
        return f"%{mark}{6 if signed else 5}.1fs" % value
    for above, divisor, unit in (
        (99999.5, 1, "s"), (99999.5 * 60, 60, "m"), (99999.5 * 3600, 3600, "h"), (99999.5 * 86400, 86400, "d"),
    ):  # fmt: skip
        if size < above:
            return f"%{mark}{6 if signed else 5}.0f{unit}" % (value / divisor)
    return f"%{mark}{6 if signed else 5}.0fy" % (value / (86400 * 365))


def seconds(age):
    """print_seconds()"""
    if age == NEVER:
        return "   -"
    if age < 1200:
        return "%4d" % age
    if age < 36000:
        return "%3dm" % (age // 60)
    if age < 345600:
        return "%3dh" % (age // 3600)
    days = age // 86400
    return "%3dy" % (days // 365) if days > 999 else "%3dd" % days


def date(stamp):
    return time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(stamp))


def as_tables(daemon):
    """`chronyc -n -m tracking sources sourcestats activity selectdata authdata`"""
    title = "MS Name/IP address         Stratum Poll Reach LastRx Last sample               "
    lines = [
        "Reference ID    : %08X (%s)" % (daemon["refid"], "10.0.0.1"),
        "Stratum         : %d" % daemon["stratum"],
        "Ref time (UTC)  : %s" % date(daemon["reference"]),
        "System time     : %.9f seconds %s of NTP time"
        % (abs(daemon["offset"]), "slow" if daemon["offset"] > 0 else "fast"),
        "Last offset     : %+.9f seconds" % daemon["last"],
        "RMS offset      : %.9f seconds" % daemon["rms"],
        "Frequency       : %.3f ppm %s" % (abs(daemon["frequency"]), "fast" if daemon["frequency"] > 0 else "slow"),
        "Residual freq   : %+.3f ppm" % 0.0,
        "Skew            : %.3f ppm" % daemon["skew"],
        "Root delay      : %.9f seconds" % daemon["delay"],
        "Root dispersion : %.9f seconds" % daemon["dispersion"],
        "Update interval : %.1f seconds" % daemon["interval"],
        "Leap status     : %s" % LEAPS[daemon["leap"]],
        title,
        "=" * len(title),
    ]
    for one in daemon["sources"]:
        lines.append("%s%s %-27s  %2d  %2d   %3o  %s  %s[%s] +/- %s" % (
            one["mode"], one["state"], one["name"], one["stratum"], one["poll"], one["reach"], seconds(one["since"]),
            nanoseconds(one["offset"]), nanoseconds(one["measured"]), nanoseconds(one["error"], False)))  # fmt: skip
    title = "Name/IP Address            NP  NR  Span  Frequency  Freq Skew  Offset  Std Dev"
    lines += [title, "=" * len(title)]
    for one in daemon["sources"]:
        lines.append("%-25s %3d %3d  %s %+10.3f %10.3f  %s  %s" % (
            one["name"], one["samples"], 0, seconds(14), one["frequency"], one["skew"], nanoseconds(one["offset"]),
            nanoseconds(one["deviation"], False)))  # fmt: skip
    lines.append("200 OK")
    lines += [
        "%d sources %s" % (count, words) for count, words in zip(daemon["activity"], tables.ACTIVITY, strict=True)
    ]
    title = "S Name/IP Address        Auth COpts EOpts Last Score     Interval  Leap"
    lines += [title, "=" * len(title)]
    marks = {"none": "N", "add": "+", "del": "-", "alarm": "?"}
    for one in daemon["sources"]:
        lines.append("%s %-25s %s %s %s %s %5.1f %s %s  %s" % (
            one["selection"], one["name"], "N", options(one), options(one), seconds(one["since"]), 1.0,
            nanoseconds(one["offset"]), nanoseconds(one["measured"]), marks[one["leap"]]))  # fmt: skip
    title = "Name/IP address             Mode KeyID Type KLen Last Atmp  NAK Cook CLen"
    lines += [title, "=" * len(title)]
    for one in daemon["sources"]:
        if one["mode"] != "#":
            lines.append("%-27s %4s %5d %4d %4d %s %4d %4d %4d %4d" % (
                one["name"], one["key"][0], one["key"][1], 2 if one["key"][2] else 0, one["key"][2], seconds(NEVER),
                0, 0, 0, 0))  # fmt: skip
    return "\n".join(lines) + "\n"


def close(got, wanted, digit):
    """Equal to the last printed digit."""
    return abs(got - wanted) <= 0.51 * digit + abs(wanted) * 1e-12


def check_tracking(got, daemon):
    assert (got["stratum"], got["leap"], got["name"]) == (daemon["stratum"], daemon["leap"], "10.0.0.1")
    assert got["reference_time_s"] == (daemon["reference"] or None)
    for key, name, sign in (("offset_ms", "offset", 1), ("last_offset_ms", "last", -1), ("rms_offset_ms", "rms", 1),
                            ("root_delay_ms", "delay", 1), ("root_dispersion_ms", "dispersion", 1)):  # fmt: skip
        assert close(got[key], sign * daemon[name] * 1000.0, 1e-6), key
    assert close(got["frequency_ppm"], -daemon["frequency"], 1e-3)
    assert close(got["skew_ppm"], daemon["skew"], 1e-3)
    assert [int(part) for part in got["refid"].split(".")] == list(daemon["refid"].to_bytes(4, "big"))


def check_sources(answers, daemon):
    """Check the values that are exact in both forms."""
    for got, one in zip(answers["sources"], daemon["sources"], strict=True):
        assert (got["state"], got["name"], got["reach"]) == (one["state"], one["name"], one["reach"])
        assert (got["mode"], got["poll_s"]) == (chronyc.MODES[one["mode"]], 2.0 ** one["poll"])
        assert got["stratum"] == (None if one["since"] == NEVER else one["stratum"])
    for got, one in zip(answers["selectdata"], daemon["sources"], strict=True):
        assert (got["selection"], got["leap"]) == (chronyc.SELECTION[one["selection"]], one["leap"])
        words = ["noselect", "prefer", "trust", "require"]
        assert got["options"] == [word for word, on in zip(words, one["options"], strict=True) if on]
    keyed = [one for one in daemon["sources"] if one["mode"] != "#"]
    for got, one in zip(answers["authdata"], keyed, strict=True):
        mode = {"-": None, "SK": "symmetric", "NTS": "nts"}[one["key"][0]]
        assert (got["name"], got["mode"], got["key"], got["key_bits"]) == (one["name"], mode, *one["key"][1:])
    keys = ("online", "offline", "burst_online", "burst_offline", "unresolved")
    assert tuple(answers["activity"][key] for key in keys) == daemon["activity"]


@SETTINGS
@given(daemons)
def test_written_columns_are_read_back(daemon):
    got = chronyc.parse(COMMANDS, as_columns(daemon))
    assert (got["error"], got["complete"], got["missing"], got["unparsed"]) == (None, True, [], [])
    answers = got["answers"]
    check_tracking(answers["tracking"], daemon)
    check_sources(answers, daemon)
    for got, one in zip(answers["sources"], daemon["sources"], strict=True):
        known = one["since"] != NEVER
        assert got["when_s"] == (one["since"] if known else None)
        for key, name, sign in (
            ("offset_ms", "offset", -1),
            ("measured_offset_ms", "measured", -1),
            ("error_ms", "error", 1),
        ):
            assert close(got[key], sign * one[name] * 1000.0, 1e-6) if known else got[key] is None
    for got, one in zip(answers["ntpdata"], filter(visible, daemon["sources"]), strict=True):
        assert (got["address"], got["received"], got["sent"]) == (one["name"], one["valid"], one["valid"] + one["lost"])
        if not one["valid"]:
            assert {got[key] for key in ("leap", "stratum", "refid", "offset_ms", "failed")} == {None}
            continue
        assert (got["leap"], got["stratum"]) == (one["leap"], one["stratum"])
        failed = [test for test, bit in zip("123567ABCD", one["tests"], strict=True) if bit == "0"]
        assert set(got["failed"]) <= set(failed)
        assert bool(got["failed"]) == bool(failed)
        assert close(got["offset_ms"], one["measured"] * 1000.0, 1e-6)
        assert got["refid"] in (
            letters(one["refid"]),
            ".".join(str(octet) for octet in one["refid"].to_bytes(4, "big")),
        )
    assert answers["serverstats"]["received"] == daemon["served"][0]


@SETTINGS
@given(daemons)
def test_written_tables_are_read_back(daemon):
    commands = ["tracking", "sources", "sourcestats", "activity", "selectdata", "authdata"]
    got = tables.parse(commands, as_tables(daemon))
    assert (got["error"], got["complete"], got["missing"], got["unparsed"]) == (None, True, [], [])
    check_tracking(got["answers"]["tracking"], daemon)
    check_sources(got["answers"], daemon)
    for row, one in zip(got["answers"]["sources"], daemon["sources"], strict=True):
        if one["since"] == NEVER:
            assert (row["when_s"], row["offset_ms"]) == (None, None)
            continue
        # Rounded down to the printed unit.
        unit = {"m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}.get(seconds(one["since"])[-1], 1)
        assert 0 <= one["since"] - row["when_s"] < unit
        if "offset_ms" not in row["inexact"]:
            assert abs(row["offset_ms"] + one["offset"] * 1000.0) <= max(0.51, 0.00051) + 1e-6
        assert abs(row["offset_ms"] + one["offset"] * 1000.0) <= abs(one["offset"]) * 60 + 0.51
        assert row["offset_ms"] * -one["offset"] >= 0


@SETTINGS
@given(daemons, st.data())
def test_a_truncated_run_is_never_complete(daemon, data):
    text = as_columns(daemon)
    whole = chronyc.parse(COMMANDS, text)["answers"]
    for cut in data.draw(st.lists(st.integers(0, len(text) - 2), min_size=5, max_size=5)):
        lines = text[: text.rfind("\n", 0, cut) + 1]
        for stdout, retcode in ((text[:cut], 137), (lines, 137), (lines + "506 Cannot talk to daemon\n", 1)):
            got = chronyc.parse(COMMANDS, stdout, "", retcode)
            assert got["error"]
            assert got["missing"]
            assert not got["complete"]
            answered = set(COMMANDS) - set(got["missing"])
            assert {command: got["answers"][command] for command in answered} == {key: whole[key] for key in answered}
            assert looking.look(got)["complete"] is False


@SETTINGS
@given(daemons)
def test_a_look_has_a_row_for_each_source_and_joins_no_other(daemon):
    seen = looking.look(chronyc.parse(COMMANDS, as_columns(daemon)), 1.8e9)
    assert seen["complete"] is True
    for row, one in zip(seen["peers"], daemon["sources"], strict=True):
        assert row["remote"] == one["name"]
        assert (row["flash"] is not None) == visible(one)
        assert row["selection"] == chronyc.SELECTION[one["selection"]]
        if one["since"] != NEVER:
            assert close(row["offset_ms"], (daemon["offset"] - one["offset"]) * 1000.0, 4e-6)
        assert row["answers"] in ({True} if one["reach"] & 15 else {True, False, None})


def read_everything(text):
    """Run every reader on one text: none may raise an exception, and the returns must have the right form."""
    for retcode in (0, 1):
        for got in (chronyc.parse(COMMANDS, text, "", retcode), tables.parse(COMMANDS, text, "", retcode)):
            assert got["complete"] == (not got["error"] and not got["missing"] and not got["unparsed"])
            assert all(got["answers"][command] is not None for command in set(COMMANDS) - set(got["missing"]))
            looking.look(got, 1.8e9)
    assert isinstance(chronyc.parse(COMMANDS, "", text, 1), dict)
    assert isinstance(chronyd.proof(text, text, 1), dict)


@SETTINGS
@given(st.text(max_size=2000))
def test_any_text_is_read_without_an_exception(text):
    read_everything(text)


@SETTINGS
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_without_an_exception(data):
    read_everything(data.decode("latin-1"))
    chronyc.parse(COMMANDS, data, data, -9)
    tables.parse(COMMANDS, data, data)
    chronyd.proof(data, data)


texts = sorted({part for program in ("chronyc", "chronyd") for capture in py2_corpus.captures(program).values()
                for part in capture[:2] if part})  # fmt: skip
edits = st.lists(
    st.tuples(
        st.integers(0, 10**6), st.sampled_from([1, 1, 3, 40]), st.sampled_from("\0\t\n ,=:()*?x.-09\u00a0\u0661\u2028")
    ),
    min_size=1,
    max_size=12,
)


@SETTINGS
@given(st.sampled_from(texts), edits)
def test_damaged_captures_are_read_without_an_exception(text, damage):
    """Real output with pieces overwritten: closer to valid input than random text."""
    for place, length, other in damage:
        place %= len(text) + 1
        text = text[:place] + other * (length % 3) + text[place + length :]
    read_everything(text)


def test_ten_megabytes_of_anything_are_read_quickly():
    """Limited by the amount of text that is read."""
    blocks = ["\n", "x\n", ",", "9", "506 ", "^,*,10.0.0.1,1,6,377,11,0.1,0.1,0.1\n", "Reference ID : 0A4D0101 (x)\n",
              "210 Number of sources = 1\n", "1 sources online\n", "\u00a0x\r"]  # fmt: skip
    for block in blocks:
        text = block * (10000000 // len(block))
        for form in (chronyc, tables):
            got = form.parse(["tracking", "sources"], text)
            assert len(got["unparsed"]) <= 51
            assert got["complete"] is False
        chronyd.proof(text, text)
