"""A lab host's clock: real programs read, set, slew and discipline it, and the machine's clock never moves."""

from __future__ import annotations

import ctypes
import errno
import json
import re
import struct
import subprocess
import textwrap
import time

import pytest

from tests.lab.clock import LIBRARY, Clock
from tests.lab.clock import clock as clock_module
from tests.lab.clock.inside import build, in_host, machine_clock_unmoved, program, python, run
from tests.lab.clock.libc import STA_NANO, STA_PLL, STA_UNSYNC, TIME_ERROR, TIME_OK

YEAR = 365 * 86400.0


@pytest.fixture(scope="module", autouse=True)
def _machine():
    build()
    with machine_clock_unmoved():
        yield


@pytest.fixture
def state(tmp_path):
    return tmp_path / "clock"


# ---- reading --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-8 * YEAR, 0.25, 5 * YEAR], ids=["past", "near", "future"])
def test_every_call_that_tells_the_time_tells_the_hosts(state, offset):
    clock = Clock.create(state, offset_s=offset)
    before = clock.now()
    answers = python(state, "result = readings()")
    after = clock.now()
    for call, seconds in answers.items():
        whole = 1 if call in ("time", "ntp_gettime") else 0.000001  # these two drop the fraction
        assert before - whole <= seconds <= after, call


def test_programs_of_the_machine_see_the_hosts_time(state):
    Clock.create(state, epoch=1520862120)  # 2018-03-12 13:42:00
    assert run(state, "date", "+%F %H:%M").stdout == "2018-03-12 13:42\n"
    assert run(state, "bash", "-c", "printf '%(%F)T' -1").stdout == "2018-03-12"


def test_the_international_atomic_time_follows_the_hosts_clock(state):
    clock = Clock.create(state, offset_s=-YEAR)
    tai = python(state, "adjtimex(modes=0x80, constant=37); result = time.clock_gettime(time.CLOCK_TAI)")
    assert tai == pytest.approx(clock.now() + 37, abs=5)


def test_a_clock_beyond_2038_works(state):
    clock = Clock.create(state, epoch=2**31 + 5, rtc_epoch=2**31 + 5)
    seconds, rtc = python(state, "time.clock_settime(0, time.time() + 100); result = int(time.time()), rtc_read()")
    assert 2**31 + 105 <= seconds <= clock.now()
    assert 2**31 + 5 <= rtc <= clock.rtc_now()


def test_a_packet_is_stamped_by_the_hosts_clock(state):
    clock = Clock.create(state, offset_s=-8 * YEAR)
    before = clock.now()
    stamps = python(
        state,
        """
        import struct
        result = []
        for option, unit in (29, 1e6), (35, 1e9):  # SO_TIMESTAMP, SO_TIMESTAMPNS
            receiver, sender = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
            receiver.bind(("127.0.0.1", 0))
            receiver.setsockopt(socket.SOL_SOCKET, option, 1)
            sender.sendto(b"?", receiver.getsockname())
            time.sleep(0.02)
            (level, kind, data), = receiver.recvmsg(1, 64)[1]
            seconds, fraction = struct.unpack("ll", data)
            result.append([seconds + fraction / unit, time.time()])
        """,
    )
    for stamped, received in stamps:
        assert before < stamped < received
        assert received - stamped == pytest.approx(0.02, abs=0.5)
        assert received - stamped >= 0.0199


# ---- stepping -------------------------------------------------------------------------------------------


def test_a_program_steps_the_clock_and_is_counted(state):
    clock = Clock.create(state, offset_s=-8 * YEAR)
    wanted = time.time()
    assert run(state, "date", "-s", f"@{wanted:.6f}").returncode == 0
    assert -5 < clock.error() < 0  # date(1) needs a moment to start
    assert clock.counters == {"steps": 1, "adjtimes": 0, "pll_updates": 0, "rtc_sets": 0}


def test_an_offset_is_injected_exactly(state):
    clock = Clock.create(state, offset_s=-100)
    python(state, "adjtimex(modes=ADJ_SETOFFSET, seconds=-2, fraction=250000)")
    assert clock.error() == pytest.approx(-101.75, abs=1e-5)
    python(state, "adjtimex(modes=ADJ_SETOFFSET | ADJ_NANO, seconds=101, fraction=750000001)")
    assert clock.error() == pytest.approx(0, abs=1e-5)
    assert clock.counters["steps"] == 2


