"""The hardware clock: as the kernel shows it (seconds since 1970, as if it kept UTC), or else as hwclock prints it.

A stand-in replaces the program hwclock: it prints what util-linux printed in such a case, and has no clock.
"""

import calendar
import errno
import io
import struct
import time

import pytest
from salt.exceptions import CommandExecutionError

from _modules import ntpcluster_hwclock, ntpcluster_kernel
from tests.loaded import FUNCTIONS

NONE = ("", "hwclock: Cannot access the Hardware Clock via any known method.", 1)
#: A dead battery, as reported by util-linux 2.38 and by that of RHEL 6.
DEAD = ("", "hwclock: ioctl(RTC_RD_TIME) to /dev/rtc0 to read the time failed: Invalid argument", 1)
DEAD_EL6 = ("", "RTC_RD_TIME: Invalid argument\nioctl() to /dev/rtc to read the time failed.", 74)
#: display_time() of hwclock.c in util-linux 2.17.2: exit code 0, and nothing on stdout.
INVALID = (
    "",
    "The Hardware Clock registers contain values that are either invalid (e.g. 50th day of month) or beyond the range "
    "we can handle (e.g. Year 2095).",
    0,
)
DONE = ("", "", 0)


@pytest.fixture(autouse=True)
def shown(tmp_path, monkeypatch):
    """The kernel's file, which a test writes; without it the kernel has no clock."""
    path = tmp_path / "since_epoch"
    monkeypatch.setattr(ntpcluster_hwclock, "SINCE_EPOCH", str(path))

    def refuse(shown):
        raise CommandExecutionError("the kernel sets no clock")

    monkeypatch.setitem(FUNCTIONS, "ntpcluster_kernel.set_rtc", refuse)
    return path


@pytest.fixture
def hwclock(monkeypatch):
    """The stand-in: `answers` by option, the last one repeatedly; `calls` are the options it was called with."""

    class Program:
        answers, calls = {}, []

        def __call__(self, name, package, argv, timeout, zone):
            self.calls.append(" ".join(argv))
            left = self.answers[argv[0] if len(argv) == 2 else " ".join(argv[:2])]
            said = left.pop(0) if len(left) > 1 else left[0]
            if said is None:
                # It waits for the next second, but prints the time of its start, to a microsecond.
                said = (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()) + ".500000+00:00", "", 0)
            return dict(zip(("stdout", "stderr", "retcode"), said, strict=True), timed_out=said[2] == 137)

    program = Program()
    program.calls = []
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.run", program)
    return program


@pytest.fixture
def ticking(monkeypatch, hwclock):
    """A kernel's clock that is ahead of the system time by these seconds: one for each run of hwclock, the last one for good."""
    ahead = []

    class File(io.StringIO):
        def read(self):
            return f"{int(time.time() + ahead[min(len(hwclock.calls), len(ahead)) - 1])}\n"

    monkeypatch.setattr(ntpcluster_hwclock.salt.utils.files, "fopen", lambda path: File())
    return ahead


@pytest.mark.parametrize("ahead", [0, -86400, 4000000])
def test_its_error_is_known_to_a_second_and_starts_no_program(shown, hwclock, ahead):
    shown.write_text(f"{int(time.time()) + ahead}\n")
    seen = ntpcluster_hwclock.hwclock(utc=True, exact=False)
    assert seen["error_s"] == pytest.approx(ahead, abs=1) and seen["epoch_s"] == pytest.approx(
        time.time() + ahead, abs=2
    )
    assert (seen["present"], seen["problem"], hwclock.calls) == (True, None, [])


@pytest.mark.parametrize(("zone", "ahead"), [("Asia/Shanghai", 28800), ("America/Caracas", -14400), ("UTC", 0)])
def test_one_that_keeps_local_time_is_compared_with_local_time(shown, monkeypatch, zone, ahead):
    monkeypatch.setenv("TZ", zone)
    shown.write_text(f"{int(time.time()) + ahead}\n")
    seen = ntpcluster_hwclock.hwclock(utc=False, exact=False)
    monkeypatch.undo()
    time.tzset()
    assert seen["error_s"] == pytest.approx(0, abs=1) and seen["epoch_s"] == pytest.approx(time.time(), abs=2)


@pytest.mark.parametrize("ahead", [0, 0.3, -0.4, -86400.2])
def test_the_moment_when_its_second_begins_tells_its_error_and_starts_no_program(ticking, hwclock, ahead):
    ticking.append(ahead)
    seen = ntpcluster_hwclock.hwclock(utc=True)
    assert seen["error_s"] == pytest.approx(ahead, abs=0.11)
    assert (seen["present"], seen["problem"], hwclock.calls) == (True, None, [])


def test_one_that_stands_still_is_left_to_hwclock_to_explain(shown, hwclock):
    shown.write_text(f"{int(time.time())}\n")
    hwclock.answers = {"--show": [("", "hwclock: Timed out waiting for time change.", 1)]}
    seen = ntpcluster_hwclock.hwclock(utc=True)
    assert (seen["present"], seen["error_s"]) == (True, None) and "Timed out" in seen["problem"]


