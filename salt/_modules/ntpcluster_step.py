# -*- coding: utf-8 -*-
"""
Internal. One step of this host's clock: only if it is needed, known to be right, and possible. ntpdate makes the step where
ntpd is the daemon, otherwise a system call does.

A step counts only if the clock was observed to move: ntpdate exits with 0 even if it was not permitted to set anything. ntpdate
has no limit: it steps to whatever the server says when it queries it. So the clock must have moved by the distance that was
judged just before; otherwise the step is undone.
"""

from __future__ import absolute_import, print_function, unicode_literals

import contextlib
import fcntl
import time

import salt.utils.files
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_step"

#: Allows one step at a time on a host, whoever starts it.
LOCK = "/var/run/ntpcluster.lock"

#: A run from the crontab holds the lock too, usually for two seconds; an apply waits for it instead of failing.
LOCK_S = 5

#: A daemon has the time 4.5 s (chronyd) to 7 s (ntpd) after its start at the earliest. So a server that has begun to answer is not
#: queried for this long: the packets that its rate limit allows are saved for the moment when it counts.
BEGINS_S = 4

#: Minimum and maximum number of seconds until a server that answers without having the time is queried again. Not shorter, or the
#: counter of its rate limit would be full: a daemon that its package has started answers seconds before it is stopped for the
#: step. The maximum is above PACKET_S of ntpcluster_query.
SOON_S, AGAIN_S = 2, 8

#: Smaller moves of the clock cannot be detected: times(2) counts hundredths of a second.
SEEN_S = 0.1

#: The accuracy with which a move is measured, even on a busy machine.
READ_S = 0.03

#: The server that gave the time before the daemon's package was installed, and for how long its answer counts.
AHEAD, AHEAD_S = "ntpcluster_step.ahead", 60

#: When the clock was last found or set right; valid for one run only.
RIGHT, RIGHT_S = "ntpcluster_step.right", 60

