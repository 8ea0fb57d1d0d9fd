# -*- coding: utf-8 -*-
"""
The firewall of a host that serves time: UDP 123 open to the networks of the pillar, and nothing else touched.

Live rules are read with ``iptables-save`` and changed one by one. The saved file is edited line by line, not
written from memory: a rule that somebody has not saved stays unsaved, and the file of a stopped firewall is
never emptied. Which rules are needed is judged in ntpcluster_firewall_rules.py.

What differs between systems is data, ``platform["firewall"]`` with one entry each for ``ipv4`` and ``ipv6``:

``save_command``, ``command``
    the programs that print and change the live rules
``file``
    the saved rules; edited where the file exists, never created
``lock``
    the file that exists while the firewall's service is started; left out where there is no such service
``tables``
    the kernel's list of loaded tables, asked where the lock is missing, for rules loaded without the service
"""

from __future__ import absolute_import, print_function, unicode_literals

import io
import os
import re
import stat
import tempfile
import time

import salt.utils.path
from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster"

TIMEOUT = 30  # seconds for one call of iptables, which answers in milliseconds
BUSY = 4  # exit code of iptables when another program holds the lock or changed the table meanwhile
TRIES = 3  # of one change, a second apart, as long as it is BUSY


def __virtual__():
    return __virtualname__


def _run(command):
    return __salt__["cmd.run_all"](
        command, python_shell=False, env={"LC_ALL": "C"}, timeout=TIMEOUT, ignore_retcode=True
    )


def _said(answer):
    return (answer["stderr"] or answer["stdout"]).strip()


def _read(path):
    """The text of a file, None when there is none. Latin-1 gives every byte a character: nothing is lost."""
    if not path or not os.path.isfile(path):
        return None
    try:
        with io.open(path, "rb") as handle:
            return handle.read().decode("latin-1")
    except (IOError, OSError) as err:
        raise CommandExecutionError("Cannot read {}: {}. Run as root.".format(path, err))


def _write(path, text):
    """
    Replaces a file in one step and keeps its owner and mode. No copy of the old one is kept: only lines of
    ours differ, and the .save file beside it belongs to the init script.
    """
    path = os.path.realpath(path)
    scratch = None
    try:
        before = os.stat(path)
        handle, scratch = tempfile.mkstemp(prefix=".ntpcluster-", dir=os.path.dirname(path))
        with os.fdopen(handle, "wb") as new:
            new.write(text.encode("latin-1"))
            new.flush()
            os.fsync(new.fileno())
        os.chown(scratch, before.st_uid, before.st_gid)
        os.chmod(scratch, stat.S_IMODE(before.st_mode))
        os.rename(scratch, path)
    except (IOError, OSError) as err:
        if scratch and os.path.exists(scratch):
            os.remove(scratch)
        raise CommandExecutionError(
            "Cannot write {}: {}. The file is as it was, and its rules hold again after a reboot. "
            "Look for a full disk or an attribute (lsattr).".format(path, err)
        )
    restorecon = salt.utils.path.which("restorecon")
    if restorecon:  # SELinux: the label goes by the path, as after `service iptables save`
        _run([restorecon, path])


def _live(data):
    """
    The live filter table as {"running", "text", "error"}; ``error`` says why it could not be read.

    Where the firewall is a service that is not started, reading alone would make the kernel load the table,
    and `service iptables status` would call the firewall running. So it is read only if already loaded.
    """
    off = {"running": False, "text": None, "error": None}
    started = bool(data.get("lock")) and os.path.exists(data["lock"])
    loaded = not data.get("lock") or "filter" in (_read(data.get("tables")) or "").split()
    program = salt.utils.path.which(data["save_command"])
    if program is None or not (started or loaded):
        return off
    answer = _run([program, "-t", "filter"])
    if answer["retcode"] != 0:
        return dict(off, error="{} failed: {}".format(program, _said(answer)))
    if re.search("^#.*incompatible", answer["stdout"], re.M):
        # iptables-save on nftables then prints an empty table with exit code 0; adding a rule would fail
        return dict(off, error="{} cannot show the rules that nft made".format(program))
    judged = __salt__["ntpcluster.firewall_judge"](answer["stdout"], [])
    # Rules without the service (a script at boot) keep people out all the same.
    if judged is None or not (started or judged["guarded"]):
        return off
    return {"running": True, "text": answer["stdout"], "error": None}


def _survey(platform, networks):
    """What there is and what is needed, for each family: {"data", "live", "judged", "saved", "networks"}."""
    if platform is None or networks is None:
        plan = __salt__["ntpcluster.plan"]()
        platform = plan["platform"] if platform is None else platform
        networks = plan["firewall"]["networks"] if networks is None else networks
    judge = __salt__["ntpcluster.firewall_judge"]
    survey = {}
    for family, data in sorted((platform.get("firewall") or {}).items()):
        live = _live(data)
        judged = judge(live["text"] or "*filter\nCOMMIT\n", networks, family)
        if not live["running"]:  # then nothing is missing, and nothing is to be done
            judged = dict(judged, missing=[], wider=[], steps=[])
        saved = _read(data["file"])
        saved = {} if saved is None else judge(saved, networks, family) or {}
        survey[family] = {"data": data, "live": live, "judged": judged, "saved": saved, "networks": networks}
    return survey


