# -*- coding: utf-8 -*-
"""
The NTP daemon as a service, believed only when it lists the sources it was given.

``service ntpd start`` says OK when ntpd dies a moment later, and a line of ntp.conf that ntpd does not understand is
logged and dropped. So a configuration counts when the running daemon shows exactly its sources, and else the last one
that worked is put back.
"""

from __future__ import absolute_import, print_function, unicode_literals

import time

from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster"

#: A daemon that shall live must be seen alive this long after its start: the init script returns before it can fail.
ALIVE_S = 2

#: Time for a daemon to read its configuration and to resolve the names in it.
PROOF_S = 15


def __virtual__():
    return __virtualname__


def config_files():
    """
    The files that make up the daemon's configuration on this host, by its plan.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.config_files
    """
    plan = __salt__["ntpcluster.plan"]()
    platform = plan["platform"]
    files = [platform["ntp_conf"]]
    if platform["sysconfig_ntpd"]:
        files.append(platform["sysconfig_ntpd"]["path"])
    if plan["keys"]:
        files.append(platform["keys_file"])
    return files


def proof():
    """
    Whether the running daemon has exactly the sources of this host's plan.

    Returns a dict: ``proven`` (bool), ``missing`` and ``strange`` (addresses), ``reason`` (text, empty if proven).
    A source given by name may be there under any address, or not yet: the resolver may be down.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.proof
    """
    plan = __salt__["ntpcluster.plan"]()
    seen = __salt__["ntpcluster.status"]()
    sources = [source["address"] for source in plan["sources"]]
    names = [source for source in sources if ":" not in source and not source.replace(".", "").isdigit()]
    listed = [peer["address"] or peer["remote"] for peer in seen["peers"]]
    missing = [source for source in sources if source not in names and source not in listed]
    strange = [address for address in listed if address not in sources]
    reason = ""
    if not seen["daemon"]["running"]:
        reason = "the daemon does not run"
    elif seen["problems"] and seen["problems"][0]["code"] == "daemon-silent":
        reason = seen["problems"][0]["message"]
    elif missing:
        reason = "the daemon does not have {0}".format(", ".join(missing))
    elif len(strange) > len(names):
        reason = "the daemon has sources that nobody gave it: {0}".format(", ".join(strange))
    return {"proven": not reason, "missing": missing, "strange": strange, "reason": reason}


def bring_up(restart=False):
    """
    Start or restart the daemon and prove its configuration; if it fails, put the last one that worked back.

    restart
        Restart a daemon that runs already.

    Returns the text of what was done. Raises CommandExecutionError with the reason if the configuration was not
    proven, saying what runs now instead.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.bring_up restart=True
    """
    service = __salt__["ntpcluster.plan"]()["platform"]["service"]
    files = config_files()
    reason = _try(service, restart)
    if not reason:
        __salt__["ntpcluster.keep_proven"](files)
        return "{0} has been {1} and has the sources of the plan".format(service, "restarted" if restart else "started")
    changed = __salt__["ntpcluster.restore_proven"](files)
    if not changed:
        raise CommandExecutionError("{0}; there is no earlier configuration to go back to".format(reason))
    __salt__["service.restart"](service)
    time.sleep(ALIVE_S)
    alive = __salt__["ntpcluster.daemon"](service)["running"]
    raise CommandExecutionError(
        "{0}. Put back what worked before ({1}); {2} {3}".format(
            reason, ", ".join(changed), service, "runs with it" if alive else "does not run with it either"
        )
    )


def _try(service, restart):
    """Start or restart, and wait for the proof: an empty text, or the reason why there is none."""
    done = __salt__["service.restart" if restart else "service.start"](service)
    until = __salt__["ntpcluster.monotonic"]() + PROOF_S
    seen_alive = None
    while True:
        time.sleep(0.5)
        now = __salt__["ntpcluster.monotonic"]()
        state = proof()
        if state["proven"]:
            seen_alive = seen_alive or now
            if now - seen_alive >= ALIVE_S:
                return ""
        else:
            seen_alive = None
        if now > until:
            said = "" if done else "service {0} reports a failure, and ".format(service)
            return said + (state["reason"] or "the daemon does not stay up")


def bring_down():
    """
    Stop the daemon and take it out of the boot. Returns the text of what was done.

    Raises CommandExecutionError if it still runs afterwards.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.bring_down
    """
    service = __salt__["ntpcluster.plan"]()["platform"]["service"]
    __salt__["service.stop"](service)
    __salt__["service.disable"](service)
    if __salt__["ntpcluster.daemon"](service)["running"]:
        raise CommandExecutionError("{0} does not stop".format(service))
    return "{0} has been stopped and disabled".format(service)
