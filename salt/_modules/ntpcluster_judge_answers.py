# -*- coding: utf-8 -*-
"""
Internal. Judge servers and this host's clock by the servers' answers, on a host without a daemon.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_judge_answers"

#: Why such a clock has no bound.
UNKEPT = "no daemon keeps this clock between two steps of the crontab"


def problems_of(plan, servers):
    """
    Internal. What is wrong with the servers, and with the clock according to their majority.

    plan
        ``ntpcluster.plan``.
    servers
        As ``ntpcluster.query`` returns them.

    Returns a list of {code, message, evidence}. The codes are those of ``ntpcluster.status``, the rules those of
    ``ntpcluster_judge.judge``. The majority is ``ntpcluster_answers.majority``, which ``ntpcluster.step`` uses as well.
    """
    agreed = __salt__["ntpcluster_answers.majority"](servers)
    known = [dict(server, refid_kind=_refid_kind(server)) for server in servers]
    own = __salt__["ntpcluster_problems.own_clocks"](known, plan)
    found = [_trouble(plan, server, why, agreed) for server, why in zip(servers, own)]
    if agreed:
        found.append(_too_far(__salt__["ntpcluster_answers.middle"](agreed), plan["sync"]["max_offset"] * 1000.0))
    return [problem for problem in found if problem]


def _too_far(middle, allowed_ms):
    """The problem of a clock that is too far from the median server, or None. If there are two, the further one counts."""
    told = [
        __salt__["ntpcluster_problems.too_far"](server["offset_s"] * 1000.0, server["address"], allowed_ms)
        for server in middle
    ]
    problem = told[-1]
    if problem and not told[0]:
        problem["message"] += ", but {0:+.3f} ms from {1}: the servers disagree; a step cannot fix this".format(
            middle[0]["offset_s"] * 1000.0, middle[0]["address"]
        )
    return problem


def _refid_kind(server):
    return __salt__["ntpcluster_parse_table.refid_kind"](server["refid"], server["stratum"])


def _trouble(plan, server, own, agreed):
    """Why a server is not usable, or None. `own`: why its time comes from its own clock, or None."""
    name = server["address"] or server["name"]
    age = server["reference_age_s"]
    if server["address"] is None:
        code, said = "unresolvable", "the name {0} does not resolve on this host".format(name)
    elif not server["reachable"]:
        code, said = "unreachable", "{0} does not answer a request for the time".format(name)
    elif server["kiss"]:
        code, said = "denied", "{0} refuses this host: {1}".format(name, server["kiss"])
    elif server["offset_s"] is None:
        code = "upstream-unsynchronized"
        said = "{0} answers but is not synchronized itself: stratum {1}, leap {2}, refid {3}".format(
            name, server["stratum"], server["leap"], server["refid"]
        )
    elif server not in agreed:
        code = "falseticker"
        said = "{0} says {1:+.3f} s, {2}".format(
            name, server["offset_s"], "against the majority" if agreed else "and no majority of the servers agrees"
        )
    elif own:
        code, said = "orphan", "{0} {1}".format(name, own)
    elif age is not None and age > plan["health"]["reference_age"]:
        code = "upstream-unsynchronized"
        said = "{0} answers, but seems to have lost its own sources: nothing has set its clock for {1:.0f} s".format(
            name, age
        )
    else:
        return None
    return __salt__["ntpcluster_problems.problem"](code, said, peer=name, answer=server)


def host(plan, process, answers, problems):
    """
    Internal. Judge the time of a host that is stepped from crontab and has no daemon.

    plan
        ``ntpcluster.plan``.
    process
        ``ntpcluster_process.daemon``.
    answers
        ``ntpcluster.query``.
    problems
        Problems known already ({code, message, evidence}), to be listed with the others.

    Returns what ``ntpcluster.status`` returns. ``synchronized``: the majority of the servers agrees with the clock now, and at
    least one of them does not get its time from its own clock. ``source`` is the server that a step would use, ``offset_ms``
    the offset of the median server; if there are two, that of the further one.
    """
    problem, servers = __salt__["ntpcluster_problems.problem"], answers["servers"]
    found = problems + problems_of(plan, servers)
    wrong = [one["code"] for one in found]
    agreed = __salt__["ntpcluster_answers.majority"](servers)
    best = __salt__["ntpcluster_answers.trusted"](servers) if agreed else None
    free = [one["evidence"]["peer"] for one in found if one["code"] == "orphan"]
    disciplined = [server for server in agreed if server["address"] not in free]
    right = bool(disciplined) and "offset-high" not in wrong and "panic" not in wrong
    if len(disciplined) < plan["health"]["survivors"]:
        said = "{0} of {1} sources usable, {2} required".format(
            len(disciplined), len(servers), plan["health"]["survivors"]
        )
        found.append(problem("few-sources", said, usable=[server["address"] for server in disciplined]))
    if process["running"]:
        said = "{0} runs (pid {1}) although the method is cron".format(process["name"], process["pid"])
        found.append(problem("rival-daemon", said, pid=process["pid"]))
    elif process["running"] is None:
        found.append(problem("incomplete", "cannot tell whether a daemon runs: run the minion as root"))
    wide = __salt__["ntpcluster_problems.too_wide"](None, UNKEPT, plan["sync"]["max_bound"]) if right else None
    found += [wide] if wide else []
    status = dict.fromkeys(
        ("stratum", "expected_stratum", "jitter_ms", "root_delay_ms", "root_dispersion_ms", "frequency_ppm", "bound_ms")
    )
    status.update(
        unbounded=UNKEPT,
        synchronized=right,
        health=("degraded" if found else "ok") if right else "unsynchronized",
        tier=plan["tier"],
        reference=plan["reference"],
        daemon=dict(process, version=None),
        source=best["address"] if best else None,
        leap=best["leap"] if best else None,
        refid=best["refid"] if best else None,
        offset_ms=__salt__["ntpcluster_answers.middle"](agreed)[-1]["offset_s"] * 1000.0 if agreed else None,
        peers=[],
        problems=__salt__["ntpcluster_problems.in_order"](found, plan["platform"]),
    )
    return status
