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
    method = "cron" if (tier.get("method") or settings["method"]) == "cron" else "daemon"
    platform = __salt__["ntpcluster_daemon.platform"](platform, tier.get("daemon") or settings["daemon"])
    made = {
        "id": host["id"],
        "tier": name,
        "level": _level(tiers, name),
        "follows": tier.get("follows"),
        "tiers": order,
        "method": method,
        "cron": _cron(settings["cron"], host["id"]),
        "timezone": settings["timezone"],
        "platform": platform,
        "package": dict(package, names=package["names"] or platform["packages"]),
        "sources": sources,
        "serves": serves,
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
        "conflicts": platform["conflicts"] if conflicts is None else conflicts,
        "health": settings["health"],
    }
    doing = __salt__["ntpcluster_daemon.doing"](platform, "configuration")
    return dict(made, **__salt__[doing](made, settings))


def _open_to(serves, method):
    """
    Return the networks the firewall lets in: without a daemon nobody is served.
    """
    return [served["network"] for served in serves] if method == "daemon" else []


def _minsane(tos, sources):
    """
    Return how many sources have to agree before the clock follows: the pillar's word, or what the sources allow. It is
    never more than the survivors that ntpd keeps, or it would follow nobody.
    """
    default = MINSANE if len(sources) >= MAJORITY else 1
    return tos.get("minsane", min(default, tos.get("minclock", MINCLOCK)))


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


def _cron(cron, minion):
    """
    Return the five fields as text, with a minute of its own for each host when none is given.
    """
    fields = {field: "{}".format(value) for field, value in cron.items()}
    if cron["minute"] is None:
        fields["minute"] = "{}".format((zlib.crc32(minion.encode("utf-8")) & 0xFFFFFFFF) % 60)
    return fields
