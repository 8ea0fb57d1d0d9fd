# -*- coding: utf-8 -*-
"""
Internal. This host's hardware clock: read by the kernel or by ``hwclock``, set by ``hwclock``.
"""

from __future__ import absolute_import, print_function, unicode_literals

import calendar
import errno
import time

import salt.utils.files
from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster_hwclock"

#: hwclock waits for the next full second; on EL 6.5 it can hang forever on a busy virtual machine (RHBZ 1072583).
HWCLOCK_TIMEOUT_S = 20

#: How far from the system time a hardware clock may be just after it was written: it counts whole seconds.
HWCLOCK_CLOSE_S = 2.0

#: hwclock writes when a second begins. If it misses that moment it may write a time that is a whole second ahead, and a daemon
#: that starts with such a time (and without a drift file) steps, and reports for 5 to 15 minutes that it is not synchronised.
#: So a clock that is further off than this is written again, up to this many times.
HWCLOCK_EXACT_S = 0.5
HWCLOCK_WRITES = 3

#: The kernel's own reading of the hardware clock as if it kept UTC, in whole seconds since 1970. Reading it starts no program.
#: Opening it may succeed and reading it fail: an RTC without a valid time (a dead battery) gives EINVAL (rtc_read_time).
SINCE_EPOCH = "/sys/class/rtc/rtc0/since_epoch"


def hwclock(utc=None, exact=True):
    """
    Internal. Implements ``ntpcluster.hwclock``.

    exact
        False returns the whole seconds that the kernel shows, without starting a program or waiting. If the kernel shows no
        clock, or fails to read it, hwclock runs nevertheless.
    """
    utc, known = _utc(utc), False
    if not exact:
        try:
            return _shown(utc)
        except (IOError, OSError, ValueError) as exc:
            # A file that exists but cannot be read means a clock, whatever hwclock finds: sysfs lists the clocks that have a
            # driver.
            known = getattr(exc, "errno", None) != errno.ENOENT
    before = time.time()
    seen = _hwclock(["--show"], utc)
    epoch = seen["epoch_s"]
    if epoch is None and seen["time"]:
        # Local time without a zone, as util-linux 2.17 prints it.
        epoch = time.mktime(time.strptime(seen["time"][:19].replace("T", " "), "%Y-%m-%d %H:%M:%S"))
    return {
        "present": known or seen["present"],
        "epoch_s": epoch,
        # hwclock waits for the next full second, but prints the time at which it was started.
        "error_s": None if epoch is None else round(epoch - before, 1),
        "problem": seen["message"] if epoch is None else None,
    }


def systohc(utc=None):
    """
    Internal. Implements ``ntpcluster.systohc``.
    """
    utc = _utc(utc)
    for _ in range(HWCLOCK_WRITES):
        said = _hwclock(["--systohc"], utc)
        if said["error"] == "read-failed":
            # RHEL's hwclock reads the clock before it sets it, and gives up if it cannot, unless it is told not to write
            # /etc/adjtime (manipulate_clock of hwclock.c). After the clock is set, the zone is recorded there as well.
            said = _hwclock(["--systohc", "--noadjfile"], utc)
            if not said["error"]:
                said = _hwclock(["--systohc"], utc)
        if said["error"]:
            return {"written": False, "present": said["present"], "error_s": None, "problem": said["message"]}
        seen = hwclock(utc)
        if seen["error_s"] is not None and abs(seen["error_s"]) <= HWCLOCK_EXACT_S:
            break
    close = seen["error_s"] is not None and abs(seen["error_s"]) <= HWCLOCK_CLOSE_S
    problem = seen["problem"]
    if not close and not problem:
        problem = "the hardware clock is {0} s off although hwclock reported no error".format(seen["error_s"])
    return {"written": close, "present": seen["present"], "error_s": seen["error_s"], "problem": problem}


def _shown(utc):
    """What the kernel shows, as ``hwclock`` returns it."""
    with salt.utils.files.fopen(SINCE_EPOCH) as shown:
        epoch = int(shown.read())
    now = time.time()
    if not utc:
        time.tzset()  # this process may have started before the host's time zone changed
        epoch -= calendar.timegm(time.localtime(now)) - int(now)
    return {"present": True, "epoch_s": epoch, "error_s": round(epoch + 0.5 - now, 1), "problem": None}


def _utc(utc):
    if utc is None:
        return __salt__["ntpcluster_plan.plan"]()["hwclock"]["utc"]
    if not isinstance(utc, bool):
        raise SaltInvocationError("utc: {0!r} is neither true nor false".format(utc))
    return utc


def _hwclock(argv, utc):
    """The parsed output of hwclock; for a clock in UTC it prints UTC as well, because 2.17 prints no zone."""
    done = __salt__["ntpcluster_program.run"](
        "hwclock",
        "util-linux (util-linux-extra on Debian)",
        argv + ["--utc" if utc else "--localtime"],
        timeout=HWCLOCK_TIMEOUT_S,
        zone="UTC" if utc else None,
    )
    if done["timed_out"]:
        said = "hwclock did not end within {0} s".format(HWCLOCK_TIMEOUT_S)
        return {"present": None, "time": None, "epoch_s": None, "error": "timeout", "message": said}
    return __salt__["ntpcluster_parse_tools.hwclock"](
        done["stdout"], done["stderr"], done["retcode"], utc=utc, setting="--systohc" in argv
    )
