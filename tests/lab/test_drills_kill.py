"""Drill 7: the minion's process is killed at random points of a deployment that has everything to do.

Each run spoils the host anew, starts an apply, and kills it without warning after a time drawn from a fixed seed. The daemon
must run again without anybody's help, and the next apply ends green.
"""

from __future__ import annotations

import random
import subprocess
import time

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import INTERNET, Cluster, Role, changed, failed
from tests.lab.drilling import daemons, kill, processes, service, sources, timed
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


@pytest.fixture(scope="module", params=["el6", "modern"])
def host(request, images):
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("server", "10.0.0.60", request.param), pillar=PILLAR)
        made.lab = lab
        made.run(["service", "salt-minion", "stop"])
        assert failed(solo.apply(made)) == []
        made.belongings = drilling.belongings(made)
        spoil(made)
        began = time.monotonic()
        assert failed(solo.apply(made)) == []
        made.whole_apply = time.monotonic() - began
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


def killed_after(host, seconds: float) -> float:
    """Start an apply and kill its process after so many seconds; returns when, by the monotonic clock."""
    run = subprocess.Popen(
        [*host.enter(), "salt-call", "--local", "state.apply", "ntp"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(seconds)
    kill(*processes(host, "salt-call", "state.apply"))
    killed = time.monotonic()
    run.wait()
    return killed


@pytest.mark.parametrize("number", range(RUNS))
def test_after_a_kill_the_daemon_runs_by_itself_and_the_next_apply_is_green(host, number):
    part = random.Random(SEED + number).uniform(0.1, 1.0)
    spoil(host)
    steps = host.time.counters["steps"]
    killed_after(host, part * host.whole_apply)
    time.sleep(2)  # a program that the dead minion had started may still be about to stop the daemon
    down = 2 + timed(lambda: daemons(host), 40, 0.1)
    done = solo.apply(host)
    print(
        f"{host.platform} run {number}: killed after {part * host.whole_apply:.1f} of {host.whole_apply:.1f} s, "
        f"steps {host.time.counters['steps'] - steps}, ntpd there after {down:.1f} s, then changed: {changed(done)}"
    )
    assert failed(done) == []
    drilling.whole(host, host.belongings)
