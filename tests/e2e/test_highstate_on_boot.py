"""A server and a client, one of each platform: wrong clocks, power cuts, manual changes, and servers and a master that are not
available yet when a host boots.

The tests run in order on one cluster. Nothing touches a host between its boot and its recovery.
"""

from __future__ import annotations

import pytest

from tests.e2e.cluster import VirtualCluster
from tests.e2e.driving import (
    CLOCK_BOUND,
    CONFIG,
    ONE_SERVER,
    RTC_BOUND,
    SERVICE,
    bring_up,
    change_by_hand,
    deploy,
    follows,
    highstate_has_run,
    recovers,
    together,
)
from tests.lab.cluster import wait_until

SERVER, CLIENT = "ntp189", "node149"
CLOCKS = {SERVER: 1114.672613, CLIENT: -3600.0}
RTCS = {SERVER: -86400.0, CLIENT: 37.0}
DAY = 86400.0


@pytest.fixture(scope="module")
def cluster(machines):
    with VirtualCluster(pillar=ONE_SERVER) as running:
        bring_up(running, CLOCKS, RTCS)
        # The images start their minion at boot: this makes sure that the state does it.
        running.hosts[SERVER].run(["chkconfig", "salt-minion", "off"]).check()
        running.hosts[CLIENT].run(["update-rc.d", "salt-minion", "disable"]).check()
        yield running


def test_smoke_wrong_clocks_are_put_right_by_one_apply(cluster):
    for name, host in cluster.hosts.items():
        assert host.clock_error() == pytest.approx(CLOCKS[name], abs=1)
        assert host.rtc_error() == pytest.approx(RTCS[name], abs=RTC_BOUND)
    assert deploy(cluster, "*") == {SERVER: [], CLIENT: []}
    for host in cluster.hosts.values():
        assert abs(host.clock_error()) < CLOCK_BOUND, host.name
        assert abs(host.rtc_error()) < RTC_BOUND, host.name
    status = cluster.master.salt("*", "ntpcluster.status")
    sources = {name: (seen["synchronized"], seen["stratum"], seen["source"]) for name, seen in status.items()}
    assert sources[SERVER][:2] == (True, 2)
    assert sources[CLIENT] == (True, 3, "10.0.0.189")


def test_both_recover_from_a_power_cut_that_also_spoiled_their_hardware_clocks(cluster):
    together(cluster, change_by_hand)
    for host in cluster.hosts.values():
        host.power_off()
    # The client first: when it boots, no server has the time.
    for name in (CLIENT, SERVER):
        cluster.hosts[name].power_on(rtc=-DAY)
    together(cluster, lambda host: recovers(host, "power cut"))
    # The server's step at boot came before its daemon: each service writes a file when it has started.
    marks = ["/var/lock/subsys/ntpdate", "/var/lock/subsys/ntpd"]
    stepped, started = cluster.hosts[SERVER].run(["stat", "-c", "%Y", *marks]).check().out.split()
    assert int(stepped) <= int(started)


def test_a_server_that_boots_before_its_sources_recovers_when_they_answer(cluster):
    host = cluster.hosts[SERVER]
    change_by_hand(host)
    cluster.internet.behave(silent=True)
    host.reboot(clean=False, rtc=-DAY)
    wait_until(lambda: highstate_has_run(host), 300, 3)
    assert host.clock_error() == pytest.approx(-DAY, abs=5)
    cluster.internet.behave()
    recovers(host, "sources were silent")


def test_manual_changes_are_reverted_after_a_reboot(cluster):
    together(cluster, undo_by_hand)
    together(cluster, lambda host: host.reboot())
    together(cluster, lambda host: recovers(host, "undone by hand"))
    server, client = cluster.hosts[SERVER], cluster.hosts[CLIENT]
    assert "3:on" in server.run(["chkconfig", "--list", "ntpd"]).check().out
    assert "--dport 123" in server.run(["iptables-save"]).check().out
    assert "--dport 123" in server.read("/etc/sysconfig/iptables")
    client.run(["bash", "-c", "ls /etc/rc2.d/S*ntpsec"]).check()


def undo_by_hand(host):
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    off = ["chkconfig", "ntpd", "off"] if host.platform == "el6" else ["update-rc.d", "ntpsec", "disable"]
    host.run(off).check()
    host.run(["rm", CONFIG[host.platform]]).check()
    host.run(["iptables", "-F"]).check()
    if host.platform == "el6":
        host.run(["service", "iptables", "save"]).check()


def test_a_host_that_boots_without_its_master_recovers_and_runs_its_highstate_later(cluster):
    host = cluster.hosts[CLIENT]
    change_by_hand(host)
    cluster.master_down()
    host.reboot(clean=False, rtc=-DAY)
    wait_until(lambda: follows(host), 300, 5)
    assert not highstate_has_run(host)
    cluster.master_up()
    recovers(host, "master was down")
