# -*- coding: utf-8 -*-
"""
Internal. The time zone this host shows its clock in, in a way that lasts.

On EL6 /etc/localtime is a copy that every update of tzdata makes anew from ZONE= in /etc/sysconfig/clock; a copy or a
link made by hand is lost then, and Salt's own ``timezone.system`` makes a link, which Red Hat does not support there.
So the record is written first, then the file is made from it. Where each is: platforms.yaml.
"""

from __future__ import absolute_import, print_function, unicode_literals

import difflib
import filecmp
import os
import re
import shutil

import salt.utils.files
import salt.utils.path
from salt.exceptions import CommandExecutionError, SaltInvocationError

ZONES = "/usr/share/zoneinfo"
LOCALTIME = "/etc/localtime"

#: What each file of a zone begins with (tzfile(5)).
MAGIC = b"TZif"

#: Below ZONES and no zones of their own: whole trees of others, and names for what is set already.
NO_ZONES = ("posix", "right", "localtime", "posixrules", "Factory")


def timezone():
    """
    Internal. The zone as the system remembers it, and whether the clock is shown in it.

    Returns a dict: ``recorded``, the name in the system's record (None: there is no record); ``shown`` (bool),
    whether /etc/localtime is that zone, in the form the platform wants it in (a copy or a link).
    """
    facts = __salt__["ntpcluster_facts.platform"]()["timezone"]
    recorded = _recorded(facts)
    return {"recorded": recorded, "shown": recorded is not None and _shown(recorded, facts)}


def fault(zone):
    """
    Internal. Whether this host's tzdata has a zone. ``ntpcluster.validate`` asks this before anything is changed.

    zone
        A name below /usr/share/zoneinfo, e.g. Asia/Shanghai.

    Returns None for a zone that is there, or a dict: ``message``, with the nearest zone there is, and ``level``:
    ``error``, or ``warning`` where no tzdata is installed yet, so that nobody can say.
    """
    if _is_zone(zone):
        return None
    known = _zones()
    if not known:
        message = "cannot be looked up: this host has no tzdata, unless the packages bring it"
        return {"message": message, "level": "warning"}
    message = "is no time zone of this host's tzdata"
    alike = dict((name.lower(), name) for name in known)
    near = difflib.get_close_matches(zone.lower(), sorted(alike), 1, 0.75)
    if re.match(r"[A-Z]{1,5}(?:[+-]?[0-9]+)?\Z", zone) and zone.lower() not in alike:
        # CST is China's time and Chicago's; the nearest text would be any place's.
        message += "; name a place, such as Asia/Shanghai: a short name is no place, and Etc/GMT-8 is 8 hours ahead of UTC"
    elif near:
        message += "; did you mean {0}?".format(alike[near[0]])
    else:
        message += "; `ls {0}` shows what there is".format(ZONES)
    return {"message": message, "level": "error"}


def _is_zone(name):
    """Whether a name stands for a zone: a file that begins as all of them do, and not a second name for this host's own."""
    path = os.path.join(ZONES, name)
    if name.split("/")[0] in NO_ZONES or not os.path.isfile(path):
        return False
    with salt.utils.files.fopen(path, "rb") as zone:
        return zone.read(len(MAGIC)) == MAGIC


def _zones():
    """All names of zones on this host; none without tzdata."""
    found = []
    for folder, folders, files in os.walk(ZONES):
        if folder == ZONES:
            folders[:] = [name for name in folders if name not in NO_ZONES]
        found += [os.path.relpath(os.path.join(folder, name), ZONES) for name in files]
    return [name for name in found if _is_zone(name)]


def set_zone(zone, **called):
    """
    Internal. Record the zone and show the clock in it.

    zone
        A name below /usr/share/zoneinfo, e.g. Asia/Shanghai.

    Returns what ``ntpcluster_timezone.timezone`` says afterwards.

    Raises SaltInvocationError for a zone this host does not know, CommandExecutionError if it is not in force
    afterwards.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    facts = __salt__["ntpcluster_facts.platform"]()["timezone"]
    source = os.path.join(ZONES, zone)
    wrong = fault(zone)
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9_+/-]*\Z", zone) or wrong:
        raise SaltInvocationError("timezone: {0} {1}".format(zone, wrong["message"] if wrong else "is no name of a zone"))
    if _recorded(facts) != zone:
        _record(zone, facts)
    if facts["update"] and salt.utils.path.which(facts["update"]):
        __salt__["ntpcluster_program.run"](facts["update"], "glibc-common", [], timeout=30)
    if not _shown(zone, facts):
        fresh = LOCALTIME + ".ntpcluster"
        if os.path.lexists(fresh):
            os.unlink(fresh)
        if facts["localtime"] == "link":
            os.symlink(source, fresh)
        else:
            shutil.copyfile(source, fresh)
            os.chmod(fresh, 0o644)
        os.rename(fresh, LOCALTIME)
    now = timezone()
    if now["recorded"] != zone or not now["shown"]:
        raise CommandExecutionError("the time zone {0} was set but is not in force: {1}".format(zone, now))
    return now


def _recorded(facts):
    """The zone that the system's own record names."""
    if not os.path.isfile(facts["record"]):
        return None
    with salt.utils.files.fopen(facts["record"], "rb") as record:
        text = record.read().decode("utf-8", "replace")
    if facts["variable"] is None:
        return text.strip() or None
    found = re.findall(r'^\s*{0}=["\']?([^"\'\s#]+)'.format(facts["variable"]), text, re.MULTILINE)
    return found[-1] if found else None


def _record(zone, facts):
    """Write the record; what else stands in it stays."""
    lines = []
    mode = 0o644
    if facts["variable"] is not None and os.path.isfile(facts["record"]):
        mode = os.stat(facts["record"]).st_mode & 0o7777
        with salt.utils.files.fopen(facts["record"], "rb") as record:
            lines = record.read().decode("utf-8", "replace").splitlines()
        lines = [line for line in lines if not re.match(r"\s*{0}=".format(facts["variable"]), line)]
    lines.append(zone if facts["variable"] is None else '{0}="{1}"'.format(facts["variable"], zone))
    fresh = facts["record"] + ".ntpcluster"
    with salt.utils.files.fopen(fresh, "wb") as record:
        record.write("\n".join(lines + [""]).encode("utf-8"))
    os.chmod(fresh, mode)
    os.rename(fresh, facts["record"])


def _shown(zone, facts):
    """Whether /etc/localtime is this zone, in the platform's form."""
    source = os.path.join(ZONES, zone)
    if os.path.islink(LOCALTIME) != (facts["localtime"] == "link"):
        return False
    if not os.path.isfile(LOCALTIME) or not os.path.isfile(source):
        return False
    if facts["localtime"] == "link":
        # Zones can have the same rules and yet another name, and the link shows the name: its last step is not followed.
        return _place(os.path.join(os.path.dirname(LOCALTIME), os.readlink(LOCALTIME))) == _place(source)
    return filecmp.cmp(source, LOCALTIME, shallow=False)


def _place(path):
    """A path in its one spelling, however its folder is reached; the last name is left as it is."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
