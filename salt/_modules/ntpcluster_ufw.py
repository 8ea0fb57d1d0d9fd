# -*- coding: utf-8 -*-
"""
Internal. Open UDP 123 in ufw if it is this host's firewall: with its own command, which changes the live rules and its files.

Our rules carry the comment ``ntpcluster``. The existing rules are read from ufw's own files, because each call of the command
takes half a second; what gets through is judged by the live rules of iptables, which ufw writes.
"""

from __future__ import absolute_import, print_function, unicode_literals

import binascii
import io
import os
import re

from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_ufw"

UFW_TIMEOUT_S = 60  # one call of ufw, which starts iptables several times
UFW_CONF = "/etc/ufw/ufw.conf"
RULE_FILES = {"ipv4": "/etc/ufw/user.rules", "ipv6": "/etc/ufw/user6.rules"}
USER_CHAINS = {"ipv4": "ufw-user-input", "ipv6": "ufw6-user-input"}
COMMENT = "ntpcluster"
# action, protocol, port here, address here, port there, address there, direction, comment in hex digits
TUPLE = re.compile(r"^### tuple ### allow udp 123 (?:0\.0\.0\.0/0|::/0) any (\S+) in(?: comment=(\w+))?\s*$", re.M)


def _read(path):
    if not os.path.isfile(path):
        return ""
    try:
        with io.open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except (IOError, OSError) as err:
        raise CommandExecutionError("Cannot read {}: {}. Run as root.".format(path, err))


def _words(network):
    """What follows ``ufw allow``, and ``ufw delete allow``."""
    return ["proto", "udp", "from", "{}".format(network), "to", "any", "port", "123"]


def _shown(networks):
    return ["ufw allow " + " ".join(_words(network)) for network in networks]


def _survey(networks):
    """{family: {"networks", "present", "missing", "stale"}}, each a list of networks."""
    ours = binascii.hexlify(COMMENT.encode("ascii")).decode("ascii")
    survey = {}
    for family, path in RULE_FILES.items():
        wanted = __salt__["ntpcluster_firewall_rules.wanted"](networks, family)
        there = [
            (__salt__["ntpcluster_firewall_parse.network"](source, strict=False), comment == ours)
            for source, comment in TUPLE.findall(_read(path))
        ]
        opened = [network for network, _ in there]
        survey[family] = {
            "networks": wanted,
            "present": [network for network in wanted if network in opened],
            "missing": [network for network in wanted if network not in opened],
            "stale": [network for network, is_ours in there if is_ours and network not in wanted],
        }
    return survey


def runs():
    """
    Internal. Whether ufw is enabled here. Reads its file; runs no program.
    """
    return bool(re.search(r"^\s*ENABLED\s*=\s*[\"']?yes\b", _read(UFW_CONF), re.M | re.I))


def firewall(networks, passed):
    """
    Internal. As ``ntpcluster.firewall``; the live rules are the saved rules too.

    networks
        list of networks, such as ``["10.0.0.0/24"]``
    passed
        all hooks that a request and its reply pass, {family: [hook, ...]}, as from ``ntpcluster_firewall_parse.hooks``; None:
        this host has no clients

    Raises SaltInvocationError for anything that is not a network, CommandExecutionError when a file cannot be read.
    """
    report, here = {}, __salt__["ntpcluster_firewall_here.here"]()
    for family, found in _survey(networks).items():
        hooks, chain = passed[family] if passed else [], USER_CHAINS[family]
        for hook in hooks:
            rules = hook["table"]["chains"].get(chain) if hook["chain"] == "INPUT" else None
            for network in found["missing"] if rules is not None else []:
                rules.append(__salt__["ntpcluster_firewall_parse.opening"](network, chain, _shown([network])[0]))
        way = __salt__["ntpcluster_firewall_passage.passage"](hooks, found["networks"], here)
        report[family] = dict((name, _shown(found[name])) for name in ("present", "missing", "stale"))
        report[family].update(way, guard="ufw", running=True, error=None, keep=None, wider=[], overtaken=[])
        report[family]["networks"] = ["{}".format(network) for network in found["networks"]]
        report[family]["saved"] = {"file": RULE_FILES[family], "missing": [], "stale": [], "refused": {}}
    return report


def apply(networks, test=False, **called):
    """
    Internal. Open UDP 123 to these networks, and close it to the networks that it was opened to before.

    networks, test
        as for ``ntpcluster_firewall.apply``

    Returns and raises what that does.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    survey, changes, done = _survey(networks), {}, {}
    for family, found in sorted(survey.items()):
        if found["missing"] or found["stale"]:
            changes[family] = {"added": _shown(found["missing"]), "removed": _shown(found["stale"])}
    if test:
        return changes
    try:
        for what, verb, before, after in (
            ("missing", "added", ["allow"], ["comment", COMMENT]),
            ("stale", "removed", ["delete", "allow"], []),
        ):
            for family, found in sorted(survey.items()):
                for network in found[what]:
                    _command(before + _words(network) + after)
                    note = done.setdefault(family, {"added": [], "removed": []})
                    note[verb] += _shown([network])
        left = _survey(networks)
        if any(found["missing"] or found["stale"] for found in left.values()):
            raise CommandExecutionError("ufw accepted the change, but its rules are not as expected afterwards.")
    except CommandExecutionError as err:
        raise CommandExecutionError(err.error, info={"changes": done} if done else None)
    return changes


def _command(words):
    answer = __salt__["ntpcluster_program.run"]("ufw", "ufw", words, timeout=UFW_TIMEOUT_S)
    if answer["retcode"] != 0:
        said = "no answer" if answer["timed_out"] else (answer["stderr"] or answer["stdout"]).strip()
        raise CommandExecutionError("`ufw {}` failed: {}".format(" ".join(words), said))
