"""The bound of a host of each kind, from its first sample on, with an oscillator that is off."""

from __future__ import annotations

import time

import pytest

from tests.lab import drilling, solo
from tests.lab.bounds import Bounds, in_words
from tests.lab.cluster import Cluster, Role, failed, ready, wait_until
from tests.lab.solo import PILLAR, call

KINDS = {"el6": "10.0.0.31", "modern": "10.0.0.32", "el9": "10.0.0.33"}


@pytest.fixture(scope="module")
def hosts():
    ready(kinds=tuple(KINDS))
    with Cluster(master=False) as lab:
        for kind, address in KINDS.items():
            host = solo.add(lab, Role(kind, address, kind), clock=1.5, pillar=PILLAR)
            drilling.no_firewall(host)
            host.run(["service", "salt-minion", "stop"])
        yield lab.hosts


def test_the_bound_holds_from_the_first_sample_on(hosts):
    with Bounds(*hosts.values()) as bounds:
        for host in hosts.values():
            assert failed(solo.apply(host)) == []
        for host in hosts.values():
            wait_until(lambda host=host: call(host, "ntpcluster.status")["bound_ms"] is not None, 60, 1)
        time.sleep(30)
    print(in_words(bounds.figures()))
    for name, seen in bounds.seen.items():
        last = seen.looks[-1]
        print(
            name,
            len(seen.looks),
            "looks,",
            len(seen.bounded()),
            "bounded, last",
            last,
            "max",
            max(seen.ratios(), default=None),
        )
    for host in hosts.values():
        status, alone = call(host, "ntpcluster.status"), call(host, "ntpcluster.bound")
        print(host.name, status["bound_ms"], status["unbounded"], alone)
    assert bounds.broken() == []
    assert all(seen.bounded() for seen in bounds.seen.values())
