# -*- coding: utf-8 -*-
"""
Internal. Query chronyd: this file runs ``chronyc``, and ``chronyd -p`` to check a file.

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

#: ``chronyd -q`` in a crontab gives up after this time.
ONCE_S = 10

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


def jump(server, offset, platform, **called):
    """
    Internal. Step the clock by this offset, as ``ntpcluster_ntpd.jump`` describes it; but the kernel does it. ``chronyd -q`` would
    query the server once more for the same single sample, 1.3 s later because of a possible rate limit, and step by any distance.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    __salt__["ntpcluster_kernel.shift"](offset)
    return {"tool": "settimeofday", "errors": [], "offset_s": offset}


def crontab(plan):
    """
    Internal. The command in a crontab that sets the clock, as ``ntpcluster_ntpd.crontab`` describes it. One run queries all
    servers, with one packet each. As many of them have to agree as for the daemon; if one is enough, the first that gives the
    time is used. With directives as arguments chronyd reads no file; it uses the user and the pid file that it was built with,
    which are those of the platform's service.
    """
    directives = ["server {0} iburst maxsamples 1".format(server) for server in plan["step_tickers"]]
    directives += ["minsources {0}".format(plan["minsane"])] * (plan["minsane"] > 1)
    return " ".join(["chronyd -q -t {0}".format(ONCE_S)] + ['"{0}"'.format(directive) for directive in directives])


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
