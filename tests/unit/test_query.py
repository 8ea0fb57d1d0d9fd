"""Answers of NTP servers, byte by byte."""

import math
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from salt.exceptions import SaltInvocationError

from _modules import ntpcluster_query
from tests.lab.upstream import HONEST, answer
from tests.loaded import FUNCTIONS

NONCE = b"12345678"
REQUEST = struct.pack("!B39x", 0x23) + NONCE
NOW = 1795000000.0


def read(packet, sent=NOW, trip=0.02):
    return ntpcluster_query.read_answer(packet, NONCE, sent, trip)


def made(**how):
    return answer(REQUEST, NOW + 0.01, {**HONEST, **how})


def packet(received, transmitted, stratum=2, first=0x24):
    def stamp(seconds):
        seconds += ntpcluster_query.NTP_EPOCH
        return struct.pack("!II", int(seconds) % 2**32, int(seconds % 1 * 2**32))

    return (
        struct.pack("!BBbbII4s8x", first, stratum, 6, -20, 0, 0, bytes([10, 0, 0, 1]))
        + NONCE
        + stamp(received)
        + stamp(transmitted)
    )


def test_offset_and_delay_are_those_of_the_four_stamps():
    seen = read(packet(NOW + 5.01, NOW + 5.012))
    assert seen["offset_s"] == pytest.approx(5.001, abs=1e-5)
    assert seen["delay_s"] == pytest.approx(0.018, abs=1e-5)
    assert (seen["stratum"], seen["leap"], seen["refid"], seen["kiss"]) == (2, "none", "10.0.0.1", None)


@pytest.mark.parametrize("code", ["DENY", "RATE", "RSTR"])
def test_a_kiss_code_is_not_a_time(code):
    seen = read(made(kiss=code))
    assert (seen["kiss"], seen["offset_s"], seen["reachable"]) == (code, None, True)


def test_a_server_without_time_gives_no_offset():
    assert read(made(stratum=16))["offset_s"] is None
    assert read(made(leap=3, stratum=2))["offset_s"] is None


@pytest.mark.parametrize(
    "spoil", [lambda p: p[:47], lambda p: b"", lambda p: p[:24] + b"87654321" + p[32:], lambda p: b"\x23" + p[1:]]
)
def test_a_packet_that_does_not_answer_this_request_is_none(spoil):
    assert read(spoil(made())) is None


@pytest.mark.parametrize("year", [2000.5, 2026.9, 2036.0, 2036.2, 2100.0, 2135.0])
@pytest.mark.parametrize("local", [0.0, 1520862120.0, NOW, 4.0e9])
def test_the_era_does_not_depend_on_the_local_clock(year, local):
    true = (year - 1970) * 365.2425 * 86400
    seen = read(packet(true, true), sent=local, trip=0.0)
    assert seen["offset_s"] == pytest.approx(true - local, abs=1e-3)


def test_random_bytes_are_never_more_than_no_answer():
    import random

    dice = random.Random(4)
    for _ in range(20000):
        noise = bytes(dice.randrange(256) for _ in range(dice.randrange(80)))
        assert read(noise) is None
        if len(noise) >= 48:
            seen = read(noise[:24] + NONCE + noise[32:])
            assert seen is None or seen["reachable"]


class Monitor:
    """
    The state of one client on a server with `limited`: a model of ntp_monitor(), in ntp_monitor.c, in seconds. 4.2.8 rounds the
    interval; 4.2.6 counts the ticks of its own clock, which is `early` or late by part of a second.
    """

    def __init__(self, early=None):
        self.last, self.leak, self.refused, self.early = float("-inf"), 0, 0, early

    def packet(self, now):
        now = now if self.early is None else math.floor(now + self.early)
        interval, self.last = int(now - self.last + 0.5) if self.leak else 10**6, now
        self.leak = max(0, self.leak - interval)
        if interval + 1 >= 2 and self.leak + 8 < 64:
            self.leak += 8 - 2
            return
        self.refused += 1
        if self.leak < 64:
            self.leak = 64 + 8


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """A clock that advances with each sleep, and a separate packet counter for this host."""
    monkeypatch.setattr(ntpcluster_query, "ACCOUNT", str(tmp_path / "asked"))
    now = [1000.0]
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.monotonic", lambda: now[0])
    monkeypatch.setattr(ntpcluster_query, "__context__", {}, raising=False)
    monkeypatch.setattr(ntpcluster_query.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def begin_anew():
    ntpcluster_query.__context__.clear()
    Path(ntpcluster_query.ACCOUNT).unlink(missing_ok=True)


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 8]), st.sampled_from([0, 0.2, 1]), st.floats(0, 20)), max_size=40),
    st.none() | st.floats(0, 1),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_packets_at_our_pace_are_never_too_many(clock, turns, early):
    begin_anew()
    server = Monitor(early)
    for packets, first, pause in turns:
        ntpcluster_query.pace(packets, first)
        for number in range(packets):
            clock[0] += 2 if number else first
            server.packet(clock[0])
        ntpcluster_query.asked(packets)
        clock[0] += pause
    assert server.refused == 0


