# -*- coding: utf-8 -*-
"""
Internal. Which code of this tree a minion has, so that a state run can tell whether it is the code that the master serves.
"""

from __future__ import absolute_import, print_function, unicode_literals

import hashlib
import os
import re

import salt.utils.files

__virtualname__ = "ntpcluster_code"

#: The kinds of code that a minion gets. Runners are the master's.
KINDS = ("beacons", "modules", "states")

#: The release. The digest shows whether a minion has the code that the master serves.
VERSION = "0.1.0"


def version():
    """
    Internal. Implements ``ntpcluster.version``.
    """
    return "{0}+{1}".format(VERSION, __salt__["ntpcluster_code.digest"]())


def listing():
    """
    Internal. Digests of this tree's files of code as they are on this minion, in the form of ``sha256sum``.

    ``salt/ntp/modules.sha256`` is the same list of the files that the master serves: ``make digest`` writes it, and a test
    compares it. A state run fetches this one small file instead of making two dozen requests to the master, which on Salt 3008
    would take more than half of a run that has nothing to do.

    Returns text, a line for each file, sorted by name.
    """
    folder = os.path.dirname(os.path.abspath(__file__))
    # `_modules` in a checkout that is used directly, `modules` in the minion's cache.
    mark = "_" if os.path.basename(folder).startswith("_") else ""
    lines = []
    for kind in KINDS:
        place = os.path.join(os.path.dirname(folder), mark + kind)
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else []:
            if re.match(r"ntpcluster\w*\.py\Z", name):
                with salt.utils.files.fopen(os.path.join(place, name), "rb") as source:
                    lines.append("{0}  _{1}/{2}".format(hashlib.sha256(source.read()).hexdigest(), kind, name))
    return "\n".join(lines)


def digest():
    """
    Internal. A short hash of ``ntpcluster_code.listing``: equal code has the same hash.
    """
    return hashlib.sha256(listing().encode("ascii")).hexdigest()[:8]
