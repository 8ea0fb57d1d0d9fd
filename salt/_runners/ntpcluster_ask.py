"""
Internal. Run one function on many minions.
"""

import salt.client
from salt.exceptions import SaltClientError, SaltInvocationError

# The loader offers only this function.
__load__ = ["minions"]

#: All functions that the runners need, with their arguments. Users who may call `ntpcluster.*` by `peer_run` or
#: `external_auth`, both of which match the beginning of a name, may call this file too. It must not let them run anything else
#: as root on all minions.
ASKED = {
    "ntpcluster_standing.standing": [[]],
    "ntpcluster_served.served": [[]],
    "ntpcluster.validate": [[]],
    "ntpcluster.query": [[]],
    "ntpcluster.move": [[]],
    "state.apply": [["ntp"], ["ntp.modules"]],
}
WORDS = {"anew", "offset", "queue", "saltenv", "samples", "servers", "step", "test"}


def minions(fun, arg=(), kwarg=None, tgt="*", tgt_type="compound", timeout=None, kept=None, enough=None):
    """
    Internal. Run one function on minions and collect what they return. It does not judge the returns: a traceback is a return
    too.

    fun, arg, kwarg
        The function with its arguments.
    tgt, tgt_type
        The target, as for ``salt``.
    timeout
        Seconds to wait for minions that do not respond; default: the master's ``timeout``. It keeps waiting for a minion that
        is still running the function.
    kept
        Called with the minion and its return; returns the part to keep. Default: the whole return.
    enough
        Called with ``returns`` after each new one: a true value ends the wait for the others. Default: wait for all.

    Returns a dict: ``returns`` {minion: the kept part of its return}, and ``expected``, the sorted names of all minions that
    were asked.

    Raises SaltInvocationError if the target matches no minion, the master does not run, or the runners do not need the
    function.
    """
    if list(arg) not in ASKED.get(fun, []) or not set(kwarg or {}) <= WORDS:
        raise SaltInvocationError(f"{fun} with {arg!r} and {kwarg!r} is not what this asks of minions")
    client = salt.client.get_local_client(__opts__["conf_file"])
    try:
        job = client.run_job(tgt, fun, list(arg), tgt_type, timeout=timeout, kwarg=kwarg, listen=True)
        if not job or not job.get("minions"):
            raise SaltInvocationError(f"no minion matches {tgt!r}: see salt-key --list=accepted")
        returns = {}
        answers = client.get_iter_returns(job["jid"], job["minions"], timeout=timeout, tgt=tgt, tgt_type=tgt_type)
        for answer in answers:
            for minion, value in (answer or {}).items():
                if isinstance(value, dict) and "ret" in value:
                    returns[minion] = kept(minion, value["ret"]) if kept else value["ret"]
            if enough and enough(returns):
                break
        return {"returns": returns, "expected": sorted(job["minions"])}
    except SaltClientError as exc:
        raise SaltInvocationError(str(exc)) from exc
    finally:
        client.destroy()
