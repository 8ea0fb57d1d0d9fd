# -*- coding: utf-8 -*-
"""
Internal. The allowed values for each key of the pillar.

A rule is a pair of a test and a description of the values that pass it; a mapping of rules for the keys of a mapping; or a list
with the rule for each item of a list, and the values that are allowed instead of a list. Values that pass are safe to write
into a file: text has no white space, no control characters and no leading dash, numbers are numbers, directives and flags come
from lists. ``ntpcluster.validate`` checks the pillar against these rules.
"""

from __future__ import absolute_import, print_function, unicode_literals

import numbers
import re

__virtualname__ = "ntpcluster_rules"


def _is_text(value):
    return __salt__["ntpcluster_wording.is_text"](value)


def _number(low, high, unit=""):
    def proper(value):
        # YAML's yes and no are numbers in Python, and no comparison with `nan` is true.
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and low <= value <= high

    return (proper, "a number{} from {} to {}".format(unit, low, high))


def _whole(low, high):
    def proper(value):
        return isinstance(value, numbers.Integral) and not isinstance(value, bool) and low <= value <= high

    return (proper, "a whole number from {} to {}".format(low, high))


def _text(pattern, allowed, most=128):
    # \Z and not $, which would accept a newline at the end.
    pattern = re.compile(r"(?:{})\Z".format(pattern))
    return (lambda value: _is_text(value) and len(value) <= most and bool(pattern.match(value)), allowed)


def _word(*words):
    return (lambda value: _is_text(value) and value in words, "one of {}".format(", ".join(words)))


def _null_or(rule):
    test, allowed = rule
    return (lambda value: value is None or test(value), "{}, or null".format(allowed))


def _is_interface(item):
    return (
        isinstance(item, dict)
        and len(item) == 1
        and all(action in ("listen", "ignore", "drop") and CARD[0](item[action]) for action in item)
    )


def _is_address(value):
    return __salt__["ntpcluster_address.number"](value) is not None


def _cron_field(low, high):
    """
    Return the rule for one field of crontab(5), with numbers only: 5, */10, 1-5, 0,30.
    """
    form = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?\Z")

    def proper(value):
        pieces = "{}".format(value).split(",") if _whole(low, high)[0](value) or _is_text(value) else []
        matches = [form.match(piece) for piece in pieces]
        if not matches or not all(matches):
            return False
        for match in matches:
            first = low if match.group(1) is None else int(match.group(1))
            last = first if match.group(2) is None else int(match.group(2))
            if not low <= first <= last <= high or match.group(3) in ("0", "00"):
                return False
        return True

    return (proper, "a field of crontab(5) in numbers from {0} to {1}, such as {1} or */2".format(low, high))


FLAG = (lambda value: isinstance(value, bool), "true or false")
PACKAGE = _text(r"[A-Za-z0-9][A-Za-z0-9+._-]*", "the name of a package")
SERVICE = _text(r"[A-Za-z0-9][A-Za-z0-9@._-]*", "the name of a service")
TIER = _text(r"[A-Za-z][A-Za-z0-9_-]*", "a name of up to 32 letters, digits, - and _ that begins with a letter", 32)
PATH = _text(r"(?!.*\.\.)/[A-Za-z0-9_.+/-]+", "an absolute path without .., spaces and special characters")
FOLDER = _text(r"(?!.*\.\.)/[A-Za-z0-9_.+/-]+/", "an absolute path without .. that ends with /")
# ntpd's parser would read a bare number as a number, which is a syntax error; `em1@eth0` is how ip(8) shows em1.
CARD = _text(r"(?![0-9.]*\Z)[A-Za-z0-9][A-Za-z0-9.:_-]*|[0-9]+(?:\.[0-9]+){3}", "a network card or an address", 45)
# Room for `L@` and some thousand names.
MATCHER = _text(
    r"[^\x00-\x1f\x7f\s-][^\x00-\x1f\x7f]*",
    "a compound matcher such as 'ntp*', in one line of up to 100,000 characters",
    100000,
)