#: What ``step`` returns if it did not step the clock.
UNTOUCHED = {
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


def step(servers=None, threshold=None, limit=None, passes=None, wait=0, force=False, test=False, hwclock=True):
    """
    Internal. Implements ``ntpcluster.step``.

    hwclock
        Also write the hardware clock, unless the pillar forbids it: this takes some seconds.
    """
    plan = __salt__["ntpcluster_plan.plan"]()
    threshold = _seconds("threshold", threshold, plan["step"]["threshold"])
    limit = _seconds("limit", limit, plan["step"]["limit"])
    passes = plan["step"]["passes"] if passes is None else passes
    if isinstance(passes, bool) or passes not in range(1, 11):
        raise SaltInvocationError("passes: {0!r} is not a number from 1 to 10".format(passes))
    result = dict(UNTOUCHED)
    servers, in_turn, comment = _whom(plan, servers)
    if plan["local"] is not None and not servers:
        return dict(result, comment=comment)
    with _nothing() if test else _alone():
        seen = __salt__["ntpcluster_status.status"]()
        offset = seen["offset_ms"] or 0.0
        if seen["synchronized"] and not force and abs(offset) < threshold * 1000.0:
            _now_right()
            said = "the daemon follows {0} closely ({1:+.3f} ms): a healthy clock is never stepped"
            if seen["source"] is None:
                said = "this host currently leads its island: a healthy clock is never stepped"
            result["comment"] = said.format(seen["source"], offset)
            return result
        if not servers:
            return dict(result, needed=None, comment=comment)
        try:
            best = _told_ahead(plan, servers) or _await_time(servers, wait, in_turn)
        except CommandExecutionError as exc:
            if not test:
                raise
            # A server that is silent now may answer at the time of the real run.
            result.update(needed=None, comment="{0}".format(exc))
            return result
        result.update(server=best["address"], offset_before_s=best["offset_s"], offset_after_s=best["offset_s"])
        result["needed"] = abs(best["offset_s"]) >= threshold
        if not result["needed"] and not force:
            _now_right()
            result["comment"] = "the offset of {0:+.6f} s from {1} is below {2:g} s and is left to the daemon".format(
                best["offset_s"], best["address"], threshold
            )
            return result
        _allow(best, limit)
        if test:
            result["comment"] = "the clock would be stepped by {0:+.3f} s".format(best["offset_s"])
            return result
        result = _step(plan, best, threshold, passes, result, servers, limit, in_turn, force)
        _now_right()
        if hwclock and plan["hwclock"]["manage"]:
            result["hwclock"] = __salt__["ntpcluster_hwclock.systohc"](plan["hwclock"]["utc"])
        return result


def shift(offset, test=False, **called):
    """
    Internal. Step the clock by this distance, whatever its servers say: for an island, all of whose hosts are stepped by the
    same distance. It leaves the daemon running, also one that has exited because a server was stepped first.

    offset
        In seconds; above zero moves the clock forward.
    test
        Judge only.

    Returns a dict: ``moved_s``, how far the clock was observed to move, and ``hwclock`` as ``ntpcluster.step``.

    Raises CommandExecutionError with the reason for each refusal and failure.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    plan = __salt__["ntpcluster_plan.plan"]()
    limit, result = plan["step"]["limit"], {"moved_s": 0.0, "hwclock": None}
    if abs(offset) < 2 * SEEN_S:
        raise CommandExecutionError("not stepped: a step of less than {0:g} s is not observed: slew".format(2 * SEEN_S))
    if limit is not None and abs(offset) > limit:
        raise CommandExecutionError("not stepped: step:limit allows {0:g} s, not {1:+.3f} s".format(limit, offset))
    if test:
        return result
    with _alone():
        __salt__["ntpcluster_service.relieve"]()
        __salt__["ntpcluster_query.pace"](plan["platform"]["burst"], plan["platform"]["first_packet"])
        with _stopped(plan["platform"]) if plan["method"] == "daemon" else _nothing():
            before = _lead()
            __salt__["ntpcluster_kernel.shift"](offset)
            result["moved_s"] = round(_lead() - before, 2)
            if not _close(result["moved_s"], offset):
                raise CommandExecutionError(
                    "not stepped as far as ordered: the clock moved by {0:+.3f} s, not {1:+.3f} s: something else moves "
                    "this clock".format(result["moved_s"], offset)
                )
        __salt__["ntpcluster_query.asked"](plan["platform"]["burst"])
        _now_right()
        if plan["hwclock"]["manage"]:
            result["hwclock"] = __salt__["ntpcluster_hwclock.systohc"](plan["hwclock"]["utc"])
    return result


def _whom(plan, servers):
    """
    The servers that a step queries, whether they are tried in turn instead of by vote, and the reason if there are none. On an
    island the first server that is up leads.
    """
    if servers:
        return servers, False, None
    comment = "this host has only reference clocks, which its daemon reads: the clock is left to the daemon"
    if plan["local"] is not None:
        comment = "this host leads its island: its own clock sets the others, and is not stepped"
    return plan["step_by"], plan["reference"] == "island" and bool(plan["neighbours"]), comment


def right():
    """
    Internal. Whether the system time is known to be right: the daemon follows a source closely, or the servers say so, or this run
    has set it just now. A host without servers to query has reference clocks, which only its daemon reads: wait for the daemon.
    """
    if __salt__["ntpcluster_program.monotonic"]() - __context__.get(RIGHT, -RIGHT_S) < RIGHT_S:
        return True
    plan = __salt__["ntpcluster_plan.plan"]()
    if not plan["step_by"] and plan["local"] is None:
        return __salt__["ntpcluster_status.synchronized"]()["synchronized"]
    return step(test=True)["needed"] is False


def _now_right():
    __context__[RIGHT] = __salt__["ntpcluster_program.monotonic"]()


def ask_ahead(**called):
    """
    Internal. Query the servers of a top tier before the daemon's package is installed: the pause that a rate limit demands between
    two packets passes during the installation. The step of this run uses the answer if no daemon has been started and the clock
    has not been moved in between. Lower tiers wait for the tier above in any case, and its servers may be stepped meanwhile.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    plan = __salt__["ntpcluster_plan.plan"]()
    servers, in_turn, _ = _whom(plan, None)
    if not servers or plan["follows"] or _may_run(plan):
        return
    best = _ask(servers, in_turn)[0]
    if best:  # otherwise the step asks again, and waits
        run, now = __salt__["ntpcluster_applied.in_run"](), __salt__["ntpcluster_program.monotonic"]()
        __context__[AHEAD] = (run, now, servers, best)


def _told_ahead(plan, servers):
    """The answer to ``ask_ahead``; None if there is none that counts."""
    run, moment, asked, best = __context__.pop(AHEAD, (None, 0, None, None))
    this = run and run == __salt__["ntpcluster_applied.in_run"]()
    fresh = __salt__["ntpcluster_program.monotonic"]() - moment < AHEAD_S
    # A slew by a daemon cannot be seen: the monotonic clock is slewed as well.
    return best if this and fresh and asked == servers and not _moved_since(best) and not _may_run(plan) else None


def _may_run(plan):
    """Whether the daemon runs, or may run."""
    return __salt__["ntpcluster_process.running"](plan["platform"])["running"] is not False


def lock():
    """
    Internal. The file that is locked while this host's clock is being set, also by the crontab of the other method.
    """
    return LOCK


def _await_time(servers, wait, in_turn=False):
    """
    The server to set the clock from, as soon as there is one; the last refusal if there is none in time. `in_turn`: they do not
    vote, and the first one that gives the time is used.

    It queries as often as possible, so that a server with a rate limit still accepts the packets of the step and the daemon's
    first packets, which follow the first good answer at once. A server that refuses is given time to recover.
    """
    until, heard = __salt__["ntpcluster_program.monotonic"]() + wait, {}
    packets = (
        2 + __salt__["ntpcluster_plan.plan"]()["platform"]["burst"]
    )  # with this query, the step's and the daemon's own
    while True:
        best, found, refusal = _ask(servers, in_turn)
        if best:
            return best
        left = until - __salt__["ntpcluster_program.monotonic"]()
        if left <= 0:
            raise refusal
        if any(server["kiss"] == "RATE" for server in found):
            __salt__["ntpcluster_query.asked"](refused=True)
        # Since when each server has answered: none has the time before the first of them can have it.
        now = __salt__["ntpcluster_program.monotonic"]()
        heard = dict((one["address"], heard.get(one["address"], now)) for one in found if one["reachable"])
        soon = max(SOON_S, min(heard.values()) + BEGINS_S - now) if heard else 0
        time.sleep(min(max(soon, __salt__["ntpcluster_query.pause"](packets)), AGAIN_S, left))


def _ask(servers, in_turn):
    """
    Query the servers: the one to believe, with `lead_s`, where the clock was before; all of them; and why none is believed.
    """
    lead = _lead()
    found = __salt__["ntpcluster_query.query"](servers)["servers"]
    telling = [server for server in found if server["offset_s"] is not None]
    try:
        best = telling[0] if in_turn and telling else __salt__["ntpcluster_answers.trusted"](found)
    except CommandExecutionError as exc:
        return None, found, exc
    return dict(best, lead_s=lead), found, None


def _moved_since(best):
    """Whether the clock has been stepped since this answer."""
    return abs(_lead() - best["lead_s"]) > READ_S


def _allow(best, limit, moved=0.0):
    """Refuse a step that would move the clock further than the limit from where it was; `moved` is the distance so far."""
    distance = abs(moved + best["offset_s"])
    if limit is not None and distance > limit:
        raise CommandExecutionError(
            "not stepped{0}: the clock is {1:.3f} s off by {2}, and step:limit allows {3:g} s. See which side is "
            "wrong, then call ntpcluster.step with a larger limit".format(
                " again" if moved else "", distance, best["address"], limit
            )
        )


def _step(plan, best, threshold, passes, result, servers, limit, in_turn, force):
    """Stop the daemon, and step until the offset is small; the daemon is started again in any case."""
    platform = plan["platform"]
    # A daemon in an unknown state is treated as running, so that it is started again afterwards.
    running = __salt__["ntpcluster_service.relieve"]() or _may_run(plan)
    with _stopped(platform) if running else _nothing():
        _wait_for_port()
        if _moved_since(best):
            # Until it had stopped, the daemon may have stepped the clock itself: what was judged is out of date.
            best = _await_time(servers, 0, in_turn)
            _allow(best, limit)
            result.update(server=best["address"], offset_before_s=best["offset_s"], offset_after_s=best["offset_s"])
            result["needed"] = abs(best["offset_s"]) >= threshold
        if result["needed"] or force:
            _jumps(platform, best, threshold, passes, result, servers, limit, in_turn)
        __salt__["ntpcluster_query.pace"](platform["burst"], platform["first_packet"])
    if running:
        __salt__["ntpcluster_query.asked"](platform["burst"])
    result["daemon_restarted"] = running
    result["comment"] = "the clock has been stepped by {0:+.6f} s by {1}".format(result["moved_s"], best["address"])
    if not result["stepped"]:
        result["comment"] = (
            "the clock was moved meanwhile; its offset of {0:+.6f} s from {1} is left to the daemon".format(
                best["offset_s"], best["address"]
            )
        )
    return result


def _jumps(platform, best, threshold, passes, result, servers, limit, in_turn):
    """Step until the offset is small, and write into the result what was done."""
    for result["passes"] in range(1, passes + 1):
        moved = _jump(best["address"], best["offset_s"], platform)
        result["moved_s"] += moved
        result["offset_after_s"] = round(best["offset_s"] - moved, 6)
        # The remaining offset follows from the move. Another query would cost a packet and the pause before it.
        if abs(result["offset_after_s"]) + READ_S < threshold:
            break
        after = __salt__["ntpcluster_query.query"]([best["address"]])["best"]
        result["offset_after_s"] = after["offset_s"] if after else None
        # The server does not answer this time, but it gave the time before, and a large step was observed.
        if abs(best["offset_s"]) > SEEN_S if after is None else abs(after["offset_s"]) < threshold:
            break
        if after is None:
            raise CommandExecutionError(
                "{0} answers no more, so nobody knows whether the clock was stepped".format(best["address"])
            )
        # It gave another time before: judge again which servers to believe.
        best = _await_time(servers, 0, in_turn)
        result["offset_after_s"] = best["offset_s"]
        if abs(best["offset_s"]) < threshold:
            break
        _allow(best, limit, result["moved_s"])
    else:
        raise CommandExecutionError(
            "stepped {0} times by {1}, but the offset is still {2} s: something else moves this clock".format(
                passes, best["address"], result["offset_after_s"]
            )
        )
    result["stepped"] = True


def _jump(server, offset, platform):
    """Step the clock by this offset; returns how far it was observed to move, in seconds."""
    doing = __salt__["ntpcluster_daemon.doing"](platform, "jump")
    for last in (False, True):
        before = _lead()
        answer = __salt__[doing](server, offset, platform)
        moved = _lead() - before
        if abs(moved) > SEEN_S:
            # A step that was observed counts, whatever the tool complains about.
            if _close(moved, offset):
                return round(moved, 2)
            _put_back(server, offset, moved)
        said = [error["code"] for error in answer["errors"]]
        if last or not set(said) & set(["rate", "kiss", "no-server"]):
            break
        # It gave the time just before. Its rate limit also counts the daemon's packets.
        __salt__["ntpcluster_query.asked"](refused=True)
    tool = answer["tool"]
    if answer["errors"]:
        raise CommandExecutionError("; ".join("{0}: {1}".format(tool, error["message"]) for error in answer["errors"]))
    if answer["offset_s"] is None:
        raise CommandExecutionError("{0} {1} set nothing and gave no reason".format(tool, server))
    if abs(answer["offset_s"]) > SEEN_S and not _close(moved, answer["offset_s"]):
        raise CommandExecutionError(
            "{0} claims a step of {1:+.3f} s by {2}, but the clock moved by {3:+.3f} s".format(
                tool, answer["offset_s"], server, moved
            )
        )
    return round(moved, 2)


def _lead():
    """
    How far the system time is ahead of the monotonic clock. Takes three readings and uses the one with the least time between
    its two clocks.
    """
    return max(time.time() - __salt__["ntpcluster_program.monotonic"]() for _ in range(3))


def _put_back(server, offset, moved):
    """Undo a step to a time that was not judged, and refuse to continue."""
    try:
        __salt__["ntpcluster_kernel.shift"](-moved)
        undone = "It has been put back"
    except CommandExecutionError as exc:
        undone = "It cannot be put back: {0}".format(exc)
    raise CommandExecutionError(
        "not stepped: the clock was to be moved by {0:+.3f} s, the offset from {1}, but was moved by {2:+.3f} s: {1} says "
        "something else now, or something else moves this clock. {3}".format(offset, server, moved, undone)
    )


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
    """Hold the lock of this host's clock; if another step holds it for too long, this one is refused."""
    until = __salt__["ntpcluster_program.monotonic"]() + LOCK_S
    with salt.utils.files.fopen(LOCK, "a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (IOError, OSError):
                if __salt__["ntpcluster_program.monotonic"]() > until:
                    raise CommandExecutionError(
                        "not stepped: another step of this clock is in progress ({0} is locked)".format(LOCK)
                    )
                time.sleep(0.2)
        yield


@contextlib.contextmanager
def _stopped(platform):
    """
    The daemon is stopped inside the block, and started again on every exit, even if this process is killed.
    """
    service = platform["service"]
    __salt__["ntpcluster_service.guard"](platform)
    try:
        try:
            running = __salt__["ntpcluster_process.running"](platform)["running"] is not False
            if running and __salt__["ntpcluster_service.stop"](platform):
                raise CommandExecutionError("not stepped: service {0} does not stop".format(service))
            yield
        finally:
            started = __salt__["ntpcluster_service.start"](platform)
    finally:
        __salt__["ntpcluster_service.dismiss"]()
    if not started:
        raise CommandExecutionError(
            "the clock was stepped, but service {0} does not start again: see the system log".format(service)
        )


def _wait_for_port(seconds=10):
    """
    Wait until no process holds UDP port 123: ntpdate would give up ("the NTP socket is in use, exiting").
    """
    until = __salt__["ntpcluster_program.monotonic"]() + seconds
    while __salt__["ntpcluster_process.port_sockets"]():
        if __salt__["ntpcluster_program.monotonic"]() > until:
            raise CommandExecutionError(
                "not stepped: UDP port 123 is still in use {0} s after the daemon was stopped: another NTP program "
                "runs here (ntpcluster.diagnose names it)".format(seconds)
            )
        time.sleep(0.1)
