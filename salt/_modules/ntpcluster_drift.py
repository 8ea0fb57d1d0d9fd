# -*- coding: utf-8 -*-
"""
Internal. Hand the drift that a daemon has measured to the daemon that replaces it.

A daemon keeps in its drift file how much its clock is too fast or too slow by itself, and starts with that. One without it
lets the clock run wrong until it has measured anew: chronyd some seconds, ntpd fifteen minutes. What the daemon before it
knew is still on the disk, whether its package is installed or not.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os

import salt.utils.files
from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_drift"

#: Neither daemon corrects a clock by more (NTP_MAXFREQ in ntp.h, in ppm).
MOST_PPM = 500.0


def carry(platform, **called):
    """
    Internal. Write the daemon's drift file anew, if another daemon of any known platform has left a younger one.

    The system may have been another one: an upgrade in place leaves the file where the old system had it. The file of a
    daemon that runs is the youngest, so this does nothing on a host whose daemon has not changed.

    platform
        With ``daemon`` and ``drift``, as the plan has it. The daemon reads its file at its next start.

    Returns text that tells where the drift comes from; empty if the daemon's own file stays.

    Raises CommandExecutionError if the file cannot be written.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    own, words = platform["drift"], []
    youngest = os.path.getmtime(own) if os.path.isfile(own) else None
    for path, daemon in sorted(_places().items()):
        if path != own and os.path.isfile(path) and (youngest is None or os.path.getmtime(path) > youngest):
            youngest, source, words = os.path.getmtime(path), {"daemon": daemon, "drift": path}, _words(path)
    if not words:
        return ""
    doing = __salt__["ntpcluster_daemon.doing"](source, "frequency")
    frequency = __salt__[doing](words)
    if frequency is None or not abs(frequency) <= MOST_PPM:
        return ""
    doing = __salt__["ntpcluster_daemon.doing"](platform, "drift")
    try:
        _write(own, __salt__[doing](frequency))
    except (IOError, OSError) as exc:
        raise CommandExecutionError("{0} cannot be written: {1}".format(own, exc))
    return "{0} starts with the drift of {1}".format(own, source["drift"])


def _places():
    """Drift files of all daemons on all platforms: {path: name of the daemon}."""
    platforms = __salt__["ntpcluster_facts.platforms"]().values()
    return dict((one["drift"], name) for entry in platforms for name, one in entry["daemons"].items())


def _words(path):
    with salt.utils.files.fopen(path, "rb") as text:
        return text.read().decode("utf-8", "replace").split()


def _write(path, text):
    """All of it or nothing. Whoever owns the folder, the daemon's user, owns the file; before the package is there it is root."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    fresh = path + ".ntpcluster"
    with salt.utils.files.fopen(fresh, "wb") as target:
        target.write(text.encode("utf-8"))
    found = os.stat(folder)
    os.chown(fresh, found.st_uid, found.st_gid)
    os.chmod(fresh, 0o644)
    os.rename(fresh, path)
