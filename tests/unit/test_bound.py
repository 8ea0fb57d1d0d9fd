"""The bound of a clock: the sum, what increases it, and when there is none."""

import json
from pathlib import Path

import pytest

from _modules import ntpcluster_judge, ntpcluster_ntpd
from _runners import ntpcluster_picture, ntpcluster_tree, ntpcluster_view
from tests.loaded import FUNCTIONS
from tests.unit.test_judge import SERVERS, alter, codes, extra, judge, plan, system, unselected  # noqa: F401
from tests.unit.test_metrics import samples, view

PARTS = ("root_delay", "root_dispersion", "offset", "jitter", "precision", "growth", "sample")

#: The values that a daemon reports in addition to those of the healthy host of test_judge.
TOLD = {"reference_age_s": 40.0, "precision_ms": 0.001, "aged_ppm": 15.0, "frequency_error_ppm": 1.6}


def bounded(plan, *changes, **told):  # noqa: F811
    """The judgement on a healthy host that reports enough for a bound, after these changes."""

    def change(process, look):
        look["system"].update(dict(TOLD, **told))
        for one in changes:
            one(process, look)

    return judge(plan, change)


def test_the_bound_is_the_sum_of_its_parts(plan):  # noqa: F811
    # Half of 0.6, 20, the offset 0.1, the jitter 0.02, the precision 0.001, and no growth beyond the daemon's own.
    seen = bounded(plan)
    assert (seen["bound_ms"], seen["unbounded"]) == (pytest.approx(20.421), None)


@pytest.mark.parametrize(
    ("told", "growth_ms"),
    [
        pytest.param({"frequency_error_ppm": 15.0}, 0.0, id="ntpd reckons 15 ppm itself"),
        pytest.param({"frequency_error_ppm": 50.0}, 1.4, id="its last offset shows 50: 35 more for 40 s"),
        pytest.param({"frequency_error_ppm": 1e6}, 19.4, id="no oscillator is further off than 500"),
        pytest.param({"aged_ppm": 0.2, "frequency_error_ppm": 0.2}, 0.592, id="chronyd reckons less than 15"),
        pytest.param({"aged_ppm": 80.0, "frequency_error_ppm": 80.0}, 0.0, id="chronyd reckons more"),
        pytest.param({"frequency_error_ppm": 50.0, "reference_age_s": -40.0}, 1.4, id="a clock that went back"),
    ],
)
def test_it_grows_by_15_ppm_or_by_what_the_daemon_shows(plan, told, growth_ms):  # noqa: F811
    assert bounded(plan, **told)["bound_ms"] == pytest.approx(20.421 + growth_ms)


@pytest.mark.parametrize(
    ("error_ms", "sample_ms"),
    [
        pytest.param(900.0, 900.0 + 30 * 0.015 - 20.3, id="the server has come back and does not know better"),
        pytest.param(20.0, 20.0 + 30 * 0.015 - 20.3, id="its age alone makes it larger"),
        pytest.param(19.0, 0.0, id="the daemon's own distance is larger"),
    ],
)
def test_a_newest_sample_that_can_be_further_off_than_the_daemon_says_counts(plan, error_ms, sample_ms):  # noqa: F811
    """chronyd states the distance of the best sample that it keeps, and its offset from all of them."""
    seen = bounded(plan, alter(0, error_ms=error_ms, when_s=30))
    assert seen["bound_ms"] == pytest.approx(20.421 + sample_ms)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(system(leap="alarm"), "no planned source", id="the daemon has no time itself"),
        pytest.param(system(stratum=16), "no planned source", id="nor by its stratum"),
        pytest.param(unselected(), "no planned source", id="it follows nobody"),
        pytest.param(alter(0, reach=0o360), "no planned source", id="its source has died"),
        pytest.param(alter(0, refid="127.127.1.1"), "orphan", id="its source follows its own clock"),
        pytest.param(alter(0, stratum=10), "orphan", id="its source is an orphan"),
        pytest.param(alter(1, condition="falseticker", tally="x"), "no majority", id="one contradicts the one"),
        pytest.param(alter(0, address="10.9.9.9", remote="10.9.9.9"), "no planned source", id="not its tier"),
        pytest.param(lambda _, look: look.update(complete=False), "not whole", id="half a table"),
        *(
            pytest.param(system(**{key: None}), "does not report", id=key)
            for key in ("root_delay_ms", "root_dispersion_ms", "offset_ms", *TOLD)
        ),
        pytest.param(alter(0, jitter_ms=None), "does not report jitter", id="jitter_ms"),
        pytest.param(alter(0, error_ms=1.0, when_s=None), "does not report sample", id="the age of a sample"),
    ],
)
def test_without_a_bound_the_reason_is_given(plan, change, why):  # noqa: F811
    seen = bounded(plan, change)
    assert seen["bound_ms"] is None
    assert why in (seen["unbounded"] if why != "orphan" else " ".join(codes(seen)))


