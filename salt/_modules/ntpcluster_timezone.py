# -*- coding: utf-8 -*-
"""
Internal. The time zone this host shows its clock in, in a way that lasts.

On EL6 /etc/localtime is a copy that every update of tzdata makes anew from ZONE= in /etc/sysconfig/clock; a copy or a
link made by hand is lost then, and Salt's own ``timezone.system`` makes a link, which Red Hat does not support there.
So the record is written first, then the file is made from it. Where each is: platforms.yaml.
"""

from __future__ import absolute_import, print_function, unicode_literals

import filecmp
import os
import re
import shutil

import salt.utils.files
import salt.utils.path
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_timezone"

LOCALTIME = "/etc/localtime"


def timezone():
    """
    Internal. The zone as the system remembers it, and whether the clock is shown in it.

    Returns a dict: ``recorded``, the name in the system's record (None: there is no record); ``shown`` (bool),
    whether /etc/localtime is that zone, in the form the platform wants it in (a copy or a link).
    """
    facts = __salt__["ntpcluster_facts.platform"]()["timezone"]
    recorded = _recorded(facts)
    return {"recorded": recorded, "shown": recorded is not None and _shown(recorded, facts)}


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
    source = __salt__["ntpcluster_zones.path"](zone)
    wrong = __salt__["ntpcluster_zones.fault"](zone)
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9_+/-]*\Z", zone) or wrong:
        raise SaltInvocationError(
            "timezone: {0} {1}".format(zone, wrong["message"] if wrong else "is not the name of a zone")
        )
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
        __salt__["ntpcluster_files.replace"](fresh, LOCALTIME)
    now = timezone()
    if now["recorded"] != zone or not now["shown"]:
        raise CommandExecutionError("the time zone {0} was set but is not in force: {1}".format(zone, now))
    return now


def _keeps_record(facts):
    """Whether this host has a record, or shall have one: some systems go on with a file that an older release left."""
    return facts["record"] is not None and (facts["record_made"] or os.path.isfile(facts["record"]))


def _recorded(facts):
    """The zone that the system's own record names."""
    if not _keeps_record(facts):
        return _linked()
    if not os.path.isfile(facts["record"]):
        return None
    with salt.utils.files.fopen(facts["record"], "rb") as record:
        text = record.read().decode("utf-8", "replace")
    if facts["variable"] is None:
        return text.strip() or None
    found = re.findall(r'^\s*{0}=["\']?([^"\'\s#]+)'.format(facts["variable"]), text, re.MULTILINE)
    return found[-1] if found else None


def _record(zone, facts):
    """Write the record, if this host keeps one; its other content stays."""
    if not _keeps_record(facts):
        return
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
    __salt__["ntpcluster_files.replace"](fresh, facts["record"])


def _shown(zone, facts):
    """Whether /etc/localtime is this zone, in the platform's form."""
    source = __salt__["ntpcluster_zones.path"](zone)
    if os.path.islink(LOCALTIME) != (facts["localtime"] == "link"):
        return False
    if not os.path.isfile(LOCALTIME) or not os.path.isfile(source):
        return False
    if facts["localtime"] == "link":
        # Zones can have the same rules and yet another name, and the link shows the name: its last step is not followed.
        return _place(os.path.join(os.path.dirname(LOCALTIME), os.readlink(LOCALTIME))) == _place(source)
    return filecmp.cmp(source, LOCALTIME, shallow=False)


def _linked():
    """The zone whose file /etc/localtime is a link to; None if it is none."""
    root = _place(__salt__["ntpcluster_zones.path"]("UTC"))[: -len("UTC")]
    if not os.path.islink(LOCALTIME):
        return None
    found = _place(os.path.join(os.path.dirname(LOCALTIME), os.readlink(LOCALTIME)))
    return found[len(root) :] if found.startswith(root) else None


def _place(path):
    """A path in its one spelling, however its folder is reached; the last name is left as it is."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