SETTINGS = {
    # The zones below right/ count leap seconds, but the clock of ntpd does not: they show a wrong time.
    "timezone": _text(
        r"(?!posix/|right/)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}",
        "a time zone from /usr/share/zoneinfo (except posix/ and right/), such as Asia/Shanghai",
        64,
    ),
    "daemon": _word("ntpd", "chrony"),
    # `ntpd` is the old name of `daemon`, from when there was only one daemon.
    "method": (_word("daemon", "cron", "ntpd")[0], "one of daemon, cron"),
    "cron": {
        "minute": _null_or(_cron_field(0, 59)),
        "hour": _cron_field(0, 23),
        "daymonth": _cron_field(1, 31),
        "month": _cron_field(1, 12),
        "dayweek": _cron_field(0, 7),
    },
    "package": {
        "names": [PACKAGE, None],
        "version": _null_or(_text(r"[A-Za-z0-9][A-Za-z0-9.+:~_-]*", "a version as text, in quotes")),
        "sources": (lambda value: isinstance(value, list), "a list of {name, source, source_hash}"),
    },
    "step": {
        "threshold": _number(0.001, 1000, " of seconds"),
        "limit": _null_or(_number(0.001, 1e10, " of seconds")),
        "passes": _whole(1, 10),
        "at_boot": FLAG,
    },
    "sync": {
        "timeout": _number(1, 3600, " of seconds"),
        "max_offset": _number(0.0001, 1000, " of seconds"),
        "max_bound": _null_or(_number(0.0001, 1000, " of seconds")),
    },
    # What ntpd 4.2.6 takes (NTP_MINPOLL, NTP_MAXPOLL); null is the daemon's own.
    "polls": {"minpoll": _null_or(_whole(3, 17)), "maxpoll": _null_or(_whole(3, 17))},
    "firewall": {"manage": FLAG},
    "hwclock": {"manage": FLAG, "utc": FLAG},
    # 16 means "not synchronised", and 1 would look like a reference clock.
    "orphan": _whole(2, 15),
    "arguments": [_word("-N", "-x"), []],
    "conflicts": [SERVICE, []],
    "health": {
        "settle": _number(0, 86400, " of seconds"),
        "frequency_ppm": _number(1, 500),
        "survivors": _whole(1, 10),
        "reference_age": _number(30, 1000000, " of seconds"),
    },
}

# A package file without a checksum could come from any host that answers.
PACKAGE_FILE = {
    "name": PACKAGE,
    "source": _text(
        r"(?!.*\.\.)(?:salt://|https?://|file:///|/)[A-Za-z0-9][A-Za-z0-9_.+:@~%/-]*\.(?:rpm|deb)",
        "the salt://, http(s)://, file:// or absolute path of an .rpm or .deb",
        500,
    ),
    "source_hash": _text(
        r"sha256=[0-9a-fA-F]{64}|sha384=[0-9a-fA-F]{96}|sha512=[0-9a-fA-F]{128}",
        "sha256=, sha384= or sha512= and the hexadecimal sum",
        200,
    ),
}

# The zones below right/ count leap seconds, so chronyd can read them there; it ignores any other zone.
LEAP_ZONE = _text(
    r"right/[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}",
    "a time zone that counts leap seconds, such as right/UTC",
    64,
)
# Names of network interfaces have at most 15 characters on Linux.
STAMPING_CARD = _text(r"\*|[A-Za-z0-9][A-Za-z0-9.:_-]*", "the name of a network card, or '*' for all", 15)
LOGS = ("measurements", "rawmeasurements", "refclocks", "rtc", "statistics", "tempcomp", "tracking")

STATISTICS = ("clockstats", "loopstats", "peerstats", "protostats", "rawstats", "sysstats")
SWITCHES = ("calibrate", "kernel", "monitor", "stats")

