# -*- coding: utf-8 -*-
"""
What this host has to do, worked out from the pillar.

A site describes its cluster once, as tiers (``pillar/ntp/init.sls``). ``ntpcluster.plan`` turns that, the
defaults (``salt://ntp/defaults.yaml``), the facts of the platform (``salt://ntp/platforms.yaml``) and the
grains of the host into one plain dict: the finished lines of its ntp.conf, its step-tickers, the networks its
firewall lets in. States and templates print what the plan says and decide nothing themselves.

Tiers are a mapping, and the order of a mapping does not survive the way to a minion on Python 2.7. So nothing
depends on it: the level of a tier is how many tiers it has above it, tiers of one level are sorted by name,
and a host belongs to the first tier that matches it in that order, with ``match: '*'`` always asked last.
"""

from __future__ import absolute_import, print_function, unicode_literals

import binascii
import copy
import re
import socket
import zlib

from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster"
# The loader offers these alone; ``build`` stays a plain function for the tests.
__load__ = ["misfits", "plan"]

# What those who may ask for the time get: a limited rate, and a kiss of death for more. ``kod`` has no effect
# without ``limited`` (ntp's accopt.html).
CLIENT_FLAGS = "kod limited"

#: Where a state run keeps the plan: in its ``__opts__``, where its pillar is as well.
MADE = "ntpcluster.plan.made"

# ntpd follows the first source from which it has enough packets: if that one lies, a daemon that has just started steps
# a right clock (measured: 3 s wrong within 8 s). So where there are three, two have to agree. Of two, one may fail.
MAJORITY = 3
MINSANE = 2

# ntpd's own `tos minclock`: of so many survivors the clock is made (NTP_MINCLOCK in ntp.h).
MINCLOCK = 3


def __virtual__():
    return __virtualname__


def plan(secrets=False):
    """
    Return what this host has to do to take its place in the cluster.

    secrets
        True adds the secret to every key. Left out otherwise, because what a function returns goes to the
        event bus and the job cache of the master.

    Returns a dict; times and offsets are in seconds:

    ``id``, ``tier``, ``level`` (0 is the top), ``follows`` (name of the tier above, None at the top),
    ``tiers`` (all names, top first), ``method`` (``ntpd`` or ``cron``), ``cron`` (five fields, as text),
    ``timezone`` (None: leave it alone), ``platform`` (its entry of platforms.yaml, and ``name``),
    ``package`` {names, version, sources},
    ``sources`` [{address, prefer, iburst, key, minpoll, maxpoll, line}],
    ``serves`` [{network, address, netmask, family}], ``restrict`` [{comment, lines}],
    ``step_tickers`` [address], ``firewall`` {manage, networks}, ``step`` {threshold, limit, passes},
    ``sync`` {timeout, max_offset}, ``hwclock`` {manage, utc}, ``keys`` [{id, type}],
    ``minsane`` (so many sources have to agree before the clock follows),
    ``orphan`` (stratum at which this host goes on as one, or None), ``orphan_stratum`` (the pillar's ``orphan``:
    what a host says that has its time from one), ``options`` [line], ``conflicts`` [service],
    ``health`` {settle, frequency_ppm, survivors, reference_age}, ``kept``: None, or in words when this plan was
    applied. That is the last one applied, which stands in when this host has no pillar ``ntp`` at all (the master is
    away, and ``salt-call --local`` asks). It has no secrets, and no state is applied by it.

    Raises SaltInvocationError with every error ``ntpcluster.validate`` finds, in one message; on a platform that
    platforms.yaml does not describe, with that alone.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.plan
    """
    last = None if secrets or _pillar() is not None else __salt__["ntpcluster_applied.plan"]()
    if last:
        return last
    result = copy.deepcopy(__opts__.get(MADE) or _made())
    if not secrets:
        for key in result["keys"]:
            del key["secret"]
    return dict(result, kept=None)


