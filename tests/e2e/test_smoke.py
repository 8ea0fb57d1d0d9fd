"""The least that shows it: a server and a client, one of each platform, with real kernel clocks and wrong ones."""

from __future__ import annotations

import pytest

from tests.e2e.cluster import VirtualCluster
from tests.e2e.driving import CLOCK_BOUND, ONE_SERVER, RTC_BOUND, bring_up, deploy
from tests.lab.cluster import wait_until

CLOCKS = {"ntp189": 1114.672613, "node149": -3600.0}
RTCS = {"ntp189": -86400.0, "node149": 37.0}


@pytest.fixture(scope="module")
def cluster(machines):
    with VirtualCluster(pillar=ONE_SERVER) as running:
        bring_up(running, CLOCKS, RTCS)
        yield running


def test_a_server_and_a_client_with_wrong_clocks_are_put_right_by_one_apply(cluster):
    for name, host in cluster.hosts.items():
        assert host.clock_error() == pytest.approx(CLOCKS[name], abs=1)
        assert host.rtc_error() == pytest.approx(RTCS[name], abs=RTC_BOUND)
    assert deploy(cluster, "*") == {name: [] for name in cluster.hosts}
    for host in cluster.hosts.values():
        assert abs(host.clock_error()) < CLOCK_BOUND, host.name
        wait_until(lambda host=host: abs(host.rtc_error()) < RTC_BOUND, 10)
    status = cluster.master.salt("*", "ntpcluster.status")
    sources = {name: (seen["synchronized"], seen["stratum"], seen["source"]) for name, seen in status.items()}
    assert sources["ntp189"][:2] == (True, 2)
    assert sources["node149"] == (True, 3, "10.0.0.189")
