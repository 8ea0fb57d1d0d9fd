# -*- coding: utf-8 -*-
"""
Internal. Parse firewall rules: the output of ``iptables-save``, or a saved file. Runs no program.

ntpcluster_firewall_nft.py converts the output of ``nft`` to the same form, and ntpcluster_firewall_rules.py judges it.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

import salt.utils.stringutils

try:
    import ipaddress
except ImportError:  # Python 2
    from salt._compat import ipaddress

__virtualname__ = "ntpcluster_firewall_parse"

PORT = 123
VERSIONS = {"ipv4": 4, "ipv6": 6}

# Every spelling of the options that are understood, and what they test; None: nothing.
OPTIONS = {
    "-s": "source", "--source": "source", "--src": "source",
    "-d": "destination", "--destination": "destination", "--dst": "destination",
    "--src-range": "source range", "--dst-range": "destination range",
    "--src-type": "source type", "--dst-type": "destination type",
    "--pkt-type": "packet type",
    "-p": "protocol", "--protocol": "protocol", "--proto": "protocol",
    "-i": "input", "--in-interface": "input",
    "-o": "output", "--out-interface": "output",
    "--dport": "dport", "--destination-port": "dport", "--dports": "dport", "--destination-ports": "dport",
    "--sport": "sport", "--source-port": "sport", "--sports": "sport", "--source-ports": "sport",
    "--ports": "either port", "--port": "either port",
    "--state": "state", "--ctstate": "state",
    "-m": "module", "--match": "module",
    "-j": "target", "--jump": "target", "-g": "goto", "--goto": "goto",
    "--comment": "comment",
    "--to-destination": "to", "--to-ports": "to",
    "--reject-with": None,
}  # fmt: skip
# Options without an argument, likewise
FLAGS = {"-f": "fragment", "--fragment": "fragment", "--notrack": None, "--random": None, "--persistent": None}
FLAGS.update({"--loose": None, "--validmark": None, "--accept-local": None, "--invert": None})  # of rpfilter
# Loading these matches restricts nothing; their options do, and are either listed above or count as unknown.
MODULES = ("udp", "tcp", "state", "conntrack", "comment", "multiport", "iprange", "addrtype", "pkttype")
# Chains that a request passes, and those of its reply. A reply belongs to a known connection, which the nat table does not see
# again.
QUESTION = (
    ("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("nat", "PREROUTING"),
    ("mangle", "INPUT"), ("filter", "INPUT"), ("security", "INPUT"),
)  # fmt: skip
ANSWER = (
    ("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("filter", "OUTPUT"), ("security", "OUTPUT"), ("mangle", "POSTROUTING"),
)  # fmt: skip
TOKEN = re.compile(r'"((?:\\.|[^"\\])*)"|(\S+)')
COUNTERS = re.compile(r"^\[\d+:\d+\]\s*")  # `iptables-save -c` prints them in front of each rule


def _tokens(line):
    """The words of a rule, which iptables-save quotes with ``"`` and escapes with a backslash."""
    return [plain or re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in TOKEN.findall(line)]


def network(text, strict=True):
    """
    Internal. A network, or one address, as an ipaddress object.

    text
        as people and iptables write it
    strict
        False: host bits may be set, as in ``10.0.0.7/24``

    Raises ValueError for anything else, TypeError for a value that is not text.
    """
    found = ipaddress.ip_network(text, strict=strict)
    # iptables reads 10.0.0.0/0.0.0.255 as a netmask, Python as a host mask: they match different packets
    mask = text.partition("/")[2]
    if "%" in text or ("." in mask and mask != "{}".format(found.netmask)):
        raise ValueError("a host mask or an interface is no part of a network")
    return found


def _networks(text, version):
    """A rule's address or network, as a list; None for anything else (a host name, a list, another family)."""
    try:
        found = network(text, strict=False)
    except ValueError:
        return None
    return [found] if found.version == version else None


