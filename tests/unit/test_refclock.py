"""Reference clocks: their lines for either daemon, what is refused, and the judgement of a host that follows one. There is no
real device."""

import copy

import pytest

from _modules import ntpcluster_build, ntpcluster_misfits
from tests.unit.pillars import DEFAULTS, PLATFORMS, judge
from tests.unit.test_judge import codes, row
from tests.unit.test_judge import judge as judged
from tests.unit.test_plan import host

SHM = {"refclock": "shm", "unit": 1, "offset": 0.12, "refid": "SAT", "stratum": 2, "prefer": True}
NMEA = {"refclock": "nmea", "mode": 17, "flags": [1, 3]}


def pillar(*sources):
    return {"tiers": {"server": {"match": "*", "sources": list(sources)}}}


def plan(*sources, platform="RedHat-6"):
    entry = dict(PLATFORMS[platform], name=platform)
    given = pillar(*sources)
    return ntpcluster_build.build(given, DEFAULTS, entry, host("ntp1", pillar=given))


@pytest.mark.parametrize(
    ("clock", "lines", "names"),
    [
        (SHM, ["server 127.127.28.1 prefer", "fudge 127.127.28.1 time1 0.120000 stratum 2 refid SAT"],
         ["127.127.28.1", "SHM(1)"]),
        (NMEA, ["server 127.127.20.0 mode 17", "fudge 127.127.20.0 refid GPS flag1 1 flag3 1"], ["127.127.20.0", "NMEA(0)"]),
        ({"refclock": "pps", "noselect": True}, ["server 127.127.22.0 noselect", "fudge 127.127.22.0 refid PPS"],
         ["127.127.22.0", "PPS(0)"]),
        ({"refclock": "127.127.8.0"}, ["server 127.127.8.0"], ["127.127.8.0"]),
    ],
    ids=["shm", "nmea", "pps", "a number"],
)  # fmt: skip
def test_a_clock_of_ntpd_has_a_line_and_its_fudge(clock, lines, names):
    made = plan(clock, "192.0.2.1")
    assert made["refclocks"] == [{"lines": lines, "names": names}]
    # It is not queried by packets: not for a step, and no access rule admits it.
    assert [source["address"] for source in made["sources"]] == made["step_by"] == made["step_tickers"] == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("clock", "line", "name"),
    [
        (SHM, "refclock SHM 1 refid SAT offset 0.120000 stratum 2 prefer", "SAT"),
        ({"refclock": "pps"}, "refclock PPS /dev/pps0 refid PPS", "PPS"),
        ({"refclock": "phc", "path": "/dev/ptp0"}, "refclock PHC /dev/ptp0 refid PHC", "PHC"),
        ({"refclock": "sock", "path": "/run/gps.sock"}, "refclock SOCK /run/gps.sock refid GPS", "GPS"),
    ],
    ids=["shm", "pps", "phc", "sock"],
)
def test_a_clock_of_chrony_has_one_line(clock, line, name):
    assert plan(clock, platform="RedHat-9")["refclocks"] == [{"lines": [line], "names": [name]}]


@pytest.mark.parametrize(
    ("clock", "key", "words"),
    [
        ({"refclock": "gps"}, "refclock", "one of nmea, phc, pps, shm, sock"),
        ({"refclock": "127.127.1.0"}, "refclock", "but the local clock's"),
        ({"refclock": "shm", "unit": 256}, "unit", "a whole number from 0 to 255"),
        ({"refclock": "shm", "offset": "0.1"}, "offset", "a number of seconds"),
        ({"refclock": "shm", "refid": "G PS"}, "refid", "up to four capital letters"),
        ({"refclock": "shm", "stratum": 15}, "stratum", "from 0 to 14"),
        ({"refclock": "nmea", "flags": [5]}, "flags:0", "from 1 to 4"),
        ({"refclock": "nmea", "minpoll": 4}, "minpoll", "is not a known key"),
        ({"refclock": "phc"}, "path", "is needed beside `refclock: phc`"),
        ({"refclock": "shm", "path": "/dev/shm"}, "path", "is for phc and sock"),
        ({"refclock": "127.127.8.0", "unit": 1}, "unit", "is for nmea, pps and shm"),
        ({"refclock": "sock", "path": "run/x"}, "path", "an absolute path"),
        ({"refclock": "shm", "prefer": True, "noselect": True}, "noselect", "cannot stand beside `prefer`"),
    ],
)
def test_a_mistake_is_reported_at_its_key(clock, key, words):
    found = [one for one in judge(pillar(clock)) if one["level"] == "error"]
    assert [
        one["message"] for one in found if one["key"] == f"ntp:tiers:server:sources:0:{key}" and words in one["message"]
    ]


def test_a_clock_is_not_a_server_and_the_message_says_what_to_write():
    (found,) = [one for one in judge(pillar("127.127.20.0")) if one["level"] == "error"]
    assert "write {refclock: ...}" in found["message"] and "orphan" not in found["message"]


@pytest.mark.parametrize(
    ("platform", "clock"),
    [
        ("RedHat-9", {"refclock": "nmea"}),
        ("RedHat-9", {"refclock": "127.127.8.0"}),
        ("RedHat-9", {"refclock": "shm", "mode": 1}),
        ("RedHat-6", {"refclock": "phc", "path": "/dev/ptp0"}),
    ],
)
def test_a_clock_that_the_hosts_daemon_does_not_support_is_refused(platform, clock):
    given = pillar(clock, "192.0.2.1")
    entry = dict(PLATFORMS[platform], name=platform)
    found = ntpcluster_misfits.doubts(given, DEFAULTS, entry, host("ntp1", pillar=given))
    assert ("ntp:tiers:server:sources:0:refclock", "error") in [(one["key"], one["level"]) for one in found]


def test_a_clock_alone_is_enough_for_a_daemon_and_not_for_a_crontab():
    def errors(given):
        entry = dict(PLATFORMS["RedHat-6"], name="RedHat-6")
        return [
            one
            for one in ntpcluster_misfits.doubts(given, DEFAULTS, entry, host("n", pillar=given))
            if one["level"] == "error"
        ]

    assert errors(pillar(SHM)) == []
    by_cron = copy.deepcopy(pillar(SHM))
    by_cron["method"] = "cron"
    assert errors(by_cron) != []


@pytest.mark.parametrize(
    ("platform", "name"), [("RedHat-6", "127.127.28.1"), ("Debian-12", "SHM(1)"), ("RedHat-9", "SAT")]
)
def test_a_host_that_follows_its_planned_clock_is_ok(platform, name):
    def change(_, look):
        clock = row(name, "system_peer", refid=".SAT.", stratum=0, type="l")
        look["peers"] = [dict(clock, address=name if name[0].isdigit() else None), row("192.0.2.1", "candidate")]
        look["system"].update(stratum=1, refid="SAT")

    verdict = judged(plan(SHM, "192.0.2.1", platform=platform), change)
    assert (verdict["health"], codes(verdict), verdict["source"]) == ("ok", [], name)
    # A clock that is not planned, and a planned one that the daemon does not have.
    assert "not-listed" in codes(judged(plan("192.0.2.1", platform=platform), change))
    both = plan(SHM, {"refclock": "pps"}, "192.0.2.1", platform=platform)
    assert "not-listed" in codes(judged(both, change))
