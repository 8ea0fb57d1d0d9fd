# -*- coding: utf-8 -*-
"""
Internal. Open UDP 123 in rules made by ``nft``: each chain on the input hook that blocks a network gets a rule.

A packet has to pass all of those chains, whatever their tables and priorities. Our rules have the comment ``ntpcluster`` and
the positions that ntpcluster_firewall_rules.py chooses for iptables. All changes are one transaction, which is checked before
it is loaded.

**The boot file** is changed only at its end: one line for each rule, whose chain the file itself must contain (checked by ``nft
-c``). Such a line puts its rule first in the chain, because the file's own rules have no numbers. So if a ban precedes our
position, the file is not changed, and this is reported.
"""

from __future__ import absolute_import, print_function, unicode_literals

import glob
import re

from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_firewall_nft_rules"

TIMEOUT = 30  # seconds for one call of nft, which answers in milliseconds
COMMENT = "ntpcluster"
MARK = ' comment "{}"'.format(COMMENT)
ENABLED = "/etc/systemd/system/*.wants/nftables.service"  # exists if the service starts at boot
IPTABLES = ("filter", "raw", "mangle", "nat", "security")  # tables of iptables-nft
VERSIONS = {"ipv4": 4, "ipv6": 6}
INCOMING = re.compile(r"\bhook\s+input\b")
ABOUT_TIME = re.compile(r"\b(123|ntp)\b")
SIXTH = re.compile(r"^insert rule ip6 | ip6 saddr | nfproto ipv6 ")  # a line of ours for IPv6
ADDRESS = {4: "ip", 6: "ip6"}


def _reachable_chains(chains, first):
    """The names of a chain and of all chains that it leads to."""
    found, left = [], [first]
    while left:
        name = left.pop()
        if name in chains and name not in found:
            found.append(name)
            left += [rule["target"] for rule in chains[name]]
    return found


def _made_by_nft(hook):
    """Whether it is on the input hook, and not a chain INPUT that iptables can change."""
    if hook.get("on") != "input":
        return False
    if hook.get("left_to_nft") or hook["place"][0] == "inet":
        return True
    return hook["place"][1] not in IPTABLES or hook["chain"] != "chain INPUT"


def _below(hook):
    """The hook's table, reduced to its own chain and those that it leads to."""
    chains = hook["table"]["chains"]
    return {"chains": dict((name, chains[name]) for name in _reachable_chains(chains, hook["chain"])), "commit": -1}


def _without_ours(table):
    chains = dict(
        (name, [rule for rule in rules if rule["comment"] != COMMENT]) for name, rules in table["chains"].items()
    )
    return dict(table, chains=chains)


def _needed(hook, networks):
    """The networks that a chain blocks without our rules, unless another rule decides."""
    bare = dict(hook, table=_without_ours(_below(hook)))
    return [network for network in networks if __salt__["ntpcluster_firewall_passage.end"](bare, network)]


def _text(network, family):
    """Our rule, as nft prints it."""
    if network.prefixlen:
        client = "{} saddr {} ".format(ADDRESS[network.version], network)
    else:
        client = "meta nfproto ipv{} ".format(network.version) if family == "inet" else ""
    return client + "udp dport 123 accept" + MARK


def _chain(hook, name):
    """A chain in the form of nft's commands: family, table, chain."""
    return " ".join(hook["place"][:2] + (name.partition(" ")[2],))


def _plan(hook, networks, everyone):
    """The changes that one chain needs for one family; see ``survey``. Changes nothing itself."""
    family, table = hook["place"][0], _below(hook)
    needed = _needed(hook, networks)
    judged = __salt__["ntpcluster_firewall_rules.needed"](table, needed, everyone, hook["chain"])
    plan = {"missing": [], "stale": [], "script": [], "moves": [], "needed": needed, "overtaken": judged["overtaken"]}
    plan["present"] = ["nft: {}: {}".format(_chain(hook, one["chain"]), one["text"]) for one in judged["present"]]
    for rule in judged["first"] + judged["stale"]:
        plan["stale"].append("nft: {}: {}".format(_chain(hook, rule["chain"]), rule["text"]))
        plan["script"].append("delete rule {} handle {}".format(_chain(hook, rule["chain"]), rule["handle"]))
        plan["moves"].append((rule["chain"], rule["handle"], None))
    for network, name, _, line in judged["added"]:
        text, chain = _text(network, family), _chain(hook, name)
        before = [one["handle"] for one in table["chains"][name] if one["line"] == line]
        plan["missing"].append("nft: {}: {}".format(chain, text))
        place = "insert rule {} handle {}".format(chain, before[0]) if before else "add rule " + chain
        plan["script"].append("{} {}".format(place, text))
        made = dict(__salt__["ntpcluster_firewall_parse.opening"](network, name, text), comment=COMMENT, handle=None)
        plan["moves"].append((name, before[0] if before else None, made))
    return plan


