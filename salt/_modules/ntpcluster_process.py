# -*- coding: utf-8 -*-
"""
Internal. Which process of this host is the NTP daemon, as the kernel knows it.

A process name is not enough. While a name in ntp.conf has no address, ntpd 4.2.6 keeps a second process, called ``ntpd`` as
well and with the same command line, which outlives the daemon by up to 30 s (ntp_intres.c). OpenNTPD's processes are called
``ntpd`` too. The daemon is the process that holds UDP port 123, or the living process that the pid file names: a daemon that
has just started has no port yet. A chronyd that only sets the clock and exits (``-q``) has the daemon's name and pid file, but
is not the daemon.
"""

from __future__ import absolute_import, print_function, unicode_literals

import errno
import fnmatch
import glob
import os

import salt.utils.files

__virtualname__ = "ntpcluster_process"

#: OpenNTPD names its processes `ntpd: ntp engine`, `ntpd: dns engine`; ntpd and ntpsec do not change their command line.
OPENNTPD = "ntpd: "

#: The option that makes a daemon set the clock once and exit.
ONCE = "-q"

#: The process of OpenNTPD that talks to servers.
ENGINE = OPENNTPD + "ntp engine"

#: What starts a service at boot: links to its script, or to its unit.
STARTED = ("/etc/rc[2-5].d/S[0-9][0-9]{0}", "/etc/systemd/system/*.wants/{0}.service")

#: The same separately, for the multi-user runlevels; and what else starts a service without systemd.
LEVEL, WORKING = "/etc/rc{0}.d/S[0-9][0-9]{1}", "2345"
OTHERWISE = ("/etc/rcS.d/S[0-9][0-9]{0}", "/etc/init/{0}.conf")

#: With systemd: the links to a unit, and the places where a unit of the same name overrides the package's.
WANTED = STARTED[1]
BEFORE_UNIT = ("/etc/systemd/system/{0}.service", "/run/systemd/system/{0}.service")

#: sd_booted(3): a host may have systemd's programs but another init.
BOOTED = "/run/systemd/system"

#: Files that show that a service exists: its script, job or unit; and systemd's record of a running service, whose unit may
#: have been removed.
THERE = (
    "/etc/init.d/{0}",
    "/etc/init/{0}.conf",
    "/etc/systemd/system/{0}.service",
    "/run/systemd/system/{0}.service",
    "/run/systemd/generator*/{0}.service",
    "/usr/local/lib/systemd/system/{0}.service",
    "/usr/lib/systemd/system/{0}.service",
    "/lib/systemd/system/{0}.service",
    "/run/systemd/units/invocation:{0}.service",
)


def daemon(platform=None, living=None):
    """
    Internal. The NTP daemon's process and service on this host, without asking the daemon itself.

    platform
        With ``service``, ``process`` and ``pid_file``, as the plan has it; default: this host's with its own daemon.
    living
        As for ``ntpcluster_process.running``.

    Returns a dict: ``name`` of the service, ``enabled`` (starts at boot), and ``running``, ``pid``, ``uptime_s`` as
    ``ntpcluster_process.running`` returns them.
    """
    if platform is None:
        platform = __salt__["ntpcluster_facts.platform"]()
    service = platform["service"]
    return dict(running(platform, living), name=service, enabled=enabled(service))


def enabled(service):
    """
    Internal. Whether a service starts at boot. Usually the links answer this; otherwise Salt's ``service.enabled`` runs the
    system's own programs, three of them on EL6.

    Returns a bool.
    """
    if os.path.isdir(BOOTED):
        wanted = any(os.path.isfile(link) for link in glob.glob(WANTED.format(service)))
        # These override the package's unit, and may mask it.
        plain = not any(os.path.lexists(path.format(service)) for path in BEFORE_UNIT)
        return True if wanted and plain else __salt__["service.enabled"](service)
    levels = [glob.glob(LEVEL.format(level, service)) for level in WORKING]
    if all(any(os.access(link, os.X_OK) for link in links) for links in levels):
        return True
    if any(levels) or any(glob.glob(path.format(service)) for path in OTHERWISE):
        return __salt__["service.enabled"](service)
    return False


def there(service):
    """
    Internal. Whether a service can be on this host. False: none of its files exists, so no program has to be run to check it.
    """
    return any(glob.glob(path.format(service)) or os.path.lexists(path.format(service)) for path in THERE)


def running(platform, living=None):
    """
    Internal. The process of this host's NTP daemon, found without starting any program.

    platform
        With ``process``, the daemon's name as /proc shows it, and ``pid_file``.
    living
        Processes, as ``ntpcluster_process.named`` returns them, including the daemon's; None: they are searched for.

    Returns a dict: ``running`` (bool; None: some process holds port 123, but this one may not see which), ``pid`` and
    ``uptime_s`` since its start (None unless running). A step of the clock does not change the uptime: /proc counts it in ticks
    since boot (proc(5)).
    """
    called = [
        one
        for one in (named([platform["process"]]) if living is None else living)
        if one["name"] == platform["process"]
        and not one["title"].startswith(OPENNTPD)
        and ONCE not in one["title"].split()
    ]
    sockets = port_sockets()
    holds = dict((one["pid"], _holds(one["pid"], sockets)) for one in called)
    noted = _read(platform["pid_file"]).strip()
    found = [one for one in called if holds[one["pid"]]] or [one for one in called if "{0}".format(one["pid"]) == noted]
    if not found:
        # Only root sees every process: /proc may be mounted with `hidepid`.
        unseen = None in holds.values() or (sockets and os.geteuid() != 0)
        return {"running": None if unseen else False, "pid": None, "uptime_s": None}
    now = float(_read("/proc/uptime").split()[0])
    uptime = now - found[0]["started"] / float(os.sysconf(str("SC_CLK_TCK")))
    return {"running": True, "pid": found[0]["pid"], "uptime_s": max(0.0, round(uptime, 1))}


