# -*- coding: utf-8 -*-
"""
Internal. Find all errors in the pillar at once, before anything is changed.

Every problem names the key and the allowed values, according to the rules in ``ntpcluster_rules``.
"""

from __future__ import absolute_import, print_function, unicode_literals

import difflib
import fnmatch
import re

import salt.utils.data

__virtualname__ = "ntpcluster_validate"
# The loader offers only this function; ``problems`` stays a plain function for the tests.
__load__ = ["validate", "judge"]

#: The defaults of both daemons (NTP_MINDPOLL, NTP_MAXDPOLL).
DAEMON_POLLS = {"minpoll": 6, "maxpoll": 10}


def validate(pillar=None, states=True, anew=True):
    """
    Internal. Implements ``ntpcluster.validate``.

    states
        False does not ask the file server whether ``state.apply ntp`` would run other states than this tree's.
    anew
        False judges the minion's copy of the pillar; by default the master is asked for it.
    """
    own = pillar is None
    pillar = __salt__["ntpcluster_applied.pillar"](anew) if own else salt.utils.data.decode(pillar, keep=True)
    if not own and isinstance(pillar, dict) and list(pillar) == ["ntp"]:
        pillar = pillar["ntp"]
    return judge(pillar, __salt__["ntpcluster_facts.facts"](pillar), own, states)


def judge(pillar, known, own=True, states=False):
    """
    Internal. Return what is wrong with a pillar, as ``ntpcluster.validate`` does.

    pillar
        The pillar under ``ntp``.
    known
        ``ntpcluster_facts.facts`` of it.
    own
        Whether it is this host's.
    states
        As for ``validate``.
    """
    # A pillar passed as an argument is for any host.
    platform = known["platform"] if own else None
    found = __salt__["ntpcluster_delivery.problems"](states) if own else []
    if not own or "ntp" in __salt__["ntpcluster_applied.compiled"]():
        found += problems(pillar, known["defaults"], platform)
    if isinstance(pillar, dict):
        method = pillar.get("method") or known["defaults"]["method"]
        found += __salt__["ntpcluster_tiers.relations"](pillar.get("tiers"), method)
        found += _matchers(pillar.get("tiers"))
        found += __salt__["ntpcluster_effect.effects"](pillar, known["defaults"], platform)
    if own and platform is None:
        found.append(_problem(["platforms.yaml"], None, __salt__["ntpcluster_facts.foreign"]()))
    if own and not any(problem["level"] == "error" for problem in found):
        found += __salt__["ntpcluster_misfits.misfits"](pillar, known)
    return __salt__["ntpcluster_wording.worded"](found)


def _matchers(tiers):
    """
    Return a problem for each matcher that Salt cannot read.
    """
    found = []
    proper = __salt__["ntpcluster_rules.allowed"]()["tier_keys"]["match"][0]
    for name in sorted(tiers, key=_step_name) if isinstance(tiers, dict) else ():
        matcher = tiers[name].get("match") if isinstance(tiers[name], dict) else None
        fault = __salt__["ntpcluster_matcher.fault"](matcher) if proper(matcher) else None
        if fault:
            found.append(_problem(["ntp", "tiers", name, "match"], matcher, fault))
    return found


def problems(pillar, defaults, platform=None):
    """
    Return the problems of one pillar, key by key: ``validate`` without the facts of the host and the relations of the tiers.
    With ``platform``, an entry of platforms.yaml, what that platform cannot do is a problem as well.
    """
    found, rules = [], __salt__["ntpcluster_rules.allowed"]()
    if not isinstance(pillar, dict):
        allowed = "a mapping with `tiers` in it, as in pillar/ntp/init.sls"
        _refuse_mapping(
            found, ["ntp"], pillar, allowed + " (on the command line: in one line, as JSON)" * _is_text(pillar)
        )
        return found
    _unknown(found, ["ntp"], pillar, set(rules["settings"]) | {"tiers", "keys", "options"})
    for name in sorted(rules["settings"]):
        if pillar.get(name) is not None:
            _check(found, ["ntp", name], pillar[name], rules["settings"][name])
    _package(found, pillar.get("package"), rules)
    _step(found, pillar.get("step"), defaults["step"], rules)
    _polls(found, ["ntp", "polls"], pillar.get("polls"), defaults["polls"], rules)
    keys = _keys(found, pillar.get("keys"), platform, rules)
    _options(found, pillar.get("options"), platform, rules)
    _tiers(found, pillar.get("tiers"), keys, rules)
    return found


