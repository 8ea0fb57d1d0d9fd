# -*- coding: utf-8 -*-
"""
Internal. The only file that chooses between the daemons. Each has two files with the same functions: ``ntpcluster_NAME``
queries and steps, ``ntpcluster_NAME_conf`` knows its configuration. No other file depends on a daemon's name.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_daemon"

#: The functions in the second file of a daemon.
IN_CONF = ("configuration", "refclock", "foreign", "files", "frequency", "drift")

#: What a daemon cannot do. If Salt's loader is asked for a missing function, it loads all its modules: 0.4 s.
LACKS = {"ntpd": ("fault",), "chrony": ("variables",)}

#: The daemons that slew by adjtime(2), each second anew, unless the kernel's PLL works for them (adj_host_clock() of ntpd).
ADJUST = ("ntpd",)


def platform(entry, daemon=None):
    """
    Internal. Return the part of platforms.yaml for one daemon: what is common to the platform's daemons, and what is specific
    to this one.

    entry
        A platform's entry of platforms.yaml.
    daemon
        Name of the daemon; if it is None or the platform does not have it, the platform's own daemon is used.
    """
    daemon = daemon if daemon in entry["daemons"] else entry["own"]
    common = dict((key, value) for key, value in entry.items() if key not in ("daemons", "own"))
    return dict(common, daemon=daemon, **entry["daemons"][daemon])


def doing(platform, what):
    """
    Internal. Return the name of the function that does this for a platform's daemon, as the loader knows it; None if the
    daemon cannot do it.

    platform
        As ``platform`` returns it, or the plan's.
    what
        ``configuration``: the parts of a plan in the daemon's syntax. ``foreign``: which of the pillar's options belong to
        another daemon. ``files``: which files the daemon opens because of its options. ``frequency`` and ``drift``: read and
        write a drift file. ``look``: what the daemon reports about itself and its sources. ``jump``: step the clock, with its own
        tool or by the kernel. ``crontab``: the command in a crontab that sets the clock. ``fault``: what is wrong with a
        configuration file that is not in use yet; ntpd can only check it by starting with it. ``variables``: ntpd's own, which
        chronyd does not have. Each is described in ``ntpcluster_ntpd``, ``ntpcluster_ntpd_conf`` or ``ntpcluster_chrony``.
    """
    if what in LACKS.get(platform["daemon"], ()):
        return None
    return "ntpcluster_{0}{1}.{2}".format(platform["daemon"], "_conf" if what in IN_CONF else "", what)


def adjusts(platform):
    """
    Internal. Whether a platform's daemon calls adjtime(2) by itself where the kernel's PLL is off.
    """
    return platform["daemon"] in ADJUST
