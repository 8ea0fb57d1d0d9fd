# -*- coding: utf-8 -*-
"""
Internal. Replace a file with a finished one.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os

import salt.utils.path
from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_files"

#: One of these is there while SELinux is on, enforcing or not: where current kernels have it, and where EL6's has.
SELINUX = ("/sys/fs/selinux/enforce", "/selinux/enforce")


def replace(fresh, path, **called):
    """
    Internal. Replace a file or link with a finished one, atomically, with the label that SELinux expects there.

    A new file has the label of its folder and keeps it when it is renamed; the policy can want another one
    (/etc/localtime is ``locale_t``), and confined daemons may not read it then. Salt's own file states see to
    that themselves (``copyfile`` in salt/utils/files.py).

    fresh
        Path of the finished file, in the folder of the other one.
    path
        The file to replace.

    Raises CommandExecutionError if restorecon fails; the file is in its place then.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    os.rename(fresh, path)
    if not any(os.path.isfile(switch) for switch in SELINUX) or not salt.utils.path.which("restorecon"):
        return
    done = __salt__["ntpcluster_program.run"]("restorecon", "policycoreutils", [path])
    if done["retcode"]:
        said = (done["stderr"] or done["stdout"]).strip()
        raise CommandExecutionError("{0} was written, but may have the wrong SELinux label: {1}".format(path, said))