# ---------------------------------------------------------------------------------------------------------
# Problems


def _problem(*told):
    return __salt__["ntpcluster_wording.problem"](*told)


def _is_text(value):
    return __salt__["ntpcluster_wording.is_text"](value)


def _step_name(step):
    return __salt__["ntpcluster_wording.step_name"](step)


def _shown(value):
    return __salt__["ntpcluster_wording.shown"](value)


def _refuse(found, path, value, allowed):
    """
    Add the problem that a value is not what is allowed.
    """
    found.append(_problem(path, value, "must be {}, not {}".format(allowed, _shown(value))))


def _refuse_mapping(found, path, value, allowed):
    """
    Add the problem that a value is not a mapping. A text is not repeated: Salt passes a mapping of several lines from the
    command line as one text, with all the secrets in it.
    """
    if _is_text(value):
        found.append(_problem(path, "a text", "must be {}, not a text".format(allowed)))
    else:
        _refuse(found, path, value, allowed)


def _unknown(found, path, mapping, known):
    """
    Add a problem for every unknown key, with the most similar known key.
    """
    for key in sorted((key for key in mapping if key not in known), key=_step_name):
        message = "is not a known key"
        near = difflib.get_close_matches(key, sorted(known), 1) if _is_text(key) else []
        if "follows" in known and key in MEANT:
            message += "; did you mean {}?".format(MEANT[key])
        elif near:
            message += "; did you mean `{}`?".format(near[0])
        else:
            message += "; known here: {}".format(", ".join(sorted(known)))
        found.append(_problem(path + [key], None, message))


def _check(found, path, value, rule):
    """
    Check a value against a rule.
    """
    if isinstance(rule, list):
        _check_list(found, path, value, rule[0], rule[1:])
    elif not isinstance(rule, dict):
        test, allowed = rule
        if not test(value):
            _refuse(found, path, value, allowed)
    elif not isinstance(value, dict):
        _refuse_mapping(found, path, value, "a mapping of {}".format(", ".join(sorted(rule))))
    else:
        _unknown(found, path, value, set(rule))
        for key in sorted(key for key in value if key in rule):
            _check(found, path + [key], value[key], rule[key])


def _check_list(found, path, value, rule, instead):
    """
    Check each item of a list against one rule.
    """
    if value in instead:
        return
    if not isinstance(value, list) or not value:
        _refuse(found, path, value, " or ".join(["a list, each {}".format(rule[1])] + [_shown(one) for one in instead]))
        return
    seen = set()
    for number, item in enumerate(value):
        _check(found, path + [number], item, rule)
        written = "{!r}".format(item)
        if written in seen:
            found.append(_problem(path + [number], item, "is listed twice"))
        seen.add(written)


# Directives that the tree writes itself, and the key that sets them.
WRITTEN = {
    "allow": "`serves`",
    "authselectmode": "`keys`",
    "driftfile": "platforms.yaml",
    "fudge": "a source's `refclock`",
    "keyfile": "`keys`",
    "keys": "`keys`",
    "local": "`orphan`",
    "makestep": "`step`",
    "maxchange": "`step`",
    "maxdistance": "`options:tos:maxdist`",
    "minsources": "`options:tos:minsane`",
    "peer": "`follows`",
    "pool": "`sources`",
    "ratelimit": "`serves`",
    "refclock": "a source's `refclock`",
    "restrict": "`serves`",
    "rtcsync": "`hwclock`",
    "server": "`sources` and `follows`",
    "trustedkey": "`keys`",
}


# ---------------------------------------------------------------------------------------------------------
# Sections


def _package(found, package, rules):
    """
    Judge the package files, and whether a version makes sense with them.
    """
    sources = package.get("sources") if isinstance(package, dict) else None
    if not isinstance(sources, list):
        return
    path = ["ntp", "package", "sources"]
    for number, source in enumerate(sources):
        here = path + [number]
        _check(found, here, source, rules["package_file"])
        for key in sorted(rules["package_file"]) if isinstance(source, dict) else ():
            if key not in source:
                found.append(_problem(here, source, "needs `{}`: {}".format(key, rules["package_file"][key][1])))
    if sources and package.get("version") is not None:
        message = "is ignored: the packages come from `sources`"
        found.append(_problem(["ntp", "package", "version"], package["version"], message, "warning"))


