# -*- coding: utf-8 -*-
"""
Internal. Replace a file with a finished one.
"""

from __future__ import absolute_import, print_function, unicode_literals

import grp
import os
import stat

import salt.utils.path
from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_files"

#: One of these exists while SELinux is enabled, enforcing or not: the first on current kernels, the second on EL6's.
SELINUX = ("/sys/fs/selinux/enforce", "/selinux/enforce")


def replace(fresh, path, **called):
    """
    Internal. Replace a file or link atomically with a finished one, and give it the label that SELinux expects there.

    A new file gets the label of its directory and keeps it when it is renamed. The policy can require another one
    (/etc/localtime is ``locale_t``), and without it confined daemons cannot read the file. Salt's own file states handle this
    themselves (``copyfile`` in salt/utils/files.py).

    fresh
        Path of the finished file, in the same directory as the other one.
    path
        The file to replace.

    Raises CommandExecutionError if restorecon fails; the file has been replaced by then.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    os.rename(fresh, path)
    if not any(os.path.isfile(switch) for switch in SELINUX) or not salt.utils.path.which("restorecon"):
        return
    done = __salt__["ntpcluster_program.run"]("restorecon", "policycoreutils", [path])
    if done["retcode"]:
        said = (done["stderr"] or done["stdout"]).strip()
        raise CommandExecutionError("{0} was written, but may have the wrong SELinux label: {1}".format(path, said))


def owned(path, group, mode):
    """
    Internal. Whether a file belongs to root and this group, with this mode (text, octal). False if there is no such group.
    """
    found = os.stat(path)
    try:
        wanted = (0, grp.getgrnam(str(group)).gr_gid, int(mode, 8))
    except KeyError:
        return False
    return (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == wanted
