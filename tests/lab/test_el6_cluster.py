"""A cluster of EL6 hosts only: its clients are served, and limited, by servers that are configured by this tree as well."""

from __future__ import annotations

import time

import pytest

from tests.lab.cluster import Role, changed, failed

#: Whom the fixture `cluster` brings up.
CAST = (
    Role("ntp189", "10.0.0.189", "el6"),
    Role("ntp180", "10.0.0.180", "el6"),
    Role("node148", "10.0.0.148", "el6"),
    Role("node149", "10.0.0.149", "el6"),
)


@pytest.fixture(scope="module")
def first(cluster):
    began = time.monotonic()
    applied = cluster.apply()
    print(f"four el6 hosts, first apply: {time.monotonic() - began:.1f} s")
    return applied


def test_the_first_apply_is_green_and_puts_every_clock_right(cluster, first):
    assert {name: failed(states) for name, states in first.items()} == {name: [] for name in cluster.hosts}
    for name, host in cluster.hosts.items():
        assert abs(host.clock_error()) < 0.1, name
        assert abs(host.rtc_error()) < 2, name
        assert host.time.counters["steps"] == 1, name


def test_a_second_apply_changes_nothing(cluster, first):
    again = cluster.apply()
    assert {name: (failed(states), changed(states)) for name, states in again.items()} == {
        name: ([], []) for name in cluster.hosts
    }