def test_a_zero_step_by_which_chronyd_tries_the_call_is_not_counted(state):
    clock = Clock.create(state, offset_s=-100)
    status = python(state, "adjtimex(modes=ADJ_SETOFFSET); result = adjtimex()[0]")
    assert status == TIME_ERROR
    assert clock.error() == pytest.approx(-100, abs=1e-5)
    assert clock.counters["steps"] == 0


def test_a_step_voids_a_slew_but_keeps_the_frequency(state):
    clock = Clock.create(state)
    left, status = python(
        state,
        """
        adjtimex(modes=ADJ_FREQUENCY | ADJ_STATUS, freq=100 << 16, status=0)
        adjtime(0.3)
        time.clock_settime(time.CLOCK_REALTIME, time.time() + 50)
        result = adjtime(), adjtimex()[0]
        """,
    )
    assert left == 0
    assert status == TIME_ERROR  # after a step, the status has to be set to synchronised again
    assert clock.frequency_ppm == 100
    assert clock.error() == pytest.approx(50, abs=0.01)


def test_a_setting_that_the_kernel_would_refuse_is_refused(state):
    clock = Clock.create(state)
    answers = python(
        state,
        """
        result = [
            refusal(time.clock_settime, time.CLOCK_MONOTONIC, 5),
            refusal(time.clock_settime, time.CLOCK_REALTIME, -5),
            refusal(call, "clock_settime", 0, Timespec(5, 10**9)),
            refusal(call, "settimeofday", Timespec(5, 10**6), None),
            refusal(adjtimex, modes=ADJ_TICK, tick=8999),
            refusal(adjtimex, modes=ADJ_SETOFFSET, seconds=1, fraction=10**6),
            refusal(adjtimex, modes=0x8000),
            refusal(adjtime, 2200),
        ]
        """,
    )
    assert answers == [errno.EINVAL] * 8
    assert clock.error() == pytest.approx(0, abs=1e-5)


# ---- slewing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1], ids=["forward", "back"])
def test_adjtime_slews_by_500_ppm(state, sign):
    clock = Clock.create(state)
    python(state, f"adjtime({sign * 0.01})")
    start, error = time.monotonic(), clock.error()
    time.sleep(0.2)
    assert clock.error() - error == pytest.approx(sign * 500e-6 * (time.monotonic() - start), abs=5e-6)
    assert clock.counters["adjtimes"] == 1
    left = python(state, "result = adjtime(), adjtime(0.000001), adjtime()")
    assert left[0] == pytest.approx(sign * 0.01 - clock.error(), abs=3e-6)
    assert left[2] == pytest.approx(0.000001, abs=2e-6)


def test_a_slew_ends_when_it_is_done(state):
    clock = Clock.create(state)
    python(state, "adjtime(0.00005)")  # 0.1 s worth
    time.sleep(0.15)
    assert clock.error() == pytest.approx(50e-6, abs=1e-6)


def test_oscillator_and_frequency_and_tick_add_up(state):
    clock = Clock.create(state, hw_ppm=350)
    python(state, "adjtimex(modes=ADJ_FREQUENCY | ADJ_TICK, freq=-(150 << 16), tick=10001)")
    assert clock.frequency_ppm == -150
    start, error = time.monotonic(), clock.error()
    time.sleep(0.2)
    assert clock.error() - error == pytest.approx((350 - 150 + 100) * 1e-6 * (time.monotonic() - start), abs=5e-6)


def test_the_frequency_stops_at_500_ppm(state):
    clock = Clock.create(state)
    python(state, "adjtimex(modes=ADJ_FREQUENCY, freq=-(900 << 16))")
    assert clock.frequency_ppm == -500


# ---- the kernel's discipline ----------------------------------------------------------------------------


def advanced(state, seconds):
    clock_module._library().labclock_advance(state, state.mono_ns + round(seconds * 1e9))
    return state


def fresh(**fields):
    state = clock_module._State()
    clock_module._library().labclock_reset(state)
    for name, value in fields.items():
        setattr(state, name, value)
    return state


