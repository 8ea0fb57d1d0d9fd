"""A trap that takes minutes: every source dies, and the daemon still reports that it is synchronised."""

from __future__ import annotations

import time

import pytest

from tests.lab import solo
from tests.lab.cluster import Cluster, Role, failed, ready, wait_until
from tests.lab.drilling import claims
from tests.lab.solo import call, codes

KINDS = ("el6", "modern", "el9")


@pytest.fixture(scope="module")
def hosts():
    """One host of each kind, all following the lab's internet."""
    ready(kinds=KINDS)
    with Cluster(master=False) as lab:
        made = [solo.add(lab, Role(f"client-{kind}", f"10.0.0.5{n}", kind)) for n, kind in enumerate(KINDS)]
        for host in made:
            host.lab = lab
            assert failed(solo.apply(host)) == []
        yield made


def test_a_source_dead_for_four_minutes_is_unsynchronized_although_the_daemon_disagrees(hosts):
    for host in hosts:
        wait_until(lambda host=host: call(host, "ntpcluster.status")["synchronized"], 40, 1)
    hosts[0].lab.internet.behave(silent=True)
    died = time.monotonic()
    for host in hosts:
        wait_until(lambda host=host: not call(host, "ntpcluster.status")["synchronized"], 120, 2)
        print(f"{host.platform}: noticed within {time.monotonic() - died:.0f} s, polling every 8 s")
    time.sleep(max(0, 240 - (time.monotonic() - died)))
    for host in hosts:
        assert claims(host) == (True, 2), "the daemon should still claim to be synchronised"
        seen = call(host, "ntpcluster.status")
        assert (seen["health"], seen["synchronized"]) == ("unsynchronized", False)
        assert codes(seen["problems"]).count("unreachable") == 3
