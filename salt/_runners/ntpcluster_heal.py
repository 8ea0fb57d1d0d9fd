"""
Internal. For the sample reactor (``contrib/reactor``): redeploys a host that needs it, but not too often.
"""

import time

import salt.cache
from salt.exceptions import SaltInvocationError

# The loader offers only this function; ``refusal`` stays a plain function for the tests.
__load__ = ["heal"]

#: Problems that a new deployment fixes. All others need an administrator, or only time.
CURABLE = ("not-listed", "daemon-stopped")

#: The master's cache bank that records when each host was last deployed.
BANK = "ntpcluster/heal"


def heal(minion, codes, every, at_once):
    """
    Internal. Apply ``ntp`` to a host whose daemon has stopped or runs with other sources than configured.

    minion, codes, every, at_once
        As for ``ntpcluster.heal``.

    Returns what ``ntpcluster.heal`` returns.

    Raises SaltInvocationError for a host that cannot be queried, and for invalid codes.
    """
    if not isinstance(minion, str) or not minion:
        raise SaltInvocationError(f"minion: {minion!r} is not a minion")
    if isinstance(codes, str) and codes:
        codes = [codes]
    if codes is not None and not (isinstance(codes, list) and all(isinstance(code, str) for code in codes)):
        raise SaltInvocationError(f"codes: {codes!r} is neither the code of a problem nor a list of codes")
    if codes is not None and not set(codes) & set(CURABLE):
        return _done(minion, False, "nothing that a deployment would fix: {}".format(", ".join(codes) or "no problem"))
    cache = salt.cache.factory(__opts__)
    healed = {name: cache.fetch(BANK, name).get("time", 0) for name in cache.list(BANK)}
    reason = refusal(minion, healed, time.time(), every, at_once)
    if reason:
        return _done(minion, False, reason)
    host = _look(minion)
    found = [problem["code"] for problem in host["problems"] if problem["code"] in CURABLE]
    if not found:
        return _done(minion, False, "it is {} and does not report this itself".format(host["health"]))
    if host["deployed"] is False:
        return _done(minion, False, "the tree is not deployed there: it never was, or ntp.clean has removed it")
    # Recorded before the apply: an attempt that never returns counts as well.
    cache.store(BANK, minion, {"time": time.time(), "codes": found})
    where = {"saltenv": host["saltenv"]} if host["saltenv"] not in (None, "base") else None
    __salt__["ntpcluster_ask.minions"]("state.apply", ["ntp"], kwarg=where, tgt=[minion], tgt_type="list")
    after = _look(minion)
    return _done(
        minion, True, "applied for {}; it is {} now".format(", ".join(found), after["health"]), after["synchronized"]
    )


def _look(minion):
    """The host's row of the view."""
    return __salt__["ntpcluster_view.take"](tgt=[minion], tgt_type="list")["hosts"][minion]


def _done(minion, applied, comment, synchronized=None):
    return {"minion": minion, "applied": applied, "comment": comment, "synchronized": synchronized}


def refusal(minion, healed, now, every, at_once):
    """
    Why a host must not be healed now, or None. ``healed`` is when each host was healed last.
    """
    recent = {name: when for name, when in healed.items() if 0 <= now - when < every}
    if minion in recent:
        return f"it was healed {now - recent[minion]:.0f} s ago; not again within {every:g} s"
    if len(recent) >= at_once:
        return f"{len(recent)} hosts have been healed within {every:g} s: look for a common cause"
    return None
