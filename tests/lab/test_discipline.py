"""Daemons in virtual time behave as in real time: what the figures of docs/discipline.md stand on."""

from __future__ import annotations

import pytest

from tests.bench.discipline.daemons import DAEMONS, SERVERS, World, live
from tests.lab.cluster import ready

NTPD, NTPSEC, CHRONY = DAEMONS[:3]
#: Polls of 8 s, as in the drills.
POLLS = (3, 3)
POLL_S = 8
DIED_S = 1203.0


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    ready(kinds=("el6", "modern"))
    return tmp_path_factory.mktemp("discipline")


@pytest.fixture(scope="module", params=(NTPD, NTPSEC, CHRONY), ids=lambda daemon: daemon.name)
def life(request, work):
    """One client whose preferred server dies after twenty minutes; its oscillator is constant."""
    world = World(seed=1, end_s=DIED_S + 1200, dead_s=DIED_S, wander_ppb=0)
    return request.param, live(request.param, world, POLLS, work)


def test_a_burst_at_the_start_makes_the_daemon_follow_within_seconds(life):
    daemon, lived = life
    second, address = lived.followed[0]
    # ntpd takes four samples two seconds apart (7 s in the lab), chronyd three.
    assert address == SERVERS[0]
    assert second == pytest.approx(4 if daemon.is_chrony else 7, abs=1)


def test_it_asks_each_server_at_its_poll_interval(life):
    _, lived = life
    for number in (1, 2):
        asked = [second for second, server in lived.asked if server == number and 600 <= second < 1200]
        assert len(asked) == pytest.approx(600 / POLL_S, abs=2)


def test_it_holds_the_clock_as_well_as_the_network_allows(life):
    _, lived = life
    errors = [abs(error) for second, error in lived.clock if 900 <= second < DIED_S]
    # A packet's offset is wrong by half the difference of its two ways: 35 us on average, 0.5 ms in a queue.
    assert 1e-7 < max(errors) < 60e-6
    assert lived.steps == 0


def test_a_dead_server_is_left_as_late_as_in_real_time(life):
    daemon, lived = life
    second, address = next(one for one in lived.followed if one[0] >= DIED_S)
    assert address == SERVERS[1]
    # ntpd: eight polls until the reach is 0, then at worst the second server's best sample is the oldest of eight
    # (test_drills_failover.py). chronyd: until its newest sample is older than the oldest of the others, of which it keeps
    # 64 (MAX_SAMPLES in sourcestats.c); it had as many, as its clock is quiet.
    low, high = (56, 66) if daemon.is_chrony else (6, 20)
    assert low * POLL_S <= second - DIED_S <= high * POLL_S