@pytest.mark.parametrize("constant", [0, 2, 6, 10])
@pytest.mark.parametrize("seconds", [1, 2, 63, 3600])
def test_the_clock_moves_as_the_kernel_moves_it_second_by_second(constant, seconds):
    # second_overflow() of kernel/time/ntp.c, in whole nanoseconds.
    offset, adjust, clock = 80_000_000, -123_456_789, 0
    for _ in range(seconds):
        share = offset >> (2 + constant)
        offset -= share
        tick = max(adjust, -500_000)
        adjust -= tick
        clock += 1_000_000_000 + 37_500 + share + tick

    state = advanced(fresh(freq_ppm=37.5, constant=constant, offset_ns=80e6, adjust_ns=-123_456_789), seconds)
    assert state.virt_ns == pytest.approx(clock, abs=seconds + 1)  # the kernel's shifts round down
    assert state.adjust_ns == pytest.approx(adjust, abs=1e-3)


def test_many_small_advances_come_to_one_large_one():
    many, one = fresh(hw_ppm=0.3), fresh(hw_ppm=0.3)
    for _ in range(10_000):
        advanced(many, 0.001)
    assert abs(many.virt_ns - advanced(one, 10).virt_ns) <= 1


def test_a_pll_offset_is_slewed_away(state):
    clock = Clock.create(state)
    python(
        state,
        """
        adjtimex(modes=ADJ_STATUS | ADJ_NANO, status=STA_PLL)
        adjtimex(modes=ADJ_TIMECONST, constant=0)
        adjtimex(modes=ADJ_OFFSET, offset=4000000)
        """,
    )
    start, error = time.monotonic(), clock.error()
    time.sleep(0.2)
    # A quarter of 4 ms in the first second; 0.05 s of it may have passed before the reading.
    assert clock.error() - error == pytest.approx(0.001 * (time.monotonic() - start), rel=0.1)
    assert clock.counters == {"steps": 0, "adjtimes": 0, "pll_updates": 1, "rtc_sets": 0}


# Between two offsets of 1 ms: the PLL learns offset * interval / 2^20 at constant 6, with the interval cut at
# 512 s; from 2048 s on the FLL adds offset / (4 * interval).
@pytest.mark.parametrize("interval,ppm", [(100, 1000 * 100 / 2**20), (4000, 1000 * 512 / 2**20 + 1000 / 16000)])
def test_the_discipline_learns_the_frequency(state, interval, ppm):
    clock = Clock.create(state)
    python(state, "adjtimex(modes=ADJ_STATUS | ADJ_TIMECONST, status=STA_PLL, constant=2)")
    clock.set(offset_s=interval)
    python(state, "adjtimex(modes=ADJ_OFFSET, offset=1000); adjtimex(modes=ADJ_OFFSET, offset=1000)")
    assert clock.frequency_ppm == pytest.approx(ppm, rel=0.025)  # the second call changes nothing


def test_an_offset_without_the_pll_is_ignored(state):
    clock = Clock.create(state)
    python(state, "adjtimex(modes=ADJ_OFFSET, offset=1000)")
    assert clock.error() == pytest.approx(0, abs=1e-6)
    assert clock.counters["pll_updates"] == 0


def test_turning_the_pll_off_takes_the_nanoseconds_with_it(state):
    Clock.create(state)
    answers = python(
        state,
        """
        adjtimex(modes=ADJ_STATUS | ADJ_NANO, status=STA_PLL)
        result = [adjtimex()[1].status, adjtimex(modes=ADJ_STATUS, status=0)[1].status]
        """,
    )
    assert [status & STA_NANO for status in answers] == [STA_NANO, 0]


def test_a_clock_that_is_not_updated_becomes_unsynchronised():
    state = advanced(fresh(status=STA_PLL, maxerror_us=0), 1000)
    assert (state.maxerror_us, state.status) == (500_000, STA_PLL)
    assert advanced(state, 31_500).status == STA_PLL | STA_UNSYNC  # as ntp_gettime and timedatectl show it


def test_the_answer_of_adjtimex_tells_whether_the_clock_is_right(state):
    Clock.create(state)
    answers = python(
        state,
        """
        result = [adjtimex()[0],
                  adjtimex("ntp_adjtime", modes=ADJ_STATUS | ADJ_MAXERROR, status=STA_PLL, maxerror=9)[0],
                  call("ntp_gettimex", Timex()),
                  call("clock_adjtime", 0, Timex()),
                  adjtimex()[1].status]
        """,
    )
    assert answers == [TIME_ERROR, TIME_OK, TIME_OK, TIME_OK, STA_PLL]


# ---- who may --------------------------------------------------------------------------------------------

