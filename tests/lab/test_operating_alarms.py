"""The events of the beacons: each is caused by a real fault."""

from __future__ import annotations

import pytest

from tests.lab.cluster import wait_until
from tests.lab.operating import following, services, view


@pytest.mark.parametrize("name", ["ntp189", "ntp180"])
def test_a_daemon_that_stops_and_starts_again_causes_events_on_both_kinds_of_host(deployed, hosts, listener, name):
    listener.events.clear()
    services(hosts[name], "stop")
    event = listener.wait(name, "health", "stopped")
    assert event["codes"] == ["daemon-stopped"]
    services(hosts[name], "start")
    listener.wait(name, "health", "ok")


@pytest.mark.parametrize(("name", "clock", "side"), [("node148", 0.12, "ahead"), ("node149", -0.12, "behind")])
def test_an_offset_of_either_sign_causes_an_event_and_so_does_its_end(deployed, hosts, listener, name, clock, side):
    listener.events.clear()
    with following(hosts[name], "10.0.0.189", "10.0.0.180"):
        wait_until(lambda: view(deployed)["hosts"][name]["synchronized"], 60, 2)
        hosts[name].set_clock(clock)
        event = listener.wait(name, "offset", side, 90)
        hosts[name].set_clock(0.0)
        listener.wait(name, "offset", "inside", 90)
    assert (event["offset_ms"] < 0) is (side == "ahead")


def test_a_worse_stratum_causes_an_event(deployed, hosts, listener):
    listener.events.clear()
    deployed.internet.behave(stratum=4)
    try:
        with following(hosts["ntp180"], "10.0.0.1", "10.0.0.2"), following(hosts["ntp189"], "10.0.0.1", "10.0.0.2"):
            for name in ("ntp180", "ntp189"):
                assert listener.wait(name, "stratum", 5, 90)["old"] == 2
    finally:
        deployed.internet.behave()


def test_a_dead_source_causes_an_event(deployed, hosts, listener):
    with following(hosts["node148"], "10.0.0.189"), following(hosts["node149"], "10.0.0.189"):
        wait_until(lambda: view(deployed)["summary"]["synchronized"] == 4, 60, 2)
        listener.events.clear()
        services(hosts["ntp189"], "stop")
        try:
            for name in ("node148", "node149"):
                assert listener.wait(name, "source", None, 240)["old"] == "10.0.0.189"
        finally:
            services(hosts["ntp189"], "start")
