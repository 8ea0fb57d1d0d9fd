# -*- coding: utf-8 -*-
"""
Internal. The time zones that this host's tzdata has.
"""

from __future__ import absolute_import, print_function, unicode_literals

import difflib
import os
import re

import salt.utils.files

__virtualname__ = "ntpcluster_zones"

ZONES = "/usr/share/zoneinfo"

#: The first bytes of each zone file (tzfile(5)).
MAGIC = b"TZif"

#: Names below ZONES that are not zones to choose: whole trees of other zones, and names for the zone that is set.
NO_ZONES = ("posix", "right", "localtime", "posixrules", "Factory")


def path(zone):
    """
    Internal. The file of a zone, whether it exists or not.
    """
    return os.path.join(ZONES, zone)


def fault(zone):
    """
    Internal. Whether this host's tzdata has a zone. ``ntpcluster.validate`` calls this before anything is changed.

    zone
        A name below /usr/share/zoneinfo, e.g. Asia/Shanghai.

    Returns None for a zone that exists, or a dict: ``message``, with the most similar zone, and ``level``: ``error``, or
    ``warning`` if tzdata is not installed yet, so that this is unknown.
    """
    if _is_zone(zone):
        return None
    known = _zones()
    if not known:
        message = "cannot be checked: this host has no tzdata, unless the packages install it"
        return {"message": message, "level": "warning"}
    message = "is not a time zone in this host's tzdata"
    alike = dict((name.lower(), name) for name in known)
    near = difflib.get_close_matches(zone.lower(), sorted(alike), 1, 0.75)
    if re.match(r"[A-Z]{1,5}(?:[+-]?[0-9]+)?\Z", zone) and zone.lower() not in alike:
        # CST is the time of China and of Chicago; the most similar name would be arbitrary.
        message += (
            "; name a place, such as Asia/Shanghai, not an abbreviation; note that Etc/GMT-8 is 8 hours ahead of UTC"
        )
    elif near:
        message += "; did you mean {0}?".format(alike[near[0]])
    else:
        message += "; `ls {0}` lists the zones".format(ZONES)
    return {"message": message, "level": "error"}


def _is_zone(name):
    """Whether a name is a zone: a file with the header of a zone file, and not another name for this host's own zone."""
    place = path(name)
    if name.split("/")[0] in NO_ZONES or not os.path.isfile(place):
        return False
    with salt.utils.files.fopen(place, "rb") as zone:
        return zone.read(len(MAGIC)) == MAGIC


def _zones():
    """All names of zones on this host; none without tzdata."""
    found = []
    for folder, folders, files in os.walk(ZONES):
        if folder == ZONES:
            folders[:] = [name for name in folders if name not in NO_ZONES]
        found += [os.path.relpath(os.path.join(folder, name), ZONES) for name in files]
    return [name for name in found if _is_zone(name)]
