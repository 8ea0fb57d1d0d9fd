# -*- coding: utf-8 -*-
"""
Internal. Write a plan in the syntax of ntp.conf. Pure functions.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_ntpd_conf"

# The access of clients: a limited rate, and a kiss of death above it. ``kod`` has no effect
# without ``limited`` (ntp's accopt.html).
CLIENT_FLAGS = "kod limited"

FOREIGN = {
    "bindaddress": ["interface"],
    "hwtimestamp": [],
    "leapseclist": ["leapfile"],
    "leapsecmode": [],
    "leapsectz": ["leapfile"],
    "log": ["statistics"],
    "logdir": ["statsdir"],
    "maxslewrate": [],
    "ntsdumpdir": [],
    "ntsservercert": [],
    "ntsserverkey": [],
}


def configuration(made, settings):
    """
    Internal. Return the parts of a plan in the syntax of ntp.conf: ``restrict``, ``options`` and ``platform``.

    made
        The plan so far.
    settings
        The pillar merged into the defaults.
    """
    limit, platform = settings["step"]["limit"], made["platform"]
    platform = _started_with(platform, settings["arguments"])
    return {
        "restrict": _restrict(made["sources"], made["serves"], platform["grammar"]),
        "options": _options(_limited(_without_minsane(settings["options"]), limit)),
        "platform": platform if limit is None else _without_first_jump(platform),
    }


def refclock(clock):
    """
    Internal. A reference clock in this daemon's syntax: ``ntpcluster_refclock.ntpd``.
    """
    return __salt__["ntpcluster_refclock.ntpd"](clock)


def foreign(platform):
    """
    Internal. Which of the pillar's options belong to another daemon, or only to a later version: this one has no such directive.

    platform
        The daemon's; with chrony it has ``lacks``, directives of later versions.

    Returns a dict: for each directive (``leapsectz``), or keyword of one (``tinker:allan``), the equivalent directives of this
    daemon; an empty list if it has none.
    """
    return FOREIGN


def files(options):
    """
    Internal. Which files the daemon opens because of these directives.

    options
        The mapping under ``ntp:options``; invalid parts are ignored.

    Returns a list of pairs: path of the key below ``options``, as a list, and name of the file.
    """
    text, items = __salt__["ntpcluster_wording.is_text"], __salt__["ntpcluster_wording.items"]
    found = [([key], options[key]) for key in ("leapfile", "logfile") if text(options.get(key))]
    folder, filegen = options.get("statsdir"), options.get("filegen")
    if not text(folder):
        return found
    kinds = __salt__["ntpcluster_rules.allowed"]()["statistics"]
    names = {kind: kind for kind in kinds if kind in items(options, "statistics")}
    for kind in kinds if isinstance(filegen, dict) else ():
        given = filegen.get(kind)
        names[kind] = given.get("file", kind) if isinstance(given, dict) else names.get(kind)
    for kind in sorted(kind for kind in names if text(names[kind])):
        found.append((["filegen", kind, "file"] if names[kind] != kind else ["statsdir"], folder + names[kind]))
    return found


def frequency(words):
    """
    Internal. Return the frequency in a drift file, in ppm as in ``ntpcluster.status``: below zero if the uncorrected clock is
    fast. None if the file has none.

    words
        The words of the file, as a list.
    """
    try:
        return float(words[0])
    except ValueError:
        return None


def drift(frequency):
    """
    Internal. Return the text of a drift file.

    frequency
        In ppm, as ``frequency`` returns it.
    """
    return "{0:.6f}\n".format(frequency)


def _without_minsane(options):
    """
    Return the directives without ``tos minsane``, which has a separate line.
    """
    tos = {name: value for name, value in (options.get("tos") or {}).items() if name != "minsane"}
    return {name: value for name, value in dict(options, tos=tos).items() if name != "tos" or value}


def _limited(options, limit):
    """
    Return the directives with ``step:limit`` added: the daemon must not step further than that either.
    """
    if limit is None:
        return options
    return dict(options, tinker=dict({"panic": limit}, **options.get("tinker") or {}))


def _started_with(platform, arguments):
    """
    Return the platform with further start options for the daemon. They go into the first variable of the file with its start
    options; without such a file, the platform is returned unchanged (``ntpcluster_misfits`` refuses the options there).
    """
    if platform["sysconfig"] is None or not arguments:
        return platform
    first, rest = platform["sysconfig"]["values"][0], platform["sysconfig"]["values"][1:]
    more = [word for word in arguments if word not in first["value"].split()]
    values = [dict(first, value=" ".join([first["value"]] + more))] + rest
    return dict(platform, sysconfig=dict(platform["sysconfig"], values=values))


def _without_first_jump(platform):
    """
    Return the platform without ``-g``, which allows ntpd a first step of any size. Without a file with its start options
    nothing can be removed; ``ntpcluster_misfits`` reports that.
    """
    settings = platform["sysconfig"]
    if settings is None:
        return platform
    values = [
        dict(one, value=" ".join(word for word in one["value"].split() if word != "-g")) for one in settings["values"]
    ]
    return dict(platform, sysconfig=dict(settings, values=values))


def _restrict(sources, serves, grammar):
    """
    Return the access rules of ntp.conf.

    ntpd applies them to every packet, including the answers of our own servers, so a default that drops everything is possible
    only if each server has a rule that admits it. A server given by address always has one. A server given by name needs
    ``restrict source``, which ntpd 4.2.6 does not have (it reads the word as a host name and drops the line); there everyone
    may query the time, at a limited rate, and the firewall keeps strangers out.

    Flags for the same address add up (RESTRICT_FLAGS in ntp_restrict.c), so a network of length 0 could not remove ``ignore``
    from the default: a host that serves everyone has no ``ignore`` there.
    """
    named = [source for source in sources if not __salt__["ntpcluster_address.family"](source["address"])]
    closed = not any(served["network"].endswith("/0") for served in serves)
    if named and not grammar["restrict_source"]:
        closed = False
    client = "{} {}".format(CLIENT_FLAGS, grammar["refuse"])
    if closed:
        blocks = [("Nobody gets an answer, except as configured below.", grammar["default"], "ignore")]
    else:
        comment = "All hosts may ask for the time, at a limited rate, and nothing else."
        blocks = [(comment, grammar["default"], client)]
    blocks.append(("This host itself may do everything.", grammar["loopback"], ""))
    if closed:
        who = ["source"] if named else [source["address"] for source in sources]
        blocks.append(("Our servers may answer, and nothing else.", who, grammar["refuse"]))
    who = ["{address} mask {netmask}".format(**served) for served in serves if not served["network"].endswith("/0")]
    if who:
        blocks.append(("These networks may ask for the time, at a limited rate, and nothing else.", who, client))
    return [
        {"comment": comment, "lines": ["restrict {} {}".format(each, flags).strip() for each in who]}
        for comment, who, flags in blocks
    ]


def _options(options):
    """
    Return the finished lines for the validated directives of ``options``, sorted by directive.
    """
    lines = []
    for directive in sorted(options):
        value = options[directive]
        if directive == "filegen":
            for name in sorted(value):
                words = [directive, name]
                for word in ("file", "type"):
                    if word in value[name]:
                        words += [word, value[name][word]]
                for word, yes, no in (("link", "link", "nolink"), ("enable", "enable", "disable")):
                    if word in value[name]:
                        words.append(yes if value[name][word] else no)
                lines.append(words)
        elif directive == "interface":
            lines += [[directive, action, _card(rule[action])] for rule in value for action in rule]
        elif isinstance(value, dict):
            lines.append([directive] + [word for name in sorted(value) for word in (name, _figure(value[name]))])
        else:
            lines.append([directive] + (value if isinstance(value, list) else [value]))
    return [" ".join(words) for words in lines]


def _card(name):
    """
    Write a network interface or address the way ntp.conf reads it: in quotes, because an interface called `ntp` would be a
    keyword; real keywords without quotes.
    """
    return name if name in ("all", "ipv4", "ipv6", "wildcard") else '"{}"'.format(name)


def _figure(number):
    """
    Write a number the way ntp.conf reads it: never with an exponent.
    """
    if isinstance(number, float):
        return "{:.9f}".format(number).rstrip("0").rstrip(".")
    return "{}".format(number)
