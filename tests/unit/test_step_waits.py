"""When a step queries its servers, and how long it waits between two queries."""

import itertools

import pytest
from salt.exceptions import CommandExecutionError

from _modules import ntpcluster_query, ntpcluster_step
from tests.loaded import FUNCTIONS

SERVERS = ["10.0.0.189", "10.0.0.180"]


def server(address, offset=None, reachable=True):
    said = ntpcluster_query._nothing(address, address)
    return {
        **said,
        "reachable": reachable,
        "offset_s": offset,
        "stratum": 2 if offset is not None else 16,
        "delay_s": 0.001,
    }


class Tier:
    """Servers whose daemons start and get the time at given moments. `asked`: when each query was sent."""

    def __init__(self):
        self.now, self.moved, self.asked = 1000.0, 0.0, []
        self.starts, self.ready = dict.fromkeys(SERVERS, 1006.0), 7.0

    def query(self, servers):
        FUNCTIONS["ntpcluster_query.pace"]()
        self.asked.append(self.now)
        FUNCTIONS["ntpcluster_query.asked"](1)
        found = [
            server(one, 50.0 if self.now >= self.starts[one] + self.ready else None, self.now >= self.starts[one])
            for one in servers
        ]
        if not any(one["reachable"] for one in found):
            FUNCTIONS["ntpcluster_query.asked"](-1)
        return {"servers": found, "best": None}

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def tier(monkeypatch, tmp_path):
    made = Tier()
    context = {}
    monkeypatch.setattr(ntpcluster_query, "ACCOUNT", str(tmp_path / "asked"))
    for module in (ntpcluster_query, ntpcluster_step):
        monkeypatch.setattr(module, "__context__", context, raising=False)
        monkeypatch.setattr(module.time, "sleep", made.sleep)
    monkeypatch.setattr(ntpcluster_step, "_lead", lambda: made.moved)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.monotonic", lambda: made.now)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_query.query", made.query)
    monkeypatch.setitem(
        FUNCTIONS, "ntpcluster_plan.plan", lambda: {"step_by": SERVERS, "local": None, "reference": "utc"}
    )
    return made


@pytest.mark.parametrize("starts", [1000.0, 1003.7, 1006.0, 1011.3])
@pytest.mark.parametrize("ready", [4.5, 7.0])
def test_a_server_that_has_just_started_is_used_soon_after_it_has_the_time(tier, starts, ready):
    tier.starts, tier.ready = dict.fromkeys(SERVERS, starts), ready
    assert ntpcluster_step._await_time(SERVERS, 120)["offset_s"] == 50.0
    assert tier.now - starts - ready < 1.4
    # What the step and the daemon will send is still accepted.
    assert ntpcluster_query.pause(8) < 4


def test_a_server_that_never_gets_the_time_is_queried_for_as_long_as_was_asked(tier):
    tier.ready = 10**6
    with pytest.raises(CommandExecutionError, match="not synchronized itself"):
        ntpcluster_step._await_time(SERVERS, 60)
    assert 1059 < tier.now < 1062
    counted = [moment for moment in tier.asked if moment >= 1006]
    assert all(later - earlier >= ntpcluster_query.PACE_S - 1e-6 for earlier, later in itertools.pairwise(counted))
    assert len(counted) < 14


def test_an_answer_before_the_installation_is_used_after_it(tier):
    tier.starts = dict.fromkeys(SERVERS, 900.0)
    ntpcluster_step.ask_ahead()
    tier.now += 5
    assert ntpcluster_step._await_time(SERVERS, 120)["offset_s"] == 50.0
    assert len(tier.asked) == 1
    # Once: a second pass of the step needs a new answer.
    ntpcluster_step._await_time(SERVERS, 120)
    assert len(tier.asked) == 2


@pytest.mark.parametrize("what", ["moved", "late", "other"])
def test_an_answer_does_not_count_if_the_clock_was_moved_or_it_is_old_or_of_others(tier, what):
    tier.starts = dict.fromkeys(SERVERS, 900.0)
    ntpcluster_step.ask_ahead()
    tier.moved = 0.05 if what == "moved" else 0.0
    tier.now += 61 if what == "late" else 5
    ntpcluster_step._await_time(SERVERS[:1] if what == "other" else SERVERS, 120)
    assert len(tier.asked) == 2


def test_servers_without_an_answer_before_the_installation_are_queried_after_it(tier):
    ntpcluster_step.ask_ahead()
    assert ntpcluster_step._await_time(SERVERS, 120)["offset_s"] == 50.0
    assert len(tier.asked) > 2
