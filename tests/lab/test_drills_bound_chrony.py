"""The terms of a bound, driven to their limits on a host of each kind. No clock may be further off than its bound.

The servers are wrong by most of the dispersion that they report, and a request takes 10 ms longer than its answer, so each
daemon's offset is wrong by 5 ms and the daemon cannot know it. The oscillators are 12 ppm fast.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import drilling, solo
from tests.lab.bounds import Bounds
from tests.lab.cluster import Cluster, Role, failed, ready
from tests.lab.drilling import sources, timed
from tests.lab.solo import PILLAR, call

#: Of each host its address, kind, daemon and service.
HOSTS = {
    "el6": ("10.0.0.31", "el6", "ntpd", "ntpd"),
    "modern": ("10.0.0.32", "modern", "ntpd", "ntpsec"),
    "el9": ("10.0.0.33", "el9", "chrony", "chronyd"),
    "debian13n": ("10.0.0.34", "debian13", "ntpd", "ntpsec"),
    "debian13c": ("10.0.0.35", "debian13", "chrony", "chrony"),
}
ASKED = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
#: The servers: each is off by 9 ms of its dispersion of 10 ms, on a path with a delay of 10 ms, all of it in the direction of
#: the server.
WRONG = {"offset": 0.009, "root_dispersion": 0.010, "way": 0.010}
PPM = 12.0
TIERS = {"client": {"match": "*", "sources": sources(*ASKED)}}


@pytest.fixture(scope="module")
def lab():
    ready(kinds=("el6", "modern", "el9", "debian13"))
    with Cluster(master=False) as lab:
        lab.internet.behave(**WRONG)
        for name, (address, kind, daemon, _) in HOSTS.items():
            pillar = {**PILLAR, "daemon": daemon, "tiers": TIERS}
            host = solo.add(lab, Role(name, address, kind), clock=1.5, pillar=pillar)
            host.time.oscillator(PPM)
            drilling.no_firewall(host)
            host.run(["service", "salt-minion", "stop"])
        yield lab


def bounded(lab) -> None:
    """Every host reports a bound."""
    for host in lab.hosts.values():
        timed(lambda host=host: call(host, "ntpcluster.bound")["bound_ms"] is not None, 60, 1)


def restarted(lab, error: float) -> None:
    """Restart every daemon with the clock this far off."""
    for name, host in lab.hosts.items():
        host.run(["service", HOSTS[name][3], "stop"]).check()
        host.set_clock(error)
        host.run(["service", HOSTS[name][3], "start"]).check()


def tight(bounds: Bounds, least: float) -> None:
    """
    Assert that no clock was further off than its bound, and that each host came this close to it: without its largest terms the
    sum would be too small.
    """
    assert bounds.broken() == []
    ratios = {name: round(max(seen.ratios()), 3) for name, seen in bounds.seen.items()}
    print("error as a part of the bound, at most:", ratios)
    assert min(ratios.values()) > least


def test_the_bound_holds_with_servers_at_their_own_limit_and_an_asymmetric_path(lab):
    with ThreadPoolExecutor(3) as pool:
        assert [failed(states) for states in pool.map(solo.apply, lab.hosts.values())] == [[]] * len(HOSTS)
    with Bounds(*lab.hosts.values()) as bounds:
        bounded(lab)
        time.sleep(40)
    for host in lab.hosts.values():
        assert host.clock_error() > 0.012
    tight(bounds, 0.25)


def test_status_and_bound_agree_and_an_unknown_bound_violates_a_limit(lab):
    for host in lab.hosts.values():
        status, alone = call(host, "ntpcluster.status"), call(host, "ntpcluster.bound")
        assert (status["unbounded"], alone["unbounded"], alone["source"]) == (None, None, status["source"])
        # It shrinks with every sample just after the daemon's start.
        assert 0.5 < status["bound_ms"] / alone["bound_ms"] < 2
        assert abs(sum(alone["parts_ms"].values()) - alone["bound_ms"]) < 0.001
        pillar = {**PILLAR, "daemon": HOSTS[host.name][2], "tiers": TIERS}
        solo.set_pillar(host, {**pillar, "sync": {"timeout": 40, "max_bound": 0.010}})
        limited = call(host, "ntpcluster.status")
        assert limited["health"] == "degraded" and "bound" in solo.codes(limited["problems"])
        solo.set_pillar(host, pillar)


def test_a_clock_that_is_slewed(lab):
    """100 ms fast when the daemon starts: below the step threshold, so it is slewed."""
    restarted(lab, 0.114)
    with Bounds(*lab.hosts.values()) as bounds:
        bounded(lab)
        time.sleep(20)
    tight(bounds, 0.25)


def test_a_clock_whose_servers_fall_silent_drifts_within_its_bound_until_there_is_none(lab):
    restarted(lab, 0.014)
    with Bounds(*lab.hosts.values()) as bounds:
        bounded(lab)
        time.sleep(40)
        for host in lab.hosts.values():
            host.time.oscillator(PPM + 14)
        before = {name: host.clock_error() for name, host in lab.hosts.items()}
        lab.internet.behave(**WRONG, silent=True)
        gone = {
            name: timed(lambda host=host: call(host, "ntpcluster.bound")["bound_ms"] is None, 120, 1)
            for name, host in lab.hosts.items()
        }
        drifted = {name: f"{(host.clock_error() - before[name]) * 1000:+.3f} ms" for name, host in lab.hosts.items()}
        print(f"no bound after {gone}, drifted by {drifted}")
        lab.internet.behave(**WRONG)
        bounded(lab)
    tight(bounds, 0.25)


def test_servers_that_were_orphans_do_not_vouch_for_a_clock_any_more(lab):
    """
    Orphans claim to have no error. When they follow a source again, the clocks are still theirs: the daemons have learnt that
    their servers can be off by 200 ms, and state the dispersion of the orphans for a while, chronyd for minutes.
    """
    lab.internet.behave(offset=0.006, root_dispersion=0.0, stratum=10, refid="127.0.0.1")
    restarted(lab, 0.006)
    time.sleep(90)
    orphans = {name: call(host, "ntpcluster.bound")["bound_ms"] for name, host in lab.hosts.items()}
    assert orphans == dict.fromkeys(HOSTS)
    with Bounds(*lab.hosts.values()) as bounds:
        lab.internet.behave(offset=0.006, root_dispersion=0.2)
        bounded(lab)
        time.sleep(30)
    assert bounds.broken() == []
    for name, seen in bounds.seen.items():
        least = min(said["bound_ms"] for _, _, said in seen.bounded())
        print(f"{name}: {len(seen.bounded())} of {len(seen.looks)} looks with a bound, {least:.3f} ms at least")
        assert min(abs(error) for _, error, _ in seen.bounded()) > 0.002
