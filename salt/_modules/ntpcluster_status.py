# -*- coding: utf-8 -*-
"""
Internal. Whether this host has the right time: query its daemon or its servers, and let ``ntpcluster_judge`` judge.
"""

from __future__ import absolute_import, print_function, unicode_literals

import time

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_status"


#: The platform that is assumed if neither the tree nor an earlier run describes this host's.
NOTHING_KNOWN = {"daemon": "ntpd", "service": "ntpd", "process": "ntpd", "pid_file": "/var/run/ntpd.pid"}

#: Processes of other time daemons. Programs for the clock of a network card (ptp4l, phc2sys) may run in addition to a daemon.
DAEMONS = ("chronyd", "ntpd", "systemd-timesyn")

#: The remedy if no daemon runs because the tree is not deployed; starting one would not help.
UNDEPLOYED = (
    "`ntp` was never applied here, or ntp.clean has undone it: apply `ntp` (again), or take the host out of the cluster"
)


def status(age=0):
    """
    Internal. Implements ``ntpcluster.status``.

    age
        Seconds: an earlier report of this age is good enough, if this same run made it and has not touched the daemon since.
    """
    looked, seen = __context__.get("ntpcluster.seen", (0, None))
    if seen and __salt__["ntpcluster_program.monotonic"]() - looked < age:
        return seen
    problems, plan = [], None
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
    except (CommandExecutionError, SaltInvocationError) as exc:
        stranger = __salt__["ntpcluster_facts.foreign"]() if isinstance(exc, SaltInvocationError) else None
        if stranger:
            return __salt__["ntpcluster_judge.foreign"](stranger)
        said = "what this host should follow is unknown: {0}".format(exc)
        # Only the files of the tree can be unavailable; all other reasons against a plan are in the pillar.
        code = "invalid-pillar" if isinstance(exc, SaltInvocationError) else "no-tree"
        problems.append(__salt__["ntpcluster_problems.problem"](code, said))
    seen = dict(_status(plan, problems), judged_by=__salt__["ntpcluster_applied.judged_by"](plan))
    stopped = [one for one in seen["problems"] if one["code"] == "daemon-stopped"]
    if stopped and __salt__["ntpcluster_origin.deployed"]() is False:
        stopped[0]["remedy"] = UNDEPLOYED
    __context__["ntpcluster.seen"] = (__salt__["ntpcluster_program.monotonic"](), seen)
    return seen


def synchronized(timeout=None, interval=1, age=0):
    """
    Internal. Implements ``ntpcluster.synchronized``.

    age
        How old the first report may be, as for ``status``.
    """
    if timeout is None:
        timeout = __salt__["ntpcluster_plan.plan"]()["sync"]["timeout"]
    started = __salt__["ntpcluster_program.monotonic"]()
    while True:
        seen = status(age)
        age, waited = 0, __salt__["ntpcluster_program.monotonic"]() - started
        if seen["synchronized"] or waited + interval > timeout:
            return {"synchronized": seen["synchronized"], "waited_s": round(waited, 1), "status": seen}
        time.sleep(min(max(interval, _too_early(seen["daemon"]["uptime_s"], waited)), timeout - waited))


def _too_early(uptime, waited):
    """
    For how many seconds from now a daemon that has just started cannot follow a source yet.

    uptime
        When it was queried last; None unless it runs. A container may show a wrong one.
    waited
        For how long this wait has lasted.
    """
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
    except (CommandExecutionError, SaltInvocationError):
        return 0
    if uptime is None or plan["local"] is not None:  # who leads an island follows nobody
        return 0
    looked = __context__.get("ntpcluster.seen", (None, None))[0]
    passed = 0 if looked is None else __salt__["ntpcluster_program.monotonic"]() - looked
    return plan["platform"]["first_sync"] - max(uptime + passed, waited)


def bound():
    """
    Internal. Implements ``ntpcluster.bound``.
    """
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
        doing = __salt__["ntpcluster_daemon.doing"](plan["platform"], "look")
        if plan["method"] == "cron":
            raise CommandExecutionError("the method is cron: no daemon keeps this clock between two steps")
        look = __salt__[doing](len(plan["sources"]), once=True)
    except (CommandExecutionError, SaltInvocationError) as exc:
        return dict(__salt__["ntpcluster_bound.nothing"]("{0}".format(exc)), source=None)
    return __salt__["ntpcluster_judge.bound"](plan, look)


def peers():
    """
    Internal. Implements ``ntpcluster.peers``.
    """
    doing = __salt__["ntpcluster_daemon.doing"](_running(), "look")
    seen = __salt__[doing]()
    if seen["error"] and not seen["peers"] and not seen["system"]:
        said = "the NTP daemon of this host cannot be queried ({0}): {1}. See ntpcluster.status."
        raise CommandExecutionError(said.format(seen["error"], seen["message"]))
    return seen["peers"]


def variables(associd=0):
    """
    Internal. Implements ``ntpcluster.variables``.
    """
    doing = __salt__["ntpcluster_daemon.doing"](_running(), "variables")
    if doing is None:
        said = "the daemon of this host has no variables of ntpq: see ntpcluster.status and ntpcluster.peers"
        raise CommandExecutionError(said)
    return __salt__[doing](associd)


def _running():
    """The platform with the daemon that the plan names; without a plan, with its own."""
    try:
        return __salt__["ntpcluster_plan.plan"]()["platform"]
    except (CommandExecutionError, SaltInvocationError):
        return _platform()


def _status(plan, problems):
    platform = plan["platform"] if plan else _platform()
    living = __salt__["ntpcluster_process.named"](DAEMONS + (platform["process"],))
    process = __salt__["ntpcluster_process.daemon"](platform, living)
    problems = problems + _rivals(platform["process"], living, plan["conflicts"] if plan else [])
    if plan and plan["method"] == "cron":
        sources = [source["address"] for source in plan["sources"]]
        answers = __salt__["ntpcluster_query.query"](sources)
        return __salt__["ntpcluster_judge_answers.host"](plan, process, answers, problems + _cron(plan))
    try:
        doing = __salt__["ntpcluster_daemon.doing"](platform, "look")
        look = __salt__[doing](len(plan["sources"]) if plan else 0)
    except CommandExecutionError as exc:
        look = {"error": "not-installed", "message": str(exc), "system": {}, "peers": [], "complete": False}
    return __salt__["ntpcluster_judge.judge"](plan, process, look, problems)


def _rivals(own, living, services):
    """Other time daemons among the processes of this host, and those of these services that are not running but start at
    boot."""
    running = __salt__["ntpcluster_process.rivals"](own, living)
    boot = [] if running else [(service, None) for service in __salt__["ntpcluster_process.at_boot"](services)]
    return [__salt__["ntpcluster_problems.rival"](name, pid) for name, pid in running + boot]


def _cron(plan):
    """What is wrong with the cron daemon, which a host without ntpd depends on for its time."""
    cron = plan["platform"]["cron"]["services"]
    if any(__salt__["service.status"](service) for service in cron):
        return []
    said = "the cron daemon ({0}) does not run, so nothing sets the clock".format(" or ".join(cron))
    return [__salt__["ntpcluster_problems.problem"]("cron-stopped", said, services=cron)]


def _platform():
    """The platform where there is no plan; without the tree's files, that of the last plan."""
    try:
        return __salt__["ntpcluster_facts.platform"]()
    except (CommandExecutionError, SaltInvocationError):
        last = __salt__["ntpcluster_applied.kept"]().get("plan")
        return last["platform"] if last else NOTHING_KNOWN