# First the directives and keywords that ntpd 4.2.6p5, 4.2.8p15 and ntpsec 1.2.2 all read: a daemon logs an unknown one as a
# syntax error and ignores it. Then those of chrony. `foreign` in the `_conf` file of a daemon tells which ones it reads.
OPTIONS = {
    # chronyd's limits for the directive that `average` is translated to; powers of two of seconds.
    "discard": {"average": _whole(0, 12), "minimum": _whole(0, 12)},
    "tinker": {
        "allan": _number(1, 1e6),
        "dispersion": _number(1e-9, 1),
        "freq": _number(-500, 500),
        "huffpuff": _number(0, 1e6),
        "panic": _number(0, 1e9),
        "step": _number(0, 1e6),
        "stepout": _number(0, 1e6),
    },
    "tos": {
        "ceiling": _whole(1, 16),
        "floor": _whole(1, 16),
        "maxclock": _whole(1, 100),
        "maxdist": _number(0.001, 16),
        "minclock": _whole(1, 100),
        "mindist": _number(0, 16),
        "minsane": _whole(1, 100),
    },
    "leapfile": PATH,
    "logfile": PATH,
    "statsdir": FOLDER,
    "statistics": [_word(*STATISTICS)],
    "filegen": {
        name: {
            "file": _text(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "a file name without a path"),
            "type": _word("none", "pid", "day", "week", "month", "year", "age"),
            "link": FLAG,
            "enable": FLAG,
        }
        for name in STATISTICS
    },
    # Only the class `all` can be used without a second keyword: get_logmask in ntp_config.c ignores the others.
    "logconfig": [
        _text(
            r"[=+-](?:all|(?:all|clock|peer|sync|sys)(?:all|info|events|status|statistics))",
            "=, + or -, a class (all, clock, peer, sync, sys) and a kind (all, info, events, status, statistics), "
            "such as =syncall",
        )
    ],
    "enable": [_word(*SWITCHES)],
    "disable": [_word(*SWITCHES)],
    "interface": [
        (_is_interface, "{listen: NAME}, {ignore: NAME} or {drop: NAME}, the name one of a network card or an address")
    ],
    "bindaddress": [(_is_address, "an IPv4 or IPv6 address")],
    "hwtimestamp": [STAMPING_CARD],
    "leapseclist": PATH,
    "leapsecmode": _word("system", "step", "slew", "ignore"),
    "leapsectz": LEAP_ZONE,
    "log": [_word(*LOGS)],
    "logdir": PATH,
    # The maximum of Linux.
    "maxslewrate": _number(1, 100000, " of ppm"),
    "ntsdumpdir": PATH,
    "ntsservercert": [PATH],
    "ntsserverkey": [PATH],
}

TIER_KEYS = {
    "match": MATCHER,
    "island": FLAG,
    "peers": FLAG,
    "daemon": _null_or(SETTINGS["daemon"]),
    "method": SETTINGS["method"],
    "follows": TIER,
    "sources": (lambda value: isinstance(value, list) and value != [], "a list of one name or address or more"),
    "addresses": (lambda value: isinstance(value, list) and value != [], "a list of one name or address or more"),
    "serves": (lambda value: isinstance(value, list), "a list of networks such as 10.0.0.0/24"),
    # ntp.keys(5); 0 means none.
    "key": _whole(1, 65534),
}

SOURCE_KEYS = {
    "address": (_is_text, "a name or an address"),
    "prefer": FLAG,
    "iburst": FLAG,
    "key": TIER_KEYS["key"],
    "minpoll": _whole(3, 17),
    "maxpoll": _whole(3, 17),
    "noselect": FLAG,
    "burst": FLAG,
    "version": _whole(1, 4),
    "nts": FLAG,
}

REFCLOCK_KEYS = {
    # Not the local clock: an island uses `island` for that.
    "refclock": _text(
        r"nmea|phc|pps|shm|sock|127\.127\.(?!1\.)[1-9][0-9]?\.[0-9]{1,3}",
        "one of nmea, phc, pps, shm, sock, or a driver of ntpd but the local clock's, such as 127.127.20.0",
    ),
    "unit": _whole(0, 255),
    "mode": _whole(0, 65535),
    "path": PATH,
    "offset": _number(-10, 10, " of seconds"),
    "refid": _text(r"[A-Z][A-Z0-9]{0,3}", "up to four capital letters and digits"),
    "stratum": _whole(0, 14),
    "flags": [_whole(1, 4)],
    "prefer": FLAG,
    "noselect": FLAG,
}


def allowed():
    """
    Internal. Return the rules by purpose: ``settings`` (the keys below ``ntp``), ``package_file`` (an item of
    ``package:sources``), ``options`` (directives), ``statistics`` (the kinds of them), ``tier`` (a tier's name),
    ``tier_keys``, ``source_keys``, ``refclock_keys``.
    """
    return {
        "settings": SETTINGS,
        "package_file": PACKAGE_FILE,
        "options": OPTIONS,
        "statistics": STATISTICS,
        "tier": TIER,
        "tier_keys": TIER_KEYS,
        "source_keys": SOURCE_KEYS,
        "refclock_keys": REFCLOCK_KEYS,
    }