@pytest.mark.parametrize("ahead, writes", [([0.1], 1), ([2.5, 0.1], 2), ([2.5], 3)])
def test_what_hwclock_wrote_is_read_back_from_the_kernel_and_written_again_if_it_missed_its_moment(
    ticking, hwclock, ahead, writes
):
    ticking += ahead
    hwclock.answers = {"--systohc": [DONE]}
    done = ntpcluster_hwclock.systohc(utc=True)
    assert (done["written"], done["error_s"]) == (ahead[-1] < 1, pytest.approx(ahead[-1], abs=0.11))
    assert hwclock.calls == ["--systohc --utc"] * writes


class Rtc:
    """A hardware clock in place of the kernel's. A PC's begins its next second half a second after it is set, others at once."""

    def __init__(self):
        self.ahead, self.sets, self.late, self.name, self.readable = 70.0, [], 0.0, "rtc_cmos rtc_cmos", True

    def set(self, shown):
        self.sets.append(time.strftime("%H:%M:%S", shown))
        self.readable = True
        begun = 0.5 if self.name.startswith("rtc_cmos") else 0.0
        self.ahead = calendar.timegm(shown) + begun + self.late - time.time()

    def file(self, path):
        if path.endswith("name"):
            return io.StringIO(self.name + "\n")
        if not self.readable:
            raise OSError(errno.EINVAL, "no valid time")
        return io.StringIO(f"{int(time.time() + self.ahead)}\n")


@pytest.fixture
def rtc(monkeypatch, shown, tmp_path):
    clock, real = Rtc(), ntpcluster_hwclock.salt.utils.files.fopen
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_kernel.set_rtc", clock.set)
    monkeypatch.setattr(
        ntpcluster_hwclock.salt.utils.files,
        "fopen",
        lambda path, *mode: clock.file(path) if path in (str(shown), "name") else real(path, *mode),
    )
    monkeypatch.setattr(ntpcluster_hwclock, "NAME", "name")
    monkeypatch.setattr(ntpcluster_hwclock, "ADJTIME", str(tmp_path / "adjtime"))
    return clock


@pytest.mark.parametrize("name", ["rtc_cmos 00:03", "rtc-ds1307 1-0068"])
@pytest.mark.parametrize(
    "old, drift",
    [
        (None, 0),
        ("0.0 0 0.0\n0\nUTC\n", 0),
        ("-1.25 99 0.0\n99\nLOCAL\n", -1.25),
        ("?\n", 0),
        ("nan 0 0\n", 0),
    ],
)
def test_the_kernel_sets_it_exactly_and_no_program_is_started(rtc, hwclock, tmp_path, old, drift, name):
    record, rtc.name = tmp_path / "adjtime", name
    if old is not None:
        record.write_text(old)
    done = ntpcluster_hwclock.systohc(utc=True)
    assert (done["written"], done["problem"], len(rtc.sets), hwclock.calls) == (True, None, 1, [])
    assert done["error_s"] == pytest.approx(0, abs=0.11)
    first, second, third = record.read_text().splitlines()
    now = pytest.approx(time.time(), abs=3)
    assert [float(word) for word in first.split()] == [drift, now, 0] and (float(second), third) == (now, "UTC")
    assert record.stat().st_mode & 0o777 == 0o644