@pytest.mark.parametrize(
    ("stratum", "orphan", "known"),
    [
        pytest.param(11, 10, False, id="the source was an orphan when it set the clock"),
        pytest.param(12, 10, False, id="or below one"),
        pytest.param(10, 10, True, id="it only follows a better source now"),
        pytest.param(3, None, True, id="it is where it was"),
        pytest.param(4, None, False, id="nobody knows at which stratum an orphan is"),
        pytest.param(2, None, True, id="it follows a worse source now"),
    ],
)
def test_a_clock_that_an_orphan_has_set_has_no_bound_before_its_next_update(plan, stratum, orphan, known):  # noqa: F811
    """The source is at stratum 2 by its last packet."""
    seen = bounded(dict(plan, orphan_stratum=orphan), stratum=stratum)
    assert (seen["bound_ms"] is not None) == known
    if not known:
        assert f"when its source was at stratum {stratum - 1}; that is at 2 now" in seen["unbounded"]


def test_an_outvoted_false_server_does_not_affect_the_bound(plan):  # noqa: F811
    liar = [extra("10.0.0.7"), alter(2, condition="falseticker", tally="x")]
    assert bounded(plan, *liar)["bound_ms"] == pytest.approx(20.421)
    # As many sources have to agree as the plan requires.
    assert "the plan wants 3" in bounded(dict(plan, minsane=3), *liar)["unbounded"]


def test_a_clock_that_is_too_far_off_for_the_pillar_still_has_a_bound(plan):  # noqa: F811
    seen = bounded(plan, alter(0, offset_ms=300.0))
    assert (seen["synchronized"], seen["bound_ms"]) == (False, pytest.approx(320.321))


def limited(plan, max_bound):  # noqa: F811
    return dict(plan, sync=dict(plan["sync"], max_bound=max_bound))


def test_a_host_beyond_the_limit_or_with_an_unknown_bound_is_degraded(plan):  # noqa: F811
    assert codes(bounded(limited(plan, 0.021))) == []
    wide = bounded(limited(plan, 0.020))
    assert (wide["health"], codes(wide)) == ("degraded", ["bound"])
    assert wide["problems"][0]["evidence"] == {"bound_ms": pytest.approx(20.421), "max_bound_ms": 20.0}
    unknown = bounded(limited(plan, 0.021), alter(0, jitter_ms=None))
    assert (unknown["health"], codes(unknown)) == ("degraded", ["bound"])
    assert "is unknown" in unknown["problems"][0]["message"]
    # A host that is not synchronised reports that, without an additional problem about the bound.
    assert "bound" not in codes(bounded(limited(plan, 0.020), unselected()))


def test_bound_returns_the_same_as_status(plan):  # noqa: F811
    looks = []
    seen = bounded(plan, lambda _, look: looks.append(look))
    alone = ntpcluster_judge.bound(plan, looks[0])
    assert (alone["bound_ms"], alone["source"]) == (seen["bound_ms"], SERVERS[0])
    assert set(alone["parts_ms"]) == set(PARTS)


def test_ntpd_reports_its_age_its_precision_and_its_frequency_error():
    told = ntpcluster_ntpd.system({"offset": -3.2, "tc": 6, "precision": -10, "clock_s": 100.5, "reftime_s": 60.0})
    assert told["reference_age_s"] == 40.5
    assert told["precision_ms"] == pytest.approx(0.9765625)
    assert told["frequency_error_ppm"] == pytest.approx(50.0)
    # Never set, or an older answer: unknown.
    told = ntpcluster_ntpd.system({"offset": -3.2, "clock_s": 100.5, "reftime_s": None})
    assert [told[key] for key in ("reference_age_s", "precision_ms", "frequency_error_ppm")] == [None] * 3


# ---------------------------------------------------------------------------------------------------------
# Looks that were recorded in the lab with the true error of the clock (tests/lab/test_drills_bound_chrony.py; those of which one
# names an orphan and one the part `sample`, test_drills_failover.py).

BOUND = Path(__file__).parents[1] / "corpus/bound"
RECORDED = sorted(BOUND.glob("*.*.json"))


def test_there_are_looks_of_every_daemon():
    assert {json.loads(path.read_text())["kind"] for path in RECORDED} == {"el6", "modern", "el9", "debian13"}


