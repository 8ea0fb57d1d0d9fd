# -*- coding: utf-8 -*-
"""
Internal. Read the rules of nftables that a request to UDP 123 and its reply pass. Changes nothing.

The kernel reports which chains are on the path (netlink, no program is run). ``nft`` runs only if there are chains that
``iptables-save`` does not show; if it is missing, such a chain counts as one that refuses, because its rules are unknown.
"""

from __future__ import absolute_import, print_function, unicode_literals

import errno
import json
import os
import socket
import struct

import salt.utils.path
from salt.exceptions import CommandExecutionError

try:
    import ipaddress
except ImportError:  # Python 2
    from salt._compat import ipaddress

__virtualname__ = "ntpcluster_firewall_nft"

TIMEOUT = 30  # seconds for one call of nft, which answers in milliseconds

# Numbers of linux/netlink.h, linux/netfilter.h and linux/netfilter/nf_tables.h
NETLINK_NETFILTER = 12
GET_CHAINS = (10 << 8) | 4  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN
GET_RULES = (10 << 8) | 7  # likewise, NFT_MSG_GETRULE
GET_SETS = (10 << 8) | 10  # likewise, NFT_MSG_GETSET
REQUEST, DUMP = 0x1, 0x300
ERROR, DONE = 2, 3
TABLE, NAME, HOOK = 1, 3, 4  # attributes of a chain (the first also of a set and of a rule); a base chain has a hook
HANDLE, EXPRESSIONS = 3, 4  # attributes of a rule
COMMENT = "ntpcluster"
PORT_123 = b"\x06\x00\x01\x00\x00\x7b"  # the attribute that a comparison with 123 has: length, NFTA_DATA_VALUE, port
HOOK_NUMBER, FORWARD = 1, 2  # an attribute of the hook, and its value for packets that are not ours
FAMILY_NAMES = {1: "inet", 2: "ip", 5: "netdev", 7: "bridge", 10: "ip6"}

