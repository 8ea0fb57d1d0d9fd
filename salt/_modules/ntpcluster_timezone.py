# -*- coding: utf-8 -*-
"""
Internal. Set this host's time zone so that updates of tzdata keep it.

On EL6 /etc/localtime is a copy that every update of tzdata rewrites from ZONE= in /etc/sysconfig/clock. A copy or link made by
hand is lost then, and Salt's own ``timezone.system`` makes a link, which Red Hat does not support there. So this module writes
the record first, and then the file from it. Their paths are in platforms.yaml.
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
    Internal. The zone in the system's record, and whether /etc/localtime matches it.

    Returns a dict: ``recorded``, the name in the system's record (None: there is no record); ``shown`` (bool),
    whether /etc/localtime is that zone, in the form that the platform needs (a copy or a link).
    """
    facts = __salt__["ntpcluster_facts.platform"]()["timezone"]
    recorded = _recorded(facts)
    return {"recorded": recorded, "shown": recorded is not None and _shown(recorded, facts)}


def set_zone(zone, **called):
    """
    Internal. Record the zone and put it into effect.

    zone
        A name below /usr/share/zoneinfo, e.g. Asia/Shanghai.

    Returns what ``ntpcluster_timezone.timezone`` returns afterwards.

    Raises SaltInvocationError for a zone that this host does not have, CommandExecutionError if it is not in effect afterwards.
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
    """Whether this host has a record, or should have one: some systems still use a file from an older release."""
    return facts["record"] is not None and (facts["record_made"] or os.path.isfile(facts["record"]))


def _recorded(facts):
    """The zone in the system's own record."""
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
    """Write the record, if this host has one; its other content is not changed."""
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
        # Zones can have the same rules but different names, and the link shows the name: so the last link is not followed.
        return _place(os.path.join(os.path.dirname(LOCALTIME), os.readlink(LOCALTIME))) == _place(source)
    return filecmp.cmp(source, LOCALTIME, shallow=False)


def _linked():
    """The zone whose file /etc/localtime is a link to; None if it is not such a link."""
    root = _place(__salt__["ntpcluster_zones.path"]("UTC"))[: -len("UTC")]
    if not os.path.islink(LOCALTIME):
        return None
    found = _place(os.path.join(os.path.dirname(LOCALTIME), os.readlink(LOCALTIME)))
    return found[len(root) :] if found.startswith(root) else None


def _place(path):
    """A path with its directory resolved; the last component is not resolved."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
