"""The trap that takes minutes: every source dies, and ntpd goes on saying that it is synchronised."""

from __future__ import annotations

import time

import pytest

from tests.lab import solo
from tests.lab.cluster import Cluster, Role, failed, wait_until
from tests.lab.solo import call, codes


@pytest.fixture(scope="module")
def hosts(images):
    """One host of each kind, both following the lab's internet."""
    with Cluster(master=False) as lab:
        made = [solo.add(lab, Role(f"client-{kind}", f"10.0.0.5{n}", kind)) for n, kind in enumerate(("el6", "modern"))]
        for host in made:
            host.lab = lab
            assert failed(solo.apply(host)) == []
        yield made


def test_dead_for_four_minutes_is_unsynchronized_though_the_daemon_disagrees(hosts):
    for host in hosts:
        wait_until(lambda host=host: call(host, "ntpcluster.status")["synchronized"], 40, 1)
    hosts[0].lab.internet.behave(silent=True)
    died = time.monotonic()
    for host in hosts:
        wait_until(lambda host=host: not call(host, "ntpcluster.status")["synchronized"], 120, 2)
        print(f"{host.platform}: noticed within {time.monotonic() - died:.0f} s, polling every 8 s")
    time.sleep(max(0, 240 - (time.monotonic() - died)))
    for host in hosts:
        claims = call(host, "ntpcluster.variables")
        assert (claims["leap"], claims["stratum"]) == ("none", 2), "ntpd should still claim to be synchronised"
        seen = call(host, "ntpcluster.status")
        assert (seen["health"], seen["synchronized"]) == ("unsynchronized", False)
        assert codes(seen["problems"]).count("unreachable") == 3
