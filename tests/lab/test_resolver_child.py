"""A source whose name cannot be resolved: EL6's ntpd then has a second process of the same name that outlives it by 30 s.

That process is not the daemon. The tests identify the daemon by UDP port 123, from outside.
"""

from __future__ import annotations

import time

import pytest

from tests.lab import solo
from tests.lab.cluster import Cluster, Role, failed, wait_until
from tests.lab.drilling import crash, daemons, follows, kill, processes, service, timed
from tests.lab.solo import PILLAR, call, codes, set_pillar

#: Three sources that exist, and one whose name has no address.
SOURCES = [*PILLAR["tiers"]["client"]["sources"], "ntp.nowhere.lab"]
NAMED = {**PILLAR, "tiers": {"client": {"match": "*", "sources": SOURCES}}}


@pytest.fixture(scope="module")
def host(images):
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("client", "10.0.0.51", "el6"), pillar=NAMED)
        made.run(["service", "salt-minion", "stop"])
        made.lab = lab
        assert failed(solo.apply(made)) == []
        yield made


@pytest.fixture(autouse=True)
def daemon_and_child(host):
    """The daemon runs, follows a source, and has its resolver child."""
    if not daemons(host):
        # `service` would take the child for the daemon.
        for pid in names(host):
            host.run(["kill", "-9", str(pid)])
        service(host, "start").check()
    wait_until(lambda: daemons(host) and len(names(host)) >= 2 and follows(host), 60, 0.5)


def names(host) -> list[int]:
    """All processes called ntpd."""
    return [int(pid) for pid in host.run(["pgrep", "-x", "ntpd"]).out.split()]


def test_the_daemon_is_the_one_with_the_port(host):
    [pid] = daemons(host)
    seen = call(host, "ntpcluster_process.daemon")
    assert (seen["running"], seen["pid"]) == (True, pid)
    assert call(host, "ntpcluster.status")["daemon"]["pid"] == pid


@pytest.mark.parametrize("how", ["stopped", "crashed"])
def test_a_dead_daemon_is_stopped_although_another_process_has_its_name(host, how):
    if how == "crashed":
        crash(host)
    else:
        service(host, "stop").check()
    seen = call(host, "ntpcluster.status")
    assert names(host) and not daemons(host), "the child should be there, and the daemon not"
    assert seen["daemon"]["running"] is False
    assert (seen["health"], codes(seen["problems"])[0]) == ("stopped", "daemon-stopped")


def test_a_step_leaves_the_host_with_a_daemon(host):
    host.set_clock(50)
    done = call(host, "ntpcluster.step", "force=True")
    assert done["stepped"] and done["daemon_restarted"]
    assert timed(lambda: daemons(host), 5, 0.1) < 5
    assert abs(host.clock_error()) < 0.1


def test_a_dead_daemon_is_started_by_the_next_apply(host):
    crash(host)
    states = solo.apply(host)
    assert failed(states) == [] and daemons(host)


def test_a_step_that_is_killed_leaves_a_daemon(host):
    """Only the guard and the child remain: a stand-in for ntpdate is slow, and the step is killed meanwhile."""
    step = solo.step_under_way(host)
    assert names(host) and not daemons(host)
    kill(*processes(host, "salt-call", "ntpcluster.step"))
    killed = time.monotonic()
    step.wait()
    host.run(["rm", solo.SLOW])
    host.set_clock(0)
    # The child ends within 30 s; a guard that waits for it gives up earlier.
    timed(lambda: daemons(host), 45, 0.2)
    print(f"the daemon is back {time.monotonic() - killed:.1f} s after the kill")
    assert time.monotonic() - killed < 15


def test_the_cron_method_stops_the_daemon_and_says_so(host):
    set_pillar(host, {**NAMED, "method": "cron"})
    try:
        states = solo.apply(host)
        assert failed(states) == [] and not daemons(host)
        seen = call(host, "ntpcluster.status")
        assert seen["daemon"]["running"] is False and "rival-daemon" not in codes(seen["problems"])
    finally:
        set_pillar(host, NAMED)
        assert failed(solo.apply(host)) == []


def test_the_unknown_name_is_named(host):
    problems = call(host, "ntpcluster.status")["problems"]
    assert "unresolvable" in codes(problems)
