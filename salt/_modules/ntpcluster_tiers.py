# -*- coding: utf-8 -*-
"""
Internal. Check the relations of the tiers: which tier follows which, by which addresses, and which serves which.

``ntpcluster_validate`` judges every key separately.
"""

from __future__ import absolute_import, print_function, unicode_literals

import difflib
import re

__virtualname__ = "ntpcluster_tiers"
__load__ = ["relations"]

# The last of this many servers that list each other continues at stratum 12, so that two tiers below it still have a time.
MOST_NEIGHBOURS = 5

# Keywords of ntp.conf that end up among the servers if somebody pastes a whole line.
NOT_SERVERS = ("server", "peer", "pool", "prefer", "iburst", "burst", "restrict", "default", "mask", "key")


def relations(tiers, method="daemon"):
    """
    Internal. Return the inconsistencies between tiers. ``ntpcluster.validate`` calls this for its own list.

    tiers
        The mapping under ``ntp:tiers``, decoded. Invalid parts are ignored; ``validate`` reports them.
    method
        The value of ``ntp:method``, or its default.

    Returns a list of problems as ``ntpcluster.validate`` does.
    """
    found = []
    if not isinstance(tiers, dict):
        return found
    # The printable names; the others have been refused already.
    tiers = {
        name: tiers[name]
        for name in tiers
        if _is_text(name) and re.match(r"[A-Za-z0-9_-]+\Z", name) and isinstance(tiers[name], dict)
    }
    for name in sorted(tiers):
        _origin(found, name, tiers)
        _servers(found, name, "sources", tiers)
        _servers(found, name, "addresses", tiers)
        _serves(found, name, tiers[name])
        _relied_on(found, name, tiers, method)
    everyone = sorted(
        name for name in tiers if _is_text(tiers[name].get("match")) and tiers[name]["match"].strip() == "*"
    )
    for name in everyone[1:]:
        message = "matches all hosts, as tier {} already does; only one tier can".format(everyone[0])
        found.append(_problem([name, "match"], "*", message))
    return found


def _problem(path, *told):
    """
    Return one problem below ``ntp:tiers``.
    """
    return __salt__["ntpcluster_wording.problem"](["ntp", "tiers"] + path, *told)


def _is_text(value):
    return __salt__["ntpcluster_wording.is_text"](value)


def _items(tier, key):
    return __salt__["ntpcluster_wording.items"](tier, key)


def _origin(found, name, tiers):
    """
    Judge where a tier gets its time from.
    """
    tier = tiers[name]
    above = tier.get("follows")
    if tier.get("island") is True or tier.get("peers") is True:
        _neighbours(found, name, tier)
    if tier.get("island") is True:
        for key in ("sources", "follows", "peers"):
            if tier.get(key) not in (None, False):
                message = "cannot stand beside `island`, whose servers follow each other alone: one or the other"
                found.append(_problem([name, key], tier[key], message))
        return
    if tier.get("sources") is None and above is None:
        message = "needs `sources` (a top tier), `follows` (the name of the tier above), or `island: true` (no sources)"
        found.append(_problem([name], tier, message))
    elif tier.get("sources") is not None and above is not None:
        found.append(_problem([name, "follows"], above, "cannot be combined with `sources`: give one or the other"))
    if not _is_text(above):
        return
    if above == name:
        found.append(_problem([name, "follows"], above, "is the tier itself; name a tier above it"))
        return
    if above not in tiers:
        near = difflib.get_close_matches(above, sorted(tiers), 1)
        message = "did you mean `{}`?".format(near[0]) if near else "there are {}".format(", ".join(sorted(tiers)))
        found.append(_problem([name, "follows"], above, "is not a tier; {}".format(message)))
        return
    way = [name]
    while _is_text(above) and above in tiers and above not in way:
        way.append(above)
        above = tiers[above].get("follows")
    if above == name:
        message = "is a tier below this one, which makes a loop: {}".format(" > ".join(way + [name]))
        found.append(_problem([name, "follows"], tier["follows"], message))