def survey(hooks, networks):
    """
    Internal. The changes that the chains made by nft on the input hook need so that these networks get through.

    hooks
        as from ``ntpcluster_firewall_nft.hooks``; afterwards their rules are as they will be after the changes
    networks
        list of networks, such as ``["10.0.0.0/24"]``

    Returns {family: {``present``, ``missing``, ``stale``, ``overtaken``: [rule, ...], ``script``: [command of nft, ...],
    ``file``: [line, ...] that the boot file should have at its end, ``fleeting``: those that it cannot have}}.

    Raises SaltInvocationError for anything that is not a network.
    """
    found, moves, asked = {}, [], []
    for family in sorted(VERSIONS):
        everyone = __salt__["ntpcluster_firewall_packet.everyone"](family)
        wanted = __salt__["ntpcluster_firewall_rules.wanted"](networks, family)
        found[family] = {"present": [], "missing": [], "stale": [], "overtaken": [], "script": []}
        found[family].update(file=[], fleeting=[])
        for hook in hooks:
            if not _made_by_nft(hook) or everyone.version not in hook["versions"]:
                continue
            plan = _plan(hook, wanted, everyone)
            moves += [(hook["table"]["chains"],) + move for move in plan["moves"]]
            for name in ("present", "missing", "stale", "overtaken", "script"):
                found[family][name] += plan[name]
            asked += [(found[family], hook, network) for network in plan["needed"]]
    for chains, name, handle, rule in moves:
        _move(chains[name], handle, rule)
    for made, hook, network in asked:
        way = __salt__["ntpcluster_firewall_passage.passage"]([hook], [network])
        line = "insert rule {} {}".format(_chain(hook, hook["chain"]), _text(network, hook["place"][0]))
        made["fleeting" if way["refused"] or way["blocked"] else "file"].append(line)
    return found


def _move(rules, handle, made):
    """One change of a chain's rules, as the kernel will make it: insert a rule before the one with this handle, or delete that
    one."""
    places = [index for index, one in enumerate(rules) if one["handle"] == handle]
    if made:
        rules.insert(places[0] if places else len(rules), made)
    else:
        rules[:] = [one for one in rules if one["handle"] != handle]


def _nft(program, arguments, text):
    return __salt__["cmd.run_all"](
        [program] + arguments + ["-f", "-"],
        python_shell=False,
        env=__salt__["ntpcluster_program.environment"](),
        timeout=TIMEOUT,
        ignore_retcode=True,
        stdin=text,
    )


def _ours(line):
    return line.startswith("insert rule ") and line.endswith(MARK)


def _edit(text, wanted):
    """The file's text with exactly these lines of ours at its end; all other lines are unchanged."""
    lines = text.split("\n")
    end = [lines.pop()] if lines[-1] == "" else []
    return "\n".join([line for line in lines if not _ours(line)] + list(wanted) + end)


def _families(lines):
    found = dict((family, []) for family in VERSIONS)
    for line in lines:
        found["ipv6" if SIXTH.search(line) else "ipv4"].append(line)
    return found


def saved(program, text, wanted):
    """
    Internal. The changes that are needed in the boot file of nft's rules.

    program
        the path of ``nft``
    text
        the file's content, None if it does not exist
    wanted
        [line, ...] that it should have, as ``file`` from ``ntpcluster_firewall_nft_rules.survey``

    Returns {``boots``: whether the next boot loads the file's rules with ours, ``text``: the new text, ``missing``, ``stale``:
    {family: [line of ours, ...]}, ``silent``: whether the next boot loads rules for arriving packets that do not mention the
    port, including ours}. If the file does not accept them, or no service loads it, it should have none.
    """
    if text is None:
        return {"boots": False, "missing": _families([]), "stale": _families([]), "text": text, "silent": False}
    have = [line for line in text.split("\n") if _ours(line)]
    # The file itself must define the table of the line, also after somebody has changed it: otherwise nothing in the file would
    # be loaded.
    loaded = boots = bool(glob.glob(ENABLED))
    if boots and wanted:
        boots = _nft(program, ["-c"], "flush ruleset\n" + _edit(text, wanted))["retcode"] == 0
    keep = wanted if boots else []
    missing, stale = [line for line in keep if line not in have], [line for line in have if line not in keep]
    # Only the live rules are judged. The file's may differ: they have not been loaded yet, or the port was only opened live.
    edited = _edit(text, keep)
    silent = loaded and bool(INCOMING.search(edited)) and not ABOUT_TIME.search(edited)
    return {"boots": boots, "missing": _families(missing), "stale": _families(stale), "text": edited, "silent": silent}


def change(program, script, **called):
    """
    Internal. Check commands of nft and execute all of them or none.

    program
        the path of ``nft``
    script
        [command, ...], as from ``ntpcluster_firewall_nft_rules.survey``

    Raises CommandExecutionError with nft's own message.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    text = "\n".join(script) + "\n"
    for arguments in (["-c"], []):
        answer = _nft(program, arguments, text)
        if answer["retcode"] != 0:
            said = (answer["stderr"] or answer["stdout"]).strip()
            raise CommandExecutionError("nft refuses `{}`: {}".format("; ".join(script), said))