def test_one_that_keeps_local_time_is_set_to_local_time(rtc, hwclock, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    done = ntpcluster_hwclock.systohc(utc=False)
    here = time.strftime("%H:%M", time.localtime())
    monkeypatch.undo()
    time.tzset()
    assert done["written"] and rtc.sets[0].startswith(here[:2]) and hwclock.calls == []
    assert (tmp_path / "adjtime").read_text().endswith("LOCAL\n")


def test_one_whose_battery_died_is_set_by_the_kernel(rtc, hwclock):
    rtc.readable = False
    assert ntpcluster_hwclock.systohc(utc=True)["written"] and (len(rtc.sets), hwclock.calls) == (1, [])


@pytest.mark.parametrize("late", [1.0, -0.5])
def test_one_that_the_kernel_does_not_set_exactly_is_left_to_hwclock(rtc, hwclock, tmp_path, late):
    rtc.late = late
    hwclock.answers = {"--systohc": [DONE]}
    ntpcluster_hwclock.systohc(utc=True)
    assert len(rtc.sets) == 1 and hwclock.calls[0] == "--systohc --utc" and not (tmp_path / "adjtime").exists()


def test_a_record_that_cannot_be_written_is_left_to_hwclock_and_nothing_stays_behind(
    rtc, hwclock, tmp_path, monkeypatch
):
    def busy(fresh, path):
        raise OSError(errno.EBUSY, "is a mount point")

    monkeypatch.setitem(FUNCTIONS, "ntpcluster_files.replace", busy)
    hwclock.answers = {"--systohc": [("", "hwclock: Cannot open /etc/adjtime", 1)]}
    assert not ntpcluster_hwclock.systohc(utc=True)["written"]
    assert not list(tmp_path.glob("adjtime*")) and hwclock.calls == ["--systohc --utc"]


def test_a_host_without_one_does_not_wait_for_it(hwclock, monkeypatch):
    monkeypatch.setattr(ntpcluster_hwclock.time, "sleep", lambda seconds: pytest.fail("waits for no clock"))
    hwclock.answers = {"--systohc": [NONE]}
    assert ntpcluster_hwclock.systohc(utc=True)["present"] is False


def test_the_kernel_gets_the_time_in_its_own_form(monkeypatch):
    """As struct rtc_time of linux/rtc.h: months from 0, years from 1900, Sunday is 0, and the first of January is day 0."""
    given = []
    monkeypatch.setattr(ntpcluster_kernel, "RTC", "/dev/null")
    monkeypatch.setattr(ntpcluster_kernel.fcntl, "ioctl", lambda fd, request, packed: given.append((request, packed)))
    ntpcluster_kernel.set_rtc(time.gmtime(1583020799))  # Saturday, 29 February 2020, 23:59:59
    ((request, packed),) = given
    assert request == 1 << 30 | 36 << 16 | ord("p") << 8 | 0x0A  # _IOW('p', 0x0a, struct rtc_time)
    assert struct.unpack("9i", packed) == (59, 59, 23, 29, 1, 120, 6, 59, 0)


def test_a_kernel_without_such_a_clock_is_an_error(monkeypatch):
    monkeypatch.setattr(ntpcluster_kernel, "RTC", "/dev/null")
    with pytest.raises(CommandExecutionError, match="does not set /dev/null: .*ioctl"):
        ntpcluster_kernel.set_rtc(time.gmtime())


def unreadable(shown, monkeypatch, how):
    """The kernel's file in this state; EINVAL from a read is the error of an RTC that holds no valid time."""
    if how == "text":
        shown.write_text("no clock\n")
    if how == "empty":
        shown.write_text("")
    if how in ("EINVAL", "EACCES"):
        error = OSError(getattr(errno, how), how)

        class File(io.StringIO):
            def read(self):
                raise error

        monkeypatch.setattr(ntpcluster_hwclock.salt.utils.files, "fopen", lambda path: File())


def test_a_kernel_without_one_and_an_hwclock_without_one_make_a_host_without_one(shown, hwclock):
    hwclock.answers = {"--show": [NONE]}
    seen = ntpcluster_hwclock.hwclock(utc=True, exact=False)
    assert (seen["present"], seen["error_s"]) == (False, None) and "any known method" in seen["problem"]
    assert hwclock.calls == ["--show --utc"]


def test_a_clock_that_only_hwclock_knows_is_a_clock(shown, hwclock):
    hwclock.answers = {"--show": [None]}
    seen = ntpcluster_hwclock.hwclock(utc=True, exact=False)
    assert (seen["present"], seen["problem"]) == (True, None) and abs(seen["error_s"]) < 2


@pytest.mark.parametrize("how", ["text", "empty", "EINVAL", "EACCES"])
@pytest.mark.parametrize("said", [NONE, DEAD, DEAD_EL6, INVALID, DONE, ("", "something new", 0)])
def test_what_the_kernel_shows_and_cannot_read_is_there(shown, hwclock, monkeypatch, how, said):
    unreadable(shown, monkeypatch, how)
    hwclock.answers = {"--show": [said]}
    seen = ntpcluster_hwclock.hwclock(utc=True, exact=False)
    assert (seen["present"], seen["error_s"]) == (True, None) and seen["problem"]


@pytest.mark.parametrize("said", [("", "something new", 0), DONE, ("", "Killed", 137)])
def test_what_hwclock_does_not_tell_is_unknown(shown, hwclock, said):
    hwclock.answers = {"--show": [said]}
    seen = ntpcluster_hwclock.hwclock(utc=True, exact=False)
    assert (seen["present"], seen["error_s"]) == (None, None) and seen["problem"]


def test_a_clock_that_cannot_be_read_is_set_without_reading_it_first(hwclock):
    """RHEL's hwclock reads before it sets, except with --noadjfile."""
    hwclock.answers = {"--systohc": [DEAD_EL6, DONE], "--systohc --noadjfile": [DONE], "--show": [None]}
    done = ntpcluster_hwclock.systohc(utc=True)
    assert done["written"] and done["present"] and done["problem"] is None
    assert hwclock.calls == ["--systohc --utc", "--systohc --noadjfile --utc", "--systohc --utc", "--show --utc"]


@pytest.mark.parametrize(
    "answers",
    [
        {"--systohc": [DEAD_EL6], "--systohc --noadjfile": [DEAD_EL6]},
        {"--systohc": [NONE]},
        {"--systohc": [DONE], "--show": [DEAD]},
        {"--systohc": [DONE], "--show": [INVALID]},
        {"--systohc": [DONE], "--show": [DONE]},
        {"--systohc": [("", "", 137)]},
    ],
)
def test_a_write_that_is_not_read_back_is_none(hwclock, answers):
    hwclock.answers = answers
    done = ntpcluster_hwclock.systohc(utc=True)
    assert done["written"] is False and done["error_s"] is None and done["problem"]
