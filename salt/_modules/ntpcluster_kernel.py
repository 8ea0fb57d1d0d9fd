# -*- coding: utf-8 -*-
"""
Internal. Call the kernel's functions for the clocks, for tasks that no program of a plain EL6 host does, or none does well.
"""

from __future__ import absolute_import, print_function, unicode_literals

import ctypes
import fcntl
import os
import struct

from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_kernel"

#: The kernel's PLL is on (STA_PLL in linux/timex.h).
STA_PLL = 1

#: The hardware clock, and RTC_SET_TIME of linux/rtc.h. Some architectures number it differently; their kernels refuse this one.
RTC, RTC_SET_TIME = "/dev/rtc0", 0x4024700A


class _Timeval(ctypes.Structure):
    _fields_ = [(str("tv_sec"), ctypes.c_long), (str("tv_usec"), ctypes.c_long)]


class _Timex(ctypes.Structure):
    """The first fields of ``struct timex``; the kernel writes 208 bytes."""

    _fields_ = [
        (str("modes"), ctypes.c_uint),
        (str("offset"), ctypes.c_long),
        (str("freq"), ctypes.c_long),
        (str("maxerror"), ctypes.c_long),
        (str("esterror"), ctypes.c_long),
        (str("status"), ctypes.c_int),
        (str("others"), ctypes.c_char * 256),
    ]


def slew(offset=None, **called):
    """
    Internal. Begin to slew the clock with ``adjtime(2)``, in place of the slew in progress.

    offset
        Seconds, less than 2145 either way (the C library's limit); None: begin nothing.

    Returns the remainder of the previous slew, in seconds. Raises CommandExecutionError if the kernel refuses.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    left, given = _Timeval(), None
    if offset is not None:
        whole = int(offset)  # towards zero: both parts have the sign of the offset
        given = ctypes.byref(_Timeval(whole, int(round((offset - whole) * 1e6))))
    _call("adjtime", given, ctypes.byref(left))
    return left.tv_sec + left.tv_usec * 1e-6


def shift(offset, **called):
    """
    Internal. Step the clock by this distance. Reading and setting are two consecutive calls, so that little time passes between
    them even on a busy host: clocks that are stepped by the same distance stay together.

    offset
        Seconds; above zero moves the clock forward.

    Raises CommandExecutionError if the kernel refuses.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    whole, now = int(offset), _Timeval()
    micros = int(round((offset - whole) * 1e6))
    _call("gettimeofday", ctypes.byref(now), None)
    seconds, rest = divmod(now.tv_usec + micros, 1000000)
    _call("settimeofday", ctypes.byref(_Timeval(now.tv_sec + whole + seconds, rest)), None)


def set_rtc(shown, **called):
    """
    Internal. Set the hardware clock, at once (rtc(4)).

    shown
        What it is to show, as ``time.struct_time``.

    Raises CommandExecutionError if the kernel refuses, or has no such clock.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    # struct rtc_time counts months from 0, years from 1900, days of the week from Sunday and days of the year from 0.
    fields = [shown.tm_sec, shown.tm_min, shown.tm_hour, shown.tm_mday, shown.tm_mon - 1, shown.tm_year - 1900]
    fields += [(shown.tm_wday + 1) % 7, shown.tm_yday - 1, 0]
    try:
        device = os.open(RTC, os.O_RDONLY)
        try:
            fcntl.ioctl(device, RTC_SET_TIME, struct.pack(str("9i"), *fields))
        finally:
            os.close(device)
    except (IOError, OSError) as exc:
        raise CommandExecutionError("the kernel does not set {0}: {1}".format(RTC, exc))


def pll():
    """
    Internal. Whether the kernel's PLL is on: an ntpd that uses it does not call ``adjtime``.
    """
    seen = _Timex()
    _call("adjtimex", ctypes.byref(seen))
    return bool(seen.status & STA_PLL)


def _call(name, *arguments):
    """Call a function of the C library that returns -1 if it fails."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) < 0:
        raise CommandExecutionError("the kernel refuses {0}: {1}".format(name, os.strerror(ctypes.get_errno())))
