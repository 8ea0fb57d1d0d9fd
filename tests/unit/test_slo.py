"""For how long each host was within its bound: what is stored of a view, and the result of many views."""

import copy
import json
import random
import sqlite3
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from salt.exceptions import CommandExecutionError

from _runners import ntpcluster, ntpcluster_history, ntpcluster_metrics, ntpcluster_slo, ntpcluster_view
from tests.unit.runners import TABLE

RECORDED = json.loads((Path(__file__).resolve().parents[2] / "tests/corpus/standing/four-hosts.json").read_text())
#: The start of an hour, a day ago.
START = (time.time() - 86400) // 3600 * 3600


def view(now, silent=(), **bounds):
    """A view of these hosts with these bounds and a limit of 10 ms; without the other recorded hosts."""
    found = {name: dict(copy.deepcopy(RECORDED[name]), bound_ms=ms, max_bound_ms=10) for name, ms in bounds.items()}
    return ntpcluster_view.build(found, [*found, *silent], now, 1.0)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "history.sqlite")


def keep(path, *views):
    for one in views:
        ntpcluster_history.keep(path, one)


def shares(path, monkeypatch, now, days=2):
    """(within, beyond, unknown) in seconds, by host."""
    monkeypatch.setattr(ntpcluster_history.time, "time", lambda: now)
    return {
        name: tuple(round(said[word] * said["seconds"], 3) for word in ("within", "beyond", "unknown"))
        for name, said in ntpcluster_history.shares(path, days)["hosts"].items()
    }


@pytest.mark.parametrize(
    ("bound", "widest", "offset", "word"),
    [
        (9.9, 10, 100, "within"),
        (10, 10, 100, "within"),
        (10.1, 10, 100, "beyond"),
        # Without a bound in the pillar, the host must stay within the maximum offset.
        (99, None, 100, "within"),
        (101, None, 100, "beyond"),
        (None, 10, 100, "unknown"),
        (5, None, None, "unknown"),
    ],
)
def test_a_bound_is_compared_with_the_pillars_limit(bound, widest, offset, word):
    host = {"bound_ms": bound, "max_bound_ms": widest, "max_offset_ms": offset}
    assert ntpcluster_history.state(host) == word


def test_each_view_stands_for_the_time_since_the_view_before_it(path, monkeypatch):
    keep(
        path,
        view(START, node148=1, node149=1),
        view(START + 60, node148=1, node149=11),
        view(START + 120, node148=1, node149=None),
        view(START + 180, silent=["node148"], node149=1),
    )
    assert shares(path, monkeypatch, START + 180) == {"node148": (120, 0, 60), "node149": (60, 60, 60)}


def test_time_without_views_is_unknown_also_at_the_end(path, monkeypatch):
    keep(path, *(view(START + at, node148=1) for at in (0, 60, 60 + 301, 60 + 361)))
    assert shares(path, monkeypatch, START + 421) == {"node148": (120, 0, 301)}
    assert shares(path, monkeypatch, START + 421 + 1000) == {"node148": (120, 0, 301 + 1000)}
    # A late view is not a gap.
    keep(path, view(START + 421 + 300, node148=1))
    assert shares(path, monkeypatch, START + 721) == {"node148": (420, 0, 301)}


def test_a_host_added_later_or_removed_does_not_count_for_the_other_time(path, monkeypatch):
    late = [view(START + at, ntp189=1, node149=1) for at in (1000, 1060, 1120)]
    keep(path, *(view(START + at, ntp189=1, node148=1) for at in (0, 60)), *late)
    # The gap from 60 to 1000 counts for the hosts that existed then.
    told = shares(path, monkeypatch, START + 1120)
    assert told == {"ntp189": (180, 0, 940), "node149": (120, 0, 0), "node148": (60, 0, 940)}
    keep(path, view(START + 7300, ntp189=1, node149=1))
    assert shares(path, monkeypatch, START + 7300)["node148"] == (60, 0, 940 + 6180)
    keep(path, view(START + 20000, ntp189=1, node149=1))
    assert shares(path, monkeypatch, START + 20000)["node148"] == (60, 0, 940 + 6180)


def test_a_window_begins_with_an_hour_and_cuts_a_gap(path, monkeypatch):
    keep(path, *(view(START + at, node148=11) for at in (0, 60)))
    keep(path, *(view(START + 50000 + at, node148=1) for at in (0, 60)))
    now = START + 50060
    begin = (now - 0.25 * 86400) // 3600 * 3600
    assert shares(path, monkeypatch, now, 0.25) == {"node148": (60, 0, round(START + 50000 - begin, 3))}
    assert shares(path, monkeypatch, now) == {"node148": (60, 60, 49940)}


def test_no_time_counts_twice_if_the_masters_clock_is_set_back(path, monkeypatch):
    keep(path, *(view(START + at, node148=1) for at in (0, 60, 30, 90)))
    assert shares(path, monkeypatch, START + 90) == {"node148": (120, 0, 0)}


def test_the_shares_are_those_that_a_list_of_all_views_gives(path, monkeypatch):
    """Recalculated from the views themselves, over some hours and with missing views."""
    dice = random.Random(7)
    now, last, wanted = START, None, {"within": 0.0, "beyond": 0.0, "unknown": 0.0}
    for _ in range(400):
        ms = dice.choice([1, 9, 10.5, 300, None])
        keep(path, view(now, node148=ms))
        if last is not None:
            word = "unknown" if now - last > 300 or ms is None else "within" if ms <= 10 else "beyond"
            wanted[word] += now - last
        last, now = now, now + dice.choice([30, 60, 60, 60, 299, 301, 900])
    told = shares(path, monkeypatch, last)["node148"]
    assert told == pytest.approx(tuple(wanted.values()), abs=0.01)
    assert all(seconds > 1000 for seconds in told)


