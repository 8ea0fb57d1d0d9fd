# -*- coding: utf-8 -*-
"""
Internal. The plan applied last to this host, and the pillar that it was made from.

A state run compiles the pillar anew, and the minion keeps using the one that it read at its start or at the last refresh. So
after an edit and a successful run the two differ, and a function called outside a state run would use the old one. Therefore
the host stores what a run has applied (readable by root only, without secrets): its plan, a digest of its pillar and the
environment of its files. A run that applied a changed pillar makes the minion refresh its copy. A function that finds that the
minion's copy differs from the applied pillar asks the master.

A host without any pillar is judged by the stored plan too, for example with ``salt-call --local`` while the master is down.
"""

from __future__ import absolute_import, print_function, unicode_literals

import hashlib
import json
import os
import time

import salt.utils.data
from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_applied"

#: In the same directory as the files of ``ntpcluster_origin.origin``, and removed with them.
KEPT = "/var/lib/ntpcluster/applied.json"

#: Keys under which the loader caches: the environment of a state run (in ``__opts__``, which belongs to the run; on Salt 3000
#: the minion keeps the ``__context__`` of a run), the pillar that the master returned, the process that must not wait, and when
#: it was told to refresh its pillar.
RUN, COUNT, ASKED, LOOP, TOLD = (
    "ntpcluster.applied.{0}".format(name) for name in ("run", "count", "asked", "loop", "told")
)

#: Minimum time between two refreshes; otherwise a changed pillar that is not applied yet would keep the master busy.
AGAIN_S = 600


def pillar(anew=False, **called):
    """
    Internal. What the pillar has under ``ntp``; all strings are of one type on either Python.

    In a state run and in ``salt-call`` the pillar has just been compiled. Elsewhere it is the minion's copy; if that differs
    from the pillar that was applied last, the master is asked.

    anew
        True: always ask the master.

    Returns None if there is no such key.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    remembered = _decoded(__pillar__.get("ntp"))
    if in_run() or __opts__.get("__cli") == "salt-call":
        return remembered
    seen, last = _digest(remembered), kept().get("pillar")
    asked = __context__.get(ASKED, {})
    if not anew and asked.get("for") == [seen, last]:
        return asked["pillar"]
    if not anew and last in (None, seen):
        return remembered
    if __context__.get(LOOP) == os.getpid():
        # The minion cannot answer while it waits here: let it refresh by itself, and check again next time.
        now, (pair, when) = __salt__["ntpcluster_program.monotonic"](), __context__.get(TOLD, (None, 0))
        if pair != [seen, last] or now - when > AGAIN_S:
            __context__[TOLD] = ([seen, last], now)
            __salt__["saltutil.refresh_pillar"]()
        return remembered
    fresh, failure, whole = remembered, None, None
    try:
        # Otherwise Salt 3008 masks secrets, and the check of the keys would read asterisks.
        whole = __salt__["pillar.items"](unmask=True)
        fresh = _decoded(whole.get("ntp"))
    except Exception as exc:  # pylint: disable=broad-except
        # The exception of a channel that finds no master differs between releases.
        failure = "{0}".format(exc) or type(exc).__name__
    __context__[ASKED] = {"for": [seen, last], "pillar": fresh, "failure": failure, "whole": whole}
    if last == _digest(fresh) != seen:
        __salt__["saltutil.refresh_pillar"]()
    return fresh


def compiled(**called):
    """
    Internal. The whole pillar that ``ntpcluster_applied.pillar`` used last.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    whole = __context__.get(ASKED, {}).get("whole")
    return __pillar__ if whole is None or in_run() else whole


def begin(saltenv, **called):
    """
    Internal. Record that this is a state run, and the environment of its files. The first state calls this.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    __opts__[RUN] = saltenv
    __opts__[COUNT] = __opts__.get(COUNT, 0) + 1


def in_run():
    """
    Internal. Whether this is a state run, during which the pillar does not change: 0 if not, else the number of the run within
    this process. On Salt 3000 a module's ``__opts__`` outlive a run if the minion does not fork a process for each job.
    """
    return __opts__[COUNT] if RUN in __opts__ else 0


def must_not_wait(**called):
    """
    Internal. Record that this process is the minion itself, which cannot react while a function waits. The beacon calls this.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    __context__[LOOP] = os.getpid()


