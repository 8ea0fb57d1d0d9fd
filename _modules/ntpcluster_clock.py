# -*- coding: utf-8 -*-
"""
Setting this host's clocks: ``ntpdate`` for the system's, ``hwclock`` for the hardware's.

A step is made only when it is needed, known to be right, and possible; and it is believed only when the clock has
been seen to move: ntpdate exits 0 when it was not allowed to set anything.
"""

from __future__ import absolute_import, print_function, unicode_literals

import calendar
import contextlib
import errno
import fcntl
import time

import salt.utils.files
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster"

#: One step at a time on a host, whoever asks for it.
LOCK = "/var/run/ntpcluster.lock"

#: Two servers further apart than this cannot both be right, and a step by either may make the clock worse.
AGREEMENT_S = 1.0

#: A server this close to the middle one of a majority will do as well, if its stratum is lower or its answer faster.
CLOSE_S = 0.05

#: hwclock waits for the next full second; the one of EL 6.5 can hang for ever on a busy virtual machine (RHBZ 1072583).
HWCLOCK_TIMEOUT_S = 20

#: How far from the system time a hardware clock may be that was just written: it counts whole seconds.
HWCLOCK_CLOSE_S = 2.0

#: hwclock writes when a second begins; if it misses the moment it may write a whole second too many, and a daemon that
#: finds that at its next start (and has no drift file yet) steps, and says for 5 to 15 minutes that it has no time. So
#: what is further off than this is written again, so many times in all.
HWCLOCK_EXACT_S = 0.5
HWCLOCK_WRITES = 3

#: A server that has no time yet is asked again after so many seconds at most: more than PACKET_S of ntpcluster_query.
AGAIN_S = 8

#: A smaller move of the clock cannot be told from none: times(2) counts hundredths of a second.
SEEN_S = 0.1

#: What ntpd sends to each server when it starts (iburst: NTP_BURST in ntp.h).
DAEMON_PACKETS = 8

#: The kernel's own reading of the hardware clock as if it kept UTC, in whole seconds since 1970. It costs no program.
#: It can be opened and not be read: an RTC that holds no valid time (a dead battery) gives EINVAL (rtc_read_time).
SINCE_EPOCH = "/sys/class/rtc/rtc0/since_epoch"


def __virtual__():
    return __virtualname__


def _ntpdate(argv, platform, timeout):
    done = __salt__["ntpcluster.program"]("ntpdate", " ".join(platform["packages"]), argv, timeout=timeout)
    answer = __salt__["ntpcluster.parse_ntpdate"](done["stdout"], done["stderr"], done["retcode"])
    if done["timed_out"]:
        answer["errors"].append({"code": "timeout", "message": "ntpdate did not end within {0} s".format(timeout)})
    return answer


def hwclock(utc=None, exact=True):
    """
    Read the hardware clock.

    utc
        Whether it keeps UTC; default: the pillar's ``hwclock:utc``.
    exact
        False takes the whole seconds that the kernel shows, without starting a program or waiting. Where the kernel
        shows no clock, or fails to read it, hwclock is asked all the same.

    Returns a dict: ``present`` (True; False: this host has none, as containers and some virtual machines; None:
    nobody can tell), ``epoch_s`` its time in seconds since 1970, ``error_s`` how far it is ahead of the system time
    (it counts whole seconds), ``problem`` None or why there is no reading.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.hwclock
    """
    utc, known = _utc(utc), False
    if not exact:
        try:
            return _shown(utc)
        except (IOError, OSError, ValueError) as exc:
            # A file that is there and cannot be read is a clock, whatever hwclock finds: sysfs lists what drivers serve.
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


def _shown(utc):
    """What the kernel shows, as ``hwclock`` returns it."""
    with salt.utils.files.fopen(SINCE_EPOCH) as shown:
        epoch = int(shown.read())
    now = time.time()
    if not utc:
        time.tzset()  # this process may be older than the host's time zone
        epoch -= calendar.timegm(time.localtime(now)) - int(now)
    return {"present": True, "epoch_s": epoch, "error_s": round(epoch + 0.5 - now, 1), "problem": None}


