"""An island: servers without sources and their clients, whose clocks are hours apart, become one time by one apply and stay so."""

from __future__ import annotations

import time

import pytest

from tests.lab import operating
from tests.lab.cluster import CAST, Cluster, Role, changed, failed, ready, wait_until
from tests.lab.images import PROJECT

#: On an island a bound is that to the leader's clock, and true time is nobody's.
pytestmark = pytest.mark.beyond_the_bound("nothing ties an island to UTC")

ADDRESSES = {role.name: role.address for role in CAST}
#: Seconds from the true time, which nothing here knows.
WRONG = {"ntp189": 7200.0, "ntp180": -5400.0, "node148": 30.0, "node149": -86400.0}
PILLAR = {
    "tiers": {
        "server": {
            "match": "ntp*",
            "island": True,
            "addresses": ["10.0.0.189", "10.0.0.180"],
            "serves": ["10.0.0.0/24"],
        },
        "client": {"match": "*", "follows": "server"},
    },
    "health": {"settle": 12},
}
LEADER, SECOND = "ntp189", "ntp180"
#: How far two clocks of an island may be apart.
ONE_TIME_S = 0.01


def spread(cluster) -> float:
    """Seconds between the first and the last clock of the cluster."""
    errors = [host.clock_error() for host in cluster.hosts.values()]
    return max(errors) - min(errors)


@pytest.fixture(scope="module")
def kinds():
    """Of the leader, the other server, and the clients. A module with another cast has a fixture of this name of its own."""
    return "el6", "modern", "el6", "modern"


@pytest.fixture(scope="module")
def cluster(kinds):
    ready(kinds=set(kinds))
    with Cluster(pillar=PILLAR, master_options={"runner_dirs": [str(PROJECT / "_runners")]}) as running:
        for name, kind in zip(ADDRESSES, kinds, strict=True):
            running.add(Role(name, ADDRESSES[name], kind), clock=WRONG[name])
        running.wait_for_minions()
        yield running


@pytest.fixture(scope="module")
def first(cluster):
    began = time.monotonic()
    applied = cluster.apply()
    kinds = ", ".join(host.platform for host in cluster.hosts.values())
    print(f"island of {kinds}: first apply {time.monotonic() - began:.1f} s, spread {spread(cluster) * 1000:.3f} ms")
    return applied


def test_one_apply_makes_one_time_that_of_the_first_server(cluster, first):
    assert {name: failed(states) for name, states in first.items()} == {name: [] for name in cluster.hosts}
    assert spread(cluster) < ONE_TIME_S
    assert abs(cluster.hosts[LEADER].clock_error() - WRONG[LEADER]) < 1
    for name, host in cluster.hosts.items():
        assert host.time.counters["steps"] == (name != LEADER), name


def test_every_host_is_green_and_says_that_nothing_ties_it_to_utc(cluster, first):
    wait_until(lambda: set(health(cluster).values()) == {"ok"}, 60)
    for name, seen in cluster.master.salt("*", "ntpcluster.status").items():
        assert (seen["reference"], seen["synchronized"], seen["problems"]) == ("island", True, []), name
    for line in cluster.master.salt("*", "ntpcluster.summary").values():
        assert "an island: nothing ties it to UTC" in line
    # The clients have asked the second server once, when it had no time yet, and ask again after 64 s.
    assert set(operating.codes(cluster)) <= {"single-server"}


def test_a_second_apply_changes_nothing(cluster, first):
    again = cluster.apply()
    assert {name: (failed(states), changed(states)) for name, states in again.items()} == {
        name: ([], []) for name in cluster.hosts
    }


def test_an_operator_brings_the_island_to_a_better_time(cluster, first):
    """By more than the 1000 s at which ntpd exits; the rest is in `test_operating_island.py`."""
    told, code = operating.run(cluster, "ntpcluster.set_island_time", "offset=5000", "step=True", "test=False")
    assert (code, told["done"], told["left"]) == (0, True, {}), told
    assert spread(cluster) < ONE_TIME_S
    assert abs(cluster.hosts[LEADER].clock_error() - WRONG[LEADER] - 5000) < 1
    wait_until(lambda: set(health(cluster).values()) == {"ok"}, 60)


def health(cluster) -> dict[str, str]:
    return {name: seen["health"] for name, seen in cluster.master.salt("*", "ntpcluster.status").items()}