def test_after_a_refusal_the_pace_is_such_that_the_server_answers_again(clock):
    server = Monitor()
    for _ in range(100):
        server.packet(clock[0])
        clock[0] += 1
    assert server.refused > 20
    ntpcluster_query.asked(refused=True)
    before = server.refused
    ntpcluster_query.pace()
    server.packet(clock[0])
    assert server.refused == before


def test_the_next_process_knows_what_this_one_has_sent(clock):
    ntpcluster_query.asked(refused=True)
    ntpcluster_query.__context__.clear()
    before = clock[0]
    ntpcluster_query.pace()
    assert clock[0] - before == pytest.approx(72 - 55, abs=1)


@pytest.mark.parametrize("left", ["", "x y", "1", "99999999 72", "nan nan"])
def test_a_counter_that_is_unreadable_or_from_another_boot_is_ignored(clock, left):
    Path(ntpcluster_query.ACCOUNT).write_text(left)
    before = clock[0]
    ntpcluster_query.pace()
    assert clock[0] == before


def test_without_write_access_this_process_keeps_the_counter(clock, monkeypatch):
    monkeypatch.setattr(ntpcluster_query, "ACCOUNT", "/proc/version")
    ntpcluster_query.asked()
    before = clock[0]
    ntpcluster_query.pace()
    assert clock[0] - before == pytest.approx(ntpcluster_query.PACE_S)


def test_a_packet_that_was_rejected_is_not_counted(clock):
    """Nothing listens at this loopback address: the kernel reports it, like a host without a daemon or a REJECT rule."""
    ntpcluster_query.asked(2)
    before = ntpcluster_query.pause(10)
    for _ in range(20):
        assert not ntpcluster_query.query(["127.0.0.254"], timeout=5)["servers"][0]["reachable"]
    assert ntpcluster_query.pause(10) == max(ntpcluster_query.PACE_S, before)


@pytest.mark.parametrize("answers", [[None, None], [False, None], [None, {"delay_s": None, "reachable": True}]])
def test_a_packet_that_some_server_may_have_counted_is_counted(clock, monkeypatch, answers):
    monkeypatch.setattr(ntpcluster_query, "_exchange", lambda addresses, timeout: answers)
    for _ in range(10):
        ntpcluster_query.query(["192.0.2.1", "192.0.2.2"])
    assert ntpcluster_query.pause(10) > 20


def test_a_kernel_without_ipv6_is_like_a_server_without_a_route(clock, monkeypatch):
    def refuse(*_):
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(ntpcluster_query.socket, "socket", refuse)
    assert [one["reachable"] for one in ntpcluster_query.query(["2001:db8::1"])["servers"]] == [False]


@pytest.mark.parametrize("samples", [0, 0.5, 9, True, "2"])
def test_an_invalid_number_of_packets_is_refused(clock, samples):
    with pytest.raises(SaltInvocationError, match="samples: .* is not a number from 1 to 8"):
        ntpcluster_query.query(["10.0.0.1"], samples=samples)


def test_a_name_that_does_not_resolve_has_a_message(clock, monkeypatch):
    """Stand-ins: a resolver that knows no names, and a network that rejects all packets."""
    monkeypatch.setitem(
        FUNCTIONS, "ntpcluster_program.run", lambda *words, **_: {"retcode": 2, "stdout": "", "stderr": ""}
    )
    monkeypatch.setattr(ntpcluster_query, "_ask", lambda address: None)
    unknown, silent = ntpcluster_query.query(["ntp1.exmaple", "192.0.2.1"])["servers"]
    assert (unknown["address"], unknown["reachable"]) == (None, False)
    assert unknown["message"].startswith("ntp1.exmaple does not resolve")
    assert (silent["address"], silent["message"]) == ("192.0.2.1", None)