def systohc(utc=None):
    """
    Set the hardware clock by the system time, and read it back; write again if it is a second off.

    utc
        Whether it shall keep UTC; default: the pillar's ``hwclock:utc``. Always said to hwclock: without, EL6 takes
        the hardware clock to be in local time when /etc/adjtime has no third line (hwclock.c, hw_clock_is_utc).

    Returns a dict: ``written`` (bool: read back and right), ``present``, ``error_s`` as read back, ``problem``.
    A host without a hardware clock is no error.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.systohc
    """
    utc = _utc(utc)
    for _ in range(HWCLOCK_WRITES):
        said = _hwclock(["--systohc"], utc)
        if said["error"] == "read-failed":
            # RHEL's hwclock reads the clock before it sets it, and gives up if it cannot, unless it is to leave
            # /etc/adjtime alone (manipulate_clock of hwclock.c). Once it is set, the zone is recorded there as well.
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


def _utc(utc):
    if utc is None:
        return __salt__["ntpcluster.plan"]()["hwclock"]["utc"]
    if not isinstance(utc, bool):
        raise SaltInvocationError("utc: {0!r} is neither true nor false".format(utc))
    return utc


def _hwclock(argv, utc):
    """What hwclock says, read; of a clock in UTC it prints UTC as well, for 2.17 names no zone."""
    done = __salt__["ntpcluster.program"](
        "hwclock",
        "util-linux (util-linux-extra on Debian)",
        argv + ["--utc" if utc else "--localtime"],
        timeout=HWCLOCK_TIMEOUT_S,
        zone="UTC" if utc else None,
    )
    if done["timed_out"]:
        said = "hwclock did not end within {0} s".format(HWCLOCK_TIMEOUT_S)
        return {"present": None, "time": None, "epoch_s": None, "error": "timeout", "message": said}
    return __salt__["ntpcluster.parse_hwclock"](
        done["stdout"], done["stderr"], done["retcode"], utc=utc, setting="--systohc" in argv
    )


