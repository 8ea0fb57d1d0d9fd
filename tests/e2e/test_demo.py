"""The whole cluster on virtual machines: the demonstration of the fast lab, without our clock library between programs and
kernels."""

from __future__ import annotations

import pytest

from tests.e2e.cluster import VirtualCluster
from tests.e2e.driving import CLOCK_BOUND, RECOVERY, RTC_BOUND, bring_up, deploy
from tests.lab.cluster import wait_until
from tests.lab.demo import WRONG


@pytest.fixture(scope="module")
def cluster(machines):
    with VirtualCluster() as running:
        bring_up(running, WRONG)
        yield running


def test_four_hosts_with_wrong_clocks_have_the_right_time_after_one_apply_a_tier(cluster):
    for name, host in cluster.hosts.items():
        assert host.clock_error() == pytest.approx(WRONG[name], abs=1)
        assert host.rtc_error() == pytest.approx(WRONG[name], abs=RTC_BOUND)
    assert deploy(cluster, "ntp*", "node*") == {name: [] for name in cluster.hosts}
    for host in cluster.hosts.values():
        assert abs(host.clock_error()) < CLOCK_BOUND, host.name
        wait_until(lambda host=host: abs(host.rtc_error()) < RTC_BOUND, RECOVERY, 2)
    status = cluster.master.salt("*", "ntpcluster.status")
    for name, seen in status.items():
        assert seen["synchronized"], (name, seen["problems"])
        assert seen["stratum"] == (2 if name.startswith("ntp") else 3)