def _made():
    """
    Return the plan made of the pillar. Two dozen times a state run asks, and its pillar is one and the same.
    """
    stranger = __salt__["ntpcluster.foreign"]()
    if stranger:
        raise SaltInvocationError(stranger)
    errors = [
        "  {}".format(problem["text"])
        for problem in __salt__["ntpcluster.validate"](states=False, anew=False)
        if problem["level"] == "error"
    ]
    if errors:
        raise SaltInvocationError(
            "The pillar `ntp` cannot be used. Correct it (pillar/ntp/init.sls) and refresh the pillar:\n"
            + "\n".join(errors)
        )
    made = build(_pillar(), *_known())
    if __salt__["ntpcluster_applied.in_run"]():
        __opts__[MADE] = made
    return made


def misfits():
    """
    Return what is wrong between this host and a pillar that is in itself correct: no tier matches the host,
    it could ask nobody but itself, it is a server of a tier that does not take it, its servers do not know its
    addresses, its tzdata has no such time zone. ``ntpcluster.validate`` asks this.

    Returns a list of problems as ``ntpcluster.validate`` does.

    CLI Example:

    .. code-block:: bash

        salt '*' ntpcluster.misfits
    """
    pillar = _pillar()
    found = doubts(pillar, *_known()[1:])
    zone = pillar.get("timezone")
    fault = __salt__["ntpcluster.zone_fault"](zone) if zone else None
    if fault:
        found.append(_problem(["timezone"], zone, fault["message"], fault["level"]))
    return found


def _known():
    """
    Return the defaults, the platform and the host, as ``facts`` tells them, its addresses in their usual spelling.
    """
    known = __salt__["ntpcluster.facts"]()
    host = dict(known["host"], addresses=[_canonical(text) for text in known["host"]["addresses"]])
    return known["defaults"], known["platform"], host


def _pillar():
    """
    Return what the pillar has under ``ntp``.
    """
    return __salt__["ntpcluster_applied.pillar"]()


# ---------------------------------------------------------------------------------------------------------
# From here on everything is a pure function of its arguments, and may rely on a pillar without errors.