def step(servers=None, threshold=None, limit=None, passes=None, wait=0, force=False, test=False):
    """
    Set the clock by its servers in one jump, if and only if that is needed and safe.

    A clock that the daemon follows closely is left alone, and so is an offset below the threshold. Refuses if
    nobody tells the time, if the servers disagree, if the jump is beyond the limit, or if another step is under
    way. Else it stops the daemon, waits for port 123, steps, measures again (and steps again, ``passes`` times at
    most), writes the hardware clock, and starts the daemon again if it ran before: whatever happens, and even if
    this very process is killed half way.

    servers
        Whom to ask; default: this host's sources.
    threshold
        Seconds; a smaller offset is left to the daemon's slewing. Default: the pillar's ``step:threshold``.
    limit
        Seconds; a larger offset is refused. Default: the pillar's ``step:limit`` (none: any distance).
    passes
        Steps at most. Default: the pillar's ``step:passes``.
    wait
        Seconds to wait for a server that tells the time: the tier above may be coming up just now.
    force
        Step even if the daemon follows a source and the offset is small. The daemon's word is as old as its last
        poll: right after a clock was moved by hand it is believed wrongly.
    test
        Measure and judge, but change nothing.

    Returns a dict: ``stepped`` (bool), ``needed`` (bool: off by more than the threshold;
    None in test mode if nobody tells the time), ``offset_before_s`` and
    ``offset_after_s`` (None if not measured), ``moved_s`` how far the clock was seen to move, ``server``,
    ``passes`` made, ``hwclock`` (as ``ntpcluster.systohc``; None if not written), ``daemon_restarted`` (bool),
    ``comment``.

    Raises CommandExecutionError with the reason for each refusal and failure.

    CLI Example:

    .. code-block:: bash

        salt 'node148' ntpcluster.step
        salt 'node148' ntpcluster.step servers='[10.0.0.189]' limit=3600
    """
    plan = __salt__["ntpcluster.plan"]()
    threshold = _seconds("threshold", threshold, plan["step"]["threshold"])
    limit = _seconds("limit", limit, plan["step"]["limit"])
    passes = plan["step"]["passes"] if passes is None else passes
    if isinstance(passes, bool) or passes not in range(1, 11):
        raise SaltInvocationError("passes: {0!r} is not a number from 1 to 10".format(passes))
    result = {
        "stepped": False,
        "needed": False,
        "offset_before_s": None,
        "offset_after_s": None,
        "moved_s": 0.0,
        "server": None,
        "passes": 0,
        "hwclock": None,
        "daemon_restarted": False,
    }
    with _nothing() if test else _alone():
        seen = __salt__["ntpcluster.status"]()
        offset = seen["offset_ms"] or 0.0
        if seen["synchronized"] and not force and abs(offset) < threshold * 1000.0:
            result["comment"] = "the daemon follows {0} closely ({1:+.3f} ms): a healthy clock is never stepped".format(
                seen["source"], offset
            )
            return result
        try:
            best = _await_time(servers, wait)
        except CommandExecutionError as exc:
            if not test:
                raise
            # Who is silent now may well answer by the time of the real run.
            result.update(needed=None, comment="{0}".format(exc))
            return result
        result.update(server=best["address"], offset_before_s=best["offset_s"], offset_after_s=best["offset_s"])
        result["needed"] = abs(best["offset_s"]) >= threshold
        if not result["needed"] and not force:
            result["comment"] = "the offset of {0:+.6f} s from {1} is below {2:g} s and left to slewing".format(
                best["offset_s"], best["address"], threshold
            )
            return result
        if limit is not None and abs(best["offset_s"]) > limit:
            raise CommandExecutionError(
                "not stepped: the clock is {0:.3f} s off by {1}, and step:limit allows {2:g} s. See which side is "
                "wrong, then call ntpcluster.step with a larger limit".format(
                    abs(best["offset_s"]), best["address"], limit
                )
            )
        if test:
            result["comment"] = "the clock would be stepped by {0:+.3f} s".format(best["offset_s"])
            return result
        return _step(plan, best, threshold, passes, result)


def _await_time(servers, wait):
    """
    The server to set the clock by, as soon as there is one; the last refusal if there is none in time.

    It asks at longer and longer intervals: who asks every few seconds is refused by a server that limits its clients,
    and is refused for ever if he goes on. One that says so is left in peace for a while.
    """
    until = __salt__["ntpcluster.monotonic"]() + wait
    pause = 1
    while True:
        found = __salt__["ntpcluster.query"](servers)["servers"]
        try:
            return trusted(found)
        except CommandExecutionError:
            left = until - __salt__["ntpcluster.monotonic"]()
            if left <= 0:
                raise
        if any(server["kiss"] == "RATE" for server in found):
            __salt__["ntpcluster.asked"](refused=True)
        time.sleep(min(pause, left))
        pause = min(2 * pause, AGAIN_S)


