"""When the system time is known to be right, so that the hardware clock may be written from it."""

import pytest

from _modules import ntpcluster_step
from tests.loaded import FUNCTIONS


@pytest.fixture
def host(monkeypatch):
    class Host:
        now, context, waited = 1000.0, {}, []
        plan, followed, needed = {"step_by": ["10.0.0.1"], "local": None}, True, False

    def synchronized():
        Host.waited.append(True)
        return {"synchronized": Host.followed}

    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.monotonic", lambda: Host.now)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_plan.plan", lambda: Host.plan)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_status.synchronized", synchronized)
    monkeypatch.setattr(ntpcluster_step, "__context__", Host.context, raising=False)
    monkeypatch.setattr(ntpcluster_step, "step", lambda test: {"needed": Host.needed})
    return Host


@pytest.mark.parametrize("needed, right", [(False, True), (True, False), (None, False)])
def test_the_servers_are_queried_and_no_answer_does_not_count_as_yes(host, needed, right):
    host.needed = needed
    assert (ntpcluster_step.right(), host.waited) == (right, [])


def test_the_result_of_this_run_is_valid_for_a_minute(host):
    ntpcluster_step._now_right()
    host.needed = None
    assert ntpcluster_step.right() is True
    host.now += ntpcluster_step.RIGHT_S
    assert ntpcluster_step.right() is False


@pytest.mark.parametrize("followed", [True, False])
def test_a_host_with_reference_clocks_alone_waits_for_its_daemon(host, followed):
    host.plan, host.followed, host.needed = {"step_by": [], "local": None}, followed, None
    assert (ntpcluster_step.right(), host.waited) == (followed, [True])


def test_the_leader_of_an_island_does_not_wait(host):
    host.plan = {"step_by": [], "local": 4}
    assert (ntpcluster_step.right(), host.waited) == (True, [])