def _neighbours(found, name, tier):
    """
    Judge a tier whose servers list each other.
    """
    key = "island" if tier.get("island") is True else "peers"
    addresses, networks = _items(tier, "addresses"), _items(tier, "serves")
    if key == "peers" and tier.get("follows") is not None:
        message = "is for a tier with `sources`; one that follows has the servers of the tier above"
        found.append(_problem([name, key], True, message))
    if not addresses:
        message = "is needed beside `{}`: by these the servers of the tier find each other".format(key)
        found.append(_problem([name, "addresses"], None, message))
    if len(addresses) > MOST_NEIGHBOURS:
        message = "must have {} at most beside `{}`: each has a stratum of its own".format(MOST_NEIGHBOURS, key)
        found.append(_problem([name, "addresses"], None, message))
    known = [__salt__["ntpcluster_address.network"](text)[0] for text in networks]
    for number, text in enumerate(addresses):
        address = __salt__["ntpcluster_address.number"](text)
        # Errors in the networks themselves are reported there.
        if address and all(known) and not any(__salt__["ntpcluster_address.inside"](address, net) for net in known):
            message = "must be in one of the tier's `serves` beside `{}`: its neighbours ask this tier as well".format(
                key
            )
            found.append(_problem([name, "addresses", number], text, message))


def _servers(found, name, key, tiers):
    """
    Judge a list of names and addresses.
    """
    tier = tiers[name]
    servers = _items(tier, key)
    if key == "sources":
        servers = [item.get("address") if isinstance(item, dict) else item for item in servers]
    seen = set()
    for number, server in enumerate(servers):
        if server is None and isinstance(tier[key][number], dict):
            continue  # without an address, which has been reported
        fault = _server_fault(server)
        same = None if fault else __salt__["ntpcluster_address.canonical"](server)
        if fault:
            found.append(_problem([name, key, number], server, fault))
        elif same in seen:
            found.append(_problem([name, key, number], server, "is listed twice"))
        seen.add(same)
    askers = [name] if key == "sources" else _followers(name, tiers)
    message = {
        1: "gives tier {} only one source: there is no failover, and a false one cannot be detected",
        2: "gives tier {} two sources: if they disagree, neither has a majority",
    }.get(len(servers))
    if message and askers:
        found.append(_problem([name, key], None, message.format(" and ".join(askers)), "warning"))


def _serves(found, name, tier):
    """
    Judge the networks that a tier serves.
    """
    seen = set()
    for number, text in enumerate(_items(tier, "serves")):
        here = [name, "serves", number]
        network, fault = __salt__["ntpcluster_address.network"](text)
        if fault:
            found.append(_problem(here, text, fault))
        elif network in seen:
            found.append(_problem(here, text, "is listed twice"))
        elif network[2] == 0:
            found.append(_problem(here, text, "lets anybody ask for the time", "warning"))
        seen.add(network)


def _followers(name, tiers):
    """
    Return the names of the tiers that follow one.
    """
    return sorted(other for other in tiers if other != name and tiers[other].get("follows") == name)


def _relied_on(found, name, tiers, method):
    """
    Judge whether a tier provides what the tiers below it need. Only the host itself can tell whether the tier serves it:
    ``addresses`` are the addresses that a tier serves on, not those that its hosts send from.
    """
    tier = tiers[name]
    followers = _followers(name, tiers)
    if (tier.get("method") or method) == "cron" and (followers or _items(tier, "serves")):
        message = "must be daemon in a tier that serves or is followed: a step from crontab serves nobody"
        found.append(_problem([name, "method"], "cron", message))
    for key, want in (("addresses", "must know how to reach it"), ("serves", "is not allowed to ask it")):
        if followers and not tier.get(key):
            message = "is required: tier {} follows this one and {}".format(followers[0], want)
            found.append(_problem([name, key], None, message))


# ---------------------------------------------------------------------------------------------------------
# Addresses


def _server_fault(text):
    """
    Return why a text is not the name or address of a server, or None.
    """
    if not _is_text(text):
        return "must be a name or an address, as text"
    if re.search(r"\s", text.strip()):
        return "must be one name or address without spaces; options go into {address: ..., prefer: true}"
    if text.lower() in NOT_SERVERS:
        return "is a keyword of ntp.conf, not a server"
    if __salt__["ntpcluster_address.number"](text):
        return __salt__["ntpcluster_address.nowhere"](text)
    label = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
    if len(text) > 253 or not re.match(r"(?:{0}\.)*(?![0-9]+\Z){0}\Z".format(label), text):
        return "must be a host name (letters, digits, - and dots) or a numeric address"
    return None
