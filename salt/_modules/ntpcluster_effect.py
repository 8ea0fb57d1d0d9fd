# -*- coding: utf-8 -*-
"""
Internal. Effects of pillar keys on each other: a limit that a method cannot enforce, a key that has no effect.

``ntpcluster_validate`` judges every key separately, and ``ntpcluster_tiers`` judges the tiers.
"""

from __future__ import absolute_import, print_function, unicode_literals

import numbers

__virtualname__ = "ntpcluster_effect"

#: Keys that only a daemon reads: under a tier's `sources`, and at the top of the pillar.
DAEMON_SOURCE = ("burst", "iburst", "key", "maxpoll", "minpoll", "nts", "prefer", "version")
DAEMON_SETTINGS = (
    ("keys",),
    ("options",),
    ("arguments",),
    ("orphan",),
    ("polls",),
    ("health", "frequency_ppm"),
    ("health", "settle"),
)


def effects(pillar, defaults, platform=None):
    """
    Internal. Return the keys that cannot be enforced, and those without effect. ``ntpcluster.validate`` calls this for its
    list.

    pillar
        The mapping under ``ntp``. Invalid parts are ignored; ``validate`` reports them.
    defaults, platform
        As ``ntpcluster_facts.facts`` returns them; the platform may be unknown.

    Returns a list of problems as ``ntpcluster.validate`` does: errors for a limit that could be exceeded, else warnings.
    """
    tiers = _mapping(pillar, "tiers")
    tiers = {name: tiers[name] for name in tiers if isinstance(tiers[name], dict)}
    method = pillar.get("method") or defaults["method"]
    by_cron = sorted((name for name in tiers if (tiers[name].get("method") or method) == "cron"), key=_step_name)
    found = _limit(pillar, by_cron, platform) + _island(pillar, tiers)
    if platform and not platform["ntpdate_service"] and _mapping(pillar, "step").get("at_boot") is True:
        message = "has no effect on this host: its platform has no ntpdate service"
        found.append(_problem(["step", "at_boot"], True, message, "warning"))
    if tiers and not by_cron and pillar.get("cron"):
        found.append(_idle(["cron"], "no tier has the method cron"))
    if tiers and len(by_cron) == len(tiers):
        for path in DAEMON_SETTINGS:
            if (_mapping(pillar, path[0]) if path[1:] else pillar).get(path[-1]):
                found.append(_idle(list(path), "every tier has the method cron, and only a daemon reads it"))
    elif tiers:
        found += _unused(pillar, tiers)
    for name in sorted(tiers, key=_step_name):
        found += _tier(name, tiers, by_cron)
    return found


def _unused(pillar, tiers):
    """
    Find settings of the pillar that no tier makes use of.
    """
    found = []
    if pillar.get("orphan") and not any(tier.get("serves") for tier in tiers.values()):
        found.append(_idle(["orphan"], "no tier serves, so nobody can follow a host without sources"))
    if pillar.get("polls") and not any(tier.get("follows") for tier in tiers.values()):
        found.append(_idle(["polls"], "no tier follows another; each of `sources` has its own minpoll and maxpoll"))
    return found


def _island(pillar, tiers):
    """
    Find keys that cannot be combined with an island, whose servers have their own strata.
    """
    islands = sorted((name for name in tiers if tiers[name].get("island") is True), key=_step_name)
    if pillar.get("orphan") is None or not islands:
        return []
    message = "cannot be combined with `island` ({}): its servers continue without it"
    return [_problem(["orphan"], pillar["orphan"], message.format(_named(islands)))]


def _limit(pillar, by_cron, platform):
    """
    Judge whether ``step:limit`` holds for every step on a host. Neither ntpdate nor ``chronyd -q`` has such an option, so no
    limit holds where the system itself runs one of them; the daemons enforce it with ``tinker panic`` and ``maxchange``.
    """
    found, step = [], _mapping(pillar, "step")
    limit, path = step.get("limit"), ["step", "limit"]
    if limit is None:
        return found
    if by_cron:
        message = "cannot be enforced in {}, where the method is cron: a step from crontab goes any distance. Remove "
        message += "the limit, or use a daemon there"
        found.append(_problem(path, limit, message.format(_named(by_cron))))
    # An unknown platform may have the service.
    if step.get("at_boot") is True and (platform is None or platform["ntpdate_service"]):
        message = "cannot be combined with step:limit: ntpdate at boot steps by any distance. Remove one of them"
        found.append(_problem(["step", "at_boot"], True, message))
    panic = _mapping(_mapping(pillar, "options"), "tinker").get("panic")
    if isinstance(panic, numbers.Real) and isinstance(limit, numbers.Real) and (panic == 0 or panic > limit):
        message = "makes the daemon step further than step:limit, {}".format(limit)
        found.append(_problem(["options", "tinker", "panic"], panic, message, "warning"))
    if platform and not platform.get(platform["first_jump"]):
        message = "may not limit the daemon's first step: on this platform -g cannot be removed from its options"
        found.append(_problem(path, limit, message, "warning"))
    return found


def _tier(name, tiers, by_cron):
    """
    Judge which keys of a tier have no effect: a step by crontab uses only addresses.
    """
    found, tier = [], tiers[name]
    sources = tier.get("sources") if isinstance(tier.get("sources"), list) else []
    for number, source in enumerate(sources if name in by_cron else ()):
        for key in DAEMON_SOURCE if isinstance(source, dict) else ():
            if key in source:
                found.append(_idle(["tiers", name, "sources", number, key], "the method of this tier is cron"))
    followers = [other for other in sorted(tiers, key=_step_name) if tiers[other].get("follows") == name]
    if tier.get("key") is not None and not followers:
        found.append(_idle(["tiers", name, "key"], "no tier follows this one"))
    for other in followers if tier.get("key") is not None else ():
        if other in by_cron:
            why = "its method is cron, and a step from crontab checks no key"
            found.append(_idle(["tiers", name, "key"], why, " in {}".format(_named([other]))))
    return found


def _idle(path, why, where=""):
    """
    Return the warning that a key has no effect.
    """
    return _problem(path, None, "has no effect{}: {}".format(where, why), "warning")


def _named(tiers):
    """
    Return the text that names tiers in a message.
    """
    return "tier {}".format(" and ".join(_step_name(name) for name in tiers))


def _mapping(data, key):
    """
    Return a section of the pillar; an empty one if it is not a mapping.
    """
    return data[key] if isinstance(data.get(key), dict) else {}


def _problem(path, *told):
    return __salt__["ntpcluster_wording.problem"](["ntp"] + path, *told)


def _step_name(step):
    return __salt__["ntpcluster_wording.step_name"](step)
