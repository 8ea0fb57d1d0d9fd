"""Drill 7: the minion's process is killed at random points of a deployment in which every state makes changes.

Each run changes the host's configuration, starts an apply, and kills it without warning during a state; a fixed seed selects
the state and the moment. The daemon must run again without help, and the next apply must succeed.
"""

from __future__ import annotations

import random
import re
import subprocess
import time

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import INTERNET, changed, failed, wait_until
from tests.lab.drilling import daemons, follows, kill, processes, service, sources, timed
from tests.lab.test_traps import CONFIG

RUNS = 10
SEED = 20180312

PILLAR = {
    "timezone": "Asia/Shanghai",
    "tiers": {
        "server": {
            "match": "*",
            "sources": sources(*INTERNET),
            "addresses": ["10.0.0.60"],
            "serves": ["10.0.0.0/25"],
        },
    },
    "keys": {7: {"type": "SHA1", "secret": "0123456789abcdef0123456789abcdef01234567"}},
    "sync": {"timeout": 60},
    "health": {"settle": 12},
}


@pytest.fixture(scope="module")
def host(kind):
    with drilling.server(kind, PILLAR) as made:
        spoil(made)
        made.course = list(course(made))
        print(f"{made.platform}: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in made.course))
        wait_until(lambda: drilling.stopped(made) == [] and follows(made), 40)
        assert drilling.lost(made, made.belongings) == []
        yield made


def spoil(host) -> None:
    """Give every state of the deployment something to do; the daemon runs."""
    host.run(["sed", "-i", "s/^server 10.0.0.3 .*/server 10.0.0.99/", CONFIG[host.platform]]).check()
    host.run(["sh", "-c", f"echo '7 M other' > {drilling.KEYS[host.platform]}"]).check()
    host.run(["ln", "-sf", "/usr/share/zoneinfo/Asia/Tokyo", "/etc/localtime"]).check()
    host.run(["sh", "-c", "iptables -F INPUT"]).check()
    if host.platform == "el6":
        host.run(["sed", "-i", "/ntpcluster/d", drilling.SAVED_RULES["el6"]]).check()
        host.run(["service", "iptables", "restart"]).check()
    host.set_clock(50)
    service(host, "restart")


def begin(host) -> subprocess.Popen:
    """Start an apply that prints the id of each state to standard error when it begins."""
    return subprocess.Popen(
        [*host.enter(), "salt-call", "--local", "-l", "info", "state.apply", "ntp"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip


def states(run: subprocess.Popen):
    """The ids of the states, each when it begins."""
    for line in run.stderr:
        found = re.search(r"Executing state ntpcluster\w*\.\w+ for \[(.*?)\]", line)
        if found:
            yield found.group(1)


def course(host):
    """Every state of an undisturbed apply, and its duration in seconds."""
    run = begin(host)
    last, began = None, time.monotonic()
    for name in states(run):
        if last and name != last:  # the restart by `watch` is a second part of the same state
            yield last, time.monotonic() - began
        if name != last:
            last, began = name, time.monotonic()
    assert run.wait() == 0
    yield last, time.monotonic() - began


def victims(host) -> list[tuple[str, float]]:
    """For each run a state and the seconds from its beginning to the kill, the same in every test run."""
    chance = random.Random(f"{SEED} {host.platform}")
    # The step and the restart could leave a clock or a daemon in an intermediate state: they are always among the victims.
    always = [one for one in host.course if one[0] in ("clock-is-stepped", "ntp-is-running")]
    others = chance.sample([one for one in host.course if one not in always], RUNS - 2 * len(always))
    return [(name, chance.uniform(0.0, 0.8 * seconds)) for name, seconds in 2 * always + others]


@pytest.mark.parametrize("number", range(RUNS))
def test_after_a_kill_the_daemon_runs_again_by_itself_and_the_next_apply_succeeds(host, number):
    victim, delay = victims(host)[number]
    for _ in range(5):
        spoil(host)
        steps = host.time.counters["steps"]
        run = begin(host)
        assert any(name == victim for name in states(run)), f"{victim} was never reached"
        time.sleep(delay)
        kill(*processes(host, "salt-call", "state.apply"))
        killed = time.monotonic()
        if run.wait() != 0:
            break
        delay /= 2  # this apply was faster than the measured one, and ended before it was killed
    else:
        raise AssertionError(f"no apply was killed in {victim}")
    time.sleep(2)  # a program that the dead minion had started may still stop the daemon
    timed(lambda: daemons(host), 40, 0.1)
    down = time.monotonic() - killed
    done = solo.apply(host)
    print(
        f"{host.platform} run {number}: killed {delay:.1f} s into {victim}, steps {host.time.counters['steps'] - steps}, "
        f"the daemon runs {down:.1f} s later; the next apply changed {changed(done)}"
    )
    assert failed(done) == []
    drilling.whole(host, host.belongings)
