"""A lab host's RTC: hwclock reads and sets it, and the driver can break it."""

from __future__ import annotations

import datetime
import errno
import shutil
import subprocess
import textwrap
import time

import pytest

from tests.lab.clock import Clock
from tests.lab.clock.inside import build, in_host, machine_clock_unmoved, program, python, run


@pytest.fixture(scope="module", autouse=True)
def _machine():
    build()
    with machine_clock_unmoved():
        yield


@pytest.fixture
def state(tmp_path):
    return tmp_path / "clock"


def hwclock(state, *arguments):
    """The real program if it exists, else the two calls that it makes."""
    path = shutil.which("hwclock", path="/sbin:/usr/sbin")
    if path:
        return run(state, path, "--utc", "--noadjfile", *arguments)
    read = "print(datetime.datetime.fromtimestamp(rtc_read(), tz=datetime.UTC))"
    return run(state, *program(read if "--show" in arguments else "rtc_set(round(time.time()))"))


def test_hwclock_reads_the_hosts_rtc(state):
    clock = Clock.create(state, rtc_epoch=1520862120)
    shown = datetime.datetime.fromisoformat(hwclock(state, "--show").stdout.splitlines()[0])
    assert 1520862119 < shown.timestamp() <= clock.rtc_now()


def test_hwclock_sets_the_hosts_rtc(state):
    clock = Clock.create(state, offset_s=3600, rtc_epoch=1520862120)
    done = hwclock(state, "--systohc")
    assert done.returncode == 0, done.stderr
    # On a busy machine hwclock misses the middle of the second that it aims at, and then sets the next one.
    assert 3599.5 < clock.rtc_error() < 3601.1
    assert clock.counters == {"steps": 0, "adjtimes": 0, "pll_updates": 0, "rtc_sets": 1}


def test_the_rtc_knows_the_calendar(state):
    clock = Clock.create(state)
    first, last = 0, 4102444800  # 1970 to 2100
    days = {*range(first, last, 11 * 86400 + 86399), 2**31 - 1, 2**31, 951782400, 951868800, 4107542400}
    wrong = python(state, f"result = [s for s in {sorted(days)} if rtc_set(s) or rtc_read() != s]")
    assert wrong == []
    assert clock.counters["rtc_sets"] == len(days)


def test_the_rtc_refuses_invalid_dates(state):
    clock = Clock.create(state)
    answers = python(
        state,
        """
        dates = [(0, 0, 0, 29, 1, 125), (0, 0, 0, 0, 1, 124), (0, 0, 0, 1, 12, 124), (60, 0, 0, 1, 1, 124)]
        result = [refusal(rtc_set_fields, *date) for date in (*dates, (0, 0, 0, 1, 1, 69))]
        """,
    )
    assert answers == [errno.EINVAL] * 5
    assert clock.rtc_error() == pytest.approx(0, abs=1e-5)


def test_the_rtc_drifts_by_itself(state):
    clock = Clock.create(state, offset_s=-50, rtc_offset_s=7, rtc_ppm=5000)
    start, error = time.monotonic(), clock.rtc_error()
    time.sleep(0.2)
    assert clock.rtc_error() - error == pytest.approx(0.005 * (time.monotonic() - start), abs=1e-4)
    assert clock.error() == pytest.approx(-50, abs=1e-5)


def test_an_rtc_is_recognised_through_dup_fork_and_exec(state):
    Clock.create(state, rtc_epoch=1520862120)
    years = python(
        state,
        """
        import fcntl, struct, subprocess
        fds = [call(name, *arguments) for name, arguments in (
            ("open", (b"/dev/rtc", 0)), ("open64", (b"/dev/rtc0", 0)), ("openat", (-100, b"/dev/rtc0", 0)),
            ("__open_2", (b"/dev/rtc0", 0)), ("__openat64_2", (-100, b"/dev/misc/rtc", 0)))]
        fds.append(os.dup2(fds[0], 300))
        result = [struct.unpack("9i", fcntl.ioctl(fd, RTC_RD_TIME, bytes(36)))[5] for fd in fds]
        code = "import fcntl, struct; print(struct.unpack('9i', fcntl.ioctl(300, %d, bytes(36)))[5])" % RTC_RD_TIME
        child = subprocess.run([sys.executable, "-c", code], pass_fds=[300], capture_output=True, text=True)
        result += [int(child.stdout), refusal(fcntl.ioctl, 300, RTC_UIE_ON)]
        """,
    )
    assert years == [118] * 7 + [errno.EINVAL]


def test_a_host_can_lack_an_rtc(state):
    clock = Clock.create(state, has_rtc=False)
    assert python(state, "result = refusal(rtc_read)") == errno.ENOENT
    clock.rtc(True)
    assert python(state, "result = refusal(rtc_read)") is None


@pytest.mark.parametrize(
    "fault,answers",
    [("read", [errno.EINVAL, None]), ("write", [None, errno.EPERM]), (None, [None, None])],
)
def test_an_rtc_can_be_broken(state, fault, answers):
    clock = Clock.create(state)
    clock.rtc_fault(fault)
    assert python(state, "result = refusal(rtc_read), refusal(rtc_set, 10**9)") == answers


def shown(state, body):
    """The result of a program that has the file's path and both ways to read it."""
    head = """
        PATH = "/sys/class/rtc/rtc0/since_epoch"
        def by_open():
            with open(PATH) as file:
                return file.read()
        def by_stdio():
            return stdio_read(PATH)
    """
    return python(state, textwrap.dedent(head) + textwrap.dedent(body))


def test_sysfs_shows_the_hosts_rtc_as_well(state):
    clock = Clock.create(state, rtc_epoch=1520862120)
    texts = shown(state, "result = by_open(), by_stdio()")
    for text in texts:
        assert text.endswith("\n") and 1520862120 <= int(text) <= clock.rtc_now()
    clock.rtc(False)
    assert shown(state, "result = refusal(by_open), refusal(by_stdio)") == [errno.ENOENT] * 2


def test_an_rtc_whose_battery_died_is_shown_but_not_read_until_it_is_set(state):
    clock = Clock.create(state)
    clock.empty_rtc()
    assert shown(
        state,
        """
        os.close(os.open(PATH, os.O_RDONLY))
        result = [refusal(by_open), refusal(by_stdio), refusal(rtc_read), refusal(rtc_set, 10**9), int(by_open())]
        """,
    ) == [errno.EINVAL] * 3 + [None, 10**9]


def test_a_host_whose_rtc_lost_the_time_boots_in_1970(state):
    clock = Clock.create(state)
    clock.empty_rtc()
    clock.boot()
    assert 0 <= clock.now() < 60


def test_other_files_are_opened_as_usual(state, tmp_path):
    Clock.create(state)
    (tmp_path / "text").write_text("as ever")
    assert python(state, f"result = stdio_read({str(tmp_path / 'text')!r})") == "as ever"
    assert python(state, f"result = refusal(stdio_read, {str(tmp_path / 'none')!r})") == errno.ENOENT


def test_a_hanging_rtc_blocks_until_it_is_repaired(state):
    clock = Clock.create(state)
    clock.rtc_fault("hang")
    with subprocess.Popen(in_host(state, *program("rtc_read()"))) as reader:
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(0.5)
        clock.rtc_fault(None)
        assert reader.wait(5) == 0
