"""Drill 11: clocks that are far off, before the daemon starts and while it runs; hosts with a date after 2036.

The lab's clock counts the steps; the time is read from outside.
"""

from __future__ import annotations

import time

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import INTERNET, failed, wait_until
from tests.lab.drilling import daemons, follows, heard, service, sources, table, timed
from tests.lab.solo import call, codes
from tests.lab.test_traps import PROCESS

PILLAR = {
    "tiers": {
        "server": {"match": "*", "sources": sources(*INTERNET), "addresses": ["10.0.0.60"], "serves": ["10.0.0.0/25"]}
    },
    "sync": {"timeout": 60},
    "health": {"settle": 12},
}
YEAR = 365.25 * 86400
#: 2036-02-07 06:28:16 UTC: the 32 bits of NTP's seconds wrap to 0.
ROLLOVER = 2**32 - 2208988800

OFF = {
    "just beyond the panic limit": 1000.1,
    "eighteen minutes slow": -1114.672613,
    "a century of milliseconds": 0.2,
    "8.7 years slow": -274474780.0,
    "5 years fast": 5 * YEAR,
    "a clock that starts in 1970": None,
}


@pytest.fixture(scope="module")
def host(kind):
    with drilling.server(kind, PILLAR) as made:
        yield made


@pytest.mark.parametrize("off", OFF)
def test_a_clock_that_is_off_is_correct_after_one_apply(host, off):
    service(host, "stop").check()
    if OFF[off] is None:
        host.time.set(epoch=86400.0)
    else:
        host.set_clock(OFF[off])
    host.set_rtc(host.clock_error())
    steps = host.time.counters["steps"]
    began = time.monotonic()
    done = solo.apply(host)
    print(f"{host.platform}: {off}: {time.monotonic() - began:.1f} s, now {host.clock_error() * 1000:+.3f} ms")
    assert failed(done) == []
    assert host.time.counters["steps"] == steps + 1
    assert abs(host.rtc_error()) < 2
    drilling.whole(host, host.belongings)


def test_a_clock_beyond_2036_is_corrected_as_far_as_the_programs_can(host):
    """Classic ntp uses the era nearest to its own clock and recovers; ntpsec 1.2.2's ntpdig cannot read such a time."""
    service(host, "stop").check()
    host.time.set(epoch=ROLLOVER + 3 * YEAR)
    done = solo.apply(host)
    red = {s["__id__"]: s["comment"] for s in done if s["result"] is False}
    print(f"{host.platform}: {red}, now {host.clock_error():+.3f} s")
    assert drilling.stopped(host) == [] or "ntp-is-running" in red
    if red:
        assert drilling.wrong_clock(host), "red, although the clock is right"
        host.set_clock(0)
        service(host, "stop")
        assert failed(solo.apply(host)) == []
    drilling.whole(host, host.belongings)


def settled(host):
    """
    Wait until the host is synchronized and, with chronyd, every source has answered eight times.

    In its first three updates chronyd steps the clock by itself (makestep). With a clock that is set just then it first steps back
    and then, from samples of both times, seconds too far: that is another fault than the one that is drilled here.
    """
    assert wait_until(lambda: follows(host) and call(host, "ntpcluster.status")["synchronized"], 120, 1), table(host)
    if PROCESS[host.platform] == "chronyd":
        assert wait_until(lambda: heard(host, 8) == len(INTERNET), 120, 1), table(host)


def problems(host) -> list[str]:
    """The codes of `status`, if the host is not synchronized."""
    seen = call(host, "ntpcluster.status")
    return [] if seen["synchronized"] else codes(seen["problems"])


@pytest.mark.beyond_the_bound("somebody sets the clock behind the daemon's back: no daemon knows before its next poll")
@pytest.mark.parametrize("jump", [-5.0, 5.0, -400.0])
def test_a_clock_that_somebody_sets_while_the_daemon_runs_is_detected_and_corrected(host, jump):
    settled(host)
    host.run(["date", "-s", f"@{host.clock() + jump:.3f}"]).check()
    # A status that is `incomplete` says nothing about the clock. It was seen once, 1.7 s after the jump, and is not the detection.
    noticed = timed(lambda: problems(host) not in ([], ["incomplete"]), 60)
    seen = call(host, "ntpcluster.status")
    assert not seen["synchronized"], seen["problems"]
    done = solo.apply(host)
    print(f"{host.platform}: set by {jump:+g} s, noticed after {noticed:.1f} s ({codes(seen['problems'])}), "
          f"after the apply {host.clock_error() * 1000:+.3f} ms")  # fmt: skip
    assert failed(done) == []
    drilling.whole(host, host.belongings)


@pytest.mark.beyond_the_bound("somebody sets the clock behind the daemon's back: no daemon knows before its next poll")
def test_a_jump_beyond_the_panic_limit_is_detected_and_an_apply_corrects_it(host):
    """Classic ntpd exits when its clock is suddenly more than 1000 s off: it cannot know which side is wrong."""
    settled(host)
    host.run(["date", "-s", f"@{host.clock() + 1000.1:.3f}"]).check()
    noticed = timed(lambda: not call(host, "ntpcluster.status")["synchronized"], 90)
    if host.platform == "el6":
        noticed += timed(lambda: not daemons(host), 90)
        assert call(host, "ntpcluster.status")["health"] == "stopped"
    else:
        wait_until(lambda: "panic" in codes(call(host, "ntpcluster.status")["problems"]), 40, 1)
    seen = call(host, "ntpcluster.status")
    print(
        f"{host.platform}: after {noticed:.0f} s {seen['health']}, {codes(seen['problems'])}; {len(daemons(host))} daemons"
    )
    assert failed(solo.apply(host)) == []
    drilling.whole(host, host.belongings)


def test_a_server_that_jumps_while_clients_run_does_not_move_them_at_once(host):
    """One of three upstream servers steps back: its followers switch to the others and never follow the step."""
    wait_until(lambda: follows(host) and call(host, "ntpcluster.status")["synchronized"], 60, 1)
    leader = follows(host)
    with drilling.Watch(host) as watch:
        host.lab.internet.behave(leader, offset=-30.0)
        seconds = timed(lambda: follows(host) and table(host)[leader][0] in "x -?~", 150)
    print(
        f"{host.platform}: left the server that stepped back by 30 s after {seconds:.0f} s; moved {watch.moved(host) * 1000:.3f} ms"
    )
    assert watch.moved(host) < drilling.STILL_S
    host.lab.internet.behave()
    assert failed(solo.apply(host)) == []
    drilling.whole(host, host.belongings)
