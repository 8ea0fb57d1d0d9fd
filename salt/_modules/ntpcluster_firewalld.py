# -*- coding: utf-8 -*-
"""
Internal. Open UDP 123 in firewalld, if that is the host's firewall: rich rules in its zones, both live and permanent.

``firewall-cmd`` answers for the live zones; the permanent ones are read from firewalld's own files, as each call of the command
takes half a second. Both are changed with the command, without a reload, so no connection is lost. If the host has no clients,
the kernel is checked first, which usually shows that there is no rule of ours.

**Ours.** A rich rule has no comment. Our rules are recognized by a destination of any address, which has no effect and which
nobody else would write. (Priorities would work too, but the firewalld of EL7 has none.) firewalld puts an accepting rule after
those that ban, and before the zone's final reject.

**Which zone.** A zone that is bound to sources gets the packets from these sources. The others get to the zones of the
interfaces, or to the default zone if an interface has no zone; the routes decide between them, so each gets a rule. A zone of
sources that refuses everything else (drop, block) is a ban and is not changed.
"""

from __future__ import absolute_import, print_function, unicode_literals

import fnmatch
import glob
import os
import re
import xml.etree.ElementTree

from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_firewalld"

FIREWALLD_TIMEOUT_S = 30  # seconds for one call of firewall-cmd, which asks firewalld and waits for its answer
# One of these is there while systemd runs the service; the second with the older control groups, as on EL7.
RUNNING = (
    "/run/systemd/units/invocation:firewalld.service",
    "/sys/fs/cgroup/systemd/system.slice/firewalld.service",
)
TABLE = ("inet", "firewalld")  # of nftables, if that is firewalld's backend
FIREWALLD_CONF = "/etc/firewalld/firewalld.conf"
KEPT_ZONES = "/etc/firewalld/zones"  # changed zones, each of which replaces
STOCK_ZONES = "/usr/lib/firewalld/zones"  # the package's zone of that name
INTERFACES = "/sys/class/net"
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
BOTH = ("ipv4", "ipv6")
BANS = ("DROP", "REJECT", "%%REJECT%%")  # targets of zones that refuse; "default" refuses too, with a reject
WORD = re.compile(r'([\w-]+)="([^"]*)"|([\w-]+)')
OPENINGS = ({"port": "123", "protocol": "udp"}, {"name": "ntp"})  # the port or service of a rule for UDP 123


def _command(arguments, program="firewall-cmd"):
    answer = __salt__["ntpcluster_program.run"](program, "firewalld", arguments, timeout=FIREWALLD_TIMEOUT_S)
    if answer["retcode"] != 0:
        said = "no answer" if answer["timed_out"] else (answer["stderr"] or answer["stdout"]).strip()
        raise CommandExecutionError("`{} {}` failed: {}".format(program, " ".join(arguments), said))
    return answer["stdout"]


# The zones, live and permanent


def _zone():
    return {"target": "default", "interfaces": [], "sources": [], "services": [], "ports": [], "rules": []}


def _live():
    """The live zones as {name: zone}, a zone as from ``_zone``, all values as text."""
    zones, zone = {}, None
    for line in _command(["--list-all-zones"]).splitlines():
        key, colon, value = line.strip().partition(":")
        if line[:1].strip():
            zone = zones.setdefault(line.split()[0], _zone())
        elif line.startswith("\t"):
            zone["rules"].append(line.strip())
        elif colon and key == "target":
            zone["target"] = value.strip()
        elif colon and key in zone and key != "rules":
            zone[key] = value.split()
    return zones


def _none_of_ours(kept):
    """
    Whether there is certainly no rule of ours in the permanent and the live zones. firewalld puts the rules of a zone into the
    kernel as long as the zone has an interface or a source; the rules of other zones have no effect.
    """
    if any(_ours(rule) for zone in kept.values() for rule in zone["rules"]):
        return False
    tables = [chain[:2] for chain in __salt__["ntpcluster_firewall_nft.chains"]()]
    # With the iptables backend there is no such table.
    return TABLE in tables and not __salt__["ntpcluster_firewall_nft.names_port"](*TABLE)


