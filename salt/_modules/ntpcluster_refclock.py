# -*- coding: utf-8 -*-
"""
Internal. Reference clocks of the pillar: their names in the configuration and the tables of the daemons. Pure functions.

The lab has no such device. The lines follow the manuals (ntp's refclock.html and the drivers' pages, chrony.conf(5)), ``chronyd
-p`` has accepted those for chrony, and the lab can only imitate the shared memory of a GPS daemon.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_refclock"

#: Kinds by their name in the pillar: the number of ntpd's driver, and its name in ntpsec's table.
DRIVERS = {"nmea": (20, "NMEA"), "pps": (22, "PPS"), "shm": (28, "SHM")}

#: The name of a kind in chrony.conf.
CHRONY = {"phc": "PHC {path}", "pps": "PPS /dev/pps{unit}", "shm": "SHM {unit}", "sock": "SOCK {path}"}

#: The refid of a clock in this host's packets if the pillar does not set one.
REFIDS = {"nmea": "GPS", "phc": "PHC", "pps": "PPS", "shm": "GPS", "sock": "GPS"}


def ntpd(clock):
    """
    Internal. A reference clock in the syntax of ntp.conf.

    clock
        An item of ``sources`` that has ``refclock``, without errors.

    Returns a dict: ``lines``, and ``names``, one of which the daemon lists it by; None if ntpd has no such kind.
    """
    kind, unit = clock["refclock"], clock.get("unit", 0)
    number, name = DRIVERS.get(kind, (None, None))
    if number is None and not kind.startswith("127."):
        return None
    address = "127.127.{0}.{1}".format(number, unit) if number else kind
    words = ["server", address] + [flag for flag in ("prefer", "noselect") if clock.get(flag)]
    words += ["mode", "{0}".format(clock["mode"])] if "mode" in clock else []
    fudge = ["time1", "{0:.6f}".format(clock["offset"])] if "offset" in clock else []
    fudge += ["stratum", "{0}".format(clock["stratum"])] if "stratum" in clock else []
    refid = clock.get("refid", REFIDS.get(kind))
    fudge += ["refid", refid] if refid else []
    for flag in clock.get("flags") or []:
        fudge += ["flag{0}".format(flag), "1"]
    lines = [" ".join(words)] + ([" ".join(["fudge", address] + fudge)] if fudge else [])
    return {"lines": lines, "names": [address] + (["{0}({1})".format(name, unit)] if name else [])}


def chrony(clock):
    """
    Internal. A reference clock in the syntax of chrony.conf, as ``ntpd``; None also if it has a key that chronyd does not
    support.
    """
    form = CHRONY.get(clock["refclock"])
    if form is None or "mode" in clock or "flags" in clock:
        return None
    refid = clock.get("refid", REFIDS[clock["refclock"]])
    words = ["refclock", form.format(path=clock.get("path"), unit=clock.get("unit", 0)), "refid", refid]
    words += ["offset", "{0:.6f}".format(clock["offset"])] if "offset" in clock else []
    words += ["stratum", "{0}".format(clock["stratum"])] if "stratum" in clock else []
    words += [flag for flag in ("prefer", "noselect") if clock.get(flag)]
    return {"lines": [" ".join(words)], "names": [refid]}


def clocks(tier, platform):
    """
    Internal. The reference clocks of a tier, for the plan of a host; those that its daemon does not support are left out.

    tier
        The pillar of the tier, without errors.
    platform
        As ``ntpcluster_daemon.platform`` returns it.

    Returns a list of dicts as from ``ntpd`` and ``chrony``.
    """
    doing = __salt__["ntpcluster_daemon.doing"](platform, "refclock")
    given = [item for item in tier.get("sources") or [] if isinstance(item, dict) and "refclock" in item]
    return [clock for clock in (__salt__[doing](item) for item in given) if clock]


def names(plan):
    """
    Internal. Every name that the daemon may list a planned reference clock by.

    plan
        ``ntpcluster.plan``.
    """
    return [name for clock in plan["refclocks"] for name in clock["names"]]


def unlisted(plan, listed):
    """
    Internal. The planned reference clocks that a daemon's table does not have, each by its first name.

    listed
        The names in the table.
    """
    return [clock["names"][0] for clock in plan["refclocks"] if not any(name in listed for name in clock["names"])]


def faults(clock):
    """
    Internal. What is wrong with a reference clock of the pillar beyond the rules for each of its keys.

    clock
        A mapping; ``refclock`` is one of those allowed.

    Returns a list of pairs: the key, and what is wrong, as text that follows the key.
    """
    kind, found = clock["refclock"], []
    if kind in ("phc", "sock") and "path" not in clock:
        found.append(("path", "is needed beside `refclock: {0}`".format(kind)))
    if kind not in ("phc", "sock") and "path" in clock:
        found.append(("path", "is for phc and sock; {0} is told by `unit`".format(kind)))
    if kind not in ("nmea", "pps", "shm") and "unit" in clock:
        found.append(("unit", "is for nmea, pps and shm"))
    if clock.get("prefer") is True and clock.get("noselect") is True:
        found.append(("noselect", "cannot stand beside `prefer`: a clock that is only watched is never followed"))
    return found
