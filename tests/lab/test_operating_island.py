"""An operator corrects the time of an island with `salt-run ntpcluster.set_island_time`: from a source or by a given offset."""

# ruff: noqa: F811 (fixtures that are imported)
from __future__ import annotations

import json
import threading
import time

import pytest

from tests.lab.cluster import changed, failed, wait_until
from tests.lab.drilling import Watch, daemons, stopped
from tests.lab.test_drills_island import LEADER, ONE_TIME_S, SECOND, WRONG, cluster, spread  # noqa: F401

#: On an island a bound is relative to the leader's clock, which is not the true time.
pytestmark = pytest.mark.beyond_the_bound("nothing ties an island to UTC")

CASTS = {"ntpd": ("el6", "modern", "el6", "modern"), "chrony": ("el9", "el9", "el9", "el6")}
#: Serves the time like a laptop with a GPS receiver; a test makes it give a false time, refuse or stop answering.
LAPTOP = "10.0.0.3"
#: The slewed offset: 80 s at 500 ppm.
BETTER_S = 0.04
RATE = 500e-6


@pytest.fixture(scope="module", params=CASTS)
def kinds(request):
    return CASTS[request.param]


def set_time(cluster, *words) -> dict:
    """What the runner returned."""
    done = cluster.master.run("salt-run", "--out=json", "ntpcluster.set_island_time", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def refusal(cluster, *words) -> str:
    """The error sentence of a run that must fail."""
    done = cluster.master.run("salt-run", "--out=json", "ntpcluster.set_island_time", *words)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return json.loads(done.stdout)["Error"]


def settled(cluster) -> bool:
    """
    Whether all hosts are synchronized and one server leads: at the start two may follow each other for a poll. After a restart
    of their leader, hosts with ntpd are `degraded` for eight polls: `reach-gaps`.
    """
    seen = cluster.master.salt("*", "ntpcluster.status")
    leaders = [name for name in (LEADER, SECOND) if name in seen and seen[name]["source"] is None]
    if len(seen) == len(cluster.hosts) and all(one["synchronized"] for one in seen.values()) and len(leaders) == 1:
        return True
    print({name: (one["health"], one["source"]) for name, one in seen.items()})
    return False


def steps(cluster) -> dict[str, int]:
    return {name: host.time.counters["steps"] for name, host in cluster.hosts.items()}


def slews(cluster) -> dict[str, int]:
    return {name: host.time.counters["adjtimes"] for name, host in cluster.hosts.items()}


def pids(cluster) -> dict[str, list[int]]:
    return {name: daemons(host) for name, host in cluster.hosts.items()}


@pytest.fixture
def untouched(cluster):
    """Assert that the test moves no clock, begins no slew and restarts no daemon."""
    wait_until(lambda: settled(cluster), 120)
    before = steps(cluster), slews(cluster), pids(cluster)
    with Watch(*cluster.hosts.values()) as watch:
        yield
    assert (steps(cluster), slews(cluster), pids(cluster)) == before
    assert max(watch.moved(host) for host in cluster.hosts.values()) < ONE_TIME_S


def test_a_dry_run_tells_all_and_changes_nothing(cluster, first, untouched):
    told = set_time(cluster, f"source={LAPTOP}", "step=True")
    assert (told["tier"], told["leader"], told["done"], told["left"]) == ("server", LEADER, False, {})
    assert abs(told["offset_s"] + WRONG[LEADER]) < 1
    assert set(told["differences_s"]) == {LEADER, SECOND} == set(told["servers"])
    said = {**told["servers"], **told["clients"]}
    assert set(said) == set(cluster.hosts)
    assert all("would be stepped by -7" in one for one in said.values()), said
    by_watch = set_time(cluster, "offset=0")
    shown = time.mktime(time.strptime(by_watch["time_utc"], "%Y-%m-%d %H:%M:%S UTC")) - time.timezone
    assert abs(shown - time.time() - WRONG[LEADER]) < 5
    assert set(by_watch["servers"].values()) == {"no slew is in progress"}


def test_what_cannot_be_or_is_not_to_be_believed_is_refused(cluster, first, untouched):
    internet = cluster.internet
    assert "step=True" in refusal(cluster, f"source={LAPTOP}", "test=False")  # two hours by a slew
    assert "either source=" in refusal(cluster, "test=False")
    assert "either source=" in refusal(cluster, f"source={LAPTOP}", "offset=1", "test=False")
    assert "'soon' is not a number" in refusal(cluster, "offset=soon", "test=False")
    assert "0.2 s" in refusal(cluster, "offset=0.1", "step=True", "test=False")
    assert "2000 to 2036" in refusal(cluster, "offset=-1500000000", "step=True", "test=False")
    assert "client is no island" in refusal(cluster, "offset=1", "tier=client", "test=False")
    assert "from this island" in refusal(cluster, f"source={cluster.hosts[SECOND].address}", "step=True", "test=False")
    for how, said in (
        ({"silent": True}, "does not answer"),
        ({"leap": 3}, "not synchronized"),
        ({"refid": cluster.hosts[LEADER].address, "stratum": 5}, "from this island"),
    ):
        internet.behave(LAPTOP, **how)
        assert said in refusal(cluster, f"source={LAPTOP}", "step=True", "test=False"), how
    internet.behave(LAPTOP)
    one = cluster.master.salt(LEADER, "ntpcluster.move", "nan")[LEADER]
    assert "is not a number of seconds" in str(one)


def test_one_step_brings_all_to_the_time_of_the_source(cluster, first):
    """By two hours: ntpd exits if its server is more than 1000 s off."""
    wait_until(lambda: settled(cluster), 120)
    before, began = steps(cluster), time.monotonic()
    told = set_time(cluster, f"source={LAPTOP}", "step=True", "test=False")
    print(f"stepped in {time.monotonic() - began:.1f} s; spread {spread(cluster) * 1000:.3f} ms: {told['comment']}")
    assert told["done"] and told["left"] == {}
    assert {name: count - before[name] for name, count in steps(cluster).items()} == dict.fromkeys(cluster.hosts, 1)
    assert max(abs(host.clock_error()) for host in cluster.hosts.values()) < 0.05
    assert max(abs(host.rtc_error()) for host in cluster.hosts.values()) < 1.5
    assert spread(cluster) < ONE_TIME_S
    assert [stopped(host) for host in cluster.hosts.values()] == [[]] * 4
    assert settled(cluster)
    again = set_time(cluster, f"source={LAPTOP}")
    assert abs(again["offset_s"]) < 0.05


def test_a_slew_moves_all_clocks_together_and_steps_none(cluster, first):
    """The source is 40 ms ahead of the island's leader."""
    wait_until(lambda: settled(cluster), 120)
    leader = cluster.hosts[LEADER]
    before, were, error = steps(cluster), pids(cluster), leader.clock_error()
    cluster.internet.behave(LAPTOP, offset=error + BETTER_S)
    told = set_time(cluster, f"source={LAPTOP}", "test=False")
    began, apart = time.monotonic(), []
    cluster.internet.behave(LAPTOP)
    assert told["done"] and abs(told["takes_s"] - BETTER_S / RATE) < 10, told
    assert set(told["servers"]) | set(told["clients"]) == set(cluster.hosts)
    assert all("is being slewed by +0.0" in one for one in [*told["servers"].values(), *told["clients"].values()]), told
    pending = set_time(cluster, "offset=0")
    assert all("in progress would be stopped" in one for one in pending["servers"].values()), pending
    while time.monotonic() - began < told["takes_s"] + 5:
        apart.append(spread(cluster))
        time.sleep(0.5)
    moved = {name: host.clock_error() - error for name, host in cluster.hosts.items()}
    print(f"slewed by {moved} s; apart at most {max(apart) * 1000:.3f} ms, in the end {apart[-1] * 1000:.3f} ms")
    assert all(abs(one - told["offset_s"]) < ONE_TIME_S for one in moved.values()), moved
    assert max(apart) < ONE_TIME_S
    assert (steps(cluster), pids(cluster)) == (before, were)
    # chronyd follows neither of two servers that are further apart than their errors, here by the time between the two starts.
    wait_until(lambda: settled(cluster), 120)


def test_a_slew_can_be_stopped(cluster, first):
    before, error = steps(cluster), cluster.hosts[LEADER].clock_error()
    set_time(cluster, "offset=-20", "test=False")
    told = set_time(cluster, "offset=0", "test=False")
    assert all("has been stopped" in one for one in [*told["servers"].values(), *told["clients"].values()]), told
    here = cluster.hosts[LEADER].clock_error()
    assert -0.05 < here - error < -0.001
    time.sleep(5)
    assert abs(cluster.hosts[LEADER].clock_error() - here) < 0.002
    assert spread(cluster) < ONE_TIME_S and steps(cluster) == before


def test_where_something_else_slews_nobody_goes_on(cluster, first):
    """
    On the second server each slew is replaced at once. This is a stand-in for an ntpd without the kernel PLL, which instead
    sets its own slew every second.
    """
    before, error, second = slews(cluster), cluster.hosts[LEADER].clock_error(), cluster.hosts[SECOND]
    over = threading.Event()

    def replace():
        while not over.wait(0.1):
            second.time._change(lambda state, _: setattr(state, "adjust_ns", 0))

    thread = threading.Thread(target=replace, daemon=True)
    thread.start()
    try:
        said = refusal(cluster, "offset=10", "test=False")
    finally:
        over.set()
        thread.join()
    assert "something else adjusts this clock" in said and "The slew has been stopped on: " in said, said
    assert {name for name, count in slews(cluster).items() if count != before[name]} == {LEADER, SECOND}
    assert all(host.time._look()[0].adjust_ns == 0 for host in cluster.hosts.values())
    assert abs(cluster.hosts[LEADER].clock_error() - error) < 0.05


def test_the_next_apply_finds_nothing_to_do(cluster, first):
    wait_until(lambda: settled(cluster), 120)
    again = cluster.apply()
    assert {name: (failed(states), changed(states)) for name, states in again.items()} == {
        name: ([], []) for name in cluster.hosts
    }


def test_a_server_that_fails_has_the_step_of_the_leader_taken_back(cluster, first):
    wait_until(lambda: settled(cluster), 120)
    before, right = steps(cluster), cluster.hosts[LEADER].clock_error()
    holder = ["sh", "-c", "exec 9>>/var/run/ntpcluster.lock; flock -n 9 && touch /run/held && exec sleep 600"]
    second = cluster.hosts[SECOND]
    hold = threading.Thread(target=lambda: second.run(holder, timeout=700), daemon=True)
    hold.start()
    wait_until(lambda: second.run(["test", "-e", "/run/held"]).rc == 0, 30)
    try:
        said = refusal(cluster, "offset=30", "step=True", "test=False")
    finally:
        second.run(["pkill", "-f", "sleep 600"])
        hold.join()
    assert said.startswith(f"{SECOND}: ") and f"Stepped back: {LEADER}" in said, said
    assert {name: count - before[name] for name, count in steps(cluster).items() if count != before[name]} == {
        LEADER: 2
    }
    assert abs(cluster.hosts[LEADER].clock_error() - right) < ONE_TIME_S
    # ntpd may have seen the leader 30 s off, and needs some polls to accept it again; meanwhile its clock runs free.
    assert spread(cluster) < ONE_TIME_S
    assert [stopped(host) for host in cluster.hosts.values()] == [[]] * 4
