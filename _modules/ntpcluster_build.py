# -*- coding: utf-8 -*-
"""
Internal. One host's plan, made of a pillar without errors, the defaults, the platform and the host. Pure functions.

Tiers are a mapping, and the order of a mapping does not survive the way to a minion on Python 2.7. So nothing
depends on it: the level of a tier is how many tiers it has above it, tiers of one level are sorted by name,
and a host belongs to the first tier that matches it in that order, with ``match: '*'`` always asked last.
"""

from __future__ import absolute_import, print_function, unicode_literals

import copy
import zlib

__virtualname__ = "ntpcluster_build"

# What those who may ask for the time get: a limited rate, and a kiss of death for more. ``kod`` has no effect
# without ``limited`` (ntp's accopt.html).
CLIENT_FLAGS = "kod limited"

# ntpd follows the first source from which it has enough packets: if that one lies, a daemon that has just started steps
# a right clock (measured: 3 s wrong within 8 s). So where there are three, two have to agree. Of two, one may fail.
MAJORITY = 3
MINSANE = 2

# ntpd's own `tos minclock`: of so many survivors the clock is made (NTP_MINCLOCK in ntp.h).
MINCLOCK = 3


def place(tiers, matches):
    """
    Internal. Return the names of all tiers, top first, and the tier that a host belongs to.

    matches
        For each tier, whether its matcher finds the host.

    The tier is None if none matches, or if those that do cannot be read.
    """
    order = _order(tiers)
    return order, _member(tiers, order, matches)


def build(pillar, defaults, platform, host):
    """
    Internal. Return the plan of one host, as ``ntpcluster.plan`` describes it, with its secrets.

    pillar
        What stands under ``ntp``, without errors.
    defaults, platform, host
        As ``ntpcluster_facts.facts`` returns them; a tier matches the host.
    """
    settings = _settings(pillar, defaults)
    tiers = pillar["tiers"]
    order, name = place(tiers, host["matches"])
    tier = tiers[name]
    sources = _sources(tier, tiers, host)
    serves = [__salt__["ntpcluster_address.spelled"](network) for network in tier.get("serves") or []]
    package = settings["package"]
    conflicts = settings["conflicts"]
    method = tier.get("method") or settings["method"]
    limit = settings["step"]["limit"]
    return {
        "id": host["id"],
        "tier": name,
        "level": _level(tiers, name),
        "follows": tier.get("follows"),
        "tiers": order,
        "method": method,
        "cron": _cron(settings["cron"], host["id"]),
        "timezone": settings["timezone"],
        "platform": platform if limit is None else _without_first_jump(platform),
        "package": dict(package, names=package["names"] or platform["packages"]),
        "sources": sources,
        "serves": serves,
        "restrict": _restrict(sources, serves, platform["grammar"]),
        "step_tickers": [source["address"] for source in sources],
        "firewall": dict(settings["firewall"], networks=_open_to(serves, method)),
        "step": settings["step"],
        "sync": settings["sync"],
        "hwclock": settings["hwclock"],
        "keys": [
            {
                "id": int(number),
                "type": settings["keys"][number]["type"],
                "secret": settings["keys"][number]["secret"],
            }
            for number in sorted(settings["keys"], key=int)
        ],
        "minsane": _minsane(settings["options"].get("tos") or {}, sources),
        # A host that nobody may ask has no business in being an orphan parent.
        "orphan": settings["orphan"] if serves else None,
        # But whose time comes from one is to know it.
        "orphan_stratum": settings["orphan"],
        "options": _options(_limited(_without_minsane(settings["options"]), limit)),
        "conflicts": platform["conflicts"] if conflicts is None else conflicts,
        "health": settings["health"],
    }


def _open_to(serves, method):
    """
    Return the networks the firewall lets in: without a daemon nobody is served.
    """
    return [served["network"] for served in serves] if method == "ntpd" else []


def _minsane(tos, sources):
    """
    Return how many sources have to agree before the clock follows: the pillar's word, or what the sources allow. It is
    never more than the survivors that ntpd keeps, or it would follow nobody.
    """
    default = MINSANE if len(sources) >= MAJORITY else 1
    return tos.get("minsane", min(default, tos.get("minclock", MINCLOCK)))


def _without_minsane(options):
    """
    Return the directives without ``tos minsane``, which has a line of its own.
    """
    tos = {name: value for name, value in (options.get("tos") or {}).items() if name != "minsane"}
    return {name: value for name, value in dict(options, tos=tos).items() if name != "tos" or value}


def _limited(options, limit):
    """
    Return the directives with ``step:limit`` added: the daemon must not jump further than a step may either.
    """
    if limit is None:
        return options
    return dict(options, tinker=dict({"panic": limit}, **options.get("tinker") or {}))


def _without_first_jump(platform):
    """
    Return the platform without ``-g``, by which ntpd's first jump would be of any distance. Where no file says how the
    daemon is started nothing can be taken out; ``ntpcluster_misfits`` tells that.
    """
    settings = platform["sysconfig_ntpd"]
    if settings is None:
        return platform
    values = [
        dict(one, value=" ".join(word for word in one["value"].split() if word != "-g")) for one in settings["values"]
    ]
    return dict(platform, sysconfig_ntpd=dict(settings, values=values))


