"""The last 24 hours of the report: what the file of earlier views tells of each, and how the page shows it."""

import random

import pytest
from salt.exceptions import CommandExecutionError, SaltInvocationError

from _runners import ntpcluster_history
from tests.unit.test_slo import START, keep, view

HOUR = 3600
WORDS = ("within", "beyond", "unknown")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "history.sqlite")


def told(path, groups, now, most=20):
    """What is told, with the hours as {hours since START: (within, beyond, unknown, worst)}; hours of which nothing is known left out."""

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
    # Beyond for longest first, then within for the shortest time.
    assert list(hosts) == ["node149", "ghost", "node148"]
    assert hosts["node148"] == {0: (120, 0, 3480, 2), 1: (60, 0, 60, 2)}
    assert hosts["ghost"] == {}


def test_what_nobody_knows_is_unknown_and_never_zero(path):
    """A tier whose hosts never promise anything, such as the leaders of an island, and a file with one view only."""
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
    """Reckoned again from the views themselves, with views that are missing and hosts that are not always there."""
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
