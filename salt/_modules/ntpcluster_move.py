# -*- coding: utf-8 -*-
"""
Internal. Move this host's clock by a given distance, as part of moving all hosts of an island by the same distance.

A slew is ``adjtime(2)``: the kernel runs the clock 500 ppm fast or slow until the clock has moved by that distance. It adds
this to the rate that ntpd's kernel PLL or chronyd has set (``time_adjust`` in kernel/time/ntp.c), and the daemons do not notice
it while their sources are slewed at the same rate. Only an ntpd without the kernel PLL calls ``adjtime`` itself, each second,
and would replace this slew.
"""

from __future__ import absolute_import, print_function, unicode_literals

import time

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_move"

#: The rate of adjtime(2), in seconds per second: MAX_TICKADJ in kernel/time/ntp.c.
SLEW_RATE = 500e-6

#: A slew takes at most a day, 43.2 s of clock: longer ones outlive too many restarts and clients.
SLOWEST_S = 86400

#: After this time the kernel must have begun. It adjusts at the turn of each second.
BEGUN_S = 2.2

#: A margin for the kernel's own rounding, and for the last adjustment, which may have been counted already.
ROUND_S = 2 * SLEW_RATE

#: Times outside this range are not set: NTP's 32 bits of seconds overflow in 2036, and ntpsec 1.2 does not survive it.
YEAR_2000, ERA_END_S = 946684800, 2085978496


def move(offset, step=False, test=False):
    """
    Internal. Implements ``ntpcluster.move``.
    """
    for name, value in (("step", step), ("test", test)):
        if not isinstance(value, bool):
            raise SaltInvocationError("{0}: {1!r} is neither True nor False".format(name, value))
    # Comparisons with NaN are false.
    if isinstance(offset, bool) or not isinstance(offset, (int, float)) or not abs(offset) < ERA_END_S:
        raise SaltInvocationError("offset: {0!r} is not a number of seconds".format(offset))
    plan = __salt__["ntpcluster_plan.plan"]()
    if plan["reference"] != "island":
        raise CommandExecutionError("not moved: this host belongs to no island, and its sources alone set its clock")
    if not YEAR_2000 <= time.time() + offset < ERA_END_S:
        raise CommandExecutionError(
            "not moved: by {0:+g} s the clock would leave the years 2000 to 2036".format(offset)
        )
    result = {
        "moved_s": 0.0,
        "pending_s": round(__salt__["ntpcluster_kernel.slew"](), 6),
        "takes_s": 0.0,
        "hwclock": None,
    }
    result.update(_step(offset, test) if step else _slew(plan, offset, result["pending_s"], test))
    return dict(result, time_s=time.time())


def _step(offset, test):
    """Step by this offset, or predict it; returns a part of the return of ``move``."""
    done = __salt__["ntpcluster_step.shift"](offset, test=test)
    said = "would be" if test else "has been"
    comment = "the clock {0} stepped by {1:+.6f} s, with the daemon stopped".format(said, offset)
    return dict(done, comment=comment)


def _slew(plan, offset, pending, test):
    """Slew by this offset, or predict it; returns a part of the return of ``move``."""
    takes = abs(offset) / SLEW_RATE
    if takes > SLOWEST_S:
        raise CommandExecutionError(
            "not slewed: {0:+g} s would take {1:.0f} h at {2:g} ppm, and at most {3:.0f} h are allowed: step=True steps "
            "the clock".format(offset, takes / 3600, SLEW_RATE * 1e6, SLOWEST_S / 3600.0)
        )
    platform = plan["platform"]
    if (
        plan["method"] == "daemon"
        and __salt__["ntpcluster_daemon.adjusts"](platform)
        and not __salt__["ntpcluster_kernel.pll"]()
    ):
        raise CommandExecutionError(
            "not slewed: {0} disciplines this clock without the kernel (`-x`, `disable kernel` or a `tinker step` that is "
            "0 or large), and would undo it: step=True steps the clock".format(platform["process"])
        )
    if not test:
        __salt__["ntpcluster_kernel.slew"](offset)
        _prove(offset)
    said = "would be" if test else "is being"
    comment = "the clock {0} slewed by {1:+.6f} s, which takes {2:.0f} s".format(said, offset, takes)
    if not offset:
        comment = "the slew in progress {0} stopped".format("would be" if test else "has been")
        comment = comment if pending else "no slew is in progress"
    elif pending:
        comment += ", in place of the {0:+.6f} s that an earlier slew has left".format(pending)
    return {"takes_s": round(takes, 1), "comment": comment}


def _prove(offset):
    """Check that the kernel slews, and that no other program has replaced the slew; otherwise stop it."""
    if not offset:
        return
    began = __salt__["ntpcluster_program.monotonic"]()
    time.sleep(BEGUN_S)
    gone = (offset - __salt__["ntpcluster_kernel.slew"]()) * (1 if offset > 0 else -1)
    passed = __salt__["ntpcluster_program.monotonic"]() - began
    if not 0 < gone <= min(abs(offset), SLEW_RATE * (passed + 1) + ROUND_S):
        __salt__["ntpcluster_kernel.slew"](0.0)
        raise CommandExecutionError(
            "not slewed: {0:.6f} s of {1:+.6f} s are gone after {2:.1f} s: something else adjusts this clock. The slew has "
            "been stopped; step=True steps the clock".format(gone, offset, passed)
        )
