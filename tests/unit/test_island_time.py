"""Correcting the time of an island: which hosts are moved, which source is trusted, and the state after a failure."""

import ctypes

import pytest
from salt.exceptions import CommandExecutionError, SaltInvocationError

from _modules import ntpcluster_kernel, ntpcluster_move
from _runners import ntpcluster, ntpcluster_island
from tests.loaded import FUNCTIONS
from tests.unit.runners import TABLE
from tests.unit.test_view import MISSING, build
from tests.unit.test_view_island import FIRST, SECOND, island

LAPTOP = "10.0.0.77"
ANSWER = {
    "name": LAPTOP, "address": LAPTOP, "message": None, "reachable": True, "stratum": 1, "leap": "none", "refid": "GPS",
    "kiss": None, "reference_age_s": 1.0, "offset_s": 0.5, "delay_s": 0.002,
}  # fmt: skip


def members(tier=None, step=True, expected=None, **changes):
    return ntpcluster_island.members(build(island(**changes), expected)["hosts"], tier, step)


def test_the_leader_comes_first_then_the_servers_then_the_clients():
    found = members()
    assert found == ("server", ["ntp189", "ntp180"], [["node148", "node149"]], {})
    led = {"source": None, "peers": [], "turn": 1}
    found = members(ntp180=led, ntp189={"source": SECOND, "turn": 0})
    assert found[1] == ["ntp180", "ntp189"]


def test_a_client_that_is_silent_or_stopped_is_left_out_and_named():
    found = members(expected=["node150"], node149={"health": "stopped", "synchronized": False})
    assert found[2] == [["node148"]]
    assert found[3] == {"node149": "its daemon does not run", "node150": "not asked: no answer within the time limit"}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"tier": "client"}, "client is no island: the islands here are server"),
        ({"ntp180": {"health": "unsynchronized", "synchronized": False}}, "ntp180 not synchronized"),
        ({"ntp180": {"source": None}}, "2 servers lead"),
        ({"ntp189": {"source": SECOND}}, "0 servers lead"),
        ({"ntp180": {"addresses": ["10.0.0.179"]}}, "the servers 10.0.0.180 of the island are not among the hosts"),
        ({"ntp180": {"source": "10.0.0.9"}}, "ntp180 do not follow ntp189"),
        ({"ntp189": {"tier": "other"}}, "several islands; name one: tier=other or tier=server"),
    ],
)
def test_an_island_that_is_not_one_time_or_not_whole_is_not_moved(how, said):
    with pytest.raises(SaltInvocationError, match=said):
        members(**how)


def test_a_cluster_without_an_island_is_reported():
    with pytest.raises(SaltInvocationError, match="this cluster is no island: no host answers that it is on one"):
        ntpcluster_island.members(build()["hosts"], None, False)


def trusted(first=(), second=()):
    said = {
        name: {"servers": [{**ANSWER, **dict(changes)}]} for name, changes in (("ntp189", first), ("ntp180", second))
    }
    return ntpcluster_island.trusted(LAPTOP, said, build(island())["hosts"], ["ntp189", "ntp180"])


def test_the_distance_is_the_leaders():
    assert trusted({"offset_s": 0.5}, {"offset_s": 0.51}) == 0.5


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"offset_s": None, "reachable": False}, {}, "ntp189: 10.0.0.77 does not answer"),
        ({}, {"offset_s": None, "leap": "alarm"}, "ntp180: 10.0.0.77 says that it is not synchronized"),
        ({}, {"offset_s": None, "kiss": "DENY"}, "refuses .DENY"),
        ({"offset_s": None, "reachable": False, "message": "does not resolve"}, {}, "does not resolve"),
        ({"address": SECOND}, {}, "has its time from this island"),
        ({}, {"refid": FIRST}, "has its time from this island"),
        ({"offset_s": 0.5}, {"offset_s": 0.7}, "ntp180 and ntp189 see 10.0.0.77 0.200 s apart"),
    ],
)
def test_a_source_that_is_not_to_be_believed_is_refused(first, second, said):
    with pytest.raises(SaltInvocationError, match=said):
        trusted(first, second)


@pytest.fixture
def minions(monkeypatch):
    """The recorded island, whose hosts succeed unless `fails` names the call; `calls` are the calls to them, in order."""

    class Minions:
        calls, fails = [], {}

    def ask(fun, kwarg, tgt, **_):
        Minions.calls.append((fun.partition(".")[2], tuple(tgt), dict(kwarg)))
        done = {"comment": "moved", "time_s": 1.0, "takes_s": 2.0}
        if fun == "ntpcluster.query":
            done = {"servers": [ANSWER]}
        found = {name: Minions.fails.get((name, kwarg.get("test")), done) for name in tgt}
        return {"returns": {name: value for name, value in found.items() if value is not None}, "expected": tgt}

    Minions.calls, Minions.fails = [], {}
    stand_in = {"ntpcluster_view.take": lambda **_: build(island()), "ntpcluster_ask.minions": ask}
    monkeypatch.setattr(ntpcluster_island, "__salt__", {**TABLE, **stand_in})
    return Minions