def trusted(servers):
    """
    The server to set the clock by: the best of those close to the middle one of a majority that agrees to a second. By the
    middle one ``ntpcluster.status`` judges the clock of a host without a daemon as well. Of two in the middle the one
    nearer to the clock: by the other one, each step would take the clock back to where the step before has found it.

    servers
        As ``ntpcluster.query`` returns them.

    Returns one of them. Raises CommandExecutionError if none knows the time, or if no majority agrees.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.trusted '[{name: a, address: 10.0.0.189, stratum: 2, offset_s: 0.1, delay_s: 0.0}]'
    """
    if not any(server["offset_s"] is not None for server in servers):
        asked = ", ".join("{0} ({1})".format(server["name"], _why_not(server)) for server in servers)
        raise CommandExecutionError(
            "not stepped: no server tells the time: {0}. See that one of them is synchronised and that UDP 123 is "
            "open there".format(asked)
        )
    agreed = majority(servers)
    if not agreed:
        said = ", ".join(
            "{0} {1:+.3f} s".format(server["address"], server["offset_s"])
            for server in servers
            if server["offset_s"] is not None
        )
        raise CommandExecutionError(
            "not stepped: the servers disagree by more than {0:g} s and no majority is right: {1}".format(
                AGREEMENT_S, said
            )
        )
    nearer = middle(agreed)[0]
    close = [server for server in agreed if abs(server["offset_s"] - nearer["offset_s"]) <= CLOSE_S]
    return min(close, key=lambda server: (server["stratum"], server["delay_s"] or 0.0))


def majority(servers):
    """
    The servers that agree, to a second, with more than half of all that know the time; an empty list if there is none.

    servers
        As ``ntpcluster.query`` returns them.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.majority '[{address: 10.0.0.189, offset_s: 0.1}, {address: 10.0.0.180, offset_s: 0.2}]'
    """
    usable = [server for server in servers if server["offset_s"] is not None]
    camps = [
        [other for other in usable if abs(other["offset_s"] - server["offset_s"]) <= AGREEMENT_S] for server in usable
    ]
    largest = max(camps, key=len) if camps else []
    return largest if len(largest) * 2 > len(usable) else []


