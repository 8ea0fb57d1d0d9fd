# -*- coding: utf-8 -*-
"""
Judging firewall rules as text: what ``iptables-save`` prints, or what a saved file holds. Runs no program.

Rules are compared by what they do to a new UDP packet to port 123, not by how they are spelled, so a rule
that an administrator wrote by hand counts as much as ours. Ours carry the comment ``ntpcluster`` and are the
only ones that are ever taken out.
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

import salt.utils.stringutils
from salt.exceptions import SaltInvocationError

try:
    import ipaddress
except ImportError:  # Python 2
    from salt._compat import ipaddress

__virtualname__ = "ntpcluster"

COMMENT = "ntpcluster"
PORT = 123
VERSIONS = {"ipv4": 4, "ipv6": 6}
EVERYONE = {4: ipaddress.ip_network("0.0.0.0/0"), 6: ipaddress.ip_network("::/0")}

# Every spelling of the options that are understood, by what they ask of the packet; None: nothing.
OPTIONS = {
    "-s": "source", "--source": "source", "--src": "source",
    "-p": "protocol", "--protocol": "protocol", "--proto": "protocol",
    "-i": "interface", "--in-interface": "interface",
    "--dport": "port", "--destination-port": "port", "--dports": "port", "--destination-ports": "port",
    "--state": "state", "--ctstate": "state",
    "-m": "module", "--match": "module",
    "-j": "target", "--jump": "target", "-g": "target", "--goto": "target",
    "--comment": "comment",
    "--reject-with": None,
}  # fmt: skip
# Loading these narrows nothing by itself; their options do, and either stand above or count as unknown.
MODULES = ("udp", "tcp", "state", "conntrack", "comment", "multiport")
REFUSING = ("DROP", "REJECT")
LOGGING = ("LOG", "NFLOG", "ULOG")
TOKEN = re.compile(r'"((?:\\.|[^"\\])*)"|(\S+)')
COUNTERS = re.compile(r"^\[\d+:\d+\]\s*")  # `iptables-save -c` puts them in front of each rule


def __virtual__():
    return __virtualname__


# From text to rules


def _tokens(line):
    """The words of a rule, which iptables-save quotes with ``"`` and escapes with a backslash."""
    return [plain or re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in TOKEN.findall(line)]


