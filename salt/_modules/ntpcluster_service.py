# -*- coding: utf-8 -*-
"""
Internal. The NTP daemon as a service, trusted only when it lists its configured sources.

``service ntpd start`` says OK even if ntpd dies right after, and a line of ntp.conf that ntpd does not understand is
logged and ignored. So a configuration counts only if the running daemon lists exactly its sources; otherwise the last
working one is restored.
"""

from __future__ import absolute_import, print_function, unicode_literals

import fcntl
import os
import signal
import subprocess
import time

import salt.utils.files
import salt.utils.path
from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_service"

#: A daemon must still be alive this long after its start: the init script returns before the daemon can fail.
ALIVE_S = 2

#: How long a daemon may take to stop.
END_S = 10

#: Time for a daemon to read its configuration and to resolve the names in it.
PROOF_S = 15

#: Starts the daemon again if the process that stopped it is killed: it waits until that process's end of a pipe closes, unless
#: it is told first that the daemon has been started. A service script or an ntpdate that outlives the dead process may still be
#: running, so it waits until the daemon has been running for five seconds, or until port 123 has been free for two. The daemon
#: is the process in its pid file, or the process that holds the port and is not ntpdate: while another program holds the port,
#: it could not start anyway. While the pid file names a chronyd that only sets the clock (-q), no other chronyd starts. The
#: text is fixed; the command is in its arguments.
GUARD = """
file=$1 name=$2
shift 2
read -r done_ && exit
second=0 up=0 free=0
while [ $second -lt 40 ] && [ $free -lt 2 ]; do
    sleep 1
    second=$((second + 1)) pid= stat=
    { read -r pid <"$file"; read -r stat <"/proc/$pid/stat"; } 2>/dev/null
    case $stat in
    "$pid ($name) "[!ZX]*)
        if tr '\\0' '\\n' <"/proc/$pid/cmdline" | grep -qx -e -q; then up=0; else up=$((up + 1)); fi
        free=0 ;;
    *)  if ! grep -Eqs '^ *[0-9]+: [0-9A-F]+:007B ' /proc/net/udp /proc/net/udp6; then up=0 free=$((free + 1))
        elif grep -Eqs '^[0-9]+ [(]ntpdate[)] [^ZX]' /proc/[0-9]*/stat; then up=0 free=0
        else up=$((up + 1)) free=0; fi ;;
    esac
    [ $up = 5 ] && exit
done
[ $up = 0 ] && exec "$@"
"""

#: Files that start a service, by its name; its package contains one of them.
STARTERS = (
    "/etc/init.d/{0}",
    "/etc/rc.d/init.d/{0}",
    "/lib/systemd/system/{0}.service",
    "/usr/lib/systemd/system/{0}.service",
)

#: Checksums of the files with which the daemon was started in this run.
STARTED_WITH = "ntpcluster_service.started"

#: The daemon's process after a restart that did not help. A boot removes the file, and the next start has another process.
IN_VAIN = "/var/run/ntpcluster-restarted-in-vain.pid"

#: The guard process and its owner: the next run takes over from the guard of a run that was killed.
GUARD_PID = "/var/run/ntpcluster-guard.pid"


def packages(service):
    """
    Internal. The packages that own the files that start a service: a sorted list of names, empty if no package does.
    """
    starters = [path.format(service) for path in STARTERS]
    owners = set(__salt__["pkg.owner"](path) for path in starters if os.path.isfile(path))
    # Where /lib is a link to /usr/lib, a package database knows a file by only one of its names.
    return sorted(owners - set([""]))


def config_files():
    """
    Internal. The files that make up the daemon's configuration on this host, by its plan.
    """
    plan = __salt__["ntpcluster_plan.plan"]()
    platform = plan["platform"]
    files = [platform["conf"]]
    if platform["sysconfig"]:
        files.append(platform["sysconfig"]["path"])
    if plan["keys"]:
        files.append(platform["keys_file"])
    return files


def proof(age=0):
    """
    Internal. Whether the running daemon has exactly the sources of this host's plan.

    age
        How old the daemon's report may be, as for ``ntpcluster.status``.

    Returns a dict: ``proven`` (True, False; None: a source was not seen, but the daemon's table was incomplete), ``missing``
    and ``strange`` (addresses), ``reason`` (text, empty if proven). A source given by name may be listed under any address, or
    not yet: the resolver may be down.
    """
    plan = __salt__["ntpcluster_plan.plan"]()
    seen = __salt__["ntpcluster_status.status"](age)
    sources = [source["address"] for source in plan["sources"]]
    names = [source for source in sources if ":" not in source and not source.replace(".", "").isdigit()]
    listed = [peer["address"] or peer["remote"] for peer in seen["peers"]]
    missing = [source for source in sources if source not in names and source not in listed]
    missing += __salt__["ntpcluster_refclock.unlisted"](plan, listed)
    clocks = __salt__["ntpcluster_refclock.names"](plan)
    strange = [address for address in listed if address not in sources + clocks]
    codes = [problem["code"] for problem in seen["problems"]]
    reason, known = "", True
    if seen["daemon"]["running"] is False:
        reason = "the daemon does not run"
    elif codes[:1] == ["daemon-silent"]:
        reason = seen["problems"][0]["message"]
    elif missing and "not-listed" not in codes:
        # The judge does not report missing sources if the table is incomplete.
        known = False
        reason = "cannot tell whether the daemon has {0}: ntpq's table is incomplete".format(", ".join(missing))
    elif missing:
        reason = "the daemon does not have {0}".format(", ".join(missing))
    elif len(strange) > len(names):
        reason = "the daemon has unplanned sources: {0}".format(", ".join(strange))
    return {"proven": not reason if known else None, "missing": missing, "strange": strange, "reason": reason}