def middle(servers):
    """
    The server in the middle of those that agree, by their offsets; of an even number the two, the nearer to the clock first.

    servers
        As ``ntpcluster.majority`` returns them; one at least.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.middle '[{address: 10.0.0.189, offset_s: 0.1}, {address: 10.0.0.180, offset_s: 0.2}]'
    """
    ordered = sorted(servers, key=lambda server: server["offset_s"])
    return sorted(ordered[(len(servers) - 1) // 2 : len(servers) // 2 + 1], key=lambda server: abs(server["offset_s"]))


def _why_not(server):
    """Why a server gives no time, in a word or two."""
    if server["address"] is None:
        return "unknown name"
    if not server["reachable"]:
        return "no answer"
    return "refuses: {0}".format(server["kiss"]) if server["kiss"] else "not synchronised itself"


def _step(plan, best, threshold, passes, result):
    """Stop the daemon, step until the offset is small, write the hardware clock; the daemon is up again in any case."""
    service = plan["platform"]["service"]
    # A daemon that cannot be seen is treated as one that runs: it shall not be missing afterwards.
    running = __salt__["ntpcluster.relieve"]() or __salt__["ntpcluster.daemon"](service)["running"] is not False
    offset = best["offset_s"]
    with _stopped(service) if running else _nothing():
        _wait_for_port()
        for result["passes"] in range(1, passes + 1):
            result["moved_s"] += _jump(best["address"], offset, plan["platform"])
            after = __salt__["ntpcluster.query"]([best["address"]])["best"]
            result["offset_after_s"] = after["offset_s"] if after else None
            # A server that does not answer once more has told the time before, and a large step was seen.
            if abs(offset) > SEEN_S if after is None else abs(after["offset_s"]) < threshold:
                break
            if after is None:
                raise CommandExecutionError(
                    "{0} answers no more, so nobody knows whether the clock was stepped".format(best["address"])
                )
            offset = after["offset_s"]
        else:
            raise CommandExecutionError(
                "stepped {0} times by {1}, but the offset is still {2} s: something else moves this clock".format(
                    passes, best["address"], result["offset_after_s"]
                )
            )
        result["stepped"] = True
        if plan["hwclock"]["manage"]:
            result["hwclock"] = systohc(plan["hwclock"]["utc"])
        __salt__["ntpcluster.pace"](DAEMON_PACKETS)  # the daemon asks as soon as it runs
    if running:
        __salt__["ntpcluster.asked"](DAEMON_PACKETS)
    result["daemon_restarted"] = running
    result["comment"] = "the clock has been stepped by {0:+.6f} s by {1}".format(result["moved_s"], best["address"])
    return result


def _jump(server, offset, platform):
    """Run ntpdate to step the clock by this offset; returns how far it was seen to move, in seconds."""
    for last in (False, True):
        __salt__["ntpcluster.pace"]()
        before = time.time() - __salt__["ntpcluster.monotonic"]()
        answer = _ntpdate(["-b"] + platform["ntpdate_options"] + [server], platform, timeout=30)
        moved = time.time() - __salt__["ntpcluster.monotonic"]() - before
        __salt__["ntpcluster.asked"]()
        # A step that was made and seen is one, whatever ntpdate complains of beside it.
        if abs(offset) > SEEN_S and _close(moved, offset):
            return round(moved, 2)
        said = [error["code"] for error in answer["errors"]]
        if last or not set(said) & set(["rate", "kiss", "no-server"]):
            break
        # It told the time a moment ago. What it has counted are the daemon's packets as well.
        __salt__["ntpcluster.asked"](refused=True)
    if answer["errors"]:
        raise CommandExecutionError("; ".join("ntpdate: {0}".format(error["message"]) for error in answer["errors"]))
    if answer["action"] is None:
        raise CommandExecutionError("ntpdate {0} set nothing and gave no reason".format(server))
    if abs(answer["offset_s"]) > SEEN_S and not _close(moved, answer["offset_s"]):
        raise CommandExecutionError(
            "ntpdate claims a step of {0:+.3f} s by {1}, but the clock moved by {2:+.3f} s".format(
                answer["offset_s"], server, moved
            )
        )
    return round(moved, 2)


def _close(moved, offset):
    """Whether the clock moved as far as it should have; a busy machine may read the two clocks of `moved` some time apart."""
    return abs(moved - offset) <= SEEN_S + min(0.4, 0.01 * abs(offset))


def _seconds(name, value, default):
    """A number of seconds above zero, or the default."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise SaltInvocationError("{0}: {1!r} is not a number of seconds above zero".format(name, value))
    return value


@contextlib.contextmanager
def _nothing():
    yield


@contextlib.contextmanager
def _alone():
    """Hold the lock of this host's clock; a second step at the same time is refused, not queued."""
    with salt.utils.files.fopen(LOCK, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError):
            raise CommandExecutionError(
                "not stepped: another step of this clock is under way ({0} is held)".format(LOCK)
            )
        yield


@contextlib.contextmanager
def _stopped(service):
    """
    The daemon is stopped inside, and started again on every way out, even if this very process is killed.
    """
    __salt__["ntpcluster.guard"](service)
    try:
        try:
            running = __salt__["ntpcluster.daemon"](service)["running"] is not False
            if running and not __salt__["service.stop"](service):
                raise CommandExecutionError("not stepped: service {0} does not stop".format(service))
            yield
        finally:
            # Debian's script waits three minutes for a lock if the daemon runs already.
            started = __salt__["ntpcluster.daemon"](service)["running"] or __salt__["service.start"](service)
    finally:
        __salt__["ntpcluster.dismiss"]()
    if not started:
        raise CommandExecutionError(
            "the clock was stepped, but service {0} does not start again: see the system log".format(service)
        )


def _wait_for_port(seconds=10):
    """
    Wait until nobody holds UDP port 123: ntpdate would give up ("the NTP socket is in use, exiting").
    """
    until = __salt__["ntpcluster.monotonic"]() + seconds
    while __salt__["ntpcluster.port_sockets"]():
        if __salt__["ntpcluster.monotonic"]() > until:
            raise CommandExecutionError(
                "not stepped: UDP port 123 is still in use {0} s after the daemon was stopped: another NTP program "
                "runs here (ntpcluster.diagnose names it)".format(seconds)
            )
        time.sleep(0.1)