def build(pillar, defaults, platform, host):
    """
    Return the plan of one host: ``plan`` without the machine. Arguments as ``facts`` returns them.
    """
    settings = _settings(pillar, defaults)
    tiers = pillar["tiers"]
    order = _order(tiers)
    name = _member(tiers, order, host["matches"])
    tier = tiers[name]
    sources = _sources(tier, tiers, host)
    serves = [_network(network) for network in tier.get("serves") or []]
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
    Return the platform without ``-g``, by which ntpd's first jump would be of any distance.
    """
    settings = platform["sysconfig_ntpd"]
    values = [
        dict(one, value=" ".join(word for word in one["value"].split() if word != "-g")) for one in settings["values"]
    ]
    return dict(platform, sysconfig_ntpd=dict(settings, values=values))


def doubts(pillar, platform, host):
    """
    Return the problems of one host with the pillar: ``misfits`` without the machine.
    """
    tiers = pillar["tiers"]
    order = _order(tiers)
    name = _member(tiers, order, host["matches"])
    if name is None:
        message = "no tier matches this host, {}: correct a matcher, or add a tier with match: '*'"
        return [_problem(["tiers"], host["id"], message.format(host["id"]))]
    tier = tiers[name]
    above = tier.get("follows")
    origin = ["tiers", name, "follows" if above else "sources"]
    sources = _sources(tier, tiers, host)
    found = []
    if not sources:
        message = "leaves this host, {}, with nobody to ask but itself".format(host["id"])
        found.append(_problem(origin, above, message))
    found += _astray(tiers, name, host)
    rivals = [other for other in order if host["matches"].get(other) and not _is_rest(tiers[other])]
    if len(rivals) > 1:
        message = "matches this host, {}, as tier {} does; {} is taken, being first from the top"
        message = message.format(host["id"], rivals[0], rivals[0])
        found.append(_problem(["tiers", rivals[1], "match"], tiers[rivals[1]]["match"], message, "warning"))
    names = [source["address"] for source in sources if not _family(source["address"])]
    if names and platform and not platform["grammar"]["restrict_source"]:
        message = "has names ({}): only with addresses can ntpd here keep strangers out, so the firewall has to"
        found.append(_problem(origin, above, message.format(", ".join(names)), "warning"))
    serves = [_network(network) for network in tier.get("serves") or []]
    rules = _restrict(sources, serves, platform["grammar"]) if platform else []
    limited = any(" limited" in line for block in rules for line in block["lines"])
    if limited and "monitor" in ((pillar.get("options") or {}).get("disable") or ()):
        message = "has no effect on this host, {}: `limited`, which its restrict lines have, needs the monitor"
        found.append(_problem(["options", "disable"], "monitor", message.format(host["id"]), "warning"))
    networks = tiers[above]["serves"] if above else []
    own = [address for address in host["addresses"] if address != "::1" and not address.startswith("127.")]
    if networks and own and not any(_inside(address, network) for address in own for network in networks):
        # An address may be translated on the way, so that only the tier above knows it: no error.
        message = "leaves out this host, {}, whose addresses are {}: it gets no answer, unless by NAT"
        message = message.format(host["id"], ", ".join(own))
        found.append(_problem(["tiers", above, "serves"], None, message, "warning"))
    return found


def _astray(tiers, name, host):
    """
    Return a problem for each tier that the host serves by its ``addresses``, and is not a member of. Those below
    would ask a host that answers nobody: a matcher that lost its server must not make it a client in silence.
    """
    found = []
    for other in sorted(set(tiers) - {name}):
        for text in tiers[other].get("addresses") or []:
            if _is_own(text, host):
                message = (
                    "has {}, which is this host, {}, but the host is of tier {}: correct the matcher of {}, or take the "
                    "address out. One that several hosts have (virtual, of a bridge) stands there by a name of its own"
                )
                message = message.format(text, host["id"], name, other)
                found.append(_problem(["tiers", other, "addresses"], None, message))
    return found


def _is_own(text, host):
    """
    Tell whether a name or address of the pillar is this host itself.
    """
    address = _canonical(text)
    return address in host["addresses"] or address in host["names"]


def _problem(path, value, message, level="error"):
    """
    Return one problem.
    """
    return {"key": ":".join(["ntp"] + path), "value": value, "message": message, "level": level}


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
        address = _canonical(item["address"])
        if _is_own(address, host):
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
    named = [source for source in sources if not _family(source["address"])]
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


def _family(address):
    """
    Return 4 or 6 for an address, None for a name.
    """
    if ":" in address:
        return 6
    return 4 if re.match(r"[0-9.]+\Z", address) else None


def _canonical(address):
    """
    Return an address in its one usual spelling, a name in lower case, so that equal ones compare equal.
    """
    family = {4: socket.AF_INET, 6: socket.AF_INET6}.get(_family(address))
    if family is None:
        return address.lower()
    return "{}".format(socket.inet_ntop(family, socket.inet_pton(family, address.split("%")[0])))


def _network(text):
    """
    Return a network of ``serves`` with its mask spelled out; an address alone is a network of one.
    """
    address, _, length = text.partition("/")
    family = _family(address)
    bits = 32 if family == 4 else 128
    length = int(length) if length else bits
    mask = (1 << bits) - (1 << (bits - length))
    packed = binascii.unhexlify("{:0{}x}".format(mask, bits // 4).encode("ascii"))
    netmask = socket.inet_ntop(socket.AF_INET if family == 4 else socket.AF_INET6, packed)
    address = _canonical(address)
    return {
        "network": "{}/{}".format(address, length),
        "address": address,
        "netmask": "{}".format(netmask),
        "family": family,
    }


def _inside(address, text):
    """
    Tell whether an address belongs to a network of ``serves``.
    """
    network = _network(text)
    if _family(address) != network["family"]:
        return False
    kind = socket.AF_INET if network["family"] == 4 else socket.AF_INET6
    address, start, mask = (
        int(binascii.hexlify(socket.inet_pton(kind, part)), 16)
        for part in (address, network["address"], network["netmask"])
    )
    return address & mask == start
