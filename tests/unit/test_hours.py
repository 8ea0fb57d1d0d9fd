"""The last 24 hours of the report: the data of each hour in the history file, and how the page shows it."""

import random

import pytest
from salt.exceptions import CommandExecutionError, SaltInvocationError

from _runners import ntpcluster, ntpcluster_history, ntpcluster_hours, ntpcluster_report, ntpcluster_view
from tests.unit.runners import TABLE
from tests.unit.test_report import HOSTILE, PARTS, Page, many, render
from tests.unit.test_slo import START, keep, view

HOUR = 3600
WORDS = ("within", "beyond", "unknown")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "history.sqlite")


def told(path, groups, now, most=20):
    """The result without unknown hours: {hours since START: (within, beyond, unknown, worst)}."""

    def short(hours):
        assert [hour["start"] for hour in hours] == list(range(hours[0]["start"], hours[0]["start"] + 24 * HOUR, HOUR))
        assert hours[-1]["start"] < now <= hours[-1]["start"] + HOUR
        return {
            int(hour["start"] - START) // HOUR: (*(round(hour[word], 3) for word in WORDS), hour["worst_ms"])
            for hour in hours
            if hour["within"] or hour["beyond"] or hour["worst_ms"] is not None
        }

    found = ntpcluster_history.hours(path, groups, now, most)
    assert found["stop"] == now
    groups = [short(hours) for hours in found["groups"]]
    return groups, {name: short(hours) for name, hours in found["hosts"].items()}


def test_each_hour_has_its_sums_and_the_worst_bound_and_the_rest_of_it_is_unknown(path):
    keep(
        path,
        view(START + 3480, node148=1, node149=1),
        view(START + 3540, node148=1, node149=11),
        view(START + 3660, node148=2, node149=None),
        view(START + 3720, silent=["node148"], node149=3),
    )
    groups, hosts = told(path, [["node148", "node149"], ["ghost"]], START + 3720)
    assert groups == [{0: (120, 60, 2 * 3600 - 180, 11), 1: (120, 0, 120, 3)}, {}]
    # First the longest time beyond, then the shortest time within.
    assert list(hosts) == ["node149", "ghost", "node148"]
    assert hosts["node148"] == {0: (120, 0, 3480, 2), 1: (60, 0, 60, 2)}
    assert hosts["ghost"] == {}


def test_unknown_time_is_unknown_and_never_zero(path):
    """A tier whose hosts never have a bound, such as the leaders of an island, and a file with only one view."""
    keep(path, view(START, node148=None))
    for _ in range(2):
        found = ntpcluster_history.hours(path, [["node148"], ["ghost"]], START + 60, 20)
        for hours in (*found["groups"], *found["hosts"].values()):
            assert [hour["unknown"] for hour in hours][-2:] == [3600, found["stop"] % HOUR or HOUR]
            assert {(hour["within"], hour["beyond"], hour["worst_ms"]) for hour in hours} == {(0, 0, None)}
        keep(path, view(START + 60, node148=None))


def test_time_without_views_is_unknown_also_at_the_end_but_not_the_seconds_since_the_last_look(path):
    keep(path, *(view(START + at, node148=1) for at in (0, 60)))
    [hours] = ntpcluster_history.hours(path, [["node148"]], START + 360, 0)["groups"]
    assert (hours[-1]["within"], hours[-1]["unknown"]) == (60, 0)
    assert told(path, [["node148"]], START + 361, 0)[0] == [{0: (60, 0, 301, 1)}]
    assert told(path, [["node148"]], START + 7200, 0)[0] == [{0: (60, 0, 3540, 1)}]


def test_hours_before_the_last_24_and_after_the_end_are_left_out(path):
    keep(
        path,
        *(view(START + at, node148=11) for at in (0, 60)),
        *(view(START + 86400 + at, node148=1) for at in (0, 60)),
    )
    assert told(path, [["node148"]], START + 86460)[0] == [{24: (60, 0, 0, 1)}]
    assert told(path, [["node148"]], START + 86000)[0] == [{0: (0, 60, 3540, 11)}]
    assert ntpcluster_history.hours(path, [["node148"]], START + 1000, 20)["stop"] == START + 1000


