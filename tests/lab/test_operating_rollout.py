"""A cluster deployed tier by tier, with a check before each tier; what stops a rollout, and how it continues.

The tests of this file use one cluster and depend on their order.
"""

from __future__ import annotations

import pytest

from tests.lab.cluster import PILLAR, failed, wait_until
from tests.lab.demo import WRONG
from tests.lab.operating import check, closed_on_the_way, rollout, run, services, steps, view

ORDER = ["server 1 of 2", "server 2 of 2", "client 1 of 2", "client 2 of 2"]


@pytest.fixture(scope="module")
def rolled_out(runners):
    """The cluster after a rollout that began with four wrong clocks."""
    states, code, seconds = rollout(runners)
    print(f"rollout from four wrong clocks: {seconds:.1f} s")
    for name in ORDER:
        print(f"  {name}: {states[name]['duration'] / 1000:.1f} s")
    assert code == 0, {name: state["comment"] for name, state in states.items()}
    return runners


def test_hosts_without_the_modules_are_shown_as_such_and_the_check_is_critical(runners):
    seen, code = run(runners, "ntpcluster.tree")
    assert {host["health"] for host in seen["hosts"].values()} == {"unreadable"}
    done = runners.master.run("salt-run", "-l", "error", "ntpcluster.check")
    assert done.returncode == 2
    assert done.stdout.startswith("NTP CRITICAL: 0 of 4 hosts synchronized") and done.stdout.count("\n") == 1


def test_a_dry_run_shows_the_order_and_touches_no_clock(runners):
    plan, _ = run(runners, "ntpcluster.rollout")
    assert [batch["name"] for batch in plan["batches"]] == ORDER
    assert [batch["hosts"] for batch in plan["batches"]] == [["ntp180"], ["ntp189"], ["node148"], ["node149"]]
    states, code, _ = rollout(runners, "test=True")
    assert code == 0
    assert {states[name]["result"] for name in ORDER} == {None}
    for name, host in runners.hosts.items():
        assert host.clock_error() == pytest.approx(WRONG[name], abs=1)


def test_a_pillar_with_a_mistake_stops_everything_before_the_first_host(runners):
    broken = {**PILLAR, "tiers": {**PILLAR["tiers"], "client": {"match": "*", "follows": "servers"}}}
    runners.master.write_pillar(broken)
    try:
        runners.master.salt("*", "saltutil.refresh_pillar", "wait=True")
        states, code, _ = rollout(runners)
    finally:
        runners.master.write_pillar(PILLAR)
        runners.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    assert code == 1
    assert set(states) == {"rollout-can-begin"}
    assert "did you mean `server`" in states["rollout-can-begin"]["name"]
    assert not any(steps(runners).values())


def test_a_server_without_time_stops_the_rollout_before_any_client_is_touched(runners):
    runners.internet.behave(silent=True)
    short = {**PILLAR, "sync": {"timeout": 15}}
    runners.master.write_pillar(short)
    try:
        runners.master.salt("*", "saltutil.refresh_pillar", "wait=True")
        states, code, seconds = rollout(runners)
    finally:
        runners.internet.behave()
        runners.master.write_pillar(PILLAR)
        runners.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    print(f"rollout stopped by a faulty server: {seconds:.1f} s")
    assert code == 1
    assert [states[name]["result"] for name in ORDER] == [False] * 4
    assert "ntp180" in states[ORDER[0]]["comment"]
    assert all("requisite failed" in states[name]["comment"] for name in ORDER[1:])
    why = states["why-it-stopped"]["changes"]["return"]["Error"]
    assert why.startswith("stopped at server 1 of 2") and "\nntp180: " in why
    for name in ("node148", "node149"):
        host = runners.hosts[name]
        assert host.time.counters["steps"] == 0
        assert host.run(["ntpq", "-pn"]).rc != 0, name


def test_a_rollout_puts_four_wrong_clocks_right_in_the_order_of_the_tiers(rolled_out):
    for name, host in rolled_out.hosts.items():
        assert abs(host.clock_error()) < 0.1, name
        assert abs(host.rtc_error()) < 2, name
    seen = view(rolled_out)
    assert seen["summary"]["healthy"], seen["problems"]
    assert seen["summary"]["spread_ms"] < 50


def test_followers_detect_a_server_blocked_on_the_path_which_no_state_can_see(rolled_out):
    assert check(rolled_out)[0] == 0
    with closed_on_the_way(rolled_out, "10.0.0.180"):
        applied = rolled_out.apply()
        states, code, _ = rollout(rolled_out, resume=True)
        red, line = check(rolled_out)
    assert {name: failed(one) for name, one in applied.items()} == {name: [] for name in rolled_out.hosts}
    told = "unreachable-from: ntp180 (10.0.0.180) answered none of the hosts of tier client that queried it: node148, node149"
    assert code == 1 and states["servers-answer"]["result"] is False
    assert states["servers-answer"]["changes"]["return"]["Error"].startswith(told + ". Remedy: ")
    assert red == 2 and told in line
    # Lost polls stay in the daemons' reach registers for eight more polls.
    for name in ("node148", "node149"):
        services(rolled_out.hosts[name], "restart")
    wait_until(lambda: check(rolled_out)[0] == 0, 120, 2)
    states, code, _ = rollout(rolled_out, resume=True)
    assert code == 0 and states["servers-answer"]["changes"]["return"] == {"servers": ["ntp180", "ntp189"]}


def test_going_on_leaves_out_the_hosts_that_need_nothing(rolled_out):
    services(rolled_out.hosts["node149"], "stop")
    plan, _ = run(rolled_out, "ntpcluster.rollout", "resume=True")
    assert plan["skipped"] == ["node148", "ntp180", "ntp189"]
    states, code, seconds = rollout(rolled_out, resume=True)
    print(f"rollout that goes on with the one host left: {seconds:.1f} s")
    assert code == 0
    assert [name for name in states if name in ("client 1 of 1", *ORDER)] == ["client 1 of 1"]
    assert view(rolled_out)["hosts"]["node149"]["synchronized"]
