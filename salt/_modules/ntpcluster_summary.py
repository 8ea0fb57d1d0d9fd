# -*- coding: utf-8 -*-
"""
Internal. The status of a host in one line of text.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_summary"


def summary(status):
    """
    Internal. Implements ``ntpcluster.summary``.

    status
        What ``ntpcluster.status`` returned.
    """
    island = status["reference"] == "island"
    parts = [status["health"], "follows {0}".format(status["source"]) if status["source"] else "follows nobody"]
    if island and status["synchronized"] and not status["source"]:
        parts[1] = "leads its island"
    if status["stratum"] is not None:
        parts.append("stratum {0}".format(status["stratum"]))
    if status["offset_ms"] is not None:
        parts.append("offset {0:+.3f} ms".format(status["offset_ms"]))
    if status["bound_ms"] is not None:
        parts.append("off by {0:.3f} ms at most".format(status["bound_ms"]))
    if island:
        parts.append("an island: nothing ties it to UTC")
    line, problems = ", ".join(parts), status["problems"]
    if problems:
        more = " (and {0} more)".format(len(problems) - 1) if problems[1:] else ""
        line += " | {code}: {message} | {remedy}".format(**problems[0]) + more
    # A message may repeat several lines of what a program said.
    return " ".join(line.split())
