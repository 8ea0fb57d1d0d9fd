# -*- coding: utf-8 -*-
"""
Internal. Check what the master delivers to this minion: a pillar that rendered, and this tree's own states.

Salt reports neither problem: a pillar that failed to render contains a list of errors in addition to the rest, and a file
of another formula that precedes ours in ``file_roots`` hides it.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

import salt.utils.data
import salt.utils.files

__virtualname__ = "ntpcluster_delivery"
# The loader offers only this function; ``complaint`` stays a plain function for the tests.
__load__ = ["problems"]


def problems(states=True):
    """
    Internal. Return what is wrong with the delivery of the pillar and the states to this minion, whatever their content is.
    ``ntpcluster.validate`` calls this for its own list.

    states
        False checks only the pillar, without a request to the file server.

    Returns a list of problems as ``ntpcluster.validate`` does.
    """
    return _rendered() + (_hidden() if states else [])


def _problem(key, *told):
    return __salt__["ntpcluster_wording.problem"](key, None, *told)


def _rendered():
    """
    Check that the pillar was rendered completely. Errors in other files are not ours.
    """
    pillar = __salt__["ntpcluster_applied.compiled"]()
    complaints = salt.utils.data.decode(pillar.get("_errors") or [], keep=True)
    told = "; ".join(complaint(text) for text in complaints)
    if "see master log" in told:
        local = __opts__.get("file_client") == "local"
        more = "salt-call --local pillar.items" if local else "salt-run pillar.show_pillar {}".format(__grains__["id"])
        told += " (`{}` shows more)".format(more)
    if "ntp" not in pillar:
        if told:
            return [_problem("ntp", "is missing, because the pillar failed to render: {}".format(told))]
        message = "your pillar has no key `ntp` for this minion: does its top file list it? (pillar/top.sls)"
        return [_problem("ntp", message)]
    if told:
        message = "the pillar failed to render, and Salt refuses state runs until it does: {}".format(told)
        return [_problem("ntp", message, "warning")]
    return []


def complaint(text):
    """
    Return Salt's error about a pillar file in one line: the file's name, the error, the line number.

    The rest is omitted, and so is quoted text: Salt repeats lines of the file, and a line may contain a secret.
    """
    head, _, rest = "{}".format(text).strip().partition("\n")
    reason, _, rest = rest.strip().partition("\n")
    said = head
    if reason:
        said = "{} {}".format(head, re.sub(r"'[^']*'|\"[^\"]*\"", "...", reason))
    marks = re.findall(r'(?m)^ *in "[^"]*", line ([0-9]+)', rest)
    if marks and not re.search(r"line [0-9]", said):
        said += "; line {}".format(marks[-1])
    return said[:300]


def _hidden():
    """
    Judge whether ``state.apply ntp`` would run this tree's states.

    Salt looks for ntp.sls in all file roots before it looks for ntp/init.sls (``get_state`` in salt/fileclient.py).
    """
    saltenv = __salt__["ntpcluster_applied.environments"]()[0]
    found = []
    if __salt__["cp.hash_file"]("salt://ntp.sls", saltenv=saltenv):
        message = "is run by `state.apply ntp` instead of ntp/init.sls of ntpcluster, which it hides: rename it"
        found.append(_problem("salt://ntp.sls", message))
    path = __salt__["cp.cache_file"]("salt://ntp/init.sls", saltenv=saltenv)
    if path:
        with salt.utils.files.fopen(path, "rb") as handle:
            own = re.search(r"(?m)^\s*- +ntp\.[a-z]+", handle.read().decode("utf-8", "replace"))
        if not own:
            message = (
                "is not ntpcluster's file, and includes none of its states: it precedes ntpcluster's in file_roots and hides "
                "it. Rename it, or list ntpcluster's directory `salt` first"
            )
            found.append(_problem("salt://ntp/init.sls", message))
    return found
