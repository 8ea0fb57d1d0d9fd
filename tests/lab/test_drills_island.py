"""An island: servers without sources and their clients, whose clocks are hours apart, have the same time after one apply and
keep it."""

from __future__ import annotations

import pytest

from tests.lab import operating
from tests.lab.cluster import CAST, Cluster, Role, changed, failed, ready, wait_until
from tests.lab.images import PROJECT

#: On an island a bound is relative to the leader's clock, which is not the true time.
pytestmark = pytest.mark.beyond_the_bound("nothing ties an island to UTC")

ADDRESSES = {role.name: role.address for role in CAST}
#: Seconds from the true time, which no host here knows.
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
#: The maximum difference of two clocks of an island.
ONE_TIME_S = 0.01


def spread(cluster) -> float:
    """Seconds between the first and the last clock of the cluster."""
    errors = [host.clock_error() for host in cluster.hosts.values()]
    return max(errors) - min(errors)


@pytest.fixture(scope="module")
def kinds():
    """The kinds of the leader, the other server, and the clients. A module with other kinds overrides this fixture."""
    return "el6", "modern", "el6", "modern"


@pytest.fixture(scope="module")
def cluster(kinds):
    ready(kinds=set(kinds))
    with Cluster(pillar=PILLAR, master_options={"runner_dirs": [str(PROJECT / "_runners")]}) as running:
        for name, kind in zip(ADDRESSES, kinds, strict=True):
            running.add(Role(name, ADDRESSES[name], kind), clock=WRONG[name])
        running.wait_for_minions()
        yield running


def test_after_one_apply_all_hosts_have_the_time_of_the_first_server(cluster, first):
    assert {name: failed(states) for name, states in first.items()} == {name: [] for name in cluster.hosts}
    apart = spread(cluster)
    print(f"spread {apart * 1000:.3f} ms")
    assert apart < ONE_TIME_S
    assert abs(cluster.hosts[LEADER].clock_error() - WRONG[LEADER]) < 1
    for name, host in cluster.hosts.items():
        assert host.time.counters["steps"] == (name != LEADER), name


def test_every_host_is_ok_and_reports_that_it_is_not_traceable_to_utc(cluster, first):
    wait_until(lambda: set(health(cluster).values()) == {"ok"}, 60)
    for name, seen in cluster.master.salt("*", "ntpcluster.status").items():
        assert (seen["reference"], seen["synchronized"], seen["problems"]) == ("island", True, []), name
    for line in cluster.master.salt("*", "ntpcluster.summary").values():
        assert "an island: nothing ties it to UTC" in line
    # The clients queried the second server once, before it was synchronised, and query it again after 64 s.
    assert set(operating.codes(cluster)) <= {"single-server"}


def test_a_second_apply_changes_nothing(cluster, first):
    again = cluster.apply()
    assert {name: (failed(states), changed(states)) for name, states in again.items()} == {
        name: ([], []) for name in cluster.hosts
    }


def test_an_operator_corrects_the_time_of_the_island(cluster, first):
    """By more than the 1000 s at which ntpd exits; the rest is in `test_operating_island.py`."""
    told, code = operating.run(cluster, "ntpcluster.set_island_time", "offset=5000", "step=True", "test=False")
    assert (code, told["done"], told["left"]) == (0, True, {}), told
    assert spread(cluster) < ONE_TIME_S
    assert abs(cluster.hosts[LEADER].clock_error() - WRONG[LEADER] - 5000) < 1
    wait_until(lambda: set(health(cluster).values()) == {"ok"}, 60)


def health(cluster) -> dict[str, str]:
    return {name: seen["health"] for name, seen in cluster.master.salt("*", "ntpcluster.status").items()}
