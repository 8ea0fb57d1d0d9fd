"""Clock calls of the C library that Python does not offer, for test programs that run inside a host.

They go through the process's own symbols, so through ``labclock.so`` where it is preloaded.
"""

from __future__ import annotations

import ctypes
import datetime
import fcntl
import os
import struct
import time

_libc = ctypes.CDLL(None, use_errno=True)

# <sys/timex.h>
ADJ_OFFSET, ADJ_FREQUENCY, ADJ_MAXERROR, ADJ_STATUS, ADJ_TIMECONST = 0x0001, 0x0002, 0x0004, 0x0010, 0x0020
ADJ_SETOFFSET, ADJ_NANO, ADJ_TICK = 0x0100, 0x2000, 0x4000
STA_PLL, STA_UNSYNC, STA_NANO = 0x0001, 0x0040, 0x2000
TIME_OK, TIME_ERROR = 0, 5

# <linux/rtc.h>
RTC_RD_TIME, RTC_SET_TIME, RTC_UIE_ON = 0x80247009, 0x4024700A, 0x7003

# <linux/capability.h>
CAP_NET_BIND_SERVICE, CAP_SYS_TIME = 10, 25
_CAPABILITY_VERSION_3, _PR_SET_KEEPCAPS = 0x20080522, 8


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("fraction", ctypes.c_long)]

    def __float__(self):
        return self.seconds + self.fraction / 1e9


class Timex(ctypes.Structure):
    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("pps", ctypes.c_long * 8),
        ("tai", ctypes.c_int),
        ("room", ctypes.c_int * 11),
    ]


def call(name, *arguments):
    """A function that answers -1 when it fails. Structures are passed as pointers to them."""
    pointers = [ctypes.byref(one) if isinstance(one, ctypes.Structure) else one for one in arguments]
    result = getattr(_libc, name)(*pointers)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def refusal(function, *arguments, **fields):
    """The errno a call fails with, or None when it succeeds."""
    try:
        function(*arguments, **fields)
    except OSError as error:
        return error.errno
    return None


def readings():
    """The time of day by every call that returns it, in seconds."""
    ts, seconds = Timespec(), ctypes.c_long()
    answers = {"time.time": time.time(), "coarse": time.clock_gettime(5)}
    call("gettimeofday", ts, None)
    answers["gettimeofday"] = ts.seconds + ts.fraction / 1e6
    call("time", ctypes.byref(seconds))
    answers["time"] = seconds.value
    assert call("timespec_get", ts, 1) == 1
    answers["timespec_get"] = float(ts)
    tx = adjtimex()[1]
    answers["adjtimex"] = tx.seconds + tx.fraction / 1e6
    call("ntp_gettime", tx)
    answers["ntp_gettime"] = Timespec.from_buffer(tx).seconds
    return answers


def adjtimex(call_name="adjtimex", **fields):
    """The clock's state word and what the call wrote back."""
    tx = Timex(**fields)
    return call(call_name, tx), tx


def adjtime(seconds=None):
    """Slew; returns what the last slew still had to do."""
    before, delta = Timespec(), None
    if seconds is not None:
        whole, micro = divmod(round(seconds * 1e6), 1000000)
        delta = Timespec(whole, micro)
    call("adjtime", delta, before)
    return before.seconds + before.fraction / 1e6


def rtc_read():
    """What the RTC shows, in whole seconds since 1970."""
    fd = os.open("/dev/rtc0", os.O_RDONLY)
    try:
        answer = fcntl.ioctl(fd, RTC_RD_TIME, bytes(36))
    finally:
        os.close(fd)
    second, minute, hour, day, month, year, weekday, yearday, _ = struct.unpack("9i", answer)
    when = datetime.datetime(year + 1900, month + 1, day, hour, minute, second, tzinfo=datetime.UTC)
    assert (weekday, yearday) == (when.isoweekday() % 7, when.timetuple().tm_yday - 1)
    return int(when.timestamp())


def rtc_set(seconds):
    when = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    rtc_set_fields(when.second, when.minute, when.hour, when.day, when.month - 1, when.year - 1900)


def rtc_set_fields(*fields):
    fd = os.open("/dev/rtc", os.O_RDWR)
    try:
        fcntl.ioctl(fd, RTC_SET_TIME, struct.pack("9i", *fields, 0, 0, 0))
    finally:
        os.close(fd)


def stdio_read(path):
    """The first bytes of a file by the C library's streams, as Python 2 reads it."""
    _libc.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(_libc.fopen(path.encode(), b"r"))
    if not stream:
        raise OSError(ctypes.get_errno(), path)
    text = ctypes.create_string_buffer(64)
    count = _libc.fread(text, 1, 64, stream)
    failed = ctypes.get_errno() if _libc.ferror(stream) else 0
    _libc.fclose(stream)
    if failed:
        raise OSError(failed, path)
    return text.raw[:count].decode()


def become_nobody(keep=()):
    """Drop root as a daemon does; then request these capabilities."""
    if keep:
        call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    if keep:
        capset(*keep)


def capset(*capabilities):
    mask = sum(1 << number for number in capabilities)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)
    call("capset", header, data)


def wait(name, timeout):
    """Wait until now + timeout by the host's clock, for an event that never happens; returns how long that took."""
    start, deadline = time.monotonic(), time.time() + timeout
    ts = Timespec(int(deadline // 1), int(deadline % 1 * 1e9))
    if name == "sem_timedwait":
        semaphore = ctypes.create_string_buffer(64)
        call("sem_init", semaphore, 0, 0)
        assert refusal(call, name, semaphore, ts) is not None
    elif name == "clock_nanosleep":
        assert call(name, time.CLOCK_REALTIME, 1, ts, None) == 0
    else:
        _wait_for_condition(ts, None)
    return time.monotonic() - start


def wait_monotonic(timeout):
    """The same with a condition variable that uses CLOCK_MONOTONIC."""
    start = time.monotonic()
    deadline = start + timeout
    _wait_for_condition(Timespec(int(deadline // 1), int(deadline % 1 * 1e9)), time.CLOCK_MONOTONIC)
    return time.monotonic() - start


def _wait_for_condition(deadline, clock):
    condition, mutex, attributes = (ctypes.create_string_buffer(64) for _ in range(3))
    call("pthread_condattr_init", attributes)
    if clock is not None:
        call("pthread_condattr_setclock", attributes, clock)
    call("pthread_cond_init", condition, attributes)
    call("pthread_mutex_init", mutex, None)
    call("pthread_mutex_lock", mutex)
    assert os.strerror(call("pthread_cond_timedwait", condition, mutex, deadline)).endswith("timed out")
