# -*- coding: utf-8 -*-
"""
Internal. The only file that chooses between the daemons. Each has two files with the same functions: ``ntpcluster_NAME``
asks and steps, ``ntpcluster_NAME_conf`` knows its configuration. No other file asks for a daemon's name.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_daemon"

#: What the second file of a daemon does.
IN_CONF = ("configuration", "refclock", "foreign", "files", "frequency", "drift")

#: What a daemon cannot do. If Salt's loader is asked for a missing function, it loads all its modules: 0.4 s.
LACKS = {"ntpd": ("fault",), "chrony": ("variables",)}

#: The daemons that slew by adjtime(2), each second anew, unless the kernel's PLL works for them (adj_host_clock() of ntpd).
ADJUST = ("ntpd",)


def platform(entry, daemon=None):
    """
    Internal. Return what platforms.yaml says for one daemon: what a platform's daemons have in common, and its own.

    entry
        A platform's entry of platforms.yaml.
    daemon
        Name of the daemon; None, or one that the platform has not got: the platform's own.
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
        ``configuration``: what of a plan is written in the daemon's own words. ``foreign``: which of the pillar's options
        are another daemon's. ``files``: which files the daemon opens by its options. ``frequency`` and ``drift``: a drift file
        is read and written. ``look``: what it says of itself and its sources. ``jump``: its own tool steps the clock.
        ``crontab``: the command by which a crontab has the clock set. ``fault``: what is wrong with a configuration file that
        is not in use yet; ntpd can only tell by starting with it. ``variables``: ntpd's own, which chronyd has not got. Each
        is described in ``ntpcluster_ntpd``, ``ntpcluster_ntpd_conf`` or ``ntpcluster_chrony``.
    """
    if what in LACKS.get(platform["daemon"], ()):
        return None
    return "ntpcluster_{0}{1}.{2}".format(platform["daemon"], "_conf" if what in IN_CONF else "", what)


def adjusts(platform):
    """
    Internal. Whether a platform's daemon calls adjtime(2) by itself where the kernel's PLL is off.
    """
    return platform["daemon"] in ADJUST
