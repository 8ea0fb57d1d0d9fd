# -*- coding: utf-8 -*-
"""
Internal. Why a host does not follow its tier: the problems of ``ntpcluster.status``, and what only queries to the servers reveal.
"""

from __future__ import absolute_import, print_function, unicode_literals

import ctypes
import os

import salt.utils.files
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_diagnose"

#: Processes that discipline a clock, as /proc shows their names (15 characters at most).
RIVALS = ("ntpd", "chronyd", "systemd-timesyn", "ptp4l", "phc2sys", "timemaster", "adjtimed")

#: Bit of CAP_SYS_TIME in /proc/PID/status (linux/capability.h).
CAP_SYS_TIME = 25


def diagnose():
    """
    Internal. Implements ``ntpcluster.diagnose``.
    """
    seen = __salt__["ntpcluster_status.status"]()
    found = list(seen["problems"])
    if seen["health"] == "ok":
        return []
    if any(one["code"] == "unknown-platform" for one in found):
        return seen["problems"]
    platform = {"service": seen["daemon"]["name"], "process": None}
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
        platform = plan["platform"]
        if plan["method"] != "cron":  # there the status is made from the servers' answers
            found += _asked(plan, found, seen["peers"])
    except (CommandExecutionError, SaltInvocationError) as exc:
        # Without a plan or ntpdate there is no server to query; the rest can still be checked.
        if not any(one["code"] in ("invalid-pillar", "no-tree") for one in found):
            found.append(_problem("incomplete", "the servers could not be asked: {0}".format(exc)))
    found += _rivals(platform["process"] or seen["daemon"]["name"]) + _rights()
    return __salt__["ntpcluster_problems.in_order"](found, platform)


def _problem(code, message, **evidence):
    return __salt__["ntpcluster_problems.problem"](code, message, **evidence)


def _asked(plan, known, peers):
    """
    What the servers themselves answer, which is more reliable than the daemon's view of them, its `peers`. What this
    replaces is removed from `known`.
    """
    sources = [source["address"] for source in plan["sources"]]
    # The only server of an island has no servers to query.
    servers = __salt__["ntpcluster_query.query"](sources)["servers"] if sources else []
    found = __salt__["ntpcluster_judge_answers.problems_of"](plan, servers) + _unsigned(plan, servers, peers)
    # A server with a rate limit does not answer an additional query: use what the daemon knows about it.
    heard_of = [one["evidence"].get("peer") for one in known]
    found = [one for one in found if one["code"] != "unreachable" or one["evidence"].get("peer") not in heard_of]
    for one in found:
        code, peer = one["code"], one["evidence"].get("peer")
        # The daemon knows a nameless source by its number or not at all; and of the clock there is only one.
        known[:] = [
            other
            for other in known
            if not (other["code"] == code and (code == "unresolvable" or peer is None))
            and not (peer and other["evidence"].get("peer") == peer)
        ]
    return found


def _unsigned(plan, servers, peers):
    """
    Servers that answer us but have never answered the daemon, which signs its requests. ntpd reports that it does not accept a
    key; chronyd does not answer (NCR_ProcessRxUnknown in ntp_core.c).
    """
    keys = dict((source["address"], source["key"]) for source in plan["sources"])
    unheard = [row["address"] for row in peers if row["heard"] is False]
    said = "{0} answers requests without a key, but none that this host's daemon signs with key {1}"
    return [
        _problem("authentication", said.format(one["address"], keys[one["name"]]), peer=one["address"], answer=one)
        for one in servers
        if keys.get(one["name"]) and one["offset_s"] is not None and one["address"] in unheard
    ]


def _rivals(own):
    """Other programs of this host that discipline this clock. `own`: the name of its daemon's process; None: unknown."""
    running = __salt__["ntpcluster_process.rivals"](own, __salt__["ntpcluster_process.named"](RIVALS))
    return [__salt__["ntpcluster_problems.rival"](name, pid) for name, pid in running]


def _rights():
    """
    Whether this host is permitted to set its clock: not in most containers.

    The test sets the clock's status to its present value: that needs the same capability as
    setting it, and changes nothing (adjtimex(2)).
    """
    with salt.utils.files.fopen("/proc/self/status") as status:
        effective = [line.split()[1] for line in status.read().splitlines() if line.startswith("CapEff:")]
    if effective and int(effective[0], 16) >> CAP_SYS_TIME & 1:
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    # struct timex is 208 bytes on 64-bit Linux: modes, then offset, freq, maxerror, esterror, status (timex.h).
    timex = (ctypes.c_long * 32)()
    if libc.adjtimex(timex) < 0:
        return [_no_right(ctypes.get_errno())]
    status = ctypes.cast(ctypes.byref(timex, 5 * ctypes.sizeof(ctypes.c_long)), ctypes.POINTER(ctypes.c_int))[0]
    again = (ctypes.c_long * 32)()
    ctypes.cast(again, ctypes.POINTER(ctypes.c_uint))[0] = 0x0010  # ADJ_STATUS
    ctypes.cast(ctypes.byref(again, 5 * ctypes.sizeof(ctypes.c_long)), ctypes.POINTER(ctypes.c_int))[0] = status
    if libc.adjtimex(again) < 0:
        return [_no_right(ctypes.get_errno())]
    return []


def _no_right(errno):
    said = "this host may not set its clock: {0}; it is a container, or the capability was dropped".format(
        os.strerror(errno)
    )
    return _problem("no-clock-capability", said, errno=errno)