def _step(found, step, default, rules):
    """
    A limit below the threshold would forbid every step.
    """
    step = step if isinstance(step, dict) else {}
    threshold, limit = (step.get(key, default[key]) for key in ("threshold", "limit"))
    proper = rules["settings"]["step"]["threshold"][0]
    if proper(threshold) and proper(limit) and limit < threshold:
        message = "must not be below the threshold, {}: no clock could ever be stepped".format(threshold)
        found.append(_problem(["ntp", "step", "limit"], limit, message))


def _keys(found, keys, platform, rules):
    """
    Judge the symmetric keys without ever repeating one; return their numbers.
    """
    path = ["ntp", "keys"]
    types = platform["key_types"] if platform else ["M", "MD5", "SHA1"]
    ids = set()
    if keys is None:
        return ids
    if not isinstance(keys, dict):
        found.append(_problem(path, None, "must be a mapping of numbers, each to {type, secret}"))
        return ids
    for number in sorted(keys, key=_step_name):
        key = keys[number]
        number = int(number) if _is_text(number) and re.match(r"[1-9][0-9]{0,4}\Z", number) else number
        # A key that is not a number may be a secret in the wrong place: do not repeat it.
        here = path + [number if isinstance(number, int) else "?"]
        proper, numbers = rules["tier_keys"]["key"]
        if not proper(number):
            found.append(_problem(here, None, "must have {} before the colon".format(numbers)))
        elif number in ids:
            found.append(_problem(here, None, "is listed twice, as a number and as text"))
        else:
            ids.add(number)
        if not isinstance(key, dict):
            found.append(_problem(here, None, "must be a mapping of type and secret"))
            continue
        _unknown(found, here, key, {"type", "secret"})
        if key.get("type") not in types:
            # This may be a secret in the wrong place: do not repeat it.
            found.append(_problem(here + ["type"], None, "must be one of {}".format(", ".join(types))))
        if not _is_secret(key.get("secret")):
            message = "must be text: 1 to 20 printable characters without spaces and #, or 40 hexadecimal digits"
            found.append(_problem(here + ["secret"], None, message))
    return ids


def _is_secret(secret):
    """
    Tell whether a secret fits a line of ntp.keys: up to 20 characters are taken as they are, more as
    hexadecimal digits, of which 4.2.6 reads 40 (authreadkeys.c).
    """
    return _is_text(secret) and bool(re.match(r"(?:[!\"$-~]{1,20}|[0-9a-fA-F]{40})\Z", secret))


def _options(found, options, platform, rules):
    """
    Judge the further directives.
    """
    path = ["ntp", "options"]
    if options is None:
        return
    if not isinstance(options, dict):
        _refuse_mapping(found, path, options, "a mapping of directives")
        return
    _unknown(found, path, {key: None for key in options if key not in WRITTEN}, set(rules["options"]))
    for directive in sorted(key for key in options if key in WRITTEN):
        message = "is set by the tree, from {}".format(WRITTEN[directive])
        found.append(_problem(path + [directive], None, message))
    # null is for a directive whose equivalent is set for another daemon: this daemon does not get it.
    for directive in sorted(key for key in rules["options"] if options.get(key) is not None):
        value = options[directive]
        here = path + [directive]
        _check(found, here, value, rules["options"][directive])
        # A directive without arguments is a syntax error; ntpd logs it and continues.
        if value == {}:
            found.append(_problem(here, value, "must not be empty"))
        if directive == "filegen" and isinstance(value, dict):
            for name in sorted(key for key in value if value[key] == {}):
                found.append(_problem(here + [name], {}, "must not be empty"))
    _together(found, options)
    _confined(found, options, platform)


def _together(found, options):
    """
    Judge directives that need each other: without the others chronyd writes no log, serves on at most one address of each
    family, or does not start.
    """
    path = ["ntp", "options"]
    items = __salt__["ntpcluster_wording.items"]
    if items(options, "log") and not options.get("logdir"):
        message = "needs `logdir`, such as /var/log/chrony: without it chronyd writes no log"
        found.append(_problem(path + ["log"], None, message))
    numbers = [__salt__["ntpcluster_address.number"](text) for text in items(options, "bindaddress")]
    families = [number[0] for number in numbers if number]
    if len(set(families)) < len(families):
        found.append(_problem(path + ["bindaddress"], None, "must have one address of each family at most"))
    if len(items(options, "ntsservercert")) != len(items(options, "ntsserverkey")):
        message = "must have as many items as `ntsservercert`: each certificate has its key"
        found.append(_problem(path + ["ntsserverkey"], None, message))


