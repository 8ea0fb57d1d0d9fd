# -*- coding: utf-8 -*-
"""
Internal. Hand the drift that a daemon has measured to the daemon that replaces it.

A daemon stores the frequency error of the clock in its drift file and reads it at its start. Without the file, the clock runs
at a wrong rate until the daemon has measured the error: some seconds with chronyd, fifteen minutes with ntpd. The drift file of
the previous daemon is still on the disk, even if its package has been removed.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os

import salt.utils.files
from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_drift"

#: The maximum correction of either daemon (NTP_MAXFREQ in ntp.h, in ppm).
MOST_PPM = 500.0


def carry(platform, **called):
    """
    Internal. Rewrite the daemon's drift file if another daemon of any known platform has left a newer one.

    The operating system may have changed: an in-place upgrade leaves the file where the old system had it. The file of a
    running daemon is the newest, so this does nothing on a host whose daemon has not changed.

    platform
        With ``daemon`` and ``drift``, as the plan has it. The daemon reads its file at its next start.

    Returns text that says where the drift comes from; empty if the daemon's own file is kept.

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
    """Write atomically. The file gets the owner of its directory, which is the daemon's user, or root before the package is
    installed."""
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
