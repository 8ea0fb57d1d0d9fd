"""Whole clusters and their master: of EL6 alone, and of all four kinds of host with ntpd above chrony and the reverse."""

from __future__ import annotations

import time

import pytest

from tests.lab.cluster import Cluster, Role, changed, failed, ready
from tests.lab.demo import WRONG

ADDRESSES = {
    "ntp189": "10.0.0.189",
    "ntp180": "10.0.0.180",
    "node148": "10.0.0.148",
    "node149": "10.0.0.149",
    "node150": "10.0.0.150",
}
#: Each host has the daemon of its own platform; in the mixed ones the last has the daemon of those above.
CASTS = {
    "el6 alone": dict.fromkeys(("ntp189", "ntp180", "node148", "node149"), "el6"),
    "ntpd above": {"ntp189": "el6", "ntp180": "modern", "node148": "el9", "node149": "debian13", "node150": "el6"},
    "chrony above": {"ntp189": "el9", "ntp180": "debian13", "node148": "el6", "node149": "modern", "node150": "el9"},
}


@pytest.fixture(scope="module", params=CASTS)
def cluster(request):
    kinds = CASTS[request.param]
    ready(kinds=set(kinds.values()))
    with Cluster() as running:
        for name, kind in kinds.items():
            running.add(Role(name, ADDRESSES[name], kind), clock=WRONG[name])
        running.wait_for_minions()
        yield running


@pytest.fixture(scope="module")
def first(cluster):
    began = time.monotonic()
    applied = cluster.apply()
    kinds = ", ".join(f"{name} {host.platform}" for name, host in cluster.hosts.items())
    print(f"{kinds}: first apply {time.monotonic() - began:.1f} s")
    return applied


def test_the_first_apply_is_green_and_puts_every_clock_right(cluster, first):
    assert {name: failed(states) for name, states in first.items()} == {name: [] for name in cluster.hosts}
    for name, host in cluster.hosts.items():
        assert abs(host.clock_error()) < 0.1, name
        assert abs(host.rtc_error()) < 2, name
        assert host.time.counters["steps"] == 1, name


def test_every_host_says_the_same_of_itself_in_the_same_words(cluster, first):
    told = cluster.master.salt("*", "ntpcluster.status")
    for name, seen in told.items():
        assert (seen["health"], seen["synchronized"]) == ("ok", True), (name, seen["problems"])
        assert seen["stratum"] == (2 if name.startswith("ntp") else 3), name
    proofs = cluster.master.salt("node*", "ntpcluster_served.served")
    for name, proof in proofs.items():
        assert [(server["reachable"], server["kiss"]) for server in proof["servers"]] == [(True, None)] * 2, (
            name,
            proof,
        )
    lines = cluster.master.salt("*", "ntpcluster.summary")
    assert all(line.startswith(f"ok, follows {told[name]['source']}, stratum ") for name, line in lines.items()), lines
    assert len({tuple(sorted(seen)) for seen in told.values()}) == 1
    assert len({tuple(sorted(peer)) for seen in told.values() for peer in seen["peers"]}) == 1


def test_a_second_apply_changes_nothing(cluster, first):
    again = cluster.apply()
    assert {name: (failed(states), changed(states)) for name, states in again.items()} == {
        name: ([], []) for name in cluster.hosts
    }
