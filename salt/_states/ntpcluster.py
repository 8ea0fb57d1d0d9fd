# -*- coding: utf-8 -*-
"""
A clock that is right, and a host that follows its tier
=======================================================

.. code-block:: yaml

    pillar-is-valid:
      ntpcluster.valid: []

    clock-is-stepped:
      ntpcluster.stepped: []

    tier-is-followed:
      ntpcluster.synchronized:
        - timeout: 120

Each state reads, compares, and returns if nothing needs to change; in test mode it predicts the real run.
"""

from __future__ import absolute_import, print_function, unicode_literals

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster"

#: Kernels that maintain the hardware clock write it every 11 minutes; its drift in that time is far smaller than this.
HARDWARE_CLOCK_BOUND_S = 10

#: The previous state has checked the daemon just before this one does.
LOOK_S = 2

#: A daemon follows its tier about seven seconds after its start; this is how often it is checked.
INTERVAL_S = 0.3


def __virtual__():
    return __virtualname__


def _result(name, result=True, changes=None, comment=""):
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


def valid(name):
    """
    The pillar has no errors. This is the first state: the others require it, so that invalid data changes nothing.

    It does not repeat doubtful settings at every run: ``ntpcluster.validate`` and the rollout report those. It does say whether
    the lab tests this platform and daemon: ``tested``, or ``known, not tested``.

    name
        Ignored; Salt requires it.
    """
    # From here on everything uses this run's pillar, and the files of its environment.
    __salt__["ntpcluster_applied.begin"](__env__)
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
    except CommandExecutionError as exc:
        return _result(name, False, comment="nothing is changed: {0}".format(exc))
    except SaltInvocationError as exc:
        # The tree's states run here already: do not check that.
        problems = __salt__["ntpcluster_validate.validate"](states=False)
        lines = [problem["text"] for problem in problems if problem["level"] == "error"]
        if lines:
            said = "the pillar is not valid, so nothing is changed:\n" + "\n".join(lines)
            return _result(name, False, comment=said)
        return _result(name, False, comment="nothing is changed: {0}".format(exc))
    platform = plan["platform"]
    return _result(
        name,
        comment="the pillar is valid; this host belongs to tier {0}; its platform, {1} with {2}, is {3}".format(
            plan["tier"], platform["name"], platform["daemon"], "tested" if platform["tested"] else "known, not tested"
        ),
    )


def stepped(name, wait=60):
    """
    The clock is close enough for the daemon to discipline it; otherwise it is stepped once.

    If the daemon already follows its source the clock is not measured. The daemon slews offsets below the pillar's
    ``step:threshold``.

    name
        Ignored; Salt requires it.
    wait
        Seconds to wait for a server that gives the time: the tier above may be starting.
    """
    test = __opts__["test"]
    try:
        done = __salt__["ntpcluster_step.step"](wait=0 if test else wait, test=test, hwclock=False)
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    if test and done["needed"] is None:
        return _result(name, None, comment=done["comment"])
    if not done["stepped"] and not (test and done["needed"]):
        return _result(name, comment=done["comment"])
    changes = {
        "clock": {
            "old": "{0:+.3f} s off".format(-done["offset_before_s"]),
            "new": "stepped by {0}".format(done["server"]),
        }
    }
    comment = done["comment"]
    if done["stepped"]:
        comment += ". Salt's duration includes the step, as Salt measures it with this clock"
    return _result(name, None if test else True, changes, comment)


