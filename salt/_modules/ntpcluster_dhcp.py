# -*- coding: utf-8 -*-
"""
Internal. DHCP leases that name time servers: EL6's dhclient writes them into ntp.conf and restarts ntpd at every renewal
(/etc/dhcp/dhclient.d/ntp.sh), unless the interface's file says PEERNTP=no. The files and variables are in platforms.yaml.
"""

from __future__ import absolute_import, print_function, unicode_literals

import glob
import os
import re

import salt.utils.args
import salt.utils.files

__virtualname__ = "ntpcluster_dhcp"

#: Backup files of editors and rpm; the network scripts do not read them either.
LEFT_OVERS = ("~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".ntpcluster")


def meddles():
    """
    Internal. Files of interfaces whose leases would change this host's NTP configuration.

    Returns a list of paths; empty if the platform has no such files.
    """
    facts = __salt__["ntpcluster_facts.platform"]()["dhcp"]
    if not facts:
        return []
    found = [path for path in sorted(glob.glob(facts["files"])) if not path.endswith(LEFT_OVERS)]
    variable, _, value = facts["say"].partition("=")
    return [
        path
        for path in found
        # The scripts compare exactly; here a value in capitals counts too, as in NetworkManager.
        if (_value(path, facts["variable"]) or "").lower() in facts["values"] and _value(path, variable) != value
    ]


def ignore(path, **called):
    """
    Internal. Stop one interface's leases from changing the NTP configuration. The rest of its file is not changed.

    path
        One of ``ntpcluster_dhcp.meddles``.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    say = __salt__["ntpcluster_facts.platform"]()["dhcp"]["say"]
    variable = say.partition("=")[0]
    __salt__["ntpcluster_origin.remember_file"](path)
    # A line that contains more than this stays: the last assignment counts.
    alone = re.compile(r"\s*{0}=[\"']?\w*[\"']?\s*\Z".format(variable))
    lines = [line for line in _lines(path) if not alone.match(line)] + [say]
    fresh = path + ".ntpcluster"
    with salt.utils.files.fopen(fresh, "wb") as handle:
        handle.write("\n".join(lines + [""]).encode("utf-8"))
    os.chmod(fresh, os.stat(path).st_mode & 0o7777)
    __salt__["ntpcluster_files.replace"](fresh, path)
    return True


def _lines(path):
    with salt.utils.files.fopen(path, "rb") as handle:
        return handle.read().decode("utf-8", "replace").splitlines()


def _value(path, variable):
    """
    The value that a file of shell variables assigns to a variable, or None. As in the shell, the last assignment counts, and an
    assignment ends at a blank or semicolon outside quotes.
    """
    given = None
    for line in _lines(path):
        try:
            words = salt.utils.args.shlex_split(re.sub(r"[;&]", r" \g<0> ", line), comments=True)
        except ValueError:  # a quotation that does not end on this line
            words = re.sub("[\"']", "", line).split()
        for word in words:
            name, equals, value = word.partition("=")
            if equals and name == variable:
                given = value
    return given