def test_an_hour_that_the_masters_clock_passed_twice_counts_as_often(path):
    keep(path, *(view(START + at, node148=1) for at in [*range(0, 3600, 60), 0, *range(60, 3600, 60)]))
    groups, _ = told(path, [["node148", "ghost"]], START + 3540)
    assert groups == [{0: (2 * 3540, 0, 3540, 1)}]


def test_the_hours_of_a_tier_are_those_that_a_list_of_all_views_gives(path):
    """Recalculated from the views themselves, with missing views and hosts that are sometimes absent."""
    dice = random.Random(11)
    names, now, last, first, wanted = ["ntp180", "node148", "node149"], START + 1800, None, {}, {}
    while now < START + 8 * HOUR:
        bounds = {name: dice.choice([1, 9, 10.5, 300, None]) for name in names if dice.random() < 0.9}
        keep(path, view(now, **bounds))
        for name, ms in bounds.items():
            if name in first and now - last <= 300:
                word = "unknown" if ms is None else "within" if ms <= 10 else "beyond"
                for hour in range(8):
                    begin = START + hour * HOUR
                    seconds = max(0.0, min(now, begin + HOUR) - max(last, begin))
                    wanted.setdefault((hour, word), 0.0)
                    wanted[hour, word] += seconds
            first.setdefault(name, now)
        last, now = now, now + dice.choice([30, 60, 61.5, 299, 301, 900])
    [hours], _ = told(path, [names], last)
    assert len(hours) == 8
    for hour, (within, beyond, unknown, _) in hours.items():
        assert (within, beyond) == pytest.approx([wanted.get((hour, word), 0.0) for word in WORDS[:2]], abs=0.01)
        assert within + beyond + unknown == pytest.approx(3 * min(HOUR, last - START - hour * HOUR), abs=0.01)


def test_a_file_that_cannot_be_read_is_an_error_and_is_not_made(path, tmp_path):
    with pytest.raises(CommandExecutionError, match="cannot be read: unable to open"):
        ntpcluster_history.hours(path, [["node148"]], START, 20)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SaltInvocationError, match="full path"):
        ntpcluster_history.hours("history.sqlite", [["node148"]], START, 20)


def page_of(path, seen):
    """The page of a view, with this history."""
    return render(seen, ntpcluster_hours.tell(path, seen))


#: The end of the last hour of these views.
END = START + 2 * HOUR


def with_bounds(now, **bounds):
    """A view of two tiers: the island's leader never has a bound."""
    return view(now, silent=["ghost"], ntp180=None, **bounds)


@pytest.fixture
def day(path):
    """A history of two hours, in which node148 was beyond its bound for 5 minutes and there was no view for ten."""
    looks = [at for at in range(0, 2 * HOUR + 1, 60) if not 4200 < at < 4800]
    keep(path, *(with_bounds(START + at, node148=12.5 if 600 < at <= 900 else 2, node149=1) for at in looks))
    return path


def test_the_page_tells_each_tiers_and_each_hosts_day_in_words_and_figures(day):
    text = Page(page_of(day, with_bounds(END, node148=2, node149=1))).text.replace("\u00a0", " ")
    assert "Last 24 hours" in text and "Each host" in text
    found = ntpcluster_hours.tell(day, with_bounds(END, node148=2, node149=1))
    tiers = {row["tier"]: row["text"].replace("\u00a0", " ") for row in found["tiers"]}
    assert tiers == {
        "server": "unknown 100.0 %; no bound was known",
        "client": "within 7.5 %, beyond 0.2 %, unknown 92.4 %; worst bound 12.500 ms",
        None: "unknown 100.0 %; no bound was known",
    }
    assert [row["id"] for row in found["hosts"]] == ["node148", "ghost", "ntp180", "node149"]
    for row in (*found["tiers"], *found["hosts"]):
        assert row["text"].replace("\u00a0", " ") in text
    # The first hour of the two: 5 minutes of 120; the second: 10 minutes without a view.
    first, second = found["tiers"][1]["hours"][-2:]
    assert [first[word][:-2] for word in WORDS] == ["95.8", "4.2", "0.0"] and first["worst_ms"] == 12.5
    assert [second[word][:-2] for word in WORDS] == ["83.3", "0.0", "16.7"] and second["worst_ms"] == 2
    assert f"{first['time']} 95.8 % 4.2 % 0.0 % 12.500" in text
    assert f"{second['time']} 0.0 % 0.0 % 100.0 % \u2013" in text