def bring_up(**called):
    """
    Internal. Start or restart the daemon and prove its configuration; if that fails, restore the last one that worked.

    Returns text that says what was done. Raises CommandExecutionError if the configuration was not proven, with the reason and the
    configuration that runs now.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    platform = __salt__["ntpcluster_plan.plan"]()["platform"]
    service, files = platform["service"], config_files()
    carried = __salt__["ntpcluster_drift.carry"](platform)
    guard(platform)
    try:
        running = __salt__["ntpcluster_process.running"](platform)["running"]
        # A daemon started by a guard may have read older files; one started by the step has read these.
        ready = __context__.pop(STARTED_WITH, None) == _digests(files) and running
        reason = _try(platform, running, ready)
        if not reason:
            helped()
            __salt__["ntpcluster_origin.keep_proven"](files)
            done = "restarted" if running and not ready else "started"
            said = "{0} has been {1} and has the planned sources".format(service, done)
            return "; ".join([said] + [carried] * bool(carried))
        changed = __salt__["ntpcluster_origin.restore_proven"](files)
        if not changed:
            with salt.utils.files.fopen(IN_VAIN, "w") as record:
                record.write("{0}\n".format(__salt__["ntpcluster_process.running"](platform)["pid"]))
            raise CommandExecutionError("{0}; there is no earlier configuration to go back to".format(reason))
        stop(platform)
        __salt__["service.start"](service)
        time.sleep(ALIVE_S)
    finally:
        dismiss()
    alive = __salt__["ntpcluster_process.running"](platform)["running"]
    raise CommandExecutionError(
        "{0}. Restored the last working configuration ({1}); {2} {3}".format(
            reason, ", ".join(changed), service, "runs with it" if alive else "does not run with it either"
        )
    )


def in_vain(pid):
    """
    Internal. Whether the daemon with this process ID is one that was restarted because it could not be proven, and still could
    not be. What is wrong is outside then, such as a firewall on the loopback interface, and another restart would only harm.
    """
    try:
        with salt.utils.files.fopen(IN_VAIN) as record:
            return record.read().strip() == "{0}".format(pid)
    except (IOError, OSError):
        return False


def helped(**called):
    """
    Internal. The daemon is proven: if it must be restarted later, that is another matter.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    salt.utils.files.safe_rm(IN_VAIN)


def _try(platform, running, ready):
    """
    Start or restart the daemon, unless it is `ready`, and wait until it lists its sources. Returns an empty text, or the reason
    why it does not list them.
    """
    service, done = platform["service"], True
    if not ready:
        # Debian's script for ntpsec waits three minutes for a lock if the daemon runs already.
        if running and stop(platform):
            return "{0} does not stop".format(service)
        done = __salt__["service.start"](service)
    until = __salt__["ntpcluster_program.monotonic"]() + PROOF_S
    while True:
        time.sleep(0.5)
        state = proof()
        if state["proven"]:
            before = __salt__["ntpcluster_process.running"](platform)
            time.sleep(ALIVE_S)
            now = __salt__["ntpcluster_process.running"](platform)
            # systemd may have started another one meanwhile.
            if now["running"] and now["pid"] == before["pid"]:
                return ""
        if __salt__["ntpcluster_program.monotonic"]() > until:
            said = "" if done else "service {0} reports a failure, and ".format(service)
            return said + (state["reason"] or "the daemon does not keep running")


def start(platform, **called):
    """
    Internal. Start the daemon after a step, and record which files it reads: with the same files it need not be restarted.

    platform
        With ``service``, ``process`` and ``pid_file``.

    Returns whether it was started.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    __context__[STARTED_WITH] = _digests(config_files())
    # Debian's script waits three minutes for a lock if the daemon runs already.
    running = __salt__["ntpcluster_process.running"](platform)["running"]
    return running or __salt__["service.start"](platform["service"])


def _digests(files):
    """Checksums of these files; None for a missing one."""
    return [__salt__["file.get_hash"](path) if os.path.isfile(path) else None for path in files]


def stop(platform, **called):
    """
    Internal. Stop the daemon, and wait for its end. A script may return before that: Debian's for chrony does, and if it is
    asked to start the daemon then, it finds the old one and starts none.

    platform
        With ``service``, ``process`` and ``pid_file``.

    Returns whether it still runs, as ``ntpcluster_process.running`` does.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    __salt__["service.stop"](platform["service"])
    until = __salt__["ntpcluster_program.monotonic"]() + END_S
    while True:
        running = __salt__["ntpcluster_process.running"](platform)["running"]
        if not running or __salt__["ntpcluster_program.monotonic"]() > until:
            return running
        time.sleep(0.1)


