# -*- coding: utf-8 -*-
"""
Internal. Build one host's plan from a valid pillar, the defaults, the platform and the host. Pure functions.

Tiers are a mapping, and a minion on Python 2.7 does not receive the order of a mapping. So nothing depends on it: the level of
a tier is the number of tiers above it, tiers of one level are sorted by name, and a host belongs to the first tier in that
order that matches it; ``match: '*'`` is always tried last.
"""

from __future__ import absolute_import, print_function, unicode_literals

import copy
import zlib

__virtualname__ = "ntpcluster_build"

# ntpd follows the first source from which it has enough packets: if that source is wrong, a daemon that has just started steps
# a correct clock (measured: 3 s wrong within 8 s). So with three sources, two have to agree. With two, one may fail.
MAJORITY = 3
MINSANE = 2

# ntpd's own `tos minclock`: the number of survivors that it combines (NTP_MINCLOCK in ntp.h).
MINCLOCK = 3


def place(tiers, matches):
    """
    Internal. Return the names of all tiers, top first, and the tier that a host belongs to.

    matches
        For each tier, whether its matcher finds the host.

    The tier is None if none matches, or if a tier that matches is not readable.
    """
    order = sorted(tiers, key=lambda name: (_level(tiers, name), name))
    # The tier for all other hosts is tried last.
    mine = sorted((name for name in order if matches.get(name)), key=lambda name: tiers[name]["match"].strip() == "*")
    return order, mine[0] if mine else None


def daemon(pillar, defaults, matches):
    """
    Internal. Return the name of the daemon that the pillar wants on a host; None: the platform's own.

    pillar
        The pillar under ``ntp``, validated or not: invalid parts are ignored.
    defaults, matches
        As ``ntpcluster_facts.facts`` returns them.
    """
    text = __salt__["ntpcluster_wording.is_text"]
    pillar = pillar if isinstance(pillar, dict) else {}
    tiers = pillar["tiers"] if isinstance(pillar.get("tiers"), dict) else {}
    tiers = {name: tiers[name] for name in tiers if text(name) and isinstance(tiers[name], dict)}
    tier = tiers.get(place(tiers, matches)[1], {})
    # A tier can say null: it then uses the platform's own daemon, whatever the other tiers use.
    name = tier["daemon"] if "daemon" in tier else pillar.get("daemon") or defaults.get("daemon")
    return name if text(name) else None


def build(pillar, defaults, platform, host):
    """
    Internal. Return the plan of one host, as ``ntpcluster.plan`` describes it, with its secrets.

    pillar
        The pillar under ``ntp``, without errors.
    defaults, platform, host
        As ``ntpcluster_facts.facts`` returns them; a tier matches the host.
    """
    settings = _settings(pillar, defaults)
    tiers = pillar["tiers"]
    order, name = place(tiers, host["matches"])
    tier = tiers[name]
    sources = _sources(tier, tiers, host, settings["polls"])
    together = __salt__["ntpcluster_neighbours.together"](tier, tiers, sources, host, settings["orphan"])
    serves = [__salt__["ntpcluster_address.spelled"](network) for network in tier.get("serves") or []]
    package = settings["package"]
    conflicts = settings["conflicts"]
    method = "cron" if (tier.get("method") or settings["method"]) == "cron" else "daemon"
    wanted = daemon(pillar, defaults, host["matches"])
    platform = __salt__["ntpcluster_daemon.platform"](platform, wanted)
    settings["options"] = _read_by(platform, settings["options"])
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
        "step_tickers": [source["address"] for source in sources if not source["noselect"]],
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
        "minsane": _minsane(settings["options"].get("tos") or {}, sources, together["neighbours"]),
        # A host whose time comes from an orphan must know this.
        "orphan_stratum": settings["orphan"],
        "conflicts": platform["conflicts"] if conflicts is None else conflicts,
        "health": settings["health"],
    }
    made.update(together)
    made["refclocks"] = __salt__["ntpcluster_refclock.clocks"](tier, platform)
    doing = __salt__["ntpcluster_daemon.doing"](platform, "configuration")
    return dict(made, **__salt__[doing](made, settings))


def _open_to(serves, method):
    """
    Return the networks that the firewall admits: none without a daemon.
    """
    return [served["network"] for served in serves] if method == "daemon" else []


def _minsane(tos, sources, neighbours):
    """
    Return how many sources have to agree before the clock follows them: the pillar's value, or what the sources allow. It never
    exceeds the survivors that ntpd keeps, or ntpd would follow no source. It is one for a server that has fewer than two
    neighbours to fall back on when its sources are gone, and on an island, where a single server leads.
    """
    own = len([source for source in sources if not source["noselect"]]) - len(neighbours)
    if not own:
        return 1
    default = MINSANE if own >= MAJORITY and len(neighbours) != 1 else 1
    return tos.get("minsane", min(default, tos.get("minclock", MINCLOCK)))


def _settings(pillar, defaults):
    """
    Merge the pillar into the defaults: sections key by key, everything else as a whole.
    """
    settings = copy.deepcopy(defaults)
    for key in settings:
        given = pillar.get(key)
        if given is not None and isinstance(settings[key], dict):
            settings[key].update(given)
        elif given is not None:
            settings[key] = given
    return settings


def _read_by(platform, options):
    """
    Return the ``options`` that a platform's daemon reads: without those of another daemon, and without null values.
    """
    doing = __salt__["ntpcluster_daemon.doing"](platform, "foreign")
    foreign = __salt__[doing](platform)
    read = {}
    for name in options:
        value = options[name]
        if isinstance(value, dict):
            value = {word: value[word] for word in value if "{}:{}".format(name, word) not in foreign}
        if value not in (None, {}) and name not in foreign:
            read[name] = value
    return read


def _level(tiers, name):
    """
    Count the tiers above a tier. In a pillar that is not validated yet they may be missing, or form a loop.
    """
    way = []
    while __salt__["ntpcluster_wording.is_text"](name) and name in tiers and name not in way:
        way.append(name)
        name = tiers[name].get("follows")
    return len(way) - 1


def _sources(tier, tiers, host, polls):
    """
    Return the servers that this host queries, without the host itself; ``polls`` is for those of the tier above.
    """
    if tier.get("follows"):
        above = tiers[tier["follows"]]
        items = [dict(polls, address=address, key=above.get("key")) for address in above["addresses"]]
    else:
        items = [item if isinstance(item, dict) else {"address": item} for item in tier.get("sources") or []]
        items = [item for item in items if "refclock" not in item]
        known = [__salt__["ntpcluster_address.canonical"](item["address"]) for item in items]
        items += [
            {"address": address, "key": tier.get("key")}
            for address in __salt__["ntpcluster_neighbours.neighbours"](tier, host)
            if address not in known
        ]
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
            "noselect": item.get("noselect", False),
            "burst": item.get("burst", False),
            "version": item.get("version"),
            "nts": item.get("nts", False),
        }
        words = ["server", address]
        words += [flag for flag in ("iburst", "burst", "prefer", "noselect") if source[flag]]
        for option in ("key", "minpoll", "maxpoll", "version"):
            if source[option] is not None:
                words += [option, "{}".format(source[option])]
        words += ["nts"] * source["nts"]
        source["line"] = " ".join(words)
        sources.append(source)
    return sources


def _cron(cron, minion):
    """
    Return the five fields as text; if no minute is given, each host gets a different one.
    """
    fields = {field: "{}".format(value) for field, value in cron.items()}
    if cron["minute"] is None:
        fields["minute"] = "{}".format((zlib.crc32(minion.encode("utf-8")) & 0xFFFFFFFF) % 60)
    return fields