def named(names):
    """
    Internal. The running processes of this host with one of these names, oldest first.

    A host also sees the processes of its containers; they are left out because they are in another pid namespace. A kernel that
    does not show the namespaces (before 3.8, so EL6's) does not distinguish a container's process from the host's.

    names
        List of names as /proc shows them: 15 characters at most.

    Returns a list of dicts: ``name``, ``pid``, ``title`` (its command line, words separated by blanks), ``started`` (ticks
    since boot).
    """
    found = []
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        head, _, tail = _read("/proc/{0}/stat".format(pid)).rpartition(")")
        name, fields = head.partition("(")[2], tail.split()
        # Field 3 is the state: a zombie has died. Field 22 is the start.
        if name in names and fields[0] not in ("Z", "X") and _ours(pid):
            title = _read("/proc/{0}/cmdline".format(pid)).replace("\0", " ").strip()
            found.append({"name": name, "pid": int(pid), "title": title, "started": int(fields[19])})
    return sorted(found, key=lambda one: (one["started"], one["pid"]))


def using(folder):
    """
    Internal. The processes that have a file below a directory open; deleted files do not count.

    folder
        Its path, without links and without a slash at its end.

    Returns a list of texts: name and pid.
    """
    found = []
    for pid in os.listdir("/proc"):
        files = "/proc/{0}/fd".format(pid)
        try:
            opened = [_link(os.path.join(files, number)) or "" for number in os.listdir(files)] if pid.isdigit() else []
        except (IOError, OSError):  # it has ended meanwhile
            continue
        if any(path.startswith(folder + "/") and not path.endswith(" (deleted)") for path in opened):
            found.append("{0} (pid {1})".format(_read("/proc/{0}/comm".format(pid)).strip(), pid))
    return found


def rivals(own, living):
    """
    Internal. List the processes that discipline this clock in addition to its daemon.

    own
        Name of the daemon's process; None: unknown, and only those of OpenNTPD are returned.
    living
        Processes, as ``ntpcluster_process.named`` returns them.

    Returns a sorted list of (name, pid).
    """
    openntpd = [one for one in living if one["title"].startswith(OPENNTPD)]
    others = [one for one in living if own and one["name"] != own and one not in openntpd]
    engines = [("openntpd", one["pid"]) for one in openntpd if one["title"].startswith(ENGINE)]
    return sorted(engines + [(one["name"], one["pid"]) for one in others])


def at_boot(services):
    """
    Internal. Which of these services start at boot, found without starting any program. A removed package may leave a script
    that is not executable, or a dangling link: neither starts.
    """
    # The folders are read once, not once for each service.
    folders = [(path, glob.glob(os.path.join(os.path.dirname(path), "*"))) for path in STARTED]
    found = []
    for service in services:
        links = [link for path, entries in folders for link in fnmatch.filter(entries, path.format(service))]
        if any(os.access(link, os.X_OK) or (link.endswith(".service") and os.path.isfile(link)) for link in links):
            found.append(service)
    return found


def port_sockets():
    """
    Internal. The sockets of this host's network that are bound to UDP port 123.

    /proc/net/udp lists them as hexadecimal address:port, followed by the remote end (proc(5)): sockets of clients do not count.

    Returns a list of inode numbers, as text; empty if the port is free.
    """
    rows = [line.split() for table in ("udp", "udp6") for line in _read("/proc/net/" + table).splitlines()[1:]]
    return [row[9] for row in rows if row[1].endswith(":007B")]


def _holds(pid, sockets):
    """Whether a process has one of these sockets; None if this process may not look, which requires CAP_SYS_PTRACE."""
    wanted = ["socket:[{0}]".format(inode) for inode in sockets]
    folder = "/proc/{0}/fd".format(pid)
    try:
        return any(_link(os.path.join(folder, number)) in wanted for number in os.listdir(folder)) if wanted else False
    except (IOError, OSError) as exc:
        return None if exc.errno in (errno.EACCES, errno.EPERM) else False  # otherwise it has ended meanwhile


def _ours(pid):
    """Whether a process is in this process's pid namespace; True if the kernel does not show it."""
    try:
        return _link("/proc/{0}/ns/pid".format(pid)) in (_link("/proc/self/ns/pid"), None)
    except (IOError, OSError):
        return True


def _link(path):
    """Where a link of /proc points to, as text; None if it does not exist (any more)."""
    try:
        target = os.readlink(path)
        # Python 2.7 returns bytes if it cannot decode the name.
        return target.decode("utf-8", "replace") if isinstance(target, bytes) else target
    except (IOError, OSError) as exc:
        if exc.errno != errno.ENOENT:
            raise
        return None


def _read(path):
    """The text of a file; empty if it does not exist: a process can end at any moment, and a kernel may lack IPv6."""
    try:
        with salt.utils.files.fopen(path, "rb") as text:
            return text.read().decode("utf-8", "replace")
    except (IOError, OSError):
        return ""