TRY_EVERY_SET = """
result = [
    refusal(time.clock_settime, time.CLOCK_REALTIME, 1e9),
    refusal(call, "settimeofday", Timespec(10**9, 0), None),
    refusal(call, "settimeofday", None, Timespec()),
    refusal(call, "stime", Timespec(10**9, 0)),
    refusal(adjtime, 0.1),
    refusal(adjtimex, modes=ADJ_SETOFFSET, seconds=1),
    refusal(adjtimex, "ntp_adjtime", modes=ADJ_FREQUENCY, freq=5),
]
"""


def test_a_host_that_may_not_set_its_clock_is_refused_everything(state):
    clock = Clock.create(state, can_set=False)
    answers = python(state, TRY_EVERY_SET + "result += [refusal(rtc_set, 10**9), adjtimex()[1].tick]")
    assert answers == [errno.EPERM] * 7 + [errno.EACCES, 10000]
    clock.allow_set(True)
    assert python(state, "result = refusal(adjtime, 0.1), refusal(rtc_set, 10**9)") == [None, None]


def test_only_root_may_set_the_clock(state):
    clock = Clock.create(state)
    answers = python(
        state,
        "become_nobody()" + TRY_EVERY_SET + "result += [refusal(rtc_read), refusal(capset, CAP_SYS_TIME)]",
    )
    assert answers == [errno.EPERM] * 7 + [errno.EACCES, errno.EPERM]
    assert set(clock.counters.values()) == {0}


def test_a_daemon_may_keep_the_power_to_set_the_clock(state):
    clock = Clock.create(state)
    answer = python(
        state,
        """
        become_nobody(keep=(CAP_SYS_TIME, CAP_NET_BIND_SERVICE))
        time.clock_settime(time.CLOCK_REALTIME, time.time() + 10)
        result = [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")]
        """,
    )
    assert int(answer[0], 16) == 1 << 10  # the kernel was not asked for more than CAP_NET_BIND_SERVICE
    assert clock.error() == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 65536], ids=["absent", "empty", "alien"])
def test_without_a_state_file_the_machines_time_shows_and_nothing_can_be_set(state, content):
    if content is not None:
        state.write_bytes(content)
    host = state if content is not None else None
    now, tick, *refusals = python(
        host,
        TRY_EVERY_SET
        + "result = [time.time(), adjtimex()[1].tick, *result, refusal(fcntl.ioctl, 0, RTC_SET_TIME, bytes(36))]",
    )
    assert now == pytest.approx(time.time(), abs=5)
    assert tick == 10000
    assert refusals == [errno.EPERM] * 8
    assert run(host, "date", "-s", "2020-01-01").returncode == 1


# ---- waiting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-8 * YEAR, 5 * YEAR], ids=["past", "future"])
def test_a_wait_until_a_time_of_day_lasts_as_long_as_the_host_expects(state, offset):
    Clock.create(state, offset_s=offset)
    answers = python(
        state,
        """
        calls = ["sem_timedwait", "pthread_cond_timedwait", "clock_nanosleep"]
        result = [wait(name, 0.1) for name in calls] + [wait_monotonic(0.1)], [wait(name, -5) for name in calls]
        """,
    )
    for seconds in answers[0]:
        assert 0.0999 <= seconds < 1
    for seconds in answers[1]:
        assert seconds < 0.1


# ---- many at once ---------------------------------------------------------------------------------------

# Every step is exactly one second forward, so the clock's error must equal the number of steps counted.
FORK = """
def fork(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return child
"""


def test_processes_that_step_and_read_at_once_see_one_clock(state):
    clock = Clock.create(state)
    text = """
    def steps():
        for _ in range(500):
            adjtimex(modes=ADJ_SETOFFSET, seconds=1)
    children, result, last = [fork(steps), fork(steps)], [], time.time()
    while children:
        now = time.time()
        if not 0 <= now - last < 1001:
            result.append([last, now])
        last = now
        children = [child for child in children if os.waitpid(child, os.WNOHANG)[0] == 0]
    """
    with subprocess.Popen(in_host(state, *program(FORK + textwrap.dedent(text))), stdout=-1) as host:
        while host.poll() is None:
            clock.set_rtc(offset_s=9)  # the driver takes part
            time.sleep(0.001)
        assert json.loads(host.stdout.read()) == []  # no reading lay before the one that preceded it
    assert clock.counters["steps"] == 1000
    assert clock.error() == pytest.approx(1000, abs=1e-5)
    assert clock.rtc_error() == pytest.approx(9, abs=1e-5)