LAYERS = {"ip": [4], "ip6": [6]}  # all other families see both
# Hooks that the packet passes, and whether it is the reply there
HOOKS = {
    "ingress": False, "prerouting": False, "input": False,
    "output": True, "postrouting": True, "egress": True,
}  # fmt: skip
TARGETS = {"accept": "ACCEPT", "drop": "DROP", "reject": "REJECT", "return": "RETURN"}
# Statements after which the packet continues, and those that redirect it
PASSING = (
    "counter", "log", "mangle", "ct helper", "ct timeout", "ct expectation", "set", "map", "dup", "last",
    "secmark", "snat", "masquerade", "flow", "continue",
)  # fmt: skip
LIMITS = ("limit", "ct count")  # matched by some packets, and not by all similar ones
IPTABLES_TARGETS = ("REJECT", "LOG")  # those of iptables that nft shows without their arguments, which do not matter
DIVERTING = ("dnat", "redirect", "tproxy", "queue", "fwd", "synproxy")
# Whether it is a later fragment of a packet or, with the other mask, any fragment
FRAGMENT = [{"&": [{"payload": {"protocol": "ip", "field": "frag-off"}}, mask]} for mask in (0x1FFF, 0x3FFF)]
# Fields and their names in the judge of the rules
META = {
    "l4proto": "protocol", "nfproto": "version", "protocol": "version", "pkttype": "packet type",
    "iif": "input", "iifname": "input", "oif": "output", "oifname": "output",
}  # fmt: skip
ADDRESSES = {"saddr": "source", "daddr": "destination"}
CARRIED = ("tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "esp", "ah", "comp")
SPELLED = {"ipv4": 4, "ip": 4, "ipv6": 6, "ip6": 6, 17: "udp"}


# What the kernel has


def _attributes(data):
    found, place = {}, 0
    while place + 4 <= len(data):
        length, kind = struct.unpack_from(str("=HH"), data, place)
        found[kind & 0x3FFF] = data[place + 4 : place + length]
        place += (max(length, 4) + 3) & ~3
    return found


def _messages(data):
    """The messages in the data of one read of a netlink socket, as [(type, payload), ...]."""
    found, place = [], 0
    while place + 16 <= len(data):
        length, kind = struct.unpack_from(str("=IH"), data, place)
        found.append((kind, data[place + 16 : place + length]))
        place += (max(length, 16) + 3) & ~3
    return found


def _name(value):
    return value.rstrip(b"\0").decode("latin-1")


def _dump(kind):
    """The kernel's objects of one kind, as [(family, attributes), ...]; empty if it has no nftables."""
    request = struct.pack(str("=IHHIIBBH"), 20, kind, REQUEST | DUMP, 1, 0, 0, 0, 0)
    found = []
    try:
        channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    except (IOError, OSError):  # a kernel without this kind of netlink has no nftables either
        return found
    try:
        channel.settimeout(TIMEOUT)
        channel.send(request)
        while True:
            for answered, body in _messages(channel.recv(1 << 20)):
                if answered == DONE:
                    return found
                if answered == ERROR:
                    number = -struct.unpack_from(str("=i"), body)[0]
                    if number in (errno.EINVAL, errno.EOPNOTSUPP):  # no nftables in this kernel
                        return []
                    raise OSError(number, os.strerror(number))
                found.append((FAMILY_NAMES.get(struct.unpack_from(str("=B"), body)[0]), _attributes(body[4:])))
    except (IOError, OSError) as err:
        raise CommandExecutionError("The rules of nftables cannot be listed: {}. Run as root.".format(err))
    finally:
        channel.close()


def chains():
    """
    Internal. The chains of nftables on our hooks, as [(family, table, chain), ...]; empty if the kernel has none.

    Queries the kernel and runs no program. Raises CommandExecutionError if the kernel does not answer.
    """
    found = []
    for family, attributes in _dump(GET_CHAINS):
        if family is None or HOOK not in attributes:
            continue
        number = struct.unpack(str(">I"), _attributes(attributes[HOOK])[HOOK_NUMBER])[0]
        if number != FORWARD or family == "netdev":
            found.append((family, _name(attributes[TABLE]), _name(attributes[NAME])))
    return found


def names_port(family, table):
    """
    Internal. Whether a rule of this table can be about port 123 alone, as ours are. Every comparison of two bytes with this
    number counts, whatever they are; ranges and sets of ports do not.

    Queries the kernel and runs no program. Raises CommandExecutionError if the kernel does not answer.
    """
    return any(
        (family, table) == (its, _name(attributes[TABLE])) and PORT_123 in attributes.get(EXPRESSIONS, b"")
        for its, attributes in _dump(GET_RULES)
    )


def _marked():
    """
    The rules of iptables with our comment, as {(family, table, handle), ...}. nft shows that there is a comment, but not its
    text.

    Raises CommandExecutionError if the kernel does not answer.
    """
    words = COMMENT.encode("ascii") + b"\0"
    return set(
        (family, _name(attributes[TABLE]), struct.unpack(str(">Q"), attributes[HANDLE])[0])
        for family, attributes in _dump(GET_RULES)
        if b"comment\0" in attributes.get(EXPRESSIONS, b"") and words in attributes[EXPRESSIONS]
    )


def _of_iptables(rule):
    """Whether a rule has a comment as iptables writes it, or may have one: an old nft does not name what iptables put there."""
    return any((item["xt"] or {"name": "comment"}).get("name") == "comment" for item in rule["expr"] if "xt" in item)


# From nft's JSON to rules


def _items(value, sets):
    """The members of a set, a list or a single value, each without its timeout or comment; None: not known."""
    if isinstance(value, dict) and "set" in value:
        value = value["set"]
    elif not isinstance(value, list):
        if "{}".format(value).startswith("@"):
            return _items(sets[value[1:]] or [], sets) if value[1:] in sets else None
        value = [value]
    return [item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item for item in value]


def _networks(item):
    if isinstance(item, dict) and "range" in item:
        first, last = (ipaddress.ip_address(end) for end in item["range"])
        return list(ipaddress.summarize_address_range(first, last))
    if isinstance(item, dict):
        item = "{}/{}".format(item["prefix"]["addr"], item["prefix"]["len"])
    return [ipaddress.ip_network(item)]


def _port(item):
    first, last = item["range"] if isinstance(item, dict) else (item, item)
    return (int(first), int(last))


def _wanted(name, items):
    """The members in the form of ``ntpcluster_firewall_parse.table``; raises what Python raises for another form."""
    if name in ADDRESSES.values():
        return [network for item in items for network in _networks(item)]
    if name.endswith("port"):
        return [_port({"ntp": 123}.get(item, item) if not isinstance(item, dict) else item) for item in items]
    if name in ("state", "packet type", "destination type"):
        return [item.upper() for item in items]
    if name in ("input", "output"):
        return [item.replace("*", "+") if item == "*" else item for item in items]
    return [SPELLED.get(item, item) for item in items]


def _field(left):
    """What a match tests, and the conditions that this implies."""
    if "meta" in left:
        return META.get(left["meta"]["key"], "unknown"), []
    if "ct" in left:
        return "state" if left["ct"].get("key") == "state" else "unknown", []
    if "fib" in left:
        of_host = left["fib"].get("result") == "type" and "daddr" in left["fib"].get("flags", ())
        return "destination type" if of_host else "partly", []  # otherwise a filter against forged addresses
    layer, field = left.get("payload", {}).get("protocol"), left.get("payload", {}).get("field")
    if layer in LAYERS:
        name = "protocol" if field in ("protocol", "nexthdr") else ADDRESSES.get(field, "unknown")
        return name, [("version", LAYERS[layer], False)]
    implied = [("protocol", [layer], False)] if layer in CARRIED else []
    return field if field in ("sport", "dport") and (implied or layer == "th") else "unknown", implied


def _match(body, sets):
    """A match as conditions."""
    if body["left"] in FRAGMENT and body["op"] in ("==", "!=") and body["right"] == 0:
        return [("version", [4], False), ("fragment", 0, body["op"] == "==")]
    name, implied = _field(body["left"])
    negated = body["op"] == "!="
    if body["op"] not in ("==", "!=", "in"):
        name = "unknown"
    try:
        items = _items(body["right"], sets)
        if items is None:  # a set that is not in this table
            name, items = "unknown", body["right"]
        return implied + [(name, items if name in ("unknown", "partly") else _wanted(name, items), negated)]
    except (AttributeError, KeyError, TypeError, ValueError):
        return implied + [("unknown", body["right"], negated)]


def _matches(body, sets):
    """A match as lists of conditions, one of which the packet has to meet: for `a . b { … }` one for each member."""
    if "concat" not in body["left"]:
        return [_match(body, sets)]
    items = _items(body["right"], sets)
    if items is None or body["op"] not in ("==", "in"):
        return [[("unknown", body["right"], False)]]
    return [_joined(body["left"]["concat"], item["concat"]) for item in items]


def _joined(fields, values):
    conditions = []
    for field, value in zip(fields, values):
        conditions += _match({"op": "==", "left": field, "right": value}, {})
    return conditions


def _words(value):
    """Part of a rule as text, similar to nft's own syntax; for display only."""
    if not isinstance(value, dict):
        several = isinstance(value, list)
        return "{{{}}}".format(", ".join(_words(item) for item in value)) if several else "{}".format(value)
    if "left" in value:
        op = "" if value["op"] in ("==", "in") else value["op"] + " "
        return "{} {}{}".format(_words(value["left"]), op, _words(value["right"]))
    name, body = list(value.items())[0]
    if name == "prefix":
        return "{}/{}".format(body["addr"], body["len"])
    if name == "range":
        return "{}-{}".format(*body)
    if name in ("concat", "&"):
        return (" . " if name == "concat" else " & ").join(_words(part) for part in body)
    if name == "payload" and "field" in body:
        return "{} {}".format(body["protocol"], body["field"])
    if name in ("meta", "ct") and "key" in body:
        return "{} {}".format(name, body["key"])
    if name == "fib":
        return "fib {} {}".format(" . ".join(body["flags"]), body["result"])
    if name in ("jump", "goto"):
        return "{} {}".format(name, body["target"])
    if name == "set" and "op" in body:
        return "{} {} {{{}}}".format(body["op"], body["set"], _words(body["elem"]))
    if name in ("match", "set"):
        return _words(body)
    return name


def _limit(name, body):
    """
    The condition of a limit, also of one in a statement that records the packet in a set or a meter; None if there is none. A
    limit matches the packets above it (``over``), which are only some, or those within it, which may be all.
    """
    stated = [{name: body}] if name in LIMITS else (body or {}).get("stmt") or []
    stated = stated if isinstance(stated, list) else [stated]
    found = [one[limit] for one in stated for limit in LIMITS if limit in one]
    over = all((one or {}).get("inv") for one in found)
    return [("partly" if over else "within a limit", name, False)] if found else None


def _rules(listed, sets):
    """A rule of nft as rules of ``ntpcluster_firewall_parse.table``: one, or one for each entry of a map or member of a set."""
    shown = [_words(item) for item in listed["expr"] if list(item)[0] != "counter"]
    rule = {"text": " ".join(shown), "target": None, "goto": False, "comment": listed.get("comment")}
    rule.update(chain="chain " + listed["chain"], handle=listed["handle"], line=listed["line"], to=(None, None))
    rule["of_iptables"] = listed.get("of_iptables", False)
    alternatives = [[]]
    for item in listed["expr"]:
        name, body = list(item.items())[0]
        more = [[]]
        if name == "match":
            more = _matches(body, sets)
        elif name == "vmap":
            return [one for asked in alternatives for one in _mapped(dict(rule, conditions=asked), body, sets)]
        elif name in TARGETS or name in ("jump", "goto"):
            _decide(rule, item)
        elif name == "log" and not rule["target"]:
            rule["target"] = "LOG"
        elif name in DIVERTING or (name == "xt" and (body or {}).get("type") != "match"):
            theirs = (body or {}).get("name") if name == "xt" else None
            rule["target"] = theirs if theirs in IPTABLES_TARGETS else name
            if name in ("dnat", "redirect"):
                to = body or {}
                rule["to"] = __salt__["ntpcluster_firewall_parse.translated"](to.get("addr"), to.get("port"))
        elif name == "notrack":
            rule["target"] = "NOTRACK"
        elif name == "xt" and not body:  # an old nft: a match or a target
            rule["target"], more = rule["target"] or name, [[("unknown", name, False)]]
        elif name in LIMITS or (name in ("set", "meter") and _limit(name, body)):
            more = [_limit(name, body)]
        elif name not in PASSING and not (name == "xt" and body.get("name") == "comment"):
            more = [[("unknown", name, False)]]
        alternatives = [before + asked for before in alternatives for asked in more]
    return [dict(rule, conditions=asked) for asked in alternatives]


def _decide(rule, verdict):
    name, body = list(verdict.items())[0]
    if name in TARGETS:
        rule["target"] = TARGETS[name]
    elif name in ("jump", "goto"):
        rule.update(target="chain " + body["target"], goto=name == "goto")


def _mapped(rule, body, sets):
    entries = _items(body["data"], sets)
    if entries is None:
        return [dict(rule, target="vmap", conditions=rule["conditions"] + [("unknown", "vmap", False)])]
    rules = []
    for key, verdict in entries:
        shown = " ".join(_words(part) for part in (body["key"], key, verdict))
        for asked in _matches({"op": "==", "left": body["key"], "right": {"set": [key]}}, sets):
            rules.append(dict(rule, conditions=rule["conditions"] + asked, text=shown))
            _decide(rules[-1], verdict)
    return rules


def _hook(chain, tables):
    family, table = chain["family"], chain["table"]
    prefix = "nft: {} {} {}: ".format(family, table, chain["name"])
    return {
        "versions": LAYERS.get(family, [4, 6]),
        "on": chain["hook"],
        "place": (family, table),
        "table": tables[family, table],
        "chain": "chain " + chain["name"],
        "answer": HOOKS[chain["hook"]],
        "prefix": prefix,
        "policy": chain.get("policy", "accept").upper(),
        "says": prefix + "policy " + chain.get("policy", "accept"),
        "strict": True,
    }


def _hooks(ruleset, covered):
    """The hooks of a ruleset in nft's JSON that the packet passes and that are not covered by iptables-save."""
    tables, chains, sets = {}, [], {}
    listed = [list(item.items())[0] for item in ruleset["nftables"]]
    marked = _marked() if any(kind == "rule" and _of_iptables(body) for kind, body in listed) else ()
    for kind, body in listed:
        if kind in ("set", "map"):
            sets.setdefault((body["family"], body["table"]), {})[body["name"]] = body.get("elem")
        elif kind == "chain":
            table = tables.setdefault((body["family"], body["table"]), {"chains": {}})
            table["chains"]["chain " + body["name"]] = []
            chains.append(body)
    for number, (kind, body) in enumerate(listed):
        if kind == "rule":
            place = (body["family"], body["table"])
            if place + (body["handle"],) in marked:
                body = dict(body, comment=COMMENT, of_iptables=True)
            made = _rules(dict(body, line=number), sets.get(place, {}))
            tables[place]["chains"]["chain " + body["chain"]] += made
    return [
        _hook(chain, tables)
        for chain in sorted(chains, key=lambda chain: (HOOKS.get(chain.get("hook"), False), chain.get("prio", 0)))
        if chain.get("hook") in HOOKS
        and (chain["family"], chain["table"]) not in covered
        # these translate the first packet of a connection that this host opens
        and (chain["type"] != "nat" or chain["hook"] == "prerouting")
    ]


def hooks(program, covered=(), **called):
    """
    Internal. The hooks of nftables that a request to UDP 123 and its reply pass, for ``ntpcluster_firewall_passage.passage``.

    program
        the path of ``nft``
    covered
        [(family, table), ...] that ``iptables-save`` has already shown, such as ``[("ip", "filter")]``

    Returns a list of hooks as ``ntpcluster_firewall_passage.passage`` takes them, each with ``versions``, the versions of IP
    that it sees. An unreadable chain is a hook that refuses everything and says why.

    Raises CommandExecutionError if the kernel does not report its chains.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    there = [chain for chain in chains() if chain[:2] not in covered]
    if not there:
        return []
    found, why = salt.utils.path.which(program), "{} is not installed".format(program)
    if found:
        answer = __salt__["cmd.run_all"](
            [found, "-j", "list", "ruleset"],
            python_shell=False,
            env=__salt__["ntpcluster_program.environment"](),
            timeout=TIMEOUT,
            ignore_retcode=True,
        )
        try:
            if answer["retcode"] == 0:
                return _hooks(json.loads(answer["stdout"]), covered)
            why = "{} failed: {}".format(program, (answer["stderr"] or answer["stdout"]).strip())
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as err:
            why = "the output of {} is not understood ({!r})".format(program, err)
    return [
        unread(family, name, "nft: {} {} {} cannot be read, as {}".format(family, table, name, why))
        for family, table, name in there
    ]


def unread(family, name, says):
    """
    Internal. A hook whose rules cannot be read counts as one that blocks everything.

    family, name
        its family as nftables names it, and its name
    says
        the text to quote

    Returns a hook as ``ntpcluster_firewall_passage.passage`` takes it.
    """
    return {
        "versions": LAYERS.get(family, [4, 6]),
        "table": {"chains": {}},
        "chain": name,
        "answer": False,
        "prefix": "",
        "policy": "UNKNOWN",
        "says": says,
        "strict": True,
    }


def sets():
    """
    Internal. The tables of nftables that have sets or maps, unnamed ones too, as [(family, table), ...].

    Rules of iptables have none, so a table of iptables with sets contains rules made by nft, which
    ``iptables-save`` prints without their sets: ``ip saddr { 192.0.2.7, 192.0.2.9 } drop`` as ``-j DROP``.

    Raises CommandExecutionError if the kernel does not answer.
    """
    return sorted(set((family, _name(attributes[TABLE])) for family, attributes in _dump(GET_SETS) if family))