def _kept():
    """The permanent zones, in the same form."""
    files = {}
    for folder in (STOCK_ZONES, KEPT_ZONES):
        for path in glob.glob(os.path.join(folder, "*.xml")):
            files[os.path.basename(path)[: -len(".xml")]] = path
    zones = {}
    for name, path in files.items():
        try:
            zones[name] = _kept_zone(xml.etree.ElementTree.parse(path).getroot())
        except (IOError, OSError, xml.etree.ElementTree.ParseError) as err:
            raise CommandExecutionError("Cannot read {}: {}.".format(path, err))
    return zones


def _kept_zone(root):
    zone = _zone()
    zone["target"] = root.get("target", "default")
    for item in root:
        if item.tag == "interface":
            zone["interfaces"].append(item.get("name"))
        elif item.tag == "source":
            zone["sources"].append("{}".format(item.get("address") or item.get("mac") or item.get("ipset")))
        elif item.tag == "service":
            zone["services"].append(item.get("name"))
        elif item.tag == "port":
            zone["ports"].append("{}/{}".format(item.get("port"), item.get("protocol")))
        elif item.tag == "rule":
            zone["rules"].append(_spelled(item))
    return zone


def _spelled(rule):
    """A rich rule of a zone's file in the command's spelling."""
    words = ["rule"] + ['{}="{}"'.format(key, rule.get(key)) for key in ("priority", "family") if rule.get(key)]
    for part in sorted(rule, key=lambda part: {"source": 0, "destination": 1}.get(part.tag, 2)):
        words += [part.tag] + ['{}="{}"'.format(*pair) for pair in sorted(part.attrib.items())]
    return " ".join(words)


def _default_zone():
    try:
        with open(FIREWALLD_CONF) as handle:
            found = re.search(r"^\s*DefaultZone\s*=\s*(\S+)", handle.read(), re.M)
    except (IOError, OSError):  # firewalld starts without the file
        found = None
    return found.group(1) if found else "public"


def _unbound(zones):
    """Whether there is, or may be, an interface outside these zones."""
    bound = [name for zone in zones.values() for name in zone["interfaces"]]
    there = [name for name in _interfaces() if name != "lo"]
    return not there or any(not any(fnmatch.fnmatch(name, one.replace("+", "*")) for one in bound) for name in there)


def _interfaces():
    if not os.path.isdir(INTERFACES):
        return []
    return [name for name in os.listdir(INTERFACES) if os.path.isdir(os.path.join(INTERFACES, name))]


# Rich rules


def _rule(zone_rule):
    """A rich rule as {"rule": its attributes, element: its attributes, ...}."""
    parts, last = {}, None
    for key, value, word in WORD.findall(zone_rule):
        if word:
            last = parts.setdefault(word, {})
        elif last is not None:
            last[key] = value
    return parts


def _opens(zone_rule):
    """The networks to which a rich rule opens UDP 123, if it does nothing else; otherwise an empty list."""
    parts = _rule(zone_rule)
    source, destination = parts.pop("source", None), parts.pop("destination", None)
    head = parts.get("rule", {})
    port = parts.get("port", parts.get("service"))
    if len(parts) != 3 or parts.get("accept") != {} or port not in OPENINGS or set(head) - {"priority", "family"}:
        return []
    if destination and destination not in [{"address": address} for address in ANYWHERE.values()]:
        return []
    if source is None:
        families = [head["family"]] if "family" in head else BOTH
        return [__salt__["ntpcluster_firewall_packet.everyone"](family) for family in families]
    if list(source) != ["address"]:  # an ipset, or all except these
        return []
    try:
        return [__salt__["ntpcluster_firewall_parse.network"](source["address"], strict=False)]
    except ValueError:
        return []


def _ours(zone_rule):
    return any(zone_rule == _text(network) for network in _opens(zone_rule))


def _text(network):
    source = 'source address="{}" '.format(network) if network.prefixlen else ""
    words = 'rule family="ipv{}" {}destination address="{}" port port="123" protocol="udp" accept'
    return words.format(network.version, source, ANYWHERE[network.version])


# What is needed


def _holds(network, source):
    """Whether a zone's source contains a network. True: all of it; None: some, or unknown (an ipset); False."""
    try:
        source = __salt__["ntpcluster_firewall_parse.network"](source, strict=False)
    except ValueError:
        return None
    if source.version != network.version or not source.overlaps(network):
        return False
    return True if source.prefixlen <= network.prefixlen else None