def test_a_process_killed_during_a_change_does_not_block_others(state):
    clock = Clock.create(state)
    text = """
    def steps_for_ever():
        while True:
            adjtimex(modes=ADJ_SETOFFSET, seconds=1)
    for _ in range(50):
        child = fork(steps_for_ever)
        time.sleep(random.uniform(0.001, 0.005))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    start = time.monotonic()
    adjtimex(modes=ADJ_SETOFFSET, seconds=1)
    result = time.monotonic() - start
    """
    assert python(state, FORK + textwrap.dedent(text)) < 0.5
    assert clock.counters["steps"] > 50
    assert clock.error() == pytest.approx(clock.counters["steps"], abs=1e-5)


def test_the_tickets_of_killed_processes_never_overwrite_the_current_state(state):
    clock = Clock.create(state, offset_s=5)
    library, late = clock_module._library(), clock_module._State()
    for taken in range(1, 130):  # each time this many processes took a ticket and were killed
        seen = library.labclock_snapshot(clock._shared, late)
        clock.allow_set(True)
        current, tickets = struct.unpack_from("<QQ", clock._map, 8)
        struct.pack_into("<Q", clock._map, 16, tickets + taken)
        late.virt_ns = 0
        assert not library.labclock_commit(clock._shared, seen, late)  # it comes too late
        assert clock.error() == pytest.approx(5, abs=1e-4)
        struct.pack_into("<Q", clock._map, 16, current + 63)  # so that the next ticket belongs to the slot in use
        clock.allow_set(True)
        assert struct.unpack_from("<Q", clock._map, 8)[0] == current + 65


# ---- the driver's side ----------------------------------------------------------------------------------


def test_the_driver_moves_the_clock_unseen(state):
    clock = Clock.create(state, offset_s=-YEAR)
    assert clock.rtc_error() == pytest.approx(-YEAR, abs=1e-5)
    clock.set(offset_s=0.02)
    assert clock.error() == pytest.approx(0.02, abs=1e-5)
    clock.set(epoch=1e9)
    clock.set_rtc(epoch=1.1e9)
    assert clock.now() == pytest.approx(1e9, abs=0.1)
    assert clock.rtc_now() == pytest.approx(1.1e9, abs=0.1)
    assert set(clock.counters.values()) == {0}


def test_a_boot_takes_the_time_from_the_rtc_and_forgets_the_discipline(state):
    clock = Clock.create(state, offset_s=100, rtc_offset_s=-7)
    python(state, "adjtimex(modes=ADJ_FREQUENCY | ADJ_STATUS, freq=1 << 16, status=STA_PLL); adjtime(0.3)")
    clock.boot()
    assert clock.error() == pytest.approx(-7, abs=1e-5)
    assert clock.frequency_ppm == 0
    assert python(state, "result = adjtimex()[1].status, adjtime()") == [STA_UNSYNC, 0]
    assert clock.counters["adjtimes"] == 1


def test_a_boot_without_an_rtc_begins_in_1970(state):
    clock = Clock.create(state, has_rtc=False)
    clock.boot()
    assert 0 <= clock.now() < 1


def test_a_time_and_an_offset_exclude_each_other(state):
    with pytest.raises(ValueError, match="not both"):
        Clock.create(state, epoch=1e9, offset_s=3)


def test_a_file_that_is_not_a_clock_is_refused(state):
    state.write_bytes(b"\0" * clock_module._library().labclock_shared_bytes())
    with pytest.raises(ValueError, match="not a clock"):
        Clock(state)


# ---- the library itself ---------------------------------------------------------------------------------


def test_the_library_loads_into_the_programs_of_old_releases():
    symbols = subprocess.check_output(["readelf", "-W", "--dyn-syms", LIBRARY], text=True)
    imports = set(re.findall(r" UND (\S+)", symbols))
    # The last two are new in glibc 2.30; they are weak symbols, and only programs that wait look them up.
    weak = {"sem_clockwait", "pthread_cond_clockwait"}
    assert imports == {"syscall", "memset", "strcmp", "__errno_location", "_IO_fopen", "fdopen"} | weak
    assert weak == set(re.findall(r" WEAK +DEFAULT +UND (\S+)", symbols))
    assert "@" not in symbols  # so no import has a symbol version

    dynamic = subprocess.check_output(["readelf", "-W", "--dynamic", LIBRARY], text=True)
    assert "NEEDED" not in dynamic
    assert "BIND_NOW" not in dynamic


def test_both_sides_describe_the_same_state():
    assert ctypes.sizeof(clock_module._State) == clock_module._library().labclock_state_bytes()