def _range(text, version):
    """``10.0.0.5-10.0.0.9`` as the networks that it consists of; None if it is not a range of this family."""
    try:
        first, last = (ipaddress.ip_address(end) for end in text.split("-"))
        return list(ipaddress.summarize_address_range(first, last)) if first.version == version else None
    except (TypeError, ValueError):
        return None


def _ports(text):
    """``123``, ``ntp``, ``100:200`` or a list of them as [(first, last), ...]; None for another name."""
    ranges = []
    for part in text.split(","):
        first, colon, last = part.partition(":")
        if first == "ntp" and not colon:
            first = "{}".format(PORT)
        first, last = first or "0", (last or "65535") if colon else first
        if not (first.isdigit() and last.isdigit()):
            return None
        ranges.append((int(first), int(last)))
    return ranges


def _value(name, text, version):
    """The argument of an option in comparable form; None if it is not understood."""
    if name in ("source", "destination"):
        return _networks(text, version)
    if name.endswith("range"):
        return _range(text, version)
    if name.endswith("port"):
        return _ports(text)
    if name == "state" or name.endswith("type"):
        return text.upper().split(",")
    if name == "protocol":
        return [{"17": "udp", "0": "all"}.get(text, text.lower())]
    return [text]


def translated(address, port):
    """
    Internal. Where a rule that translates sends the packet, as (address or None, port or None); None if that is not a single
    address and a single port (a range, a map).
    """
    try:
        return address and ipaddress.ip_address("{}".format(address)), port and int("{}".format(port))
    except ValueError:
        return None


def _destination(text, of_port):
    """The argument of DNAT, ``10.0.0.9:123`` or ``[fd00::9]:123``, or of REDIRECT: a port."""
    address, port = (None, text) if of_port else (text, None)
    if text.startswith("["):
        address, _, port = text[1:].replace("]:", "]").partition("]")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    return translated(address or None, port or None)


def _note(rule, name, text, negated, version):
    """Writes one option with its argument into a rule."""
    if name == "module":
        if text == "rpfilter":  # a filter of forged addresses
            rule["conditions"].append(("partly", text, False))
        elif text not in MODULES:
            rule["conditions"].append(("unknown", "-m " + text, False))
    elif name == "goto":
        rule.update(target=text, goto=True)
    elif name in ("target", "comment"):
        rule[name] = text
    elif name == "to":
        rule["to"] = _destination(text, rule["target"] == "REDIRECT")
    elif name is not None:
        value = _value(name, text, version)
        if value is None:
            name, value = "unknown", text
        # A range is another way to write a source: the list contains its parts.
        rule["conditions"].append((name.replace(" range", ""), value, negated))


def _rule(line, version):
    """
    One ``-A CHAIN ...`` line as a dict; None for any other line.

    ``conditions`` contains the rule's matches as [(name, value, negated), ...]. A match that is not understood is ``unknown``:
    such a rule counts neither as one that opens nor as the end of the path.
    """
    text = COUNTERS.sub("", line.strip())
    words = _tokens(text)
    if len(words) < 2 or words[0] not in ("-A", "--append", "-I", "--insert"):
        return None
    rule = {"chain": words[1], "text": text, "arguments": words[2:], "conditions": [], "target": None}
    rule.update(comment=None, goto=False, to=(None, None))
    rest = words[3:] if words[2:] and words[2].isdigit() else words[2:]
    negated = False
    while rest:
        option, rest = rest[0], rest[1:]
        if option == "!":
            negated = True
            continue
        if option.startswith("--") and "=" in option:
            option, _, glued = option.partition("=")
            rest = [glued] + rest
        elif re.match(r"-[a-z].", option):
            option, rest = option[:2], [option[2:]] + rest
        if option in FLAGS or option not in OPTIONS or not rest:
            name = FLAGS.get(option, "unknown")
            rule["conditions"] += [(name, option, negated)] if name else []
            negated = False
            continue
        if rest[0] == "!" and len(rest) > 1:  # the older position of the negation: -s ! 10.0.0.1
            negated, rest = True, rest[1:]
        _note(rule, OPTIONS[option], rest[0], negated, version)
        negated, rest = False, rest[1:]
    return rule


