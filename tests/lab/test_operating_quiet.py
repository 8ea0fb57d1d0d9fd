"""Ten quiet minutes in which no beacon sends an event; then a daemon dies and the sample reactor heals the host."""

from __future__ import annotations

import time

from tests.lab.drilling import daemons, timed
from tests.lab.images import PROJECT
from tests.lab.operating import run, services

QUIET_S = 600

#: The settings of contrib/reactor/ntpcluster.conf, for a file at another place.
MASTER_OPTIONS = {
    "reactor": [{"salt/beacon/*/ntpcluster/health": [str(PROJECT / "contrib/reactor/ntpcluster.sls")]}],
}


def test_a_quiet_cluster_sends_no_events_for_ten_minutes(deployed, listener):
    time.sleep(QUIET_S)
    assert listener.events == []


def test_a_healthy_host_is_not_healed_whatever_an_event_says(deployed, hosts):
    healthy, _ = run(deployed, "ntpcluster.heal", "node148", "codes=[daemon-stopped]")
    assert not healthy["applied"] and "does not report this itself" in healthy["comment"]


def test_a_daemon_that_stops_is_brought_back_by_the_reactor(hosts, listener):
    services(hosts["node149"], "stop")
    print(f"healed by the reactor after {timed(lambda: daemons(hosts['node149']), 120):.1f} s")
    listener.wait("node149", "health", "ok", 120)


def test_it_is_not_healed_again_within_the_hour(deployed, hosts, listener):
    listener.events.clear()
    services(hosts["node149"], "stop")
    listener.wait("node149", "health", "stopped")
    again, _ = run(deployed, "ntpcluster.heal", "node149", "codes=[daemon-stopped]")
    assert not again["applied"] and "healed" in again["comment"]
    assert daemons(hosts["node149"]) == []
    services(hosts["node149"], "start")
