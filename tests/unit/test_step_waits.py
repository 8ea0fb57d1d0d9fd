"""When a step queries its servers, how long it waits between two queries, and how long an answer counts."""

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
        self.now, self.moved, self.asked, self.run, self.daemon = 1000.0, 0.0, [], 1, False
        self.plan = {"step_by": SERVERS, "local": None, "reference": "utc", "follows": None, "platform": {"burst": 8}}
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
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_plan.plan", lambda: made.plan)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_applied.in_run", lambda: made.run)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_process.running", lambda platform: {"running": made.daemon})
    return made


@pytest.mark.parametrize("starts", [1000.0, 1003.7, 1006.0, 1011.3])
@pytest.mark.parametrize("ready", [4.5, 7.0])
def test_a_server_that_has_just_started_is_used_soon_after_it_has_the_time(tier, starts, ready):
    tier.starts, tier.ready = dict.fromkeys(SERVERS, starts), ready
    assert ntpcluster_step._await_time(SERVERS, 120)["offset_s"] == 50.0
    assert tier.now - starts - ready < 2.1
    # What the step and the daemon will send is still accepted.
    assert ntpcluster_query.pause(8) < 4


@pytest.mark.parametrize("starts", [(1000.5, 1003.0), (1003.0, 1000.5), (1002.0, 1010.0), (1006.0, 1006.5)])
def test_the_server_that_started_first_decides_when_it_is_worth_asking(tier, starts):
    tier.starts = dict(zip(SERVERS, starts, strict=True))
    ntpcluster_step._await_time(SERVERS, 120)
    assert tier.now - min(starts) - tier.ready < 2.1
    assert ntpcluster_query.pause(8) < 4


@pytest.mark.parametrize("again", [1001.0, 1001.3, 1003.0])
def test_a_daemon_that_its_package_has_started_and_the_step_starts_again_does_not_use_up_the_rate_limit(tier, again):
    """As a Debian server in a first apply: it answers from 1000.0 on, and its real start is later; the other one starts then."""
    tier.starts = {SERVERS[0]: again, SERVERS[1]: 1000.0}
    tier.ready = 7.2
    real = tier.query

    def query(servers):
        told = real(servers)
        for one in told["servers"]:
            one["offset_s"] = 50.0 if tier.now >= again + tier.ready else None
        return told

    FUNCTIONS["ntpcluster_query.query"] = query
    ntpcluster_step._await_time(SERVERS, 120)
    assert tier.now - again - tier.ready < 2.1
    assert ntpcluster_query.pause(8) < 2


def test_a_server_that_never_gets_the_time_is_queried_for_as_long_as_was_asked(tier):
    tier.ready = 10**6
    with pytest.raises(CommandExecutionError, match="not synchronized itself"):
        ntpcluster_step._await_time(SERVERS, 60)
    assert 1059 < tier.now < 1062
    counted = [moment for moment in tier.asked if moment >= 1006]
    assert all(later - earlier >= ntpcluster_query.PACE_S - 1e-6 for earlier, later in itertools.pairwise(counted))
    assert len(counted) < 15


def told(tier, servers=SERVERS):
    best = ntpcluster_step._told_ahead(tier.plan, servers)
    return best and best["offset_s"]


def test_an_answer_before_the_installation_is_used_once_after_it(tier):
    tier.starts = dict.fromkeys(SERVERS, 900.0)
    ntpcluster_step.ask_ahead()
    tier.now += 5
    assert [told(tier), told(tier)] == [50.0, None] and len(tier.asked) == 1


@pytest.mark.parametrize(
    "what", ["moved", "late", "other servers", "other run", "no run", "a daemon", "a hidden daemon"]
)
def test_an_answer_does_not_count_if_anything_may_have_changed(tier, what):
    tier.starts = dict.fromkeys(SERVERS, 900.0)
    ntpcluster_step.ask_ahead()
    tier.moved = 0.05 if what == "moved" else 0.0
    tier.now += 61 if what == "late" else 5
    tier.run = {"other run": 2, "no run": 0}.get(what, 1)
    tier.daemon = {"a daemon": True, "a hidden daemon": None}.get(what, False)
    assert told(tier, SERVERS[:1] if what == "other servers" else SERVERS) is None