def test_data_older_than_a_quarter_is_removed(path):
    old = START - 93 * 86400
    keep(path, *(view(old + at, node148=1) for at in (0, 60, 500)), *(view(START + at, node148=1) for at in (0, 60)))
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT count(*), min(hour) FROM sums").fetchone() == (1, START)
        assert file.execute("SELECT count(*) FROM gaps").fetchone() == (1,)


def test_the_worst_bound_is_kept_and_an_unknown_one_does_not_hide_it(path):
    keep(path, *(view(START + 60 * n, node148=ms, node149=None) for n, ms in enumerate((1, 7.5, None, 2))))
    hosts = ntpcluster_history.shares(path, 2)["hosts"]
    assert (hosts["node148"]["worst_ms"], hosts["node149"]["worst_ms"]) == (7.5, None)


@pytest.fixture
def runner(monkeypatch, path):
    """`ntpcluster.slo` as salt-run calls it, after two views of two hosts a minute apart, the second one now."""
    now = time.time()
    keep(path, view(now - 60, node148=1, node149=1), view(now, node148=1, node149=11))
    monkeypatch.setattr(ntpcluster, "__salt__", TABLE)
    return ntpcluster.slo


def test_the_table_has_the_worst_host_first_and_programs_get_the_figures(runner, path, monkeypatch):
    lines = runner(path)["data"].splitlines()
    assert lines[0].endswith("2 hosts") and [line.split()[0] for line in lines[2:]] == ["host", "node149", "node148"]
    assert lines[3].split()[1:3] == ["0.0000", "%"] and "100.0000 %" in lines[4]
    monkeypatch.setitem(ntpcluster.__opts__, "output", "json")
    assert runner(path)["hosts"]["node149"]["beyond"] == pytest.approx(1)


def test_a_share_below_100_percent_is_never_shown_as_100_percent(path):
    assert [ntpcluster_slo.percent(share) for share in (1, 0.99999999, 0.5, 1e-12, 0)] == [
        "100.0000 %", "99.9999 %", "50.0000 %", "0.0001 %", "0.0000 %",
    ]  # fmt: skip
    shown = [ntpcluster_slo.percent(share, 1) for share in (1, 0.9999, 0.5, 1e-12, 0)]
    assert shown == ["100.0 %", "99.9 %", "50.0 %", "0.1 %", "0.0 %"]


def test_prometheus_reads_the_shares(runner, path, tmp_path):
    runner(path, prom=str(tmp_path / "slo.prom"))
    found = {
        (sample.name, sample.labels["host"], sample.labels["tier"]): sample.value
        for family in text_string_to_metric_families((tmp_path / "slo.prom").read_text())
        for sample in family.samples
    }
    assert len(found) == 6 and found["ntpcluster_slo_within_ratio", "node148", "client"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"path": "history"}, "full path"),
        ({"path": "/nowhere/history.sqlite"}, "cannot be read"),
        ({"days": 0}, "days: 0 is"),
        ({"days": True}, "days: True is"),
        ({"days": 93}, "days: 93 is"),
        ({"prom": "/tmp/x.txt"}, ".prom"),
    ],
)
def test_an_error_is_one_sentence(runner, path, how, said):
    done = runner(**{"path": path, **how})["data"]
    assert said in done["Error"] and done["retcode"] == 1


def test_a_file_that_is_not_a_history_or_is_empty_is_one_sentence(runner, path, tmp_path):
    other = tmp_path / "other.sqlite"
    other.write_text("something else altogether")
    assert "is not a database" in runner(str(other))["data"]["Error"]
    with pytest.raises(CommandExecutionError, match="is not a database"):
        keep(str(other), view(START, node148=1))
    assert other.read_text() == "something else altogether"
    fresh = tmp_path / "fresh #1?.sqlite"
    keep(str(fresh), view(START, node148=1))
    assert fresh.exists() and "has no two views of the last 30 days" in runner(str(fresh))["data"]["Error"]


def test_metrics_stores_its_view_in_the_history(path, tmp_path, monkeypatch):
    taken = iter([view(START, node148=1), view(START + 60, node148=1)])
    table = {**TABLE, "ntpcluster_view.take": lambda **_: next(taken)}
    for file in (ntpcluster, ntpcluster_metrics):
        monkeypatch.setattr(file, "__salt__", table)
    for _ in range(2):
        assert ntpcluster.metrics(f"{tmp_path}/x.prom", history=path)["hosts"] == 1
    assert shares(path, monkeypatch, START + 60) == {"node148": (60, 0, 0)}


def test_the_time_between_two_views_counts_for_the_hours_that_it_lies_in(path):
    keep(path, *(view(START + at, node148=1) for at in (3000, 3300, 3540, 3640, 3700, 7200)))
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT hour, within FROM sums ORDER BY hour").fetchall() == [
            (START, 600.0),
            (START + 3600, 100.0),
        ]
    # A view at the exact end of an hour belongs only to that hour.
    keep(path, view(START + 10500, node148=1), view(START + 10800, node148=7))
    with sqlite3.connect(path) as file:
        told = file.execute("SELECT hour, within, worst_ms FROM sums WHERE hour > ?", [START + 3600]).fetchall()
    assert told == [(START + 7200, 300.0, 7.0)]
