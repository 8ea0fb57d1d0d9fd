# -*- coding: utf-8 -*-
"""
Internal. Format the problems of the pillar: safe for any content, and limited to a readable number.
"""

from __future__ import absolute_import, print_function, unicode_literals

import json
import numbers
import re

__virtualname__ = "ntpcluster_wording"

#: Maximum number of problems that are shown for one list or mapping.
MOST_SHOWN = 10

#: For these values a problem only names their kind, which its message says already.
KINDS = ("a mapping", "an empty mapping", "a list", "an empty list")

#: Characters that could break a line, move the cursor or hide: all but printable ASCII and letters of any script.
ODD = re.compile(r"[^\x20-\x7e]")


def is_text(value):
    """
    Internal. Tell whether a value is text, of the type that a decoded pillar has on either Python.
    """
    return isinstance(value, type(""))


def items(mapping, key):
    """
    Internal. Return a list of the pillar; an empty one if the value is not a list.
    """
    return mapping[key] if isinstance(mapping.get(key), list) else []


def problem(path, value, message, level="error"):
    """
    Internal. Return one problem of the pillar: {key, value, message, level}.

    path
        The path to the key as a list, or its name as finished text, for a file.
    value
        The value there, or None. Only a scalar is repeated; for anything else the problem names its type.
    message
        What is allowed, or what follows from it.
    level
        ``error``: no plan can be made; ``warning``: a plan can be made, but the administrator should know.
    """
    if not (value is None or is_text(value) or isinstance(value, numbers.Real)):
        value = shown(value)
    key = path if is_text(path) else ":".join(step_name(step) for step in path)
    return {"key": key, "value": value, "message": message, "level": level}


def step_name(step):
    """
    Internal. Return one component of a path as text; special characters are escaped.
    """
    text = step if is_text(step) else "{!r}".format(step)
    return text if re.match(r"[A-Za-z0-9_.-]{1,80}\Z", text) else json.dumps(text[:80])


def shown(value):
    """
    Internal. Return a value as shown in a message.
    """
    if value is None:
        return "nothing"
    if is_text(value):
        return json.dumps(value[:60], ensure_ascii=False) + ("..." if value[60:] else "")
    if isinstance(value, numbers.Real):
        return json.dumps(value)
    if isinstance(value, (dict, list)):
        kind = "mapping" if isinstance(value, dict) else "list"
        return "a {}".format(kind) if value else "an empty {}".format(kind)
    return "a {}".format(type(value).__name__)


def worded(found):
    """
    Internal. Problems formatted for people. ``ntpcluster.validate`` returns this.

    found
        List of {key, value, message, level}.

    Returns them, errors first, each with its ``text``. Special characters are escaped, as a message may repeat text from the
    pillar. For each list or mapping it returns the first ten problems and the number of the others.
    """
    told, groups = [], {}
    for one in found:
        # The list that contains it, at any depth, or the mapping.
        place = re.sub(r":(?:[0-9]+(?::.*)?|[^:]+)\Z", "", one["key"])
        group = groups.setdefault((one["level"], place), [])
        group.append(one)
        if len(group) <= MOST_SHOWN:
            told.append(dict(one))
    for level, place in sorted(groups):
        more = len(groups[level, place]) - MOST_SHOWN
        if more > 0:
            told.append(problem(place, None, "and {:,} more like these".format(more), level))
    for one in told:
        for part in ("key", "value", "message"):
            if is_text(one[part]):
                one[part] = ODD.sub(_escaped, one[part])
        value = "{}".format(one["value"])
        known = one["value"] is None or value in KINDS or value in one["message"]
        one["text"] = "{}{}: {}".format(one["key"], "" if known else " ({})".format(value), one["message"])
    return sorted(told, key=lambda one: one["level"])


def _escaped(match):
    """A special character as JSON escapes it; letters are kept."""
    character = match.group()
    return character if character.isalnum() else json.dumps(character)[1:-1]
