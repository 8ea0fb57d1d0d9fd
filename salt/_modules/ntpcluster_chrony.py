# -*- coding: utf-8 -*-
"""
Internal. Query chronyd, and step the clock with it: this file runs ``chronyc`` and ``chronyd -q``.

The functions are those of ``ntpcluster_ntpd``, which describes them.
"""

from __future__ import absolute_import, print_function, unicode_literals

import time

from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_chrony"

#: chronyc waits this long for each answer of the daemon, and asks once: the daemon is on this host.
TIMEOUT_MS = 200

#: The time limit of the whole run.
LIMIT_S = 6

#: ``chronyd -q`` gives up after this time, and is killed a little later. It sends one packet to each server.
ONCE_S = 10
KILLED_S = 15

#: The commands of one run of chronyc. The last three are refused to users other than root.
ASKED = ("tracking", "sources", "sourcestats", "activity", "ntpdata", "selectdata", "authdata")


def look(sources=0, once=True):
    """
    Internal. What the daemon reports about itself and its sources, as ``ntpcluster_ntpd.look`` describes it; in addition
    ``selection`` for each source: why it is used or not, in chrony's terms.
    """
    asked = ("timeout {0}".format(TIMEOUT_MS), "retries 0") + ASKED
    done = __salt__["ntpcluster_program.run"]("chronyc", "chrony", ["-n", "-c", "-m"] + list(asked), timeout=LIMIT_S)
    if done["timed_out"]:
        message = "the daemon did not answer chronyc within {0:g} s".format(done["seconds"])
        return {"error": "timeout", "message": message, "complete": False, "system": {}, "peers": []}
    read = __salt__["ntpcluster_chronyc.parse"](asked, done["stdout"], done["stderr"], done["retcode"])
    return __salt__["ntpcluster_chrony_look.look"](read, time.time())


def jump(server, platform, **called):
    """
    Internal. Step the clock to the time of this server with ``chronyd -q``, as ``ntpcluster_ntpd.jump`` describes it. It
    ignores the limits of the configuration: the caller has already judged the size of the step.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    argv = ["-q", "-t", "{0}".format(ONCE_S)] + _once([server])
    done = __salt__["ntpcluster_program.run"]("chronyd", "chrony", argv, timeout=KILLED_S)
    said = __salt__["ntpcluster_chronyd.once"](done["stdout"], done["stderr"], done["retcode"])
    errors = said["errors"]
    if done["timed_out"]:
        errors = [{"code": "hung", "message": "chronyd -q did not end within {0} s".format(KILLED_S)}]
    # A server that has just answered and does not answer now refuses: as a server, chronyd does not tell clients about its rate
    # limit.
    errors = [dict(error, code="no-server") if error["code"] == "timeout" else error for error in errors]
    return {"tool": "chronyd", "errors": errors, "offset_s": said["offset_s"] if said["stepped"] else None}


def crontab(plan):
    """
    Internal. The command in a crontab that sets the clock, as ``ntpcluster_ntpd.crontab`` describes it. One run queries all
    servers. As many of them have to agree as for the daemon; if one is enough, the first that gives the time is used.
    """
    directives = _once(plan["step_tickers"]) + ["minsources {0}".format(plan["minsane"])] * (plan["minsane"] > 1)
    return " ".join(["chronyd -q -t {0}".format(ONCE_S)] + ['"{0}"'.format(directive) for directive in directives])


def _once(servers):
    """
    The directives for ``chronyd -q``: one packet to each server. With directives as arguments it reads no file; it uses the
    user and the pid file that it was built with, which are those of the platform's service.
    """
    return ["server {0} iburst maxsamples 1".format(server) for server in servers]


def fault(path, **called):
    """
    Internal. What is wrong with a configuration file that is not in use yet, as ``chronyd -p`` reads it (chrony 4.0 and later).

    Returns text; None if nothing is wrong, or if this is unknown until the daemon starts with it.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    try:
        done = __salt__["ntpcluster_program.run"]("chronyd", "chrony", ["-p", "-f", path])
    except CommandExecutionError:
        return None  # not installed yet
    read = __salt__["ntpcluster_chronyd.proof"](done["stdout"], done["stderr"], done["retcode"])
    if read["good"] is not False:
        return None
    return "{0}{1}".format(read["message"], " ({0})".format(read["text"]) if read["text"] else "")