@pytest.mark.parametrize("what", ["follows", "daemon", "no servers"])
def test_only_a_top_tier_without_a_daemon_asks_ahead(tier, what):
    tier.starts = dict.fromkeys(SERVERS, 900.0)
    tier.plan["follows"] = "server" if what == "follows" else None
    tier.daemon = what == "daemon"
    if what == "no servers":
        tier.plan.update(step_by=[], local=None)
    ntpcluster_step.ask_ahead()
    assert tier.asked == []


def test_without_an_answer_before_the_installation_nothing_is_remembered(tier):
    ntpcluster_step.ask_ahead()
    assert len(tier.asked) == 1 and told(tier) is None


# ---------------------------------------------------------------------------------------------------------
# A daemon that sets the clock itself between the query and its stop


class World:
    """A host 50 s slow whose running daemon steps the clock right, or not, just before it has stopped."""

    error, now, steps_at_stop, said = -50.0, 1000.0, True, []

    def shift(self, offset, **_):
        self.error += offset

    def query(self, servers):
        self.said.append(-self.error)
        one = {**server(servers[0], -self.error), "stratum": 2}
        return {"servers": [one], "best": one}

    def stop(self, platform):
        self.error = 0.0 if self.steps_at_stop else self.error
        return False


@pytest.fixture
def world(monkeypatch, tmp_path):
    made, context = World(), {}
    made.said = []
    for module in (ntpcluster_query, ntpcluster_step):
        monkeypatch.setattr(module, "__context__", context, raising=False)
        monkeypatch.setattr(module.time, "sleep", lambda seconds: setattr(made, "now", made.now + seconds))
    monkeypatch.setattr(ntpcluster_query, "ACCOUNT", str(tmp_path / "account"))
    monkeypatch.setattr(ntpcluster_step, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(ntpcluster_step, "_lead", lambda: made.error)
    plan = {
        "step": {"threshold": 0.128, "limit": None, "passes": 3}, "hwclock": {"manage": False}, "local": None, "follows": None,
        "step_by": SERVERS[:1], "reference": "utc", "neighbours": [], "method": "daemon",
        "platform": {"service": "chronyd", "daemon": "chrony", "first_packet": 0.2, "burst": 4},
    }  # fmt: skip
    for name, function in {
        "ntpcluster_plan.plan": lambda: plan,
        "ntpcluster_status.status": lambda: {"synchronized": False, "offset_ms": None, "source": None},
        "ntpcluster_query.query": made.query,
        "ntpcluster_program.monotonic": lambda: made.now,
        "ntpcluster_service.relieve": lambda: False,
        "ntpcluster_service.guard": lambda platform: None,
        "ntpcluster_service.dismiss": lambda: None,
        "ntpcluster_service.stop": made.stop,
        "ntpcluster_service.start": lambda platform: True,
        "ntpcluster_process.running": lambda platform: {"running": True},
        "ntpcluster_process.port_sockets": lambda: [],
        "ntpcluster_kernel.shift": made.shift,
    }.items():
        monkeypatch.setitem(FUNCTIONS, name, function)
    return made


def test_a_clock_that_the_daemon_has_set_in_between_is_not_moved_again(world):
    done = ntpcluster_step.step(hwclock=False)
    assert (world.error, world.said) == (0.0, [50.0, 0.0])
    assert (done["stepped"], done["needed"], done["moved_s"], done["daemon_restarted"]) == (False, False, 0.0, True)
    assert (done["offset_before_s"], done["offset_after_s"]) == (0.0, 0.0)
    assert "was moved meanwhile" in done["comment"]


def test_a_clock_that_nobody_has_set_in_between_is_stepped_with_one_query(world):
    world.steps_at_stop = False
    done = ntpcluster_step.step(hwclock=False)
    assert (world.error, world.said) == (0.0, [50.0])
    assert (done["stepped"], done["needed"], done["moved_s"]) == (True, True, 50.0)


def test_a_step_on_request_of_a_clock_that_was_set_in_between_is_judged_anew(world):
    done = ntpcluster_step.step(hwclock=False, force=True)
    assert (world.error, world.said, done["moved_s"]) == (0.0, [50.0, 0.0], 0.0)
