# -*- coding: utf-8 -*-
"""
Internal. What the pillar's ``step`` and ``options`` mean in chrony.conf. Pure functions; nothing here is read or written.

Two directives of ntp.conf have an equivalent in chrony.conf and are translated, so that one pillar serves both daemons.
Directives that only chrony has are options under their own names. docs/chrony.md has the whole table.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_chrony_conf"

#: The first clock updates, in which the clock may be stepped; later it is slewed.
FIRST_UPDATES = 3

#: ntpd refuses to jump further unless it has just started (CLOCK_PANIC in ntp.h); chronyd by itself would slew it for hours.
PANIC_S = 1000.0

#: The assumed error of a frequency that another daemon has measured: ntpd does not report it.
SKEW_PPM = 1.0

#: chronyd does not use a frequency with an error this large (maxupdateskew), and writes 1000000 if it knows none.
UNKNOWN_PPM = 1000.0

#: Directives of ntp.conf that are translated, with their keywords; `lines` translates them, and the plan has `minsane`.
TRANSLATED = {"discard": ("average",), "tinker": ("panic", "step"), "tos": ("maxdist", "minsane")}

#: The shortest time between two answers to one client, as a power of two of seconds, beyond a burst.
RATELIMIT = 2

#: ntpd's directives that chronyd does not have, as `foreign` returns them.
FOREIGN = {
    "disable": [],
    "discard:minimum": [],
    "enable": [],
    "filegen": [],
    "interface": ["bindaddress"],
    "leapfile": ["leapsectz", "leapseclist"],
    "logconfig": [],
    "logfile": [],
    "statistics": ["log"],
    "statsdir": ["logdir"],
    "tinker:allan": [],
    "tinker:dispersion": [],
    "tinker:freq": [],
    "tinker:huffpuff": [],
    "tinker:stepout": [],
    "tos:ceiling": [],
    "tos:floor": [],
    "tos:maxclock": [],
    "tos:minclock": [],
    "tos:mindist": [],
}


#: The same of chrony's own that only later versions have; `lacks` in platforms.yaml says which.
LATER = {"leapseclist": ["leapsectz"]}


def configuration(made, settings):
    """
    Internal. Return the parts of a plan in the syntax of chrony.conf, as ``ntpcluster_ntpd_conf.configuration`` does.
    """
    return {"restrict": [], "options": lines(settings["options"], settings["step"], bool(made["serves"]))}


def frequency(words):
    """
    Internal. Return the frequency in a drift file, as ``ntpcluster_ntpd_conf.frequency`` does: chronyd's has the opposite sign,
    and its error beside it.
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


def refclock(clock):
    """
    Internal. A reference clock in this daemon's syntax: ``ntpcluster_refclock.chrony``.
    """
    return __salt__["ntpcluster_refclock.chrony"](clock)


def foreign(platform):
    """
    Internal. Which directives chronyd does not have, as ``ntpcluster_ntpd_conf.foreign`` describes it.
    """
    return dict(FOREIGN, **dict((name, LATER.get(name, [])) for name in platform["lacks"]))


def files(options):
    """
    Internal. Which files chronyd opens because of these directives, as ``ntpcluster_ntpd_conf.files`` describes it.
    """
    text, items = __salt__["ntpcluster_wording.is_text"], __salt__["ntpcluster_wording.items"]
    found = [(["leapseclist"], options["leapseclist"])] if text(options.get("leapseclist")) else []
    for key in ("ntsservercert", "ntsserverkey"):
        found += [([key, number], name) for number, name in enumerate(items(options, key)) if text(name)]
    if text(options.get("logdir")):
        folder = options["logdir"].rstrip("/")
        found += [(["logdir"], "{0}/{1}.log".format(folder, word)) for word in items(options, "log") if text(word)]
    if text(options.get("ntsdumpdir")):
        # One for each source, by its address.
        found.append((["ntsdumpdir"], options["ntsdumpdir"].rstrip("/") + "/*.nts"))
    return found


def lines(options, step, serves=False):
    """
    Internal. The finished lines of chrony.conf for steps of the clock, and for further directives.

    options
        The mapping under ``ntp:options``, validated, without the directives that are ``foreign`` to chronyd.
    step
        The plan's ``step`` {threshold, limit, ...}, in seconds; ``limit`` None: a step at the start may be of any size.
    serves
        Whether this host serves any clients.

    Returns a list of lines: ``makestep`` and ``maxchange`` first, then the others by name. chronyd never makes a step larger
    than ``maxchange``; it keeps running, and its sources show why it follows none of them. With a limit this holds from the
    first update on, without one after the first three. ``tinker:panic`` 0 removes the limit; ``tinker:step`` 0 forbids all
    steps.
    """
    tinker, tos = options.get("tinker") or {}, options.get("tos") or {}
    threshold = tinker.get("step", step["threshold"])
    limit = step["limit"]
    most = tinker.get("panic", PANIC_S if limit is None else limit)
    made = ["makestep {0} {1}".format(_figure(threshold), FIRST_UPDATES)] * bool(threshold)
    made += ["maxchange {0} {1} -1".format(_figure(most), FIRST_UPDATES if limit is None else 0)] * bool(most)
    if "maxdist" in tos:
        made.append("maxdistance {0}".format(_figure(tos["maxdist"])))
    average = (options.get("discard") or {}).get("average", RATELIMIT if serves else None)
    if average is not None:
        made.append("ratelimit interval {0} burst 16 leak 2".format(average))
    for name in sorted(set(options) - set(TRANSLATED)):
        value = options[name]
        if name == "log":  # the only one with all its keywords on one line
            made.append(" ".join([name] + value))
        else:
            made += ["{0} {1}".format(name, _figure(one)) for one in (value if isinstance(value, list) else [value])]
    return made


def _figure(value):
    """A number without an exponent; text as it is."""
    if isinstance(value, float):
        return "{0:.9f}".format(value).rstrip("0").rstrip(".")
    return "{0}".format(value)