def test_a_dry_run_asks_one_server_after_the_other_and_moves_nothing(minions):
    told = ntpcluster.set_island_time(source=LAPTOP)
    assert (told["done"], told["offset_s"], told["leader"]) == (False, 0.5, "ntp189")
    asked = [(fun, names, kwarg.get("test")) for fun, names, kwarg in minions.calls]
    assert asked == [
        ("query", ("ntp189",), None), ("query", ("ntp180",), None),
        ("move", ("ntp189",), True), ("move", ("ntp180",), True), ("move", ("node148", "node149"), True),
    ]  # fmt: skip


def test_the_dry_run_comes_first_also_where_the_clocks_are_moved(minions):
    told = ntpcluster.set_island_time(offset=0.5, test=False)
    assert told["done"] and told["clients"] == {"node148": "moved", "node149": "moved"}
    assert [kwarg["test"] for _, _, kwarg in minions.calls] == [True] * 3 + [False] * 3
    minions.calls, minions.fails = [], {("ntp180", True): "ERROR: not slewed: no"}
    said = ntpcluster.set_island_time(offset=0.5, test=False)["data"]
    assert (said["Error"], said["retcode"]) == ("ntp180: not slewed: no. Nothing has been changed", 1)
    assert all(kwarg["test"] for _, _, kwarg in minions.calls)


@pytest.mark.parametrize(
    ("step", "back", "said"),
    [
        (
            False,
            (("ntp189", "ntp180"), 0),
            "ntp180: no answer within the time limit. The slew has been stopped on: ntp189",
        ),
        (True, (("ntp189",), -5.0), "ntp180: no answer within the time limit. Stepped back: ntp189"),
    ],
)
def test_what_was_done_before_a_server_failed_is_taken_back(minions, step, back, said):
    minions.fails = {("ntp180", False): None}
    told = ntpcluster.set_island_time(offset=5.0, step=step, test=False)["data"]["Error"]
    assert told.startswith(said)
    _, names, kwarg = minions.calls[-1]
    assert (names, kwarg["offset"]) == back
    assert not any("node148" in names and not kwarg["test"] for _, names, kwarg in minions.calls)


def test_a_client_that_fails_is_left_out(minions):
    minions.fails = {("node148", False): MISSING, ("node149", False): None}
    told = ntpcluster.set_island_time(offset=0.5, test=False)
    assert told["done"] and told["clients"] == {}
    assert told["left"] == {"node148": MISSING, "node149": "no answer within the time limit"}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({}, "give either source=ADDRESS"),
        ({"source": LAPTOP, "offset": 1}, "give either source=ADDRESS"),
        ({"source": 3}, "source: 3 is not an address"),
        ({"offset": "soon"}, "offset: 'soon' is not a number"),
        ({"offset": float("nan")}, "offset: nan is not a number"),
        ({"offset": True}, "offset: True is not a number"),
        ({"offset": 1, "step": "no"}, "step: 'no' is neither True nor False"),
        ({"offset": 1, "test": 0}, "test: 0 is neither True nor False"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_asked(minions, how, said):
    assert ntpcluster.set_island_time(**how)["data"]["Error"].startswith(said)
    assert minions.calls == []


@pytest.fixture
def host(monkeypatch):
    """A host of an island; `slewed` are the requested slews, `left` the remainder of a slew, `pll` whether the kernel's is on."""

    class Host:
        plan = {"reference": "island", "method": "daemon", "platform": {"daemon": "ntpd", "process": "ntpd"}}
        slewed, left, pll = [], 0.0, True

    def adjtime(offset=None):
        if offset is not None:
            Host.slewed.append(offset)
        return Host.left

    Host.slewed = []
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_plan.plan", lambda: Host.plan)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_step.shift", lambda offset, test: {"moved_s": 0.0 if test else offset})
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_kernel.slew", adjtime)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_kernel.pll", lambda: Host.pll)
    monkeypatch.setattr(ntpcluster_move.time, "sleep", lambda _: None)
    return Host


@pytest.mark.parametrize("offset", [None, True, "1", float("nan"), float("inf"), [1]])
def test_a_distance_that_is_not_a_number_is_refused(host, offset):
    with pytest.raises(SaltInvocationError, match="is not a number of seconds"):
        ntpcluster_move.move(offset)