def environments():
    """
    Internal. The environments in which this host's functions look for the tree, first choice first: that of the state run, the
    minion's ``saltenv``, that of the last applied run, ``base``, and those of which the minion has a copy.
    """
    copies = os.path.join(__opts__["cachedir"], "files")
    copied = sorted(os.listdir(copies)) if os.path.isdir(copies) else []
    copied = [name for name in copied if os.path.isfile(os.path.join(copies, name, "ntp", "platforms.yaml"))]
    names = []
    for name in [__opts__.get(RUN), __opts__.get("saltenv"), kept().get("saltenv"), "base"] + copied:
        if name and name not in names:
            names.append(name)
    # A run reads all its files from one environment.
    return names[:1] if in_run() else names


def keep(plan, **called):
    """
    Internal. Store the plan that was just applied; if the pillar has changed, make the minion refresh its copy.

    plan
        ``ntpcluster.plan``, without secrets.

    Returns True if the minion was told to refresh its pillar.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    last = kept()
    fresh = {"pillar": _digest(pillar()), "saltenv": environments()[0], "plan": plan}
    fresh["code"] = __salt__["ntpcluster_code.version"]()
    if last != json.loads(json.dumps(fresh)):
        __salt__["ntpcluster_origin.store"](os.path.basename(KEPT), fresh)
    # The file's modification time is the time of the last apply.
    now = time.time()
    os.utime(KEPT, (now, now))
    if last.get("pillar") == fresh["pillar"]:
        return False
    __salt__["saltutil.refresh_pillar"]()
    return True


def kept():
    """
    Internal. What was applied last.

    Returns a dict: ``plan``, ``pillar`` (digest), ``saltenv``, ``code`` (version of the modules); empty if nothing is stored.
    """
    try:
        return __salt__["ntpcluster_origin.stored"](os.path.basename(KEPT))
    except CommandExecutionError:
        return {}  # the file was lost; the next run writes it again


def plan():
    """
    Internal. The plan that was applied last, to judge a host without a pillar by.

    Returns the plan, whose ``kept`` says when that was; None if there is none, if the master has answered (then the key
    is missing in its pillar, which must be corrected), and in a state run, which must never deploy an old plan.
    """
    asked = __context__.get(ASKED)
    answered = __opts__.get("__cli") == "salt-call" or (asked is not None and not asked["failure"])
    masterless = __opts__.get("file_client") == "local"
    last = kept()
    if not last or in_run() or (answered and not masterless):
        return None
    if last.get("code") != __salt__["ntpcluster_code.version"]():
        return None  # a plan made by other code may lack keys that this code needs
    when = os.stat(KEPT).st_mtime
    why = "`--local` does not ask the master" if __opts__.get("local") else "this host has no pillar `ntp` now"
    said = "the plan applied on {0} UTC ({1}), because {2}".format(
        time.strftime(str("%Y-%m-%d %H:%M"), time.gmtime(when)), _age(time.time() - when), why
    )
    return dict(last["plan"], kept=said)


def judged_by(plan):
    """
    Internal. Describe what a host is judged by.

    plan
        ``ntpcluster.plan``, or None.
    """
    if plan is None:
        return None
    failure = __context__.get(ASKED, {}).get("failure")
    if failure and not plan["kept"]:
        return (
            "the pillar cached by the minion; the last run had another one, and the master does not answer: {0}".format(
                failure
            )
        )
    return plan["kept"] or "the pillar"


def _age(seconds):
    if seconds < -60:
        return "which this host's clock has not reached"
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return "{0:.0f} {1} ago".format(seconds // length, unit)
    return "a moment ago"


def _decoded(data):
    """
    A plain copy. On Python 2 a pillar contains both types of strings. On Salt 3008 it consists of mappings and lists that print all
    their values as asterisks, so texts that are made of them would all be equal.
    """
    return salt.utils.data.decode(data, keep=True)


def _digest(data):
    """A digest of a pillar; the keys of a mapping may be numbers or text, in any order."""
    if data is None:
        return None
    return hashlib.sha256(json.dumps(_plain(data), sort_keys=True).encode("utf-8")).hexdigest()


def _plain(data):
    if isinstance(data, dict):
        return dict(("{0}".format(key), _plain(value)) for key, value in data.items())
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    return data if data is None or isinstance(data, (bool, int, float)) else "{0}".format(data)