def _places(zones, network):
    """The zones that packets from a network may get to, without those that ban them."""
    held = dict((name, [_holds(network, source) for source in zone["sources"]]) for name, zone in zones.items())
    places = set(name for name in zones if set(held[name]) - {False} and zones[name]["target"] not in BANS)
    if not any(True in found for found in held.values()):
        default = _default_zone() if _unbound(zones) else None
        places |= set(name for name, zone in zones.items() if zone["interfaces"] or name == default)
    return places


def _judge(zones, places, later):
    """
    ``missing``, ``present`` and ``stale`` as [(zone, network, rule), ...]; ``places``: {network: the zones that it gets to},
    ``later``: including those that it may get to after a boot.
    """
    found = {"missing": [], "present": [], "stale": []}
    for network, names in places.items():
        for name in sorted(names & set(zones)):
            if zones[name]["target"] == "ACCEPT":
                continue
            same = [rule for rule in zones[name]["rules"] if network in _opens(rule)]
            found["present" if same else "missing"].append((name, network, same[0] if same else _text(network)))
    for name, zone in sorted(zones.items()):
        for rule in zone["rules"]:
            for network in _opens(rule) if _ours(rule) else []:
                if name not in later.get(network, ()):
                    found["stale"].append((name, network, rule))
    return found


def _covers(port):
    ports, _, protocol = port.partition("/")
    first, _, last = ports.partition("-")
    return protocol == "udp" and int(first) <= 123 <= int(last or first)


def _wider(zones, places, version):
    """Rules that admit more than the networks, in the zones that their packets get to."""
    found = []
    for name in sorted(set(name for names in places.values() for name in names) & set(zones)):
        zone = zones[name]
        words = ["target: ACCEPT"] if zone["target"] == "ACCEPT" else []
        words += ["service ntp"] if "ntp" in zone["services"] else []
        words += ["port {}".format(port) for port in zone["ports"] if _covers(port)]
        for rule in zone["rules"]:
            if not _ours(rule) and any(one.version == version and one not in places for one in _opens(rule)):
                words.append(rule)
        found += ["zone {}: {}".format(name, word) for word in words]
    return found


def _survey(networks):
    """
    {family: {"networks", "live", "kept", "wider"}}, the second and third as from ``_judge``.

    Raises SaltInvocationError for anything that is not a network, CommandExecutionError when firewalld does not answer.
    """
    wanted = dict((family, __salt__["ntpcluster_firewall_rules.wanted"](networks, family)) for family in BOTH)
    kept = _kept()
    live = {} if not networks and _none_of_ours(kept) else _live()
    survey = {}
    for family, found in wanted.items():
        version = __salt__["ntpcluster_firewall_packet.everyone"](family).version
        places = dict((network, _places(live, network)) for network in found)
        # after the next boot packets may get to zones of both: NetworkManager binds its interfaces again
        later = dict((network, places[network] | _places(kept, network)) for network in found)
        judged = {"live": _judge(live, places, later), "kept": _judge(kept, later, later)}
        for where in judged.values():
            where["stale"] = [one for one in where["stale"] if one[1].version == version]
        survey[family] = dict(judged, networks=found, wider=_wider(live, places, version))
    return survey


def _steps(survey):
    """
    The calls of firewall-cmd, as [(arguments, [(key, verb, rule), ...]), ...]: what each of them changes.

    One call takes all rules of a zone. Rules are added before any are removed: if a step fails, no client has lost access.
    """
    steps = []
    for option, what, verb in (("add", "missing", "added"), ("remove", "stale", "removed")):
        for where, first, key in (("live", [], "{}"), ("kept", ["--permanent"], "{} saved")):
            zones = {}
            for family, found in sorted(survey.items()):
                for zone, _, rule in found[where][what]:
                    zones.setdefault(zone, []).append((key.format(family), rule))
            for zone, rules in sorted(zones.items()):
                arguments = first + ["--zone=" + zone]
                arguments += ["--{}-rich-rule={}".format(option, rule) for _, rule in rules]
                steps.append((arguments, [(key, verb, "zone {}: {}".format(zone, rule)) for key, rule in rules]))
    return steps


def _note(changes, told):
    for key, verb, text in told:
        changes.setdefault(key, {"added": [], "removed": []})[verb].append(text)


