# -*- coding: utf-8 -*-
"""
Internal. This host's hardware clock: read and set by the kernel, or else by ``hwclock``.

hwclock waits at full load for the moment at which it reads or writes, and on a busy machine misses that moment again and again;
that of EL 6.5 may then wait forever (RHBZ 1072583, mended in 6.6).
"""

from __future__ import absolute_import, print_function, unicode_literals

import calendar
import errno
import os
import time

import salt.utils.files
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_hwclock"

HWCLOCK_TIMEOUT_S = 20

#: How far from the system time a hardware clock may be just after it was written, if nothing better can be reached.
HWCLOCK_CLOSE_S = 2.0

#: hwclock writes at one moment of a second. If it misses that moment it may write a time that is a whole second ahead, and a daemon
#: that starts with such a time (and without a drift file) steps, and reports for 5 to 15 minutes that it is not synchronised.
#: So hwclock writes a clock that is this far off again, up to this many times; if the kernel has set it, hwclock has to try.
HWCLOCK_EXACT_S = 0.5
HWCLOCK_WRITES = 3

#: The kernel's own reading of the hardware clock as if it kept UTC, in whole seconds since 1970. Reading it starts no program.
#: Opening it may succeed and reading it fail: an RTC without a valid time (a dead battery) gives EINVAL (rtc_read_time).
SINCE_EPOCH = "/sys/class/rtc/rtc0/since_epoch"

#: How often that is read until the next second begins, and for how long: a clock whose battery is dead may stand still.
GLANCE_S, TICK_S = 0.01, 1.5

#: The kernel's name of the hardware clock. That of a PC begins its next second half a second after it is set (mc146818), so it is
#: set in the middle of a second of the system time; others begin a second at once, and are set as one begins.
NAME, OF_A_PC = "/sys/class/rtc/rtc0/name", "rtc_cmos"

#: If this process wakes up later than this after that moment, it waits for the next one, up to so many times.
LATE_S, TRIES = 0.1, 4

#: It records whether the hardware clock keeps UTC, and its drift (hwclock(8)).
ADJTIME = "/etc/adjtime"


def hwclock(utc=None, exact=True):
    """
    Internal. Implements ``ntpcluster.hwclock``.

    exact
        False returns the whole seconds that the kernel shows, without waiting for the moment when the next one begins.

    The program hwclock runs only if the kernel shows no clock, or fails to read it.
    """
    utc = _utc(utc)
    try:
        return _shown(utc, exact)
    except (IOError, OSError, ValueError):
        known = _there()
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
    seen = _set(utc)
    if seen:
        return {"written": True, "present": True, "error_s": seen["error_s"], "problem": None}
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
        if seen["error_s"] is not None and abs(seen["error_s"]) < HWCLOCK_EXACT_S:
            break
    close = seen["error_s"] is not None and abs(seen["error_s"]) <= HWCLOCK_CLOSE_S
    problem = seen["problem"]
    if not close and not problem:
        problem = "the hardware clock is {0} s off although hwclock reported no error".format(seen["error_s"])
    return {"written": close, "present": seen["present"], "error_s": seen["error_s"], "problem": problem}


def _set(utc):
    """Have the kernel set the clock. What it shows afterwards; None if that is not right, or unknown: then hwclock has to try."""
    if not _there():
        return None
    aim = 0.5 if _of_a_pc() else 0.0
    if not utc:
        time.tzset()
    for _ in range(TRIES):
        time.sleep((aim - time.time()) % 1.0)
        if (time.time() - aim) % 1.0 < LATE_S:
            break
    try:
        __salt__["ntpcluster_kernel.set_rtc"]((time.gmtime if utc else time.localtime)(time.time()))
        seen = _shown(utc, exact=True)
        if abs(seen["error_s"]) >= HWCLOCK_EXACT_S:
            return None
        _record(utc)
        return seen
    except (IOError, OSError, ValueError, CommandExecutionError):
        return None


def _there():
    """Whether the kernel has a hardware clock, readable or not: sysfs lists the clocks that have a driver. One without a valid time
    can be set."""
    try:
        _epoch()
    except (IOError, OSError) as exc:
        return exc.errno != errno.ENOENT
    except ValueError:
        pass
    return True


def _of_a_pc():
    """Whether the hardware clock is a PC's; also if the kernel does not tell its name."""
    try:
        with salt.utils.files.fopen(NAME) as name:
            return name.read().startswith(OF_A_PC)
    except (IOError, OSError):
        return True


def _record(utc):
    """Write /etc/adjtime as hwclock does when it has set the clock: a known drift stays, and is counted from now on."""
    drift, now = "0.0", int(time.time())
    try:
        with salt.utils.files.fopen(ADJTIME) as record:
            known = float(record.read().split()[0])
            drift = "{0:f}".format(known) if abs(known) < 86400 else drift
    except (IOError, OSError, ValueError, IndexError):
        pass  # none yet, or nonsense
    lines = ["{0} {1} 0.000000".format(drift, now), "{0}".format(now), "UTC" if utc else "LOCAL"]
    path = os.path.realpath(ADJTIME)  # a link, where /etc cannot be written
    fresh = path + ".ntpcluster"
    try:
        with salt.utils.files.fopen(fresh, "w") as record:
            record.write("\n".join(lines) + "\n")
        os.chmod(fresh, 0o644)
        __salt__["ntpcluster_files.replace"](fresh, path)
    finally:
        if os.path.lexists(fresh):
            os.remove(fresh)


def _shown(utc, exact):
    """What the kernel shows, as ``hwclock`` returns it. Raises ValueError if the clock stands still."""
    epoch, now = _epoch(), time.time()
    begun = now - 0.5  # when its present second began, give or take half a second
    if exact:
        first, until = epoch, __salt__["ntpcluster_program.monotonic"]() + TICK_S
        while epoch == first:
            if __salt__["ntpcluster_program.monotonic"]() > until:
                raise ValueError("the hardware clock stands still")
            time.sleep(GLANCE_S)
            before, epoch, now = now, _epoch(), time.time()
            begun = (before + now) / 2
    if not utc:
        time.tzset()  # this process may have started before the host's time zone changed
        epoch -= calendar.timegm(time.localtime(now)) - int(now)
    return {"present": True, "epoch_s": epoch, "error_s": round(epoch - begun, 1), "problem": None}


def _epoch():
    with salt.utils.files.fopen(SINCE_EPOCH) as shown:
        return int(shown.read())


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