def recorded(path, monkeypatch):
    """The return of ``ntpcluster.bound`` for a recorded look, and the true error in milliseconds."""
    said = json.loads(path.read_text())
    done = {"stdout": said["stdout"], "stderr": "", "retcode": 0, "timed_out": False, "seconds": 0.0}
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.run", lambda *_, **__: done)
    monkeypatch.setattr("_modules.ntpcluster_chrony.time.time", lambda: said["clock"])
    look = FUNCTIONS[f"ntpcluster_{said['daemon']}.look"](0, once=True)
    # Only the sources of the plan were recorded; the hosts do not belong to an island.
    whole = {"reference": "utc", "local": None, "neighbours": [], "refclocks": [], **said["plan"]}
    return ntpcluster_judge.bound(whole, look), abs(said["error_ms"])


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_true_error_is_within_the_bound(path, monkeypatch):
    bound, error = recorded(path, monkeypatch)
    assert error <= bound["bound_ms"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_without_one_of_its_large_parts_the_bound_would_be_broken(path, monkeypatch):
    """The name of a record says which term is indispensable."""
    bound, error = recorded(path, monkeypatch)
    part = path.stem.split(".")[1]
    assert error > bound["bound_ms"] - bound["parts_ms"][part], bound["parts_ms"]


def test_a_frequency_that_chronyd_has_learnt_wrong_shows_in_its_offsets(monkeypatch):
    """Its server was slewed by 500 ppm. It has kept that rate for 16.6 s, and reports a skew and residual frequency of 9 ppm."""
    bound, error = recorded(BOUND / "debian13.growth.json", monkeypatch)
    assert bound["parts_ms"]["growth"] == pytest.approx((500 - 9.394) * 0.0166, rel=0.01)
    assert error < 0.6 * bound["bound_ms"]


def test_of_a_clock_that_an_orphan_has_set_nothing_is_promised(monkeypatch):
    """10 s after the source follows a server again, the clock is 4.58 ms off, and ntpd still reports the orphan's dispersion."""
    bound, _ = recorded(BOUND / "el6-set-by-an-orphan.json", monkeypatch)
    assert bound["unbounded"] == "the clock was last set when its source was at stratum 10; that is at 2 now"


# ---------------------------------------------------------------------------------------------------------
# The master's view of the bounds of hosts.


def viewed():
    """The view of two servers and two clients; one client has no bound."""
    said = {"ntp189": 2.0, "ntp180": 3.0, "node148": 7.5, "node149": None}
    why = "no planned source that answers is followed"
    return view(**{
        name: {"bound_ms": bound, "unbounded": None if bound else why, "max_bound_ms": 20.0} for name, bound in said.items()
    })  # fmt: skip


def test_the_view_has_the_worst_bound_and_the_largest_difference_of_all_and_per_tier():
    seen = viewed()
    told = [
        {key: part[key] for key in ("bound_ms", "apart_ms", "unbounded")} for part in (seen["summary"], *seen["tiers"])
    ]
    assert told == [
        {"bound_ms": 7.5, "apart_ms": 10.5, "unbounded": 1},
        {"bound_ms": 3.0, "apart_ms": 5.0, "unbounded": 0},
        {"bound_ms": 7.5, "apart_ms": None, "unbounded": 1},
    ]
    assert "none off by more than 7.500 ms (1 unknown)" in ntpcluster_tree.verdict(seen)


def test_the_distance_of_two_islands_is_unknown():
    """Each client correctly follows a different leader: only hosts below the same leader are compared."""
    seen = view(**{name: {"bound_ms": bound, "reference": "island"} for name, bound in
                   {"ntp189": None, "ntp180": None, "node148": 7.5, "node149": 2.0}.items()})  # fmt: skip
    same = seen["hosts"]["node148"]["source_host"] == seen["hosts"]["node149"]["source_host"]
    assert seen["summary"]["apart_ms"] == (9.5 if same else None)
    hosts = seen["hosts"]
    for name in ("node148", "node149"):
        hosts[name]["source_host"] = "ntp189"
    assert ntpcluster_view._bounds(hosts, hosts)["apart_ms"] == 9.5
    hosts["node149"]["source_host"] = "ntp180"
    assert ntpcluster_view._bounds(hosts, hosts) == {"bound_ms": 7.5, "apart_ms": None, "unbounded": 2}


def test_the_figures_have_the_bounds_and_none_for_a_host_without():
    found = samples(viewed())
    assert found["ntpcluster_host_bound_seconds", "node148"] == 0.0075
    assert ("ntpcluster_host_bound_seconds", "node149") not in found
    assert found["ntpcluster_host_max_bound_seconds", "node149"] == 0.02
    assert found["ntpcluster_apart_seconds", None] == 0.0105


def test_the_thin_line_of_a_host_ends_at_its_bound():
    seen = viewed()
    host = seen["hosts"]["node148"]
    host["offset_ms"] = -1.5
    line = ntpcluster_picture._line(host, 10.0, lambda offset: offset)
    # The source is between 7.5 behind and 4.5 ahead: 6 around the offset, and never further off than the bound.
    assert line["root"] == [-7.5, 4.5]
    assert "bound 7.500 ms" in line["doubt"]