def test_bars_fill_an_hour_and_a_second_of_it_can_be_seen():
    for seconds in ((3600, 0, 0), (3598, 1, 1), (0, 3600, 0), (1, 0, 3599), (1200, 1200, 1200)):
        found = ntpcluster_hours.bars(dict(zip(WORDS, seconds, strict=True)))
        assert [bar["word"] for bar in found] == [
            word for word in ("beyond", "unknown", "within") if seconds[WORDS.index(word)]
        ]
        assert sum(bar["height"] for bar in found) == pytest.approx(100, abs=0.2)
        assert all(bar["height"] > 3 for bar in found)
        assert found[0]["y"] == 0 and found[-1]["y"] + found[-1]["height"] == pytest.approx(100, abs=0.2)


def test_names_in_the_day_are_escaped(path):
    seen = view(END, node148=1)
    host = seen["hosts"].pop("node148")
    seen["hosts"][HOSTILE] = dict(host, id=HOSTILE, tier=HOSTILE)
    seen["tiers"] = [dict(tier, name=HOSTILE, hosts=[HOSTILE]) for tier in seen["tiers"]]
    keep(path, seen)
    page = page_of(path, seen)
    assert page.count("<script") == page.count("</script") == 1 and "<img" not in page
    assert Page(page).text.count("<script>alert(1)</script>") > Page(render(seen)).text.count(
        "<script>alert(1)</script>"
    )


def test_a_cluster_without_hosts_has_a_page_with_a_day(path):
    keep(path, view(END))
    assert "Last 24 hours" in Page(page_of(path, view(END))).text


def test_the_day_adds_no_more_to_a_large_page_than_to_a_small_one(path):
    sizes = []
    for number in (500, 1500):
        seen = ntpcluster_view.build(many(number), None, END, 1.0)
        keep(path, seen, dict(seen, time=END + 60))
        sizes.append(len(page_of(path, seen)) - len(render(seen)))
    print(f"{sizes[1]:,} bytes for two tiers and {ntpcluster_hours.HOSTS} hosts")
    assert abs(sizes[1] - sizes[0]) < 1000 and sizes[1] < 400e3


@pytest.fixture
def report(monkeypatch, tmp_path):
    """`ntpcluster.report` as salt-run calls it, on the recorded hosts at END."""
    seen = with_bounds(END, node148=2, node149=1)
    table = {**TABLE, "ntpcluster_view.take": lambda **_: seen, "ntpcluster_page.parts": lambda saltenv: PARTS}
    for file in (ntpcluster, ntpcluster_report):
        monkeypatch.setattr(file, "__salt__", table)
    return lambda **how: ntpcluster.report(str(tmp_path / "page.html"), **how)


def test_the_report_has_the_day_only_if_it_is_given_a_history(report, day, tmp_path):
    assert report()["hosts"] == 4
    assert (tmp_path / "page.html").read_text() == render(with_bounds(END, node148=2, node149=1))
    assert "Last 24 hours" not in (tmp_path / "page.html").read_text()
    assert report(history=day)["hosts"] == 4
    assert "Last 24 hours" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "unable to open"), (b"something else altogether", "is not a database"), (b"", "no such table")],
)
def test_a_history_that_cannot_be_read_is_one_sentence_and_leaves_the_old_page(report, tmp_path, content, said):
    assert report()["hosts"] == 4
    before, file = (tmp_path / "page.html").read_bytes(), tmp_path / "other.sqlite"
    if content is not None:
        file.write_bytes(content)
    done = report(history=str(file))["data"]
    assert f"{file} cannot be read: " in done["Error"] and said in done["Error"] and done["retcode"] == 1
    assert (tmp_path / "page.html").read_bytes() == before
    assert "full path" in report(history="history.sqlite")["data"]["Error"]
