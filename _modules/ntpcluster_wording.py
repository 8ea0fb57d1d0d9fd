# -*- coding: utf-8 -*-
"""
Internal. How the problems of the pillar are told: safely, whatever stands in it, and no more of them than somebody reads.
"""

from __future__ import absolute_import, print_function, unicode_literals

import json
import re

__virtualname__ = "ntpcluster_wording"

#: Of the problems of one list or mapping, so many are shown.
MOST_SHOWN = 10

#: A problem says of these values only what they are, and its message says so already.
KINDS = ("a mapping", "an empty mapping", "a list", "an empty list")

#: What could break a line, move the cursor or hide: all but printable ASCII and letters of any script.
ODD = re.compile(r"[^\x20-\x7e]")


def worded(found):
    """
    Internal. Problems ready to be read. ``ntpcluster.validate`` asks this for its list.

    found
        List of {key, value, message, level}.

    Returns them, errors first, each with its ``text``. Odd characters are escaped, as a message may repeat what
    somebody wrote. Of the problems in one list or mapping the first ten are there, and how many more there are.
    """
    shown, groups = [], {}
    for problem in found:
        # The list that it is in, at whatever depth, or the mapping.
        place = re.sub(r":(?:[0-9]+(?::.*)?|[^:]+)\Z", "", problem["key"])
        group = groups.setdefault((problem["level"], place), [])
        group.append(problem)
        if len(group) <= MOST_SHOWN:
            shown.append(dict(problem))
    for level, place in sorted(groups):
        more = len(groups[level, place]) - MOST_SHOWN
        if more > 0:
            shown.append({"key": place, "value": None, "message": "and {:,} more like these".format(more), "level": level})
    for problem in shown:
        for part in ("key", "value", "message"):
            if isinstance(problem[part], type("")):
                problem[part] = ODD.sub(_escaped, problem[part])
        value = "{}".format(problem["value"])
        told = problem["value"] is None or value in KINDS or value in problem["message"]
        problem["text"] = "{}{}: {}".format(problem["key"], "" if told else " ({})".format(value), problem["message"])
    return sorted(shown, key=lambda problem: problem["level"])


def _escaped(match):
    """An odd character as JSON writes it; a letter is not odd."""
    character = match.group()
    return character if character.isalnum() else json.dumps(character)[1:-1]