def _change(program, arguments):
    """One change of the live rules."""
    for attempt in range(TRIES):
        answer = _run([program] + arguments)
        if answer["retcode"] == 0:
            return
        if answer["retcode"] != BUSY or attempt + 1 == TRIES:
            break
        time.sleep(1)
    raise CommandExecutionError("`{} {}` failed: {}".format(program, " ".join(arguments), _said(answer)))


def _change_live(family, found, done):
    """Takes the steps, notes each in ``done``, and reads the rules back."""
    program = salt.utils.path.which(found["data"]["command"])
    if program is None:
        raise CommandExecutionError("{} was not found. Install iptables.".format(found["data"]["command"]))
    for step in found["judged"]["steps"]:
        _change(program, step["arguments"])
        done[step["verb"]].append(step["text"])
    live = _live(found["data"])["text"] or ""
    judged = __salt__["ntpcluster.firewall_judge"](live, found["networks"], family)
    if judged and not judged["steps"]:
        return
    if not judged and not found["judged"]["networks"]:
        return  # ours were the only rules there were: with them gone, the firewall counts as off
    left = [step["text"] for step in judged["steps"]] if judged else ["no filter table"]
    raise CommandExecutionError(
        "The rules were changed, but read back they are not as they should be ({}). "
        "Does another program manage this firewall?".format("; ".join(left))
    )


def firewall(platform=None, networks=None):
    """
    Compare this host's firewall with the networks that are to reach UDP 123. Changes nothing.

    platform
        dict with the entry ``firewall`` (see the head of the module's file); the plan's when left out
    networks
        list of networks, such as ``["10.0.0.0/24"]``; the plan's when left out

    Returns {family: {...}}, a family being ``ipv4`` or ``ipv6``, rules as the text of iptables-save:

    * ``running``: is there a firewall that keeps anybody out
    * ``networks``: those of this family
    * ``present``, ``missing``, ``stale``: rules that are there in any spelling; needed; ours, but not wanted
    * ``wider``: rules of others that let in more than the networks; they are left alone
    * ``blocked``: bans by others that stand ahead of the rule that lets a network in; they are left alone
    * ``error``: why the live rules could not be read, or None
    * ``saved``: {``file``, ``missing``, ``stale``}; ``file`` is None when no saved file has a filter table

    Raises SaltInvocationError for what is not a network, CommandExecutionError when a file cannot be read.

    The service counts as started while its lock file exists, as in EL6's /etc/init.d/iptables.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.firewall
    """
    report = {}
    for family, found in _survey(platform, networks).items():
        kept = ("networks", "present", "missing", "stale", "wider", "blocked")
        report[family] = dict((name, found["judged"][name]) for name in kept)
        report[family].update(running=found["live"]["running"], error=found["live"]["error"])
        report[family]["saved"] = {
            "file": found["data"]["file"] if found["saved"] else None,
            "missing": found["saved"].get("missing", []),
            "stale": found["saved"].get("stale", []),
        }
    return report


def firewall_apply(platform=None, networks=None, test=False):
    """
    Open UDP 123 to these networks, and close it to those it was opened to before.

    A firewall that is not running is not started, and a file that does not exist is not made. Rules of others
    are never changed; every other line of the saved file stays as it is, byte for byte.

    platform, networks
        as for ``ntpcluster.firewall``; ``networks=[]`` takes all our rules out
    test
        change nothing and return what would change

    Returns the changes, empty when there are none: {"ipv4": {"added": [rule, ...], "removed": [rule, ...]}}
    for the live rules, the same under "ipv4 saved" for the saved file, and likewise "ipv6".

    Raises SaltInvocationError for what is not a network, CommandExecutionError when rules cannot be read or
    changed; what had been done by then is in the message and, as a dict, in the error's ``info["changes"]``.

    CLI Example:

    .. code-block:: bash

        salt 'ntp*' ntpcluster.firewall_apply test=True
        salt 'ntp*' ntpcluster.firewall_apply networks='["10.0.0.0/24"]'
    """
    survey = _survey(platform, networks)
    changes = {}
    for family, found in sorted(survey.items()):
        if found["live"]["error"] and found["judged"]["networks"]:
            raise CommandExecutionError(
                "The {} firewall cannot be read: {}. Open UDP 123 in the program that keeps it, and set "
                "ntp:firewall:manage to false.".format(family, found["live"]["error"])
            )
        for key, judged in ((family, found["judged"]), (family + " saved", found["saved"])):
            if judged.get("steps"):
                changes[key] = {"added": judged["missing"], "removed": judged["stale"]}
    if test:
        return changes
    done = {}
    try:
        for family, found in sorted(survey.items()):
            if family in changes:
                _change_live(family, found, done.setdefault(family, {"added": [], "removed": []}))
            if family + " saved" in changes:
                path, text = found["data"]["file"], _read(found["data"]["file"])
                _write(path, __salt__["ntpcluster.firewall_edit"](text, found["networks"], family))
                done[family + " saved"] = changes[family + " saved"]
    except CommandExecutionError as err:
        done = dict((key, value) for key, value in done.items() if value["added"] or value["removed"])
        raise CommandExecutionError(err.error, info={"changes": done} if done else None)
    return changes