@pytest.mark.parametrize(
    ("offset", "changes", "said"),
    [
        (1.0, {"plan": {"reference": "utc"}}, "belongs to no island"),
        (-1.5e9, {}, "2000 to 2036"),
        (43.3, {}, "would take 24 h .* step=True"),
        (1.0, {"pll": False}, "ntpd disciplines this clock without the kernel"),
    ],
)
def test_a_slew_that_cannot_be_is_refused_by_a_dry_run_too(host, offset, changes, said):
    for name, value in changes.items():
        setattr(host, name, value)
    for test in (True, False):
        with pytest.raises(CommandExecutionError, match=said):
            ntpcluster_move.move(offset, test=test)
    assert host.slewed == []


def test_chronyd_needs_no_pll_and_a_crontab_no_daemon(host):
    host.pll, host.plan = False, {**host.plan, "platform": {"daemon": "chrony", "process": "chronyd"}}
    assert ntpcluster_move.move(1.0, test=True)["takes_s"] == 2000.0
    host.plan = {**host.plan, "method": "cron", "platform": {"daemon": "ntpd", "process": "ntpd"}}
    assert ntpcluster_move.move(1.0, test=True)["takes_s"] == 2000.0


@pytest.mark.parametrize(("left", "good"), [(0.999, True), (1.0, False), (0.9, False), (0.0, False), (1.001, False)])
def test_a_slew_that_something_else_replaces_or_that_does_not_begin_is_stopped(host, left, good):
    host.left = left
    if good:
        assert ntpcluster_move.move(1.0)["comment"].startswith(
            "the clock is being slewed by +1.000000 s, which takes 2000 s"
        )
        assert host.slewed == [1.0]
    else:
        with pytest.raises(CommandExecutionError, match="something else adjusts this clock"):
            ntpcluster_move.move(1.0)
        assert host.slewed == [1.0, 0.0]


def test_an_offset_of_nothing_stops_a_slew(host):
    assert ntpcluster_move.move(0)["comment"] == "no slew is in progress"
    host.left = -0.2
    assert ntpcluster_move.move(0)["comment"] == "the slew in progress has been stopped"
    assert host.slewed == [0, 0]


@pytest.mark.parametrize("offset", [90.0, -90.0, 0.25, -0.25, 0.999999, -7200.75, 1e9])
def test_a_step_sets_the_sum_of_the_clock_and_the_distance(monkeypatch, offset):
    """The C library is not called: it would set the clock of this machine."""
    sums, calls = [], []

    def call(name, value, _):
        calls.append(name)
        if name == "gettimeofday":
            value._obj.tv_sec, value._obj.tv_usec = 1795341952, 500000
        else:
            assert 0 <= value._obj.tv_usec < 1000000
            sums.append(value._obj.tv_sec + value._obj.tv_usec * 1e-6)

    monkeypatch.setattr(ntpcluster_kernel, "_call", call)
    ntpcluster_kernel.shift(offset)
    assert calls == ["gettimeofday", "settimeofday"]
    assert sums == [pytest.approx(1795341952.5 + offset, abs=2e-6)]


def test_the_remainder_of_a_slew_is_read_without_a_new_slew(monkeypatch):
    def call(name, given, left):
        assert (name, given) == ("adjtime", None)
        left._obj.tv_sec, left._obj.tv_usec = -3, -250000

    monkeypatch.setattr(ntpcluster_kernel, "_call", call)
    assert ntpcluster_kernel.slew() == -3.25


@pytest.mark.parametrize(("status", "on"), [(0x2001, True), (0x0001, True), (0x2040, False), (0, False)])
def test_the_pll_is_read_without_a_change(monkeypatch, status, on):
    def call(name, timex):
        assert (name, timex._obj.modes) == ("adjtimex", 0)
        timex._obj.status = status

    monkeypatch.setattr(ntpcluster_kernel, "_call", call)
    assert ntpcluster_kernel.pll() is on


def test_the_c_library_accepts_both_calls():
    assert abs(ntpcluster_kernel.slew()) < 2145
    ntpcluster_kernel.pll()
    # struct timex of a 64-bit kernel, linux/timex.h.
    assert ntpcluster_kernel._Timex.status.offset == 40 and ctypes.sizeof(ntpcluster_kernel._Timex) >= 208


@pytest.mark.parametrize("function", [ntpcluster_kernel.slew, ntpcluster_kernel.shift])
def test_people_call_none_of_the_kernels_calls(function):
    with pytest.raises(SaltInvocationError, match="internal to ntpcluster"):
        function(1.0, __pub_fun="ntpcluster_kernel.it")