def _shown(found):
    return ["zone {}: {}".format(zone, rule) for zone, _, rule in found]


def _with(hooks, added):
    """Puts the rules to be added into the hooks, where firewalld will put them with nftables or iptables."""
    for zone, network, rule in added:
        for chain in ("chain filter_IN_{}_allow".format(zone), "IN_{}_allow".format(zone)):
            for table in _distinct(hook["table"] for hook in hooks):
                if chain in table["chains"]:
                    made = __salt__["ntpcluster_firewall_parse.opening"](network, chain, rule)
                    table["chains"][chain].append(made)


def _distinct(tables):
    """Each table once: the hooks of one table share it."""
    return dict((id(table), table) for table in tables).values()


def runs():
    """
    Internal. Whether firewalld is this host's firewall. Checks the kernel and systemd's files; runs no program.
    """
    tables = [chain[:2] for chain in __salt__["ntpcluster_firewall_nft.chains"]()]
    return TABLE in tables or any(os.path.lexists(path) for path in RUNNING)


def firewall(networks, hooks):
    """
    Internal. As ``ntpcluster.firewall``; here the saved rules are the permanent zones.

    networks
        list of networks, such as ``["10.0.0.0/24"]``
    hooks
        all hooks that a request and its reply pass, {family: [hook, ...]}, as from ``ntpcluster_firewall_nft.hooks``; None:
        this host has no clients

    Raises SaltInvocationError for anything that is not a network, CommandExecutionError when a zone's file cannot be read.
    """
    error = None
    try:
        survey = _survey(networks)
    except CommandExecutionError as err:
        nothing = {"missing": [], "present": [], "stale": []}
        error = err.strerror
        survey = dict((family, dict(live=nothing, kept=nothing, networks=[], wider=[])) for family in BOTH)
    report, here = {}, __salt__["ntpcluster_firewall_here.here"]()
    for family, found in survey.items():
        passed = hooks[family] if hooks else []
        _with(passed, found["live"]["missing"])
        way = __salt__["ntpcluster_firewall_passage.passage"](passed, found["networks"], here)
        saved = dict((name, _shown(found["kept"][name])) for name in ("missing", "stale"))
        report[family] = dict((name, _shown(found["live"][name])) for name in ("present", "missing", "stale"))
        report[family].update(way, wider=found["wider"], overtaken=[], running=True, error=error, keep=None)
        report[family].update(guard="firewalld", saved=dict(saved, file=KEPT_ZONES, refused={}))
        report[family]["networks"] = ["{}".format(network) for network in found["networks"]]
    return report


def apply(networks, test=False, **called):
    """
    Internal. Open UDP 123 to these networks, and close it to the networks that it was opened to before, live and permanently.

    networks, test
        as for ``ntpcluster_firewall.apply``

    Returns and raises what that does.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    steps = _steps(_survey(networks))
    changes, done = {}, {}
    for _, told in steps:
        _note(changes, told)
    if test or not steps:
        return changes
    try:
        for arguments, told in steps:
            _command(arguments)
            _note(done, told)
        left = _steps(_survey(networks))
        if left:
            said = "; ".join(text for _, told in left for _, _, text in told)
            raise CommandExecutionError("After the change, firewalld's zones are not as expected ({}).".format(said))
    except CommandExecutionError as err:
        raise CommandExecutionError(err.error, info={"changes": done} if done else None)
    return changes


def forget(test=False, **called):
    """
    Internal. Remove our rules from the permanent zones of a firewalld that does not run: its next start would open UDP 123.

    test
        as for ``ntpcluster_firewall.apply``

    Returns what that does. Raises CommandExecutionError if a zone cannot be read or changed.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    changes = {}
    for name, zone in sorted(_kept().items()):
        rules = [rule for rule in zone["rules"] if _ours(rule)]
        if rules and not test:
            _command(["--zone=" + name] + ["--remove-rich-rule=" + rule for rule in rules], "firewall-offline-cmd")
        versions = [network.version for rule in rules for network in _opens(rule)]
        told = [
            ("ipv{} saved".format(version), "removed", "zone {}: {}".format(name, rule))
            for version, rule in zip(versions, rules)
        ]
        _note(changes, told)
    return changes