def _settings(pillar, defaults):
    """
    Lay the pillar over the defaults: sections key by key, everything else as a whole.
    """
    settings = copy.deepcopy(defaults)
    for key in settings:
        given = pillar.get(key)
        if given is not None and isinstance(settings[key], dict):
            settings[key].update(given)
        elif given is not None:
            settings[key] = given
    return settings


def _level(tiers, name):
    """
    Count the tiers above one.
    """
    level = 0
    while tiers[name].get("follows"):
        name = tiers[name]["follows"]
        level += 1
    return level


def _order(tiers):
    """
    Return the names of all tiers, top first.
    """
    return sorted(tiers, key=lambda name: (_level(tiers, name), name))


def _member(tiers, order, matches):
    """
    Return the tier a host belongs to, or None: the first that matches, and the one for the rest last.
    """
    for name in sorted(order, key=lambda name: _is_rest(tiers[name])):
        if matches.get(name):
            return name
    return None


def _is_rest(tier):
    """
    Tell whether a tier takes everyone that no other tier takes.
    """
    return tier["match"].strip() == "*"


def _sources(tier, tiers, host):
    """
    Return the servers this host asks, without the host itself.
    """
    if tier.get("follows"):
        above = tiers[tier["follows"]]
        items = [{"address": address, "key": above.get("key")} for address in above["addresses"]]
    else:
        items = [item if isinstance(item, dict) else {"address": item} for item in tier["sources"]]
    sources = []
    for item in items:
        address = __salt__["ntpcluster_address.canonical"](item["address"])
        if __salt__["ntpcluster_address.is_host"](address, host):
            continue
        source = {
            "address": address,
            "prefer": item.get("prefer", False) or bool(tier.get("follows") and not sources),
            "iburst": item.get("iburst", True),
            "key": item.get("key"),
            "minpoll": item.get("minpoll"),
            "maxpoll": item.get("maxpoll"),
        }
        words = ["server", address]
        words += [flag for flag in ("iburst", "prefer") if source[flag]]
        for option in ("key", "minpoll", "maxpoll"):
            if source[option] is not None:
                words += [option, "{}".format(source[option])]
        source["line"] = " ".join(words)
        sources.append(source)
    return sources


def _restrict(sources, serves, grammar):
    """
    Return the access rules of ntp.conf.

    ntpd applies them to every packet, the answers of our own servers included, so a default that drops
    everything is possible only when each server has a rule that lets it in. By address there always is one.
    By name it takes ``restrict source``, which ntpd 4.2.6 does not have (it takes the word for a host name
    and drops the line); there everyone may ask for the time, at a limited rate, and the firewall keeps
    strangers out.

    Flags for the same address add up (RESTRICT_FLAGS in ntp_restrict.c), so a network of length 0 could not
    take ``ignore`` off the default: who serves everyone has no ``ignore`` there.
    """
    named = [source for source in sources if not __salt__["ntpcluster_address.family"](source["address"])]
    closed = not any(served["network"].endswith("/0") for served in serves)
    if named and not grammar["restrict_source"]:
        closed = False
    client = "{} {}".format(CLIENT_FLAGS, grammar["refuse"])
    if closed:
        blocks = [("Nobody gets an answer, except as said below.", grammar["default"], "ignore")]
    else:
        comment = "Everyone may ask for the time, at a limited rate, and for nothing else."
        blocks = [(comment, grammar["default"], client)]
    blocks.append(("This host itself may do everything.", grammar["loopback"], ""))
    if closed:
        who = ["source"] if named else [source["address"] for source in sources]
        blocks.append(("Our servers may answer, and do nothing else.", who, grammar["refuse"]))
    who = ["{address} mask {netmask}".format(**served) for served in serves if not served["network"].endswith("/0")]
    if who:
        blocks.append(("These may ask for the time, at a limited rate, and for nothing else.", who, client))
    return [
        {"comment": comment, "lines": ["restrict {} {}".format(each, flags).strip() for each in who]}
        for comment, who, flags in blocks
    ]


def _options(options):
    """
    Return the finished lines for the checked directives of ``options``, sorted by directive.
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
    Write a network card or address the way ntp.conf reads it: in quotes, or a card called `ntp` would be a word of the
    grammar; the words that are meant, without.
    """
    return name if name in ("all", "ipv4", "ipv6", "wildcard") else '"{}"'.format(name)


def _figure(number):
    """
    Write a number the way ntp.conf reads it: never with an exponent.
    """
    if isinstance(number, float):
        return "{:.9f}".format(number).rstrip("0").rstrip(".")
    return "{}".format(number)


def _cron(cron, minion):
    """
    Return the five fields as text, with a minute of its own for each host when none is given.
    """
    fields = {field: "{}".format(value) for field, value in cron.items()}
    if cron["minute"] is None:
        fields["minute"] = "{}".format((zlib.crc32(minion.encode("utf-8")) & 0xFFFFFFFF) % 60)
    return fields
