"""Ten quiet minutes in which no beacon says a word, then a daemon that dies and is healed by the sample reactor."""

from __future__ import annotations

import time

from tests.lab.drilling import daemons, timed
from tests.lab.images import PROJECT
from tests.lab.operating import run, services

QUIET_S = 600

#: What contrib/reactor/ntpcluster.conf says, for a file that stands elsewhere.
MASTER_OPTIONS = {
    "reactor": [{"salt/beacon/*/ntpcluster/health": [str(PROJECT / "contrib/reactor/ntpcluster.sls")]}],
}


def test_a_quiet_cluster_tells_nothing_for_ten_minutes(deployed, listener):
    time.sleep(QUIET_S)
    assert listener.events == []


def test_a_daemon_that_dies_is_healed_by_the_reactor_and_not_again_at_once(deployed, hosts, listener):
    healthy, _ = run(deployed, "ntpcluster.heal", "node148", "codes=[daemon-stopped]")
    assert not healthy["applied"] and "does not say so itself" in healthy["comment"]
    host = hosts["node149"]
    services(host, "stop")
    print(f"healed by the reactor after {timed(lambda: daemons(host), 120):.1f} s")
    listener.wait("node149", "health", "ok", 120)
    listener.events.clear()
    services(host, "stop")
    listener.wait("node149", "health", "stopped")
    again, _ = run(deployed, "ntpcluster.heal", "node149", "codes=[daemon-stopped]")
    assert not again["applied"] and "healed" in again["comment"]
    assert daemons(host) == []
    services(host, "start")