def _confined(found, options, platform):
    """
    Judge whether the daemon may open the files that the directives name.
    """
    allowed = platform["daemon_files"] if platform else None
    if allowed is None:
        return
    doing = __salt__["ntpcluster_daemon.doing"](platform, "files")
    told = []
    for here, name in __salt__[doing](options):
        if here not in told and not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed):
            told.append(here)
            message = "would make the daemon open {}; on this platform it may use {}".format(name, ", ".join(allowed))
            found.append(_problem(["ntp", "options"] + here, None, message))


# ---------------------------------------------------------------------------------------------------------
# Tiers

# Keys that people may expect in a tier, and their actual names.
MEANT = {
    "server": "`sources` (whom this tier asks) or `addresses` (where others find it)",
    "servers": "`sources` (whom this tier asks) or `addresses` (where others find it)",
    "pool": "`sources`",
    "peer": "`follows`",
    "restrict": "`serves`",
    "hosts": "`match`",
}


def _tiers(found, tiers, keys, rules):
    """
    Check each tier separately; ``ntpcluster_tiers.relations`` checks their relations.
    """
    path = ["ntp", "tiers"]
    if not isinstance(tiers, dict) or not tiers:
        _refuse_mapping(
            found, path, tiers, "a mapping of one tier or more, NAME: {match: ..., sources or follows: ...}"
        )
        return
    for name in sorted(tiers, key=_step_name):
        here = path + [name]
        tier = tiers[name]
        if not rules["tier"][0](name):
            found.append(_problem(here, None, "must have {}".format(rules["tier"][1])))
        _check(found, here, tier, rules["tier_keys"])
        if not isinstance(tier, dict):
            continue
        if "match" not in tier:
            found.append(_problem(here, tier, "needs `match`: {}".format(rules["tier_keys"]["match"][1])))
        _named_key(found, here, tier, keys, rules)
        sources = tier["sources"] if isinstance(tier.get("sources"), list) else []
        for number, source in enumerate(sources):
            if isinstance(source, dict):
                _source(found, here + ["sources", number], source, keys, rules)
        if sources and all(isinstance(source, dict) and source.get("noselect") is True for source in sources):
            found.append(_problem(here + ["sources"], sources, "must have one without `noselect` at least"))
        if sum(1 for source in sources if isinstance(source, dict) and source.get("prefer") is True) > 1:
            found.append(_problem(here + ["sources"], sources, "must have one `prefer` at most"))


def _source(found, here, source, keys, rules):
    """
    Judge a source written as a mapping.
    """
    if "refclock" in source:
        _check(found, here, source, rules["refclock_keys"])
        faults = []
        if rules["refclock_keys"]["refclock"][0](source["refclock"]):
            faults = __salt__["ntpcluster_refclock.faults"](source)
        found += [_problem(here + [key], source.get(key), message) for key, message in faults]
        return
    if source.get("address") is None:
        message = (
            "needs `address` (or `refclock`): a source is a name, an address, or a mapping such as "
            "{address: 10.0.0.1, prefer: true}"
        )
        found.append(_problem(here, None, message))
        return
    _check(found, here, source, rules["source_keys"])
    _named_key(found, here, source, keys, rules)
    if source.get("key") is not None and source.get("nts") is True:
        found.append(
            _problem(
                here + ["nts"], True, "cannot be combined with `key`: a source is authenticated by one or the other"
            )
        )
    if source.get("noselect") is True and source.get("prefer") is True:
        message = "cannot stand beside `prefer`: a source that is only watched is never followed"
        found.append(_problem(here + ["noselect"], True, message))
    _polls(found, here, source, DAEMON_POLLS, rules)


def _polls(found, here, given, default, rules):
    """
    The shortest poll interval must not exceed the longest. Null stands for the daemon's default.
    """
    given = given if isinstance(given, dict) else {}
    low, high = (given.get(key, default[key]) for key in ("minpoll", "maxpoll"))
    low = DAEMON_POLLS["minpoll"] if low is None else low
    high = DAEMON_POLLS["maxpoll"] if high is None else high
    proper = rules["source_keys"]["minpoll"][0]
    if proper(low) and proper(high) and low > high:
        found.append(_problem(here + ["minpoll"], low, "must not exceed maxpoll, {}".format(high)))


def _named_key(found, here, mapping, keys, rules):
    """
    A key that a source names must exist.
    """
    if rules["tier_keys"]["key"][0](mapping.get("key")) and mapping["key"] not in keys:
        found.append(_problem(here + ["key"], mapping["key"], "is not among the numbers of `keys`"))