def _for_tcp(line):
    asked = line.partition('"')[0]  # a comment may contain anything
    return " -p tcp " in asked and "! -p tcp " not in asked


def table(text, family="ipv4"):
    """
    Internal. The complete tables in the output of ``iptables-save``, or in a file of the same format.

    text
        the output or the file's content
    family
        ``ipv4`` or ``ipv6``

    Rules for TCP are left out of all tables except ``filter``: a host with containers has thousands of them.

    Returns {table: {"policy": {chain: word}, "chains": {chain: [rule, ...]}, "commit": its last line}}; lines count
    from 0. If a table occurs twice the last one counts, as in iptables-restore. A rule is a dict:

    * ``chain``, ``text``, ``line``: its place and its text
    * ``arguments``: those of iptables, after the chain's name
    * ``conditions``: its matches, [(name, value, negated), ...]; the name is ``unknown`` for a match that is not understood
    * ``target``: ``ACCEPT`` and the like, a chain's name, or None; ``goto``: whether the packet does not return
    * ``comment``: the rule's comment, or None
    * ``to``: the new (address or None, port or None) of a rule that translates; None if it is not understood
    """
    version = VERSIONS[family]
    tables, section, name = {}, None, None
    for number, line in enumerate(salt.utils.stringutils.to_unicode(text).split("\n")):
        words = line.split()
        if line.startswith("*"):
            name, section = words[0][1:], {"policy": {}, "chains": {}}
        elif section is None or not words:
            continue
        elif words[0] == "COMMIT":
            section["commit"] = number
            tables[name], section = section, None
        elif line.startswith(":") and len(words) > 1:
            section["policy"][words[0][1:]] = words[1]
            section["chains"].setdefault(words[0][1:], [])
        elif name == "filter" or not _for_tcp(line):
            rule = _rule(line, version)
            if rule:
                rule["line"] = number
                section["chains"].setdefault(rule["chain"], []).append(rule)
    return tables


def opening(network, chain, says):
    """
    Internal. A rule that opens UDP 123 to a network, in the form of ``ntpcluster_firewall_parse.table``.

    network
        an ipaddress object
    chain, says
        the chain's name, and the rule's text
    """
    conditions = [("version", [network.version], False), ("source", [network], False)]
    conditions += [("protocol", ["udp"], False), ("dport", [(PORT, PORT)], False)]
    rule = {"chain": chain, "text": says, "line": None, "arguments": [], "conditions": conditions}
    return dict(rule, target="ACCEPT", comment=None, goto=False, to=(None, None))


def hooks(text, family="ipv4", prefix=""):
    """
    Internal. The hooks of iptables' tables that a request to UDP 123 and its reply pass, in order.

    text
        as for ``ntpcluster_firewall_parse.table``, or its return
    family
        ``ipv4`` or ``ipv6``
    prefix
        text before the text of each rule

    Returns a list of dicts, as ``ntpcluster_firewall_nft.hooks`` does for the chains of nftables:

    * ``table``, as from ``ntpcluster_firewall_parse.table``, and ``chain``, its name there
    * ``versions``: the versions of IP that it sees; ``answer``: whether it sees the reply instead of the request
    * ``policy``, and its text (``says``); ``prefix`` of a rule's text
    * ``strict``: whether a rule that is not understood counts as one that refuses
    """
    tables = text if isinstance(text, dict) else table(text, family)
    hooks = []
    for answer, chains in ((False, QUESTION), (True, ANSWER)):
        for name, chain in chains:
            if name not in tables:
                continue
            shown = prefix + ("" if name == "filter" else "-t {} ".format(name))
            policy = tables[name]["policy"].get(chain, "ACCEPT")
            hook = {"table": tables[name], "chain": chain, "versions": [VERSIONS[family]], "answer": answer}
            hook.update(policy=policy, says="{}-P {} {}".format(shown, chain, policy), prefix=shown, strict=False)
            hooks.append(hook)
    return hooks
