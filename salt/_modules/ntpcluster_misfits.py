# -*- coding: utf-8 -*-
"""
Internal. Check whether a valid pillar fits this host.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os

__virtualname__ = "ntpcluster_misfits"
# The loader offers only this function; ``doubts`` stays a plain function for the tests.
__load__ = ["misfits"]


def misfits(pillar, known):
    """
    Internal. Return how a valid pillar does not fit this host: no tier matches the host; its platform does not have the
    selected daemon; that daemon does not support a directive; the host is its own only source; a tier lists its address but
    does not match it; its servers do not serve its addresses; its tzdata does not have the time zone. Only for platforms that
    platforms.yaml describes.

    pillar
        The pillar under ``ntp``, without errors.
    known
        ``ntpcluster_facts.facts``.

    Returns a list of problems as ``ntpcluster.validate`` does.
    """
    found = doubts(pillar, known["defaults"], known["platform"], known["host"])
    options = pillar.get("options") or {}
    doing = __salt__["ntpcluster_daemon.doing"](known["platform"], "foreign")
    leap = None if "leapsectz" in __salt__[doing](known["platform"]) else options.get("leapsectz")
    if leap and not os.path.isfile(__salt__["ntpcluster_zones.path"](leap)):
        message = "is not among the time zones of this host: without it the daemon learns of leap seconds only from its sources"
        found.append(_problem(["options", "leapsectz"], leap, message, "warning"))
    zone = pillar.get("timezone")
    fault = __salt__["ntpcluster_zones.fault"](zone) if zone else None
    if fault:
        found.append(_problem(["timezone"], zone, fault["message"], fault["level"]))
    return found


def doubts(pillar, defaults, platform, host):
    """
    Return the problems of one host with the pillar: ``misfits`` as a pure function of its facts.
    """
    tiers = pillar["tiers"]
    order, name = __salt__["ntpcluster_build.place"](tiers, host["matches"])
    if name is None:
        message = "no tier matches this host, {}: correct a matcher, or add a tier with match: '*'"
        return [_problem(["tiers"], host["id"], message.format(host["id"]))]
    wanted = __salt__["ntpcluster_build.daemon"](pillar, defaults, host["matches"])
    if wanted not in [None] + sorted(platform["daemons"]):
        return [_no_such_daemon(name, tiers[name], wanted, platform, host)]
    tier = tiers[name]
    above = tier.get("follows")
    origin = ["tiers", name, "follows" if above else "island" if tier.get("island") else "sources"]
    plan = __salt__["ntpcluster_build.build"](pillar, defaults, platform, host)
    found = []
    if tier.get("island") and not any(__salt__["ntpcluster_address.is_host"](text, host) for text in tier["addresses"]):
        message = "lists no address of this host, {}, which belongs to this tier: each host of an island's tier is one of its "
        message += "servers. Add its address, or make it follow the tier"
        found.append(_problem(["tiers", name, "addresses"], None, message.format(host["id"])))
    elif not plan["sources"] and plan["local"] is None and not (plan["refclocks"] and plan["method"] == "daemon"):
        message = "leaves this host, {}, without any source other than itself".format(host["id"])
        found.append(_problem(origin, above, message))
    found += _astray(tiers, name, host)
    if plan["method"] == "daemon":
        found += _unread(pillar.get("options") or {}, plan) + _not_started_with(pillar.get("arguments"), plan)
        found += _unknown_to_the_daemon(tier, name, plan)
        found += _deaf(pillar.get("options") or {}, plan, host)
    rivals = [other for other in order if host["matches"].get(other) and tiers[other]["match"].strip() != "*"]
    if len(rivals) > 1:
        message = "matches this host, {}, and so does tier {}; {} applies, because it is listed first"
        message = message.format(host["id"], rivals[0], rivals[0])
        found.append(_problem(["tiers", rivals[1], "match"], tiers[rivals[1]]["match"], message, "warning"))
    family = __salt__["ntpcluster_address.family"]
    names = [source["address"] for source in plan["sources"] if not family(source["address"])]
    grammar = plan["platform"]["grammar"]
    if names and grammar and not grammar["restrict_source"]:
        message = "has names ({}): ntpd here can refuse other hosts only if all sources are addresses, so the firewall must do it"
        found.append(_problem(origin, above, message.format(", ".join(names)), "warning"))
    limited = any(" limited" in line for block in plan["restrict"] for line in block["lines"])
    if limited and "monitor" in ((pillar.get("options") or {}).get("disable") or ()):
        message = "has no effect on this host, {}: its restrict lines have `limited`, which needs the monitor"
        found.append(_problem(["options", "disable"], "monitor", message.format(host["id"]), "warning"))
    networks = tiers[above]["serves"] if above else []
    own = [address for address in host["addresses"] if address != "::1" and not address.startswith("127.")]
    if networks and own and not any(_serves(network, address) for address in own for network in networks):
        # NAT may translate the address, so that only the tier above knows it: no error.
        message = "does not include this host, {}, whose addresses are {}: it gets no answer, unless NAT translates its address"
        message = message.format(host["id"], ", ".join(own))
        found.append(_problem(["tiers", above, "serves"], None, message, "warning"))
    return found


def _no_such_daemon(name, tier, wanted, platform, host):
    """
    Return the problem that a host's platform does not have the daemon that the pillar selects.
    """
    own = tier.get("daemon") is not None
    message = "is not available on {}, the platform of this host, {}, which has {}. ".format(
        platform["name"], host["id"], " or ".join(sorted(platform["daemons"]))
    )
    if own:
        message += "Write null here to use each platform's default, or put such hosts into their own tier"
    else:
        message += "Write null here or in ntp:tiers:{}:daemon to use each platform's default, or name one of these there".format(
            name
        )
    return _problem(["tiers", name, "daemon"] if own else ["daemon"], wanted, message)


def _unread(options, plan):
    """
    Return a problem for each directive that the host's daemon, or its version there, does not have. If this daemon has an
    equivalent directive, the pillar must contain it: a setting that protects the hosts of one daemon must not be lost silently
    on those of the other.
    """
    found, platform = [], plan["platform"]
    doing = __salt__["ntpcluster_daemon.doing"](platform, "foreign")
    foreign = __salt__[doing](platform)
    for name in sorted(foreign):
        directive, _, word = name.partition(":")
        given = options.get(directive)
        others = foreign[name]
        if given is None or (word and word not in given) or any(other in options for other in others):
            continue
        told = {
            "here": plan["id"],
            "daemon": platform["daemon"],
            "others": "` or `".join(others),
            "one": (others + [None])[0],
        }
        if name in platform.get("lacks", ()):
            told["daemon"] += " in the version of {0}".format(platform["name"])
        if others:
            message = (
                "is not a directive of {daemon}, the daemon of this host, {here}: beside it, tell such hosts what to do with "
                "`{others}`; with `{one}: null` they do without"
            )
        else:
            message = "has no effect on this host, {here}: its daemon, {daemon}, has no equivalent"
        level = "error" if others else "warning"
        found.append(_problem(["options"] + name.split(":"), None, message.format(**told), level))
    return found


def _not_started_with(arguments, plan):
    """
    Return a problem if the pillar sets start options that the daemon does not get: they are options of ntpd.
    """
    if not arguments or plan["platform"]["sysconfig"]:
        return []
    message = (
        "cannot be given to {}, the daemon of this host, {}, whose options mean something else: leave them out. "
        "`options: {{tinker: {{step: 0}}}}` has either daemon slew only"
    )
    return [_problem(["arguments"], None, message.format(plan["platform"]["daemon"], plan["id"]))]


def _unknown_to_the_daemon(tier, name, plan):
    """
    Return a problem for each source that a daemon does not support: it has no NTS, or no such reference clock.
    """
    found = []
    doing = __salt__["ntpcluster_daemon.doing"](plan["platform"], "refclock")
    for number, item in enumerate(tier.get("sources") or ()):
        if isinstance(item, dict) and "refclock" in item and not __salt__[doing](item):
            message = (
                "is not available with {}, the daemon of this host, {}, or not with these keys: see docs/pillar.md"
            )
            message = message.format(plan["platform"]["daemon"], plan["id"])
            found.append(_problem(["tiers", name, "sources", number, "refclock"], item["refclock"], message))
        if isinstance(item, dict) and item.get("nts") and not plan["platform"].get("nts"):
            message = (
                "is not available with {} of {}, the daemon and the platform of this host, {}: put such hosts into their "
                "own tier, without it"
            )
            message = message.format(plan["platform"]["daemon"], plan["platform"]["name"], plan["id"])
            found.append(_problem(["tiers", name, "sources", number, "nts"], True, message))
    return found


def _deaf(options, plan, host):
    """
    Return a problem for each address that the daemon should listen at but this host does not have: nobody gets an answer
    there. A virtual address may come later, so it is a warning.
    """
    doing = __salt__["ntpcluster_daemon.doing"](plan["platform"], "foreign")
    foreign, number = __salt__[doing](plan["platform"]), __salt__["ntpcluster_address.number"]
    given = [(["bindaddress", place], text) for place, text in enumerate(options.get("bindaddress") or ())]
    for place, item in enumerate(options.get("interface") or ()):
        given += [(["interface", place, "listen"], item["listen"])] if "listen" in item else []
    own, found = [number(text) for text in host["addresses"]], []
    for path, text in given:
        address = number(text)
        # Zero is any address; a network interface cannot be checked here.
        if path[0] in foreign or not own or not address or not address[1] or address in own:
            continue
        message = (
            "is not an address of this host, {}, whose addresses are {}: the daemon answers nobody there. That is right only for "
            "a virtual address that comes later"
        )
        message = message.format(plan["id"], ", ".join(host["addresses"]))
        found.append(_problem(["options"] + path, text, message, "warning"))
    return found


def _astray(tiers, name, host):
    """
    Return a problem for each tier whose ``addresses`` include the host, but which it does not belong to. The tiers below would
    query a host that does not answer: a matcher that no longer finds its server must not silently make it a client.
    """
    found = []
    for other in sorted(set(tiers) - {name}):
        for text in tiers[other].get("addresses") or []:
            if __salt__["ntpcluster_address.is_host"](text, host):
                message = (
                    "has {}, which is this host, {}, but the host belongs to tier {}: correct the matcher of {}, or remove the "
                    "address. If several hosts have the address (a virtual one, a bridge's), use a name for it"
                )
                message = message.format(text, host["id"], name, other)
                found.append(_problem(["tiers", other, "addresses"], None, message))
    return found


def _serves(network, address):
    """
    Tell whether a network of ``serves`` contains an address.
    """
    return __salt__["ntpcluster_address.inside"](
        __salt__["ntpcluster_address.number"](address), __salt__["ntpcluster_address.network"](network)[0]
    )


def _problem(path, *told):
    return __salt__["ntpcluster_wording.problem"](["ntp"] + path, *told)
