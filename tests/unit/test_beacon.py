"""When a host sends an event: once for a change that lasts, and never in its first minute."""

import copy
import json
from pathlib import Path

import pytest

from _beacons import ntpcluster as beacon

ROOT = Path(__file__).resolve().parents[2]
RECORDED = json.loads((ROOT / "tests/corpus/standing/four-hosts.json").read_text())
SETTINGS = {"confirm": 2, "offset_ms": 100.0, "calm": 0.5, "grace": 60}


class Host:
    """A host that is checked every 10 s, long after its start; the test changes what it reports."""

    def __init__(self, young=False, **settings):
        self.now, self.memory = 1000.0, {"since": 1000.0 if young else 0.0, "known": {}, "seen": {}}
        self.settings = {**SETTINGS, **settings}
        self.status = copy.deepcopy(RECORDED["node148"])
        self.status["daemon"]["uptime_s"] = 0.0 if young else 5000.0
        for peer in self.status["peers"]:
            peer["usable"] = True

    def looks(self, times=2, **change):
        """Tags and new values of the events that this many checks sent."""
        self.status.update(change)
        sent = []
        for _ in range(times):
            self.now += 10
            if self.status["daemon"]["uptime_s"] is not None:
                self.status["daemon"]["uptime_s"] += 10
            sent += beacon.look(self.memory, self.settings, copy.deepcopy(self.status), self.now)
        return [(event["tag"], event["old"], event["new"]) for event in sent]

    def offset(self, milliseconds, times=2):
        return self.looks(times, offset_ms=milliseconds)


DOWN = {"health": "stopped", "synchronized": False, "source": None, "stratum": None, "offset_ms": None, "peers": []}


def test_a_healthy_host_sends_no_events():
    assert Host().looks(100) == []


def test_a_change_sends_one_event_after_it_was_seen_twice():
    host = Host()
    host.looks(3)
    assert host.looks(1, **DOWN) == []
    assert host.looks(1) == [("health", "ok", "stopped")]
    assert host.looks(50) == []


def test_a_change_that_does_not_last_sends_no_event():
    host = Host()
    host.looks(3)
    well = copy.deepcopy(host.status)
    for _ in range(10):
        assert host.looks(1, **DOWN) == []
        assert host.looks(1, **copy.deepcopy(well)) == []


def test_a_recovery_sends_an_event_as_well():
    host = Host()
    host.looks(3)
    well = copy.deepcopy(host.status)
    host.looks(2, **DOWN)
    assert host.looks(2, **well) == [("health", "stopped", "ok")]


def test_a_host_that_was_faulty_from_the_start_sends_an_event():
    assert Host().looks(2, **DOWN) == [("health", "ok", "stopped")]


def test_no_event_is_sent_while_the_daemon_settles():
    host = Host()
    host.looks(3)
    assert host.looks(20, health="settling", synchronized=False, source=None, stratum=16) == []


def test_no_event_is_sent_in_the_first_minute():
    host = Host(young=True)
    bad = {"health": "unsynchronized", "synchronized": False, "source": None}
    assert host.looks(5, **bad) == []
    assert host.looks(3) == [("health", "ok", "unsynchronized")]


@pytest.mark.parametrize(("offset", "side"), [(150.0, "behind"), (-150.0, "ahead")])
def test_an_offset_beyond_its_bound_sends_an_event_for_both_signs(offset, side):
    host = Host()
    host.looks(3)
    assert host.offset(offset) == [("offset", "inside", side)]
    assert host.offset(offset * 0.6, 20) == []
    assert host.offset(offset * 0.3) == [("offset", side, "inside")]


def test_an_offset_that_swings_around_its_bound_sends_one_event():
    host = Host()
    host.looks(3)
    told = [event for swing in range(20) for event in host.offset(101.0 if swing % 2 else 99.0)]
    assert told == [("offset", "inside", "behind")]


def test_an_unknown_offset_sends_no_event():
    host = Host()
    host.looks(3)
    host.offset(150.0)
    assert host.offset(None) == []


def test_a_switch_between_two_good_sources_sends_no_event():
    host = Host()
    host.looks(3)
    for source in ["10.0.0.180", "10.0.0.189"] * 3:
        assert host.looks(3, source=source) == []


def test_a_switch_away_from_a_dead_source_sends_an_event():
    host = Host()
    host.looks(3, source="10.0.0.189")
    for peer in host.status["peers"]:
        if peer["address"] == "10.0.0.189":
            peer["usable"] = False
    assert host.looks(2, source="10.0.0.180") == [("source", "10.0.0.189", "10.0.0.180")]


def test_a_stratum_that_rises_sends_an_event():
    host = Host()
    host.looks(3)
    assert host.looks(2, stratum=6) == [("stratum", 3, 6)]


def test_without_a_source_the_stratum_is_old_and_sends_no_event():
    host = Host()
    host.looks(3)
    bad = {"health": "unsynchronized", "synchronized": False, "source": None, "stratum": 16, "peers": []}
    assert [tag for tag, _, _ in host.looks(2, **bad)] == ["health", "source"]


def test_an_event_says_what_a_reactor_needs():
    host = Host()
    host.looks(3)
    host.status.update(DOWN, problems=[{"code": "daemon-stopped", "message": "", "remedy": ""}])
    for _ in range(2):
        host.now += 10
        events = beacon.look(host.memory, host.settings, host.status, host.now)
    assert events[0]["codes"] == ["daemon-stopped"]
    assert set(events[0]) == {"tag", "what", "old", "new", "health", "tier", "source", "stratum", "offset_ms", "codes"}


@pytest.mark.parametrize(
    "config",
    [
        {},
        "x",
        [1],
        [{"confirm": 0}],
        [{"confirm": 1.5}],
        [{"offset_ms": "many"}],
        [{"calm": 2}],
        [{"grace": -1}],
        [{"grace": True}],
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_reason(config):
    good, reason = beacon.validate(config)
    assert not good and reason


@pytest.mark.parametrize(
    "config", [[], [{"interval": 60}], [{"confirm": 3}, {"offset_ms": 5}, {"_beacon_name": "ntpcluster"}]]
)
def test_sensible_settings_are_accepted(config):
    assert beacon.validate(config)[0]
