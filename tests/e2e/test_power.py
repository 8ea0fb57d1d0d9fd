"""Highstate on boot: power cuts, hands that should have kept off, and a world that is not there yet when a host boots.

The tests of this file follow one cluster through its life and run in the order in which they stand. Nobody touches a host
between its boot and its recovery.
"""

from __future__ import annotations

import time

import pytest

from tests.e2e.cluster import VirtualCluster
from tests.e2e.driving import (
    CLOCK_BOUND,
    CONFIG,
    ONE_SERVER,
    SERVICE,
    bring_up,
    change_by_hand,
    deploy,
    follows,
    highstate_has_run,
    recovers,
)
from tests.lab.cluster import wait_until

SERVER, CLIENT = "ntp189", "node149"
DAY = 86400.0


@pytest.fixture(scope="module")
def cluster(machines):
    with VirtualCluster(pillar=ONE_SERVER) as running:
        bring_up(running, dict.fromkeys((SERVER, CLIENT), 1.0))
        # The images start their minion at boot: it must be the state that brings it back.
        running.hosts[SERVER].run(["chkconfig", "salt-minion", "off"]).check()
        running.hosts[CLIENT].run(["update-rc.d", "salt-minion", "disable"]).check()
        running.failures = deploy(running, "*")
        yield running


def test_the_hosts_are_deployed_with_highstate_on_boot(cluster):
    assert cluster.failures == {SERVER: [], CLIENT: []}


@pytest.mark.parametrize("name", [CLIENT, SERVER])
def test_a_host_recovers_from_a_power_cut_that_also_spoiled_its_hardware_clock(cluster, name):
    host = cluster.hosts[name]
    change_by_hand(host)
    host.reboot(clean=False, rtc=-DAY)
    recovers(host, "power cut")
    if host.platform == "el6":
        # Its boot-time step went before the daemon: each service leaves a file when it has started.
        times = host.run(["stat", "-c", "%Y", "/var/lock/subsys/ntpdate", "/var/lock/subsys/ntpd"]).check().out.split()
        assert int(times[0]) <= int(times[1])


def test_a_server_that_boots_before_its_sources_are_there_recovers_when_they_come(cluster):
    host = cluster.hosts[SERVER]
    change_by_hand(host)
    cluster.internet.behave(silent=True)
    host.reboot(clean=False, rtc=-DAY)
    wait_until(lambda: host.run(["service", SERVICE[host.platform], "status"]).rc == 0, 300, 3)
    assert host.clock_error() == pytest.approx(-DAY, abs=5)
    cluster.internet.behave()
    recovers(host, "sources were silent")


@pytest.mark.parametrize("name", [CLIENT, SERVER])
def test_what_was_undone_by_hand_is_back_after_a_reboot(cluster, name):
    host = cluster.hosts[name]
    host.run(["service", SERVICE[host.platform], "stop"])
    off = ["chkconfig", "ntpd", "off"] if host.platform == "el6" else ["update-rc.d", "ntpsec", "disable"]
    host.run(off).check()
    host.run(["rm", CONFIG[host.platform]]).check()
    host.run(["iptables", "-F"]).check()
    if host.platform == "el6":
        host.run(["service", "iptables", "save"]).check()
    host.reboot()
    recovers(host, "undone by hand")
    if host.platform == "el6":
        assert "3:on" in host.run(["chkconfig", "--list", "ntpd"]).check().out
        assert "--dport 123" in host.run(["iptables-save"]).check().out
        assert "--dport 123" in host.read("/etc/sysconfig/iptables")
    else:
        assert host.run(["bash", "-c", "ls /etc/rc2.d/S*ntpsec"]).rc == 0


def test_a_host_that_boots_while_the_master_is_down_has_the_time_and_its_highstate_when_the_master_is_back(cluster):
    host = cluster.hosts[CLIENT]
    change_by_hand(host)
    cluster.master_down()
    host.reboot(clean=False, rtc=-DAY)
    wait_until(lambda: follows(host), 300, 3)
    assert not highstate_has_run(host)
    cluster.master_up()
    start = time.monotonic()
    recovers(host, "master was down")
    print(f"master back to highstate: {time.monotonic() - start:.0f} s")
    assert abs(host.clock_error()) < CLOCK_BOUND