def stop_other(service, **called):
    """
    Internal. Stop a service of another time daemon, and wait for its end as ``ntpcluster_service.stop`` does.

    Returns whether it has ended.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    __salt__["service.stop"](service)
    until = __salt__["ntpcluster_program.monotonic"]() + END_S
    while __salt__["service.status"](service):
        if __salt__["ntpcluster_program.monotonic"]() > until:
            return False
        time.sleep(0.5)
    return True


def bring_down(**called):
    """
    Internal. Stop the daemon and disable its start at boot. Returns text that says what was done.

    Raises CommandExecutionError if it still runs afterwards.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    platform = __salt__["ntpcluster_plan.plan"]()["platform"]
    service = platform["service"]
    relieve()
    __context__.pop("ntpcluster.seen", None)
    running = stop(platform)
    __salt__["service.disable"](service)
    if running is not False:
        said = "{0} does not stop" if running else "cannot tell whether {0} has stopped: run the minion as root"
        raise CommandExecutionError(said.format(service))
    return "{0} has been stopped and disabled".format(service)


def guard(platform, **called):
    """
    Internal. Make sure that the daemon is started again if this process is killed before ``ntpcluster_service.dismiss``.

    `finally` is not enough: a minion can be killed. So a small process in a separate session reads from a pipe, and starts the
    service if this process's end of the pipe closes before ``dismiss`` writes to it.

    platform
        With ``service``, ``process`` and ``pid_file``.

    Raises CommandExecutionError if this host has neither systemd nor a ``service`` program.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    start = _start(platform["service"])
    relieve()
    __context__.pop("ntpcluster.seen", None)
    with salt.utils.files.fopen(os.devnull, "r+b") as nowhere:
        watcher = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "ntpcluster-guard", platform["pid_file"], platform["process"]] + start,
            stdin=subprocess.PIPE,
            stdout=nowhere,
            stderr=nowhere,
            env=dict(os.environ, **__salt__["ntpcluster_program.environment"]()),
            preexec_fn=os.setsid,  # noqa: PLW1509 (Python 2.7 has no start_new_session)
            close_fds=True,
        )
    # No other child of ours may hold this end open, or the guard would wait for that child as well.
    flags = fcntl.fcntl(watcher.stdin, fcntl.F_GETFD)
    fcntl.fcntl(watcher.stdin, fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)
    with salt.utils.files.fopen(GUARD_PID, "w") as record:
        record.write("{0} {1}\n".format(watcher.pid, os.getpid()))
    __context__["ntpcluster_service.guard"] = watcher


def dismiss(**called):
    """
    Internal. Tell the guard that the daemon has been started again, so that it exits. Only for other functions.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    watcher = __context__.pop("ntpcluster_service.guard", None)
    if watcher:
        watcher.communicate(b"done\n")
        salt.utils.files.safe_rm(GUARD_PID)


def relieve(**called):
    """
    Internal. Take over from the guard of a run that was killed just before, or it would start the daemon in the middle of this
    run. Waits for a guard that is starting the daemon already. Only for other functions.

    Returns whether there was one: then the caller has to start the daemon. The guard of a run that is still alive is not
    touched.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    try:
        with salt.utils.files.fopen(GUARD_PID) as record:
            pid, owner = [int(word) for word in record.read().split()]
    except (IOError, OSError, ValueError):
        return False
    if owner != os.getpid() and _words(owner):
        return False
    until = __salt__["ntpcluster_program.monotonic"]() + PROOF_S
    words = _words(pid)
    if "ntpcluster-guard" in words:
        os.kill(pid, signal.SIGKILL)
    # Both the guard and the program that it becomes have this word near their end.
    while "start" in _words(pid)[-2:] and __salt__["ntpcluster_program.monotonic"]() < until:
        time.sleep(0.1)
    salt.utils.files.safe_rm(GUARD_PID)
    return "start" in words[-2:]


def _start(service):
    """The command that starts a service. On Red Hat's systemd hosts `service` is in a separate package, which may be missing."""
    systemctl, script = salt.utils.path.which("systemctl"), salt.utils.path.which("service")
    # sd_booted(3): a host may have systemd's programs but another init.
    if systemctl and os.path.isdir("/run/systemd/system"):
        return [systemctl, "start", service]
    if not script:
        raise CommandExecutionError("this host has no `service` program to start the daemon again with")
    return [script, service, "start"]


def _words(pid):
    """The command line of a process; empty if it has ended."""
    try:
        with salt.utils.files.fopen("/proc/{0}/cmdline".format(pid), "rb") as line:
            return line.read().decode("utf-8", "replace").split("\0")[:-1]
    except (IOError, OSError):
        return []
