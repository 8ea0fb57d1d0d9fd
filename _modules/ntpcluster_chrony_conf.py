# -*- coding: utf-8 -*-
"""
Internal. What the pillar's ``step`` and ``options`` mean in chrony.conf. Pure functions; nothing here is read or written.

Of ntp.conf's directives four have the same meaning to chronyd and are translated, so that one pillar serves both daemons.
The others are refused on a host with chrony, with what to write instead: a directive that is left out in silence would be
believed. What chrony alone has is an option under its own name. docs/chrony.md has the whole table.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

__virtualname__ = "ntpcluster_chrony_conf"

#: The first clock updates, in which the clock may be stepped; later it is slewed.
FIRST_UPDATES = 3

#: ntpd refuses to jump further unless it has just started (CLOCK_PANIC in ntp.h); chronyd by itself would slew it for hours.
PANIC_S = 1000.0

#: By how much the frequency that another daemon has measured may be wrong: ntpd does not tell it.
SKEW_PPM = 1.0

#: chronyd makes no use of a frequency that may be wrong by so much (maxupdateskew), and writes 1000000 if it knows none.
UNKNOWN_PPM = 1000.0

#: Directives of ntp.conf that are translated, where they have words: those words.
TRANSLATED = {"tinker": ("panic", "step"), "tos": ("minsane", "maxdist")}

#: Other directives of ntp.conf, and what to do instead.
FOREIGN = {
    "disable": "chronyd has no such switches: leave it out",
    "enable": "chronyd has no such switches: leave it out",
    "filegen": "chronyd does not part its logs: take `logdir` and `log`, and logrotate",
    "interface": "take `bindaddress` with an address of this host",
    "leapfile": "take `leapseclist` (chrony 4.6 and later) or `leapsectz`",
    "logconfig": "chronyd logs what matters to the system log: leave it out",
    "logfile": "chronyd logs to the system log: leave it out",
    "statistics": "take `log`, with words such as tracking, statistics and measurements",
    "statsdir": "take `logdir`",
}

_PATH = r"(?!.*\.\.)/[A-Za-z0-9_.+/-]+"
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_ADDRESS = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"
_LOGS = "measurements|rawmeasurements|statistics|tracking|rtc|refclocks|tempcomp"

#: chrony's own: (form of the value, what is allowed in words, how it is written). `one`: a line with one value; `each`: a list
#: with a line for each; `all`: a list in one line.
OWN = {
    "bindaddress": (_ADDRESS, "a list of addresses of this host", "each"),
    "hwtimestamp": (r"\*|[A-Za-z][A-Za-z0-9.:_-]{0,40}", "a list of network cards, or of '*' alone", "each"),
    "leapseclist": (_PATH, "an absolute path", "one"),
    "leapsecmode": ("system|step|slew|ignore", "one of system, step, slew, ignore", "one"),
    "leapsectz": (r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}", "a time zone such as right/UTC", "one"),
    "log": (_LOGS, "a list of " + _LOGS.replace("|", ", "), "all"),
    "logdir": (_PATH, "an absolute path", "one"),
    "maxslewrate": (_NUMBER, "a number of ppm", "one"),
    "ntsdumpdir": (_PATH, "an absolute path", "one"),
    "ntsservercert": (_PATH, "a list of absolute paths", "each"),
    "ntsserverkey": (_PATH, "a list of absolute paths", "each"),
}


def configuration(made, settings):
    """
    Internal. Return what of a plan is written in chrony.conf's own words, as ``ntpcluster_ntpd_conf.configuration`` does.
    """
    return {"restrict": [], "options": lines(settings["options"], settings["step"])}


def frequency(words):
    """
    Internal. Return the frequency that a drift file tells, as ``ntpcluster_ntpd_conf.frequency`` does: chronyd's has the other
    sign, and beside it by how much it may be wrong.
    """
    try:
        fast, skew = [float(word) for word in words]
    except ValueError:
        return None
    return -fast if skew < UNKNOWN_PPM else None


def drift(frequency):
    """
    Internal. Return the text of a drift file, as ``ntpcluster_ntpd_conf.drift`` does.
    """
    return "{0:.6f} {1:.6f}\n".format(-frequency, SKEW_PPM)


def refused(options):
    """
    Internal. What of the pillar's ``options`` chrony.conf cannot have.

    options
        The mapping under ``ntp:options``, or None.

    Returns a list of {``key`` (``ntp:options:tinker:allan``), ``message`` (what is allowed, or what to write instead)}.
    """
    found = []
    for name in sorted(options or {}):
        value = options[name]
        if name in TRANSLATED:
            other = sorted(set(value) - set(TRANSLATED[name]))
            found += [(name + ":" + word, "chronyd has nothing like it: leave it out") for word in other]
        elif name in FOREIGN:
            found.append((name, "is ntpd's; with chrony: " + FOREIGN[name]))
        elif name in OWN:
            form, allowed, how = OWN[name]
            values = [value] if how == "one" else value if isinstance(value, list) else []
            if not values or not all(_fits(form, one) for one in values):
                found.append((name, "must be {0}".format(allowed)))
        else:
            found.append((name, "is no option of chrony; there are {0}".format(", ".join(sorted(OWN)))))
    return [{"key": "ntp:options:" + key, "message": message} for key, message in found]


def lines(options, step):
    """
    Internal. The finished lines of chrony.conf for how the clock may jump, and for further directives.

    options
        The mapping under ``ntp:options``, of which ``refused`` says nothing; or None.
    step
        The plan's ``step`` {threshold, limit, ...}, in seconds; ``limit`` None: any distance, at the start.

    Returns a list of lines: ``makestep`` and ``maxchange`` first, then the others by name. A jump beyond ``maxchange`` is
    ignored and not made, however often; the daemon goes on, and its sources show why it follows nobody. With a limit that
    holds from the first update on, without one after the first three. ``tinker:panic`` 0 takes the limit away;
    ``tinker:step`` 0 forbids to step at all.
    """
    options = options or {}
    tinker, tos = options.get("tinker") or {}, options.get("tos") or {}
    threshold = tinker.get("step", step["threshold"])
    limit = step["limit"]
    most = tinker.get("panic", PANIC_S if limit is None else limit)
    made = ["makestep {0} {1}".format(_figure(threshold), FIRST_UPDATES)] * bool(threshold)
    made += ["maxchange {0} {1} -1".format(_figure(most), FIRST_UPDATES if limit is None else 0)] * bool(most)
    if "maxdist" in tos:
        made.append("maxdistance {0}".format(_figure(tos["maxdist"])))
    for name in sorted(set(options) & set(OWN)):
        value, how = options[name], OWN[name][2]
        if how == "all":
            made.append(" ".join([name] + value))
        else:
            made += ["{0} {1}".format(name, _figure(one)) for one in (value if how == "each" else [value])]
    return made


def _fits(form, value):
    """Whether a value has its form: text or a number, and nothing that YAML takes for a flag."""
    if isinstance(value, bool) or not isinstance(value, (type(""), int, float)):
        return False
    # \Z and not $, which would let a newline at the end pass.
    return bool(re.match("(?:" + form + r")\Z", _figure(value)))


def _figure(value):
    """A number without an exponent; text as it is."""
    if isinstance(value, float):
        return "{0:.9f}".format(value).rstrip("0").rstrip(".")
    return "{0}".format(value)