def _network(text, version):
    """A rule's address or network; None for what is neither (a host name, a list, another family)."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    # 10.0.0.0/0.0.0.255 is a netmask to iptables and a host mask to Python: not the same packets
    mask = text.partition("/")[2]
    if network.version != version or ("." in mask and mask != "{}".format(network.netmask)):
        return None
    return network


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
    """The argument of an option in comparable form; None when it is not understood."""
    if name == "source":
        return _network(text, version)
    if name == "port":
        return _ports(text)
    if name == "state":
        return frozenset(text.upper().split(","))
    if name == "protocol":
        return {"17": "udp", "0": "all"}.get(text, text.lower())
    return text


def _note(rule, name, text, negated, version):
    """Writes one option with its argument into a rule."""
    if name == "module":
        rule["strange"] = rule["strange"] or text not in MODULES
    elif name in ("target", "comment"):
        rule[name] = text
    elif name is not None:
        value = _value(name, text, version)
        if value is None or name in rule["match"]:
            rule["strange"] = True
        else:
            rule["match"][name] = (value, negated)


def _rule(line, version):
    """
    One ``-A CHAIN ...`` line as a dict; None for any other line.

    ``match`` holds what the rule asks of a packet as {name: (value, negated)}. ``strange`` is set when it
    asks for anything unknown here: such a rule passes neither for an open door nor for the end of the way.
    """
    text = COUNTERS.sub("", line.strip())
    words = _tokens(text)
    if len(words) < 2 or words[0] not in ("-A", "--append", "-I", "--insert"):
        return None
    rule = {"chain": words[1], "text": text, "arguments": words[2:], "match": {}, "target": None}
    rule.update(comment=None, strange=False)
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
        if option not in OPTIONS or not rest:
            rule["strange"] = True
            continue
        if rest[0] == "!" and len(rest) > 1:  # the older place of the negation: -s ! 10.0.0.1
            negated, rest = True, rest[1:]
        _note(rule, OPTIONS[option], rest[0], negated, version)
        negated, rest = False, rest[1:]
    return rule


def _parse(text, version):
    """
    The filter table: ``policy`` {chain: word}, ``chains`` {chain: [rule, ...]}, ``commit`` (its last line);
    lines count from 0. None without a complete one. Of two the last one holds, as in iptables-restore.
    """
    table, section = None, None
    for number, line in enumerate(text.split("\n")):
        words = line.split()
        if line.startswith("*"):
            section = {"policy": {}, "chains": {"INPUT": []}} if words[0] == "*filter" else None
        elif section is None or not words:
            continue
        elif words[0] == "COMMIT":
            section["commit"] = number
            table, section = section, None
        elif line.startswith(":") and len(words) > 1:
            section["policy"][words[0][1:]] = words[1]
            section["chains"].setdefault(words[0][1:], [])
        else:
            rule = _rule(line, version)
            if rule:
                rule["line"] = number
                section["chains"].setdefault(rule["chain"], []).append(rule)
    return table


# What rules do to a packet that asks for the time


def _inside(inner, outer):
    return inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def _meets(name, value, network):
    """Do new UDP packets from ``network`` to port 123 meet this condition? True, False, or None: some do."""
    if name == "protocol":
        return value in ("udp", "all")
    if name == "port":
        return any(first <= PORT <= last for first, last in value)
    if name == "state":
        return "NEW" in value
    if name == "interface":
        return {"lo": False, "+": True}.get(value)
    if _inside(network, value):
        return True
    return None if _inside(value, network) else False


def _takes(rule, network, any_interface=False):
    """
    Does a rule take such packets? True, False, or None: some of them. With ``any_interface`` a rule for one
    interface is judged for the packets that come in there.
    """
    verdicts = [None] if rule["strange"] else []
    for name, (value, negated) in rule["match"].items():
        verdict = _meets(name, value, network)
        if verdict is not None:
            verdicts.append(verdict != negated)
        elif name != "interface" or not any_interface:
            verdicts.append(None)
    return False if False in verdicts else None if None in verdicts else True


def _turns_away(table, rule, everyone, seen=()):
    """
    Is this rule the end for whoever asks for the time: a DROP or REJECT without narrower conditions, or a
    jump to a chain with such an end (RH-Firewall-1-INPUT), be it for one interface only (a zone's chain)?
    A DROP of some addresses or of a whole interface is a deliberate ban and no end: ours go behind it.
    """
    chain = rule["target"]
    if chain in REFUSING:
        return _takes(rule, everyone) is True
    if chain not in table["chains"] or chain in seen or not _takes(rule, everyone, any_interface=True):
        return False
    for inner in table["chains"][chain]:
        if inner["target"] in ("ACCEPT", "RETURN") and _takes(inner, everyone):
            return False
        if _turns_away(table, inner, everyone, seen + (chain,)):
            return True
    return False


def _end(table, everyone):
    """The index in INPUT of the rule that turns everyone away; the chain's length when none does."""
    for index, rule in enumerate(table["chains"]["INPUT"]):
        # a RETURN from INPUT itself hands the packet to the policy
        if (rule["target"] == "RETURN" and _takes(rule, everyone)) or _turns_away(table, rule, everyone):
            return index
    return len(table["chains"]["INPUT"])


def _place(table, everyone):
    """The index in INPUT where ours go: before the end, and before what logs the packets it will drop."""
    index = _end(table, everyone)
    while index and table["chains"]["INPUT"][index - 1]["target"] in LOGGING:
        index -= 1
    return index


def _line(table, index):
    """The line that a rule put into INPUT at this index comes before."""
    rules = table["chains"]["INPUT"]
    if index < len(rules):
        return rules[index]["line"]
    return rules[-1]["line"] + 1 if rules else table["commit"]


def _reachable(table, everyone, chain="INPUT", seen=()):
    """The rules that a packet asking for the time may meet until it is turned away, in order."""
    rules = []
    for rule in table["chains"][chain]:
        rules.append(rule)
        target = rule["target"]
        if target in table["chains"] and target not in seen and _takes(rule, everyone):
            rules += _reachable(table, everyone, target, seen + (chain,))
        if _turns_away(table, rule, everyone):
            break
    return rules


def _opens(rule, everyone):
    """The network to which this rule opens UDP 123, when that is all it does; else None."""
    match = rule["match"]
    if rule["target"] != "ACCEPT" or rule["strange"] or "interface" in match:
        return None
    if any(negated for _, negated in match.values()):
        return None
    if match.get("protocol", (None,))[0] != "udp" or match.get("port", (None,))[0] != [(PORT, PORT)]:
        return None
    if "state" in match and "NEW" not in match["state"][0]:
        return None
    return match["source"][0] if "source" in match else everyone


def _too_wide(rule, networks, everyone):
    """Does this rule let ask for the time who is in none of the networks?"""
    conditions = dict((name, value) for name, value in rule["match"].items() if name != "source")
    if rule["target"] != "ACCEPT" or not _takes(dict(rule, match=conditions), everyone, any_interface=True):
        return False
    source, negated = rule["match"].get("source", (everyone, False))
    source = everyone if negated else source
    if any(_inside(source, network) for network in networks):
        return False
    # Trust in one address for everything (an administrator's desk) is not about time and goes unmentioned.
    return "port" in rule["match"] or any(_inside(network, source) for network in networks)


def _bans(rules, network, table, everyone):
    """The rules of others that ban a network, or an interface it may come by, ahead of its own rule."""
    bans = []
    for rule in rules:
        if _opens(rule, everyone) == network or _turns_away(table, rule, everyone):
            break
        if rule["target"] in REFUSING and _takes(rule, network, any_interface=True):
            bans.append(rule["text"])
    return bans


# Our own rules


def _arguments(network):
    """Our rule for a network, in the order in which iptables-save prints it."""
    source = ["-s", "{}".format(network)] if network.prefixlen else []
    # No state match: where no other rule accepts established traffic it would let in the first packet of a
    # client and not the second, as ntpd asks from port 123 to port 123 and stays one flow.
    return source + ["-p", "udp", "-m", "udp", "--dport", "{}".format(PORT)] + [
        "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT",
    ]  # fmt: skip


def _text(network):
    return " ".join(["-A", "INPUT"] + _arguments(network))


def _wanted(networks, version):
    """The caller's networks of one family, each once; nothing but a parsed network gets any further."""
    if not isinstance(networks, (list, tuple)):
        raise SaltInvocationError("networks must be a list, such as ['10.0.0.0/24'].")
    wanted = []
    for item in networks:
        try:
            text = salt.utils.stringutils.to_unicode(item)
            network = ipaddress.ip_network(text)
            if _network(text, network.version) is None or "%" in text:
                raise ValueError("a host mask or an interface is no part of a network")
        except (TypeError, ValueError) as err:
            raise SaltInvocationError(
                "'{}' is no network: {}. Write it like 10.0.0.0/24 or 2001:db8::/64.".format(item, err)
            )
        if network.version == version and network not in wanted:
            wanted.append(network)
    return wanted


def _judge(table, networks, version):
    """``present`` and ``stale`` as rules, ``missing`` as networks."""
    everyone = EVERYONE[version]
    reachable = _reachable(table, everyone)
    present, missing, stale = [], [], []
    for network in networks:
        same = [rule for rule in reachable if _opens(rule, everyone) == network]
        present += same[:1]
        missing += [] if same else [network]
    for chain in sorted(table["chains"]):
        for rule in table["chains"][chain]:
            network = _opens(rule, everyone) if rule["comment"] == COMMENT else None
            if network is not None and (network not in networks or network in missing):
                stale.append(rule)
    return present, missing, stale


def _steps(table, missing, stale, everyone):
    """
    The changes in a safe order, as {"verb", "text", "arguments" of iptables}.

    Rules are taken out by what they say, never by number: by then a number may be somebody else's rule. So
    ours that no packet reaches go first (later, -D would find the new one of the same text), and ours for
    other networks go last (should a step fail, nobody has lost anything).
    """
    removals = {True: [], False: []}
    for rule in stale:
        arguments = ["-D", rule["chain"]] + rule["arguments"]
        step = {"verb": "removed", "text": rule["text"], "arguments": arguments}
        removals[_opens(rule, everyone) in missing].append(step)
    additions = []
    for number, network in enumerate(missing, _place(table, everyone) + 1):
        arguments = ["-I", "INPUT", "{}".format(number)] + _arguments(network)
        additions.append({"verb": "added", "text": _text(network), "arguments": arguments})
    return removals[True] + additions + removals[False]


def firewall_judge(text, networks, family="ipv4"):
    """
    Judge a filter table against the networks that are to reach UDP 123.

    text
        what ``iptables-save`` prints, or a file with the same content
    networks
        list of networks, such as ``["10.0.0.0/24"]``; those of the other family are left out of account
    family
        ``ipv4`` or ``ipv6``

    Returns None when the text has no complete filter table, else a dict, every rule as text:

    * ``networks``: those of this family
    * ``guarded``: has INPUT a rule, or a policy other than ACCEPT
    * ``present``, ``missing``: the rules that are there in any spelling, and those that are needed
    * ``stale``: ours for a network that is not wanted, or where no packet gets to them
    * ``wider``: rules of others (or the policy) that let in more than the networks
    * ``blocked``: rules of others that ban a network, or an interface, ahead of the rule that lets it in
    * ``steps``: the changes in order, {``verb``, ``text``, ``arguments`` of iptables}

    Raises SaltInvocationError for anything that is not a network.

    CLI Example:

    .. code-block:: bash

        salt-call ntpcluster.firewall_judge "$(iptables-save -t filter)" '["10.0.0.0/24"]'
    """
    version = VERSIONS[family]
    everyone = EVERYONE[version]
    networks = _wanted(networks, version)
    table = _parse(salt.utils.stringutils.to_unicode(text), version)
    if table is None:
        return None
    present, missing, stale = _judge(table, networks, version)
    reachable = [rule for rule in _reachable(table, everyone) if rule not in stale]
    policy = table["policy"].get("INPUT", "ACCEPT")
    wider = [rule["text"] for rule in reachable if networks and _too_wide(rule, networks, everyone)]
    if networks and policy == "ACCEPT" and _end(table, everyone) == len(table["chains"]["INPUT"]):
        wider.append("-P INPUT ACCEPT")
    blocked = []
    for network in networks:
        blocked += [ban for ban in _bans(reachable, network, table, everyone) if ban not in blocked]
    return {
        "networks": ["{}".format(network) for network in networks],
        "guarded": bool(table["chains"]["INPUT"]) or policy != "ACCEPT",
        "present": [rule["text"] for rule in present],
        "missing": [_text(network) for network in missing],
        "stale": [rule["text"] for rule in stale],
        "wider": wider,
        "blocked": blocked,
        "steps": _steps(table, missing, stale, everyone),
    }


def firewall_edit(text, networks, family="ipv4"):
    """
    Put our rules for these networks into the text of a saved file, and those for other networks out of it.

    text, networks, family
        as for ``ntpcluster.firewall_judge``

    Returns the new text. Every other line is as it was; so is everything without a complete filter table.

    Raises SaltInvocationError for anything that is not a network.

    CLI Example:

    .. code-block:: bash

        salt-call ntpcluster.firewall_edit "$(cat /etc/sysconfig/iptables)" '["10.0.0.0/24"]'
    """
    version = VERSIONS[family]
    networks = _wanted(networks, version)
    text = salt.utils.stringutils.to_unicode(text)
    table = _parse(text, version)
    if table is None:
        return text
    _, missing, stale = _judge(table, networks, version)
    before = _line(table, _place(table, EVERYONE[version]))
    gone = [rule["line"] for rule in stale]
    lines = []
    for number, line in enumerate(text.split("\n")):
        if number == before:
            lines += [_text(network) for network in missing]
        if number not in gone:
            lines.append(line)
    return "\n".join(lines)