def synchronized(name, timeout=None):
    """
    This host follows its tier. Fails with the diagnosis if it does not within the time limit; never changes anything.

    name
        Ignored; Salt requires it.
    timeout
        Seconds to wait; default: the pillar's ``sync:timeout``. Test mode checks once.
    """
    try:
        timeout = 0 if __opts__["test"] else timeout
        done = __salt__["ntpcluster_status.synchronized"](timeout=timeout, interval=INTERVAL_S, age=LOOK_S)
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    seen = done["status"]
    if done["synchronized"]:
        comment = "this host follows {0} at stratum {1}, offset {2} ms"
        if seen["source"] is None:
            comment = "this host leads its island at stratum {1}"
        if seen["reference"] == "island":
            comment += "; nothing ties the island to UTC"
        return _result(name, comment=comment.format(seen["source"], seen["stratum"], seen["offset_ms"]))
    if __opts__["test"]:
        return _result(name, comment="this host does not follow its tier yet")
    lines = ["{code}: {message}. Remedy: {remedy}".format(**problem) for problem in seen["problems"]]
    # A doubtful setting that did not prevent the run may be the cause of this failure.
    lines += ["see also {text}".format(**problem) for problem in __salt__["ntpcluster_validate.validate"]()]
    comment = "this host does not follow its tier after {0:.0f} s ({1})".format(done["waited_s"], seen["health"])
    return _result(name, False, comment="\n".join([comment] + lines))


def hardware_clock(name):
    """
    The hardware clock is right too, so that the next boot starts with the right time.

    A daemon that steps the clock does not write the hardware clock. The kernel does so once it is told that the clock is
    synchronized: current kernels after some minutes, that of EL 6 only the minutes and seconds, so that a wrong date stays
    wrong. It is written only from a system time that is known to be right: the daemon follows its source, or the servers have
    just confirmed it.

    name
        Ignored; the pillar's ``hwclock`` says whether it is managed, and whether it keeps UTC.
    """
    test = __opts__["test"]
    try:
        if not __salt__["ntpcluster_plan.plan"]()["hwclock"]["manage"]:
            return _result(name, comment="the pillar does not manage the hardware clock")
        try:
            seen = __salt__["ntpcluster_hwclock.hwclock"](exact=False)
        except CommandExecutionError as exc:
            if not test:
                raise
            # The real run installs hwclock before this state.
            return _result(name, None, comment="{0}".format(exc))
        if seen["present"] is False:
            return _result(name, comment="this host has no hardware clock: {0}".format(seen["problem"]))
        off, step = seen["error_s"], None
        if test:
            step = __salt__["ntpcluster_step.step"](test=True)
            if step["needed"] is None:
                return _result(name, None, comment="is compared with the system time once that is right")
            if step["needed"] and off is not None:
                off = round(off - step["offset_before_s"], 1)
        if off is not None and abs(off) <= HARDWARE_CLOCK_BOUND_S:
            return _result(name, comment="the hardware clock is right")
        wrong = "unreadable ({0})".format(seen["problem"]) if off is None else "{0:+.0f} s off".format(off)
        if not test and not __salt__["ntpcluster_step.right"]():
            said = "the hardware clock is {0}, and the system time is not known to be right"
            return _result(name, False, comment=said.format(wrong))
        changes = {"hardware clock": {"old": wrong, "new": "the system time"}}
        if test:
            return _result(name, None, changes, "the hardware clock would be set from the system time")
        done = __salt__["ntpcluster_hwclock.systohc"]()
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    if not done["written"]:
        said = (
            "the hardware clock is {0} and was not written: {1}. If this host cannot have a correct one, set "
            "hwclock:manage in the pillar to false"
        )
        return _result(name, False, comment=said.format(wrong, done["problem"]))
    return _result(name, True, changes, "the hardware clock has been set from the system time")


def timezone(name):
    """
    The host has the pillar's time zone, and keeps it when tzdata is updated.

    name
        Ignored; the zone comes from the plan. Without one, the host keeps its zone.
    """
    try:
        zone = __salt__["ntpcluster_plan.plan"]()["timezone"]
        if zone is None:
            return _result(name, comment="the pillar sets no time zone; this host keeps its own")
        now = __salt__["ntpcluster_timezone.timezone"]()
        if now["recorded"] == zone and now["shown"]:
            return _result(name, comment="the time zone is {0}".format(zone))
        changes = {"timezone": {"old": now["recorded"], "new": zone}}
        if __opts__["test"]:
            return _result(name, None, changes, "the time zone would be set to {0}".format(zone))
        __salt__["ntpcluster_timezone.set_zone"](zone)
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    return _result(name, True, changes, "the time zone has been set to {0}".format(zone))
