# -*- coding: utf-8 -*-
"""
Internal. The inputs of a plan besides the pillar: the two data files of the state tree, this host's platform and grains.
"""

from __future__ import absolute_import, print_function, unicode_literals

import sys

import salt.utils.data
import salt.utils.files
import salt.utils.yaml
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_facts"
# The loader offers only these functions; ``is_platforms`` and ``is_defaults`` stay plain functions for the tests.
__load__ = ["facts", "foreign", "platform", "platforms"]


def facts(pillar):
    """
    Internal. Return the inputs of a plan besides the pillar.

    pillar
        The pillar under ``ntp``.

    Returns a dict: ``defaults`` (defaults.yaml), ``platform`` (see ``platform``, by the daemon that the pillar names for this
    host; or None) and ``host`` {id, names, addresses, matches}; ``matches`` says for each tier
    whether its matcher finds this host (None: Salt cannot read the matcher).

    Raises CommandExecutionError when the file server does not have the two files, or has other files of these names.
    """
    tiers = pillar.get("tiers") if isinstance(pillar, dict) else None
    matches = {}
    for tier, keys in (tiers if isinstance(tiers, dict) else {}).items():
        matcher = keys.get("match") if isinstance(keys, dict) else None
        readable = __salt__["ntpcluster_wording.is_text"](matcher) and not __salt__["ntpcluster_matcher.fault"](matcher)
        matches[tier] = bool(__salt__["match.compound"](matcher)) if readable else None
    defaults = _read("salt://ntp/defaults.yaml", is_defaults)
    daemon = __salt__["ntpcluster_build.daemon"](pillar, defaults, matches)
    grains = {key: __grains__.get(key) for key in ("id", "fqdn", "host", "localhost", "ipv4", "ipv6")}
    grains = salt.utils.data.decode(grains, keep=True)
    return {
        "defaults": defaults,
        "platform": None if foreign() else platform(daemon),
        "host": {
            "id": grains["id"],
            "names": sorted({grains[key].lower() for key in ("id", "fqdn", "host", "localhost") if grains[key]}),
            "addresses": [
                __salt__["ntpcluster_address.canonical"](text)
                for text in (grains["ipv4"] or []) + (grains["ipv6"] or [])
            ],
            "matches": matches,
        },
    }


def foreign():
    """
    Internal. Return in one sentence why this tree does nothing on this host; None if platforms.yaml describes its platform.

    Raises CommandExecutionError when the file server does not have the file.
    """
    known = platforms()
    if _name(known):
        return None
    # The same as in platform-read.jinja: on such a host the states are rendered without the modules.
    host = "-".join("{}".format(__grains__.get(grain) or "unknown") for grain in ("os", "osmajorrelease"))
    return "ntpcluster does not know the platform {}, only {}: it changes nothing on this host".format(
        host, ", ".join(sorted(known))
    )


def platform(daemon=None):
    """
    Internal. Return the entry of platforms.yaml for this host with one of its daemons, and with its ``name`` added.

    daemon
        Name of the daemon; if it is None or the platform does not have it, the platform's own daemon is used.

    Raises SaltInvocationError if platforms.yaml does not describe the platform.
    """
    stranger = foreign()
    if stranger:
        raise SaltInvocationError(stranger)
    known = platforms()
    name = _name(known)
    return dict(known[name], name=name, **__salt__["ntpcluster_daemon.platform"](known[name], daemon))


def platforms():
    """
    Internal. Return all of platforms.yaml: it also describes the system that a host had before an upgrade.
    """
    return _read("salt://ntp/platforms.yaml", is_platforms)


def _name(known):
    """
    Return the name of this host's entry; None if there is none. A rolling release has no number, and a proxy minion has no
    operating system.

    The grain ``os_family`` does not help here: Salt gives Debian's to Ubuntu and Mint, and Red Hat's to Fedora and
    Amazon, whose numbers mean other releases (_OS_FAMILY_MAP in salt/grains/core.py).
    """
    number = "-{}".format(__grains__.get("osmajorrelease"))
    names = (name for name in sorted(known) if name.endswith(number))
    return next((name for name in names if __grains__.get("os") in known[name]["os"]), None)


def _read(url, is_ours):
    """
    Return the content of one data file of the state tree, from the file server once a run.

    is_ours
        Tells whether the content can be this tree's: an earlier file root may hide our file with one of the same name.
    """
    remembered = "ntpcluster.{}".format(url)
    if remembered not in __context__:
        environments = __salt__["ntpcluster_applied.environments"]()
        # Lazily: no environment is asked twice, and none after the first that has the file.
        copies = (__salt__["cp.cache_file"](url, saltenv=name) for name in environments)
        path = next((copy for copy in copies if copy), None)
        if not path:
            raise CommandExecutionError(
                "{} is not on the file server (environment {}). Add the directory `salt` of ntpcluster to file_roots; if "
                "it is in another environment, set that in the minion's configuration (saltenv: NAME), or apply from it: "
                "state.apply ntp saltenv=NAME".format(url, " and ".join(environments))
            )
        try:
            with salt.utils.files.fopen(path, "rb") as handle:
                content = salt.utils.yaml.safe_load(handle)
        except salt.utils.yaml.YAMLError as exc:
            raise CommandExecutionError("{} is not valid YAML: {}".format(url, exc))
        if sys.version_info[0] == 2:  # only there does YAML return strings that are not text
            content = salt.utils.data.decode(content, keep=True)
        if not is_ours(content):
            raise CommandExecutionError(
                "{} is not ntpcluster's file: another file of this name precedes it in file_roots and hides it, or it was "
                "edited. Rename the other file, or list ntpcluster's directory `salt` first.".format(url)
            )
        __context__[remembered] = content
    return __context__[remembered]


def is_platforms(content):
    """
    Tell whether this can be the content of platforms.yaml.
    """
    needed = ("os", "own", "daemons", "timezone")
    entries = content.values() if isinstance(content, dict) else ()
    return bool(entries) and all(isinstance(entry, dict) and all(key in entry for key in needed) for entry in entries)


def is_defaults(content):
    """
    Tell whether this can be the content of defaults.yaml.
    """
    sections = ("cron", "package", "step", "sync", "polls", "firewall", "hwclock", "health")
    return isinstance(content, dict) and all(isinstance(content.get(section), dict) for section in sections)
