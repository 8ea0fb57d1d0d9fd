"""Validation of the pillar: every mistake is reported at its key, and nothing unsafe gets into a file."""

import datetime
import json

import pytest

from _modules import (
    ntpcluster_rules,
    ntpcluster_wording,
)
from tests.loaded import FUNCTIONS, MODULES
from tests.unit.pillars import CLIENT, DEFAULTS, GONE, GOOD, PLATFORMS, RACK, SERVER, SHA1, SKY, errors, judge, spoilt

FILE = ("package", "sources", 0)
FIELD = "a field of crontab(5) in numbers"
BARE_CLASSES = ("=clock", "+peer", "=sync", "-sys", "=syncfoo", "=info")
NO_CARDS = ("1", "1.5", "007", "em1@eth0", "1.2.3", ".", "")

# (path, value, the key that the problem must name, words that it must contain)
BAD = [
    ((), None, "ntp", "a mapping with `tiers`"),
    ((), [1], "ntp", "not a list"),
    # unknown keys, with the similar known key
    (("timezon",), "UTC", "ntp:timezon", "did you mean `timezone`?"),
    (("a\nb",), 1, 'ntp:"a\\nb"', "is not a known key; known here: arguments"),
    (("step", "treshold"), 1, "ntp:step:treshold", "did you mean `threshold`?"),
    ((*CLIENT, "follow"), "rack", "ntp:tiers:client:follow", "did you mean `follows`?"),
    (
        (*SERVER, "sources", 1, "preferred"),
        True,
        "ntp:tiers:server:sources:1:preferred",
        "did you mean `prefer`?",
    ),
    (("keys", 1, "secrets"), "x", "ntp:keys:1:secrets", "did you mean `secret`?"),
    (("options", "tinkr"), {}, "ntp:options:tinkr", "did you mean `tinker`?"),
    (("options", "tinker", "panick"), 0, "ntp:options:tinker:panick", "did you mean `panic`?"),
    ((*FILE, "source_hsah"), "x", "ntp:package:sources:0:source_hsah", "did you mean `source_hash`?"),
    # settings
    (("timezone",), "../../etc/passwd", "ntp:timezone", "a time zone"),
    (("timezone",), "/Asia/Shanghai", "ntp:timezone", "a time zone"),
    (("timezone",), "Asia/Shang hai", "ntp:timezone", 'not "Asia/Shang hai"'),
    (("timezone",), "Asia/Shanghai\n", "ntp:timezone", 'not "Asia/Shanghai\\n"'),
    (("timezone",), "-u", "ntp:timezone", "a time zone"),
    (("timezone",), "right/Europe/Berlin", "ntp:timezone", "except posix/ and right/"),
    (("timezone",), "posix/UTC", "ntp:timezone", "except posix/ and right/"),
    (("timezone",), 8, "ntp:timezone", "not 8"),
    (("method",), "chrony", "ntp:method", "one of daemon, cron"),
    (("method",), True, "ntp:method", "not true"),
    (("cron",), "5 * * * *", "ntp:cron", "a mapping of daymonth, dayweek, hour, minute, month"),
    (("cron", "minute"), 60, "ntp:cron:minute", FIELD + " from 0 to 59"),
    (("cron", "minute"), "5\n* * * * * root reboot", "ntp:cron:minute", FIELD),
    (("cron", "hour"), "*/0", "ntp:cron:hour", FIELD),
    (("cron", "hour"), "9-5", "ntp:cron:hour", FIELD),
    (("cron", "month"), False, "ntp:cron:month", FIELD),
    (("cron", "dayweek"), "mon", "ntp:cron:dayweek", FIELD),
    (("package", "names"), "ntp", "ntp:package:names", 'a list, each the name of a package or nothing, not "ntp"'),
    (("package", "names"), [], "ntp:package:names", "not an empty list"),
    (("package", "names"), ["ntp", "--nogpgcheck"], "ntp:package:names:1", "the name of a package"),
    (("package", "version"), 4.2, "ntp:package:version", "as text, in quotes"),
    (("package", "version"), "4.2 -y", "ntp:package:version", "as text, in quotes"),
    (("package", "sources"), {}, "ntp:package:sources", "a list of {name, source, source_hash}"),
    ((*FILE, "source"), "salt://../secret.rpm", "ntp:package:sources:0:source", "of an .rpm or .deb"),
    ((*FILE, "source"), "ftp://example.org/ntp.rpm", "ntp:package:sources:0:source", "of an .rpm or .deb"),
    ((*FILE, "source_hash"), "sha256=" + "0" * 63, "ntp:package:sources:0:source_hash", "hexadecimal sum"),
    ((*FILE, "source_hash"), GONE, "ntp:package:sources:0", "needs `source_hash`"),
    (
        ("step", "threshold"),
        "0.128",
        "ntp:step:threshold",
        'a number of seconds from 0.001 to 1000, not "0.128"',
    ),
    (("step", "threshold"), float("nan"), "ntp:step:threshold", "not NaN"),
    (("step", "limit"), 0.1, "ntp:step:limit", "not be below the threshold, 0.2"),
    (("step", "limit"), 60, "ntp:step:limit", "cannot be enforced in tier client"),
    (("step", "passes"), True, "ntp:step:passes", "a whole number from 1 to 10, not true"),
    (("step", "passes"), None, "ntp:step:passes", "not nothing"),
    (("sync", "timeout"), -1, "ntp:sync:timeout", "a number of seconds from 1 to 3600"),
    (("sync", "max_offset"), float("inf"), "ntp:sync:max_offset", "not Infinity"),
    (("firewall", "manage"), "yes", "ntp:firewall:manage", 'true or false, not "yes"'),
    (("hwclock", "utc"), 1, "ntp:hwclock:utc", "true or false, not 1"),
    (("orphan",), 16, "ntp:orphan", "a whole number from 2 to 15"),
    (("orphan",), True, "ntp:orphan", "not true"),
    (("conflicts",), ["chronyd; reboot"], "ntp:conflicts:0", "the name of a service"),
    (("conflicts",), ["chronyd", "chronyd"], "ntp:conflicts:1", "is listed twice"),
    (("conflicts",), {}, "ntp:conflicts", "not an empty mapping"),
    (("health", "reference_age"), 0, "ntp:health:reference_age", "a number of seconds from 30 to 1000000"),
    (("health", "survivors"), 0, "ntp:health:survivors", "a whole number from 1 to 10"),
    (("health", "settle"), datetime.date(2026, 1, 1), "ntp:health:settle", "not a date"),
    # keys
    (("keys",), [SHA1], "ntp:keys", "a mapping of numbers"),
    (("keys", 0), {"type": "M", "secret": "x"}, "ntp:keys:0", "a whole number from 1 to 65534"),
    (("keys", "hunter3"), {"type": "M", "secret": "x"}, 'ntp:keys:"?"', "a whole number from 1 to 65534"),
    (("keys", 2), {"type": "M", "secret": "x"}, "ntp:keys:2", "twice, as a number and as text"),
    (("keys", 3), "hunter3", "ntp:keys:3", "a mapping of type and secret"),
    (("keys", 1, "type"), "hunter3", "ntp:keys:1:type", "one of M, MD5, SHA1"),
    (("keys", 1, "secret"), "two words", "ntp:keys:1:secret", "without spaces and #"),
    (("keys", 1, "secret"), "half#comment", "ntp:keys:1:secret", "without spaces and #"),
    (("keys", 1, "secret"), "x\n2 M known", "ntp:keys:1:secret", "without spaces and #"),
    (("keys", 1, "secret"), SHA1[:39], "ntp:keys:1:secret", "40 hexadecimal digits"),
    (("keys", 1, "secret"), 12345678, "ntp:keys:1:secret", "must be text"),
    (("keys", 1, "secret"), GONE, "ntp:keys:1:secret", "must be text"),
    # further directives
    (("options",), "tinker panic 0", "ntp:options", "a mapping of directives"),
    (("options", "restrict"), "default", "ntp:options:restrict", "set by the tree, from `serves`"),
    (("options", "server"), "10.0.0.1", "ntp:options:server", "from `sources` and `follows`"),
    (("options", "keys"), "/tmp/keys", "ntp:options:keys", "from `keys`"),
    (("options", "includefile"), "/etc/shadow", "ntp:options:includefile", "is not a known key"),
    (("options", "tinker"), {}, "ntp:options:tinker", "must not be empty"),
    (("options", "tinker", "panic"), "0 step 0", "ntp:options:tinker:panic", "a number from 0"),
    (("options", "tos", "minclock"), 1.5, "ntp:options:tos:minclock", "a whole number from 1 to 100"),
    (("options", "leapfile"), "leap", "ntp:options:leapfile", "an absolute path"),
    (("options", "leapfile"), "/etc/../etc/shadow", "ntp:options:leapfile", "an absolute path"),
    (("options", "logfile"), "/var/log/ntp.log\nrestrict default", "ntp:options:logfile", "an absolute path"),
    (("options", "statsdir"), "/var/log/ntpstats", "ntp:options:statsdir", "ends with /"),
    (("options", "statistics"), ["loopstats", "gossip"], "ntp:options:statistics:1", "one of clockstats"),
    (("options", "statistics"), [], "ntp:options:statistics", "not an empty list"),
    (("options", "filegen", "loopstats"), {}, "ntp:options:filegen:loopstats", "must not be empty"),
    (
        ("options", "filegen", "loopstats", "file"),
        "../x",
        "ntp:options:filegen:loopstats:file",
        "a file name without a path",
    ),
    (("options", "logconfig"), ["syncall"], "ntp:options:logconfig:0", "=, + or -"),
    # ntp_config.c: "not recognized - ignored"
    *((("options", "logconfig"), ["=all", word], "ntp:options:logconfig:1", "a class") for word in BARE_CLASSES),
    (("options", "disable"), ["ntp"], "ntp:options:disable:0", "one of calibrate"),
    (
        ("options", "interface"),
        [{"listen": "eth0", "drop": "eth1"}],
        "ntp:options:interface:0",
        "{listen: NAME}",
    ),
    (("options", "interface"), ["listen eth0"], "ntp:options:interface:0", "{listen: NAME}"),
    # numbers to ntpd's scanner, and what ip(8) prints
    *((("options", "interface"), [{"listen": word}], "ntp:options:interface:0", "a network card") for word in NO_CARDS),
    # chrony's
    (("daemon",), "openntpd", "ntp:daemon", "one of ntpd, chrony"),
    (("daemon",), ["chrony"], "ntp:daemon", "not a list"),
    ((*CLIENT, "daemon"), "chronyd", "ntp:tiers:client:daemon", "one of ntpd, chrony, or null"),
    ((*CLIENT, "daemon"), True, "ntp:tiers:client:daemon", "not true"),
    *(((*SKY, "sources", 0, "nts"), bad, "ntp:tiers:sky:sources:0:nts", "true or false") for bad in ("yes", 1, None)),
    ((*SERVER, "sources", 1, "noselect"), True, "ntp:tiers:server:sources:1:noselect", "cannot stand beside `prefer`"),
    (
        (*SERVER, "sources"),
        [{"address": "192.0.2.1", "noselect": True}],
        "ntp:tiers:server:sources",
        "one without `noselect`",
    ),
    ((*SERVER, "sources", 1, "version"), 5, "ntp:tiers:server:sources:1:version", "a whole number from 1 to 4"),
    ((*SERVER, "sources", 1, "burst"), 8, "ntp:tiers:server:sources:1:burst", "true or false"),
    (("arguments",), ["-g"], "ntp:arguments:0", "one of -N, -x"),
    (("arguments",), "-x", "ntp:arguments", "a list"),
    (("options", "discard", "average"), 13, "ntp:options:discard:average", "a whole number from 0 to 12"),
    (("options", "discard", "monitor"), 1, "ntp:options:discard:monitor", "is not a known key"),
    ((*SKY, "sources", 1, "nts"), True, "ntp:tiers:sky:sources:1:nts", "cannot be combined with `key`"),
    (("options", "bindaddress"), "10.0.0.1", "ntp:options:bindaddress", "a list, each an IPv4 or IPv6 address"),
    *(
        (("options", "bindaddress"), [bad], "ntp:options:bindaddress:0", "an IPv4 or IPv6 address")
        for bad in ("eth0", "10.0.0.256", "10.0.0.1\nallow all", "10.0.0.1 ", "::1%lo", 10, "", "10.1")
    ),
    (("options", "bindaddress"), ["10.0.0.1", "10.0.0.2"], "ntp:options:bindaddress", "one address of each family"),
    *((("options", "hwtimestamp"), bad, "ntp:options:hwtimestamp", "a list") for bad in ("eth0", [], "*", True)),
    *(
        (("options", "hwtimestamp"), [bad], "ntp:options:hwtimestamp:0", "the name of a network card")
        for bad in (True, "eth0 rxfilter all", "-x", "e" * 16, "**", "eth0\n")
    ),
    *(
        (("options", key), bad, f"ntp:options:{key}", "an absolute path")
        for key in ("leapseclist", "logdir", "ntsdumpdir")
        for bad in (
            "var/log",
            "/var/../etc",
            "/var/log\nallow all",
            '/var/"log"',
            "/var/l og",
            "/var#",
            ["/var"],
            7,
            "",
        )
    ),
    *(
        (("options", key), [bad], f"ntp:options:{key}:0", "an absolute path")
        for key in ("ntsservercert", "ntsserverkey")
        for bad in ("a.crt", "/etc/../a.crt", "/etc/a.crt\nallow all", None)
    ),
    (("options", "ntsserverkey"), GONE, "ntp:options:ntsserverkey", "as many items as `ntsservercert`"),
    (("options", "ntsservercert"), GONE, "ntp:options:ntsserverkey", "as many items as `ntsservercert`"),
    *(
        (("options", "leapsecmode"), bad, "ntp:options:leapsecmode", "one of system, step")
        for bad in ("smear", "", True, 1)
    ),
    *(
        (("options", "leapsectz"), bad, "ntp:options:leapsectz", "such as right/UTC")
        for bad in ("UTC", "Asia/Shanghai", "right/UTC\nallow all", "right/../x", "right/", ["right/UTC"], 8)
    ),
    (("options", "log"), "tracking", "ntp:options:log", "a list, each one of measurements"),
    (("options", "log"), ["everything"], "ntp:options:log:0", "one of measurements"),
    (("options", "log"), ["tracking\nallow all"], "ntp:options:log:0", "one of measurements"),
    (("options", "logdir"), GONE, "ntp:options:log", "needs `logdir`"),
    *(
        (("options", "maxslewrate"), bad, "ntp:options:maxslewrate", "a number of ppm from 1 to 100000")
        for bad in ("fast", "500", True, 0, -1.0, 100001, float("nan"), 1e308)
    ),
    # tiers, each separately
    (("tiers",), GONE, "ntp:tiers", "a mapping of one tier or more"),
    (("tiers",), {}, "ntp:tiers", "a mapping of one tier or more"),
    (("tiers",), [{"server": {}}], "ntp:tiers", "not a list"),
    (CLIENT, "rack", "ntp:tiers:client", "must be a mapping"),
    (
        ("tiers", "two words"),
        {"match": "x", "follows": "rack"},
        'ntp:tiers:"two words"',
        "begins with a letter",
    ),
    (("tiers", 3), {"match": "x", "follows": "rack"}, "ntp:tiers:3", "begins with a letter"),
    ((*CLIENT, "match"), GONE, "ntp:tiers:client", "needs `match`"),
    ((*CLIENT, "match"), True, "ntp:tiers:client:match", "a compound matcher"),
    ((*CLIENT, "match"), "", "ntp:tiers:client:match", "a compound matcher"),
    ((*CLIENT, "match"), "*\n", "ntp:tiers:client:match", "in one line"),
    ((*RACK, "match"), "*", "ntp:tiers:rack:match", "matches all hosts, as tier client already does"),
    ((*CLIENT, "method"), "crontab", "ntp:tiers:client:method", "one of daemon, cron"),
    ((*SERVER, "sources"), [], "ntp:tiers:server:sources", "one name or address or more, not an empty list"),
    ((*SERVER, "sources"), "192.0.2.1", "ntp:tiers:server:sources", "a list of one name or address or more"),
    ((*CLIENT, "server"), "10.0.0.1", "ntp:tiers:client:server", "did you mean `sources`"),
    ((*CLIENT, "servers"), ["10.0.0.1"], "ntp:tiers:client:servers", "or `addresses`"),
    ((*CLIENT, "match"), "x" * 100001, "ntp:tiers:client:match", "up to 100,000 characters"),
    (("tiers", "x" * 33), {"match": "x", "follows": "rack"}, "ntp:tiers:" + "x" * 33, "up to 32 letters"),
    ((*SERVER, "sources", 0), 10, "ntp:tiers:server:sources:0", "a name or an address"),
    (
        (*SERVER, "sources", 0),
        "192.0.2.9 prefer",
        "ntp:tiers:server:sources:0",
        "{address: ..., prefer: true}",
    ),
    ((*SERVER, "sources", 0), "prefer", "ntp:tiers:server:sources:0", "a keyword of ntp.conf"),
    ((*SERVER, "sources", 0), "-q", "ntp:tiers:server:sources:0", "a host name"),
    ((*SERVER, "sources", 0), "ntp_1.example", "ntp:tiers:server:sources:0", "a host name"),
    ((*SERVER, "sources", 0), "ntp.example\n", "ntp:tiers:server:sources:0", "a host name"),
    ((*SERVER, "sources", 0), "时间.example", "ntp:tiers:server:sources:0", "a host name"),
    ((*SERVER, "sources", 0), "10.0.0.256", "ntp:tiers:server:sources:0", "a numeric address"),
    ((*SERVER, "sources", 0), "10.0.1", "ntp:tiers:server:sources:0", "a numeric address"),
    ((*SERVER, "sources", 0), "010.0.0.1", "ntp:tiers:server:sources:0", "a numeric address"),
    ((*SERVER, "sources", 0), "fe80::1%eth0", "ntp:tiers:server:sources:0", "a numeric address"),
    (
        (*SERVER, "sources", 0),
        "127.127.1.0",
        "ntp:tiers:server:sources:0",
        "for the local clock `island: true`",
    ),
    ((*SERVER, "sources", 0), "127.0.0.1", "ntp:tiers:server:sources:0", "is this host itself"),
    (
        (*SERVER, "sources", 0),
        "239.0.0.1",
        "ntp:tiers:server:sources:0",
        "is a multicast or reserved address",
    ),
    ((*SERVER, "sources", 0), "::ffff:10.0.0.1", "ntp:tiers:server:sources:0", "is an IPv4 address"),
    ((*SERVER, "sources", 0), "2001:DB8:0::1", "ntp:tiers:server:sources:2", "is listed twice"),
    ((*SERVER, "sources", 0), {"prefer": False}, "ntp:tiers:server:sources:0", "needs `address`"),
    (
        (*SERVER, "sources", 0),
        {"address": "a.example", "prefer": True},
        "ntp:tiers:server:sources",
        "one `prefer` at most",
    ),
    ((*SERVER, "sources", 1, "iburst"), "yes", "ntp:tiers:server:sources:1:iburst", "true or false"),
    ((*SERVER, "sources", 1, "key"), 9, "ntp:tiers:server:sources:1:key", "not among the numbers of `keys`"),
    (("polls", "minpoll"), 6, "ntp:polls:minpoll", "not exceed maxpoll, 5"),
    (("polls",), {"maxpoll": 3}, "ntp:polls:minpoll", "not exceed maxpoll, 3"),
    (("polls",), {"minpoll": None}, "ntp:polls:minpoll", "not exceed maxpoll, 4"),
    (("polls",), {"minpoll": 2}, "ntp:polls:minpoll", "a whole number from 3 to 17"),
    ((*SERVER, "sources", 1, "minpoll"), 9, "ntp:tiers:server:sources:1:minpoll", "not exceed maxpoll, 8"),
    (
        (*SERVER, "sources", 1, "maxpoll"),
        18,
        "ntp:tiers:server:sources:1:maxpoll",
        "a whole number from 3 to 17",
    ),
    ((*SERVER, "key"), 3, "ntp:tiers:server:key", "not among the numbers of `keys`"),
    ((*SERVER, "addresses"), "10.0.0.189", "ntp:tiers:server:addresses", "a list of one name or address or more"),
    ((*SERVER, "addresses", 1), {"address": "10.0.0.7"}, "ntp:tiers:server:addresses:1", "as text"),
    ((*SERVER, "addresses", 1), "10.0.0.189", "ntp:tiers:server:addresses:1", "is listed twice"),
    ((*SERVER, "serves"), "10.0.0.0/24", "ntp:tiers:server:serves", "a list of networks"),
    (
        (*SERVER, "serves", 0),
        "10.0.0.189/24",
        "ntp:tiers:server:serves:0",
        "has host bits; the network is 10.0.0.0/24",
    ),
    ((*SERVER, "serves", 2), "2001:db8::1/64", "ntp:tiers:server:serves:2", "the network is 2001:db8::/64"),
    (
        (*SERVER, "serves", 0),
        "10.0.0.0/255.255.255.0",
        "ntp:tiers:server:serves:0",
        "a network such as 10.0.0.0/24",
    ),
    ((*SERVER, "serves", 0), "10.0.0.0/33", "ntp:tiers:server:serves:0", "a network such as"),
    ((*SERVER, "serves", 0), "all", "ntp:tiers:server:serves:0", "a network such as"),
    ((*SERVER, "serves", 0), "10.1.0.0/16", "ntp:tiers:server:serves:1", "is listed twice"),
    # relations between tiers
    ((*CLIENT, "follows"), GONE, "ntp:tiers:client", "needs `sources`"),
    ((*CLIENT, "follows"), "client", "ntp:tiers:client:follows", "is the tier itself"),
    ((*CLIENT, "follows"), "racks", "ntp:tiers:client:follows", "did you mean `rack`?"),
    ((*CLIENT, "follows"), "zzz", "ntp:tiers:client:follows", "there are client, rack, server"),
    ((*CLIENT, "follows"), ["rack"], "ntp:tiers:client:follows", "not a list"),
    ((*CLIENT, "sources"), ["192.0.2.5"], "ntp:tiers:client:follows", "one or the other"),
    (
        SERVER,
        {"match": "ntp*", "follows": "rack", "addresses": ["10.1.0.9"], "serves": ["10.1.0.0/16"]},
        "ntp:tiers:server:follows",
        "a loop: server > rack > server",
    ),
    ((*SERVER, "addresses"), GONE, "ntp:tiers:server:addresses", "tier rack follows this one and must know"),
    ((*SERVER, "serves"), GONE, "ntp:tiers:server:serves", "tier rack follows this one and is not allowed to ask it"),
    ((*SERVER, "method"), "cron", "ntp:tiers:server:method", "a step from crontab serves nobody"),
]


def test_a_pillar_with_every_key_has_no_problem():
    assert judge(GOOD, PLATFORMS["RedHat-6"]) == [
        {
            "key": "ntp:tiers:rack:addresses",
            "value": None,
            "message": "gives tier client only one source: there is no failover, and a false one cannot be detected",
            "level": "warning",
        }
    ]


def test_the_pillar_with_every_key_has_every_key():
    """The mutation tests would never reach a missing key."""
    assert set(GOOD) == {*ntpcluster_rules.SETTINGS, "tiers", "keys", "options"}
    assert set(GOOD["options"]) == set(ntpcluster_rules.OPTIONS)
    assert {key for tier in GOOD["tiers"].values() for key in tier} == set(ntpcluster_rules.TIER_KEYS)
    sources = [source for tier in GOOD["tiers"].values() for source in tier.get("sources", ())]
    assert {key for source in sources if isinstance(source, dict) for key in source} == set(
        ntpcluster_rules.SOURCE_KEYS
    )


def test_the_defaults_are_valid_values():
    assert errors(dict(DEFAULTS, tiers=GOOD["tiers"], keys=GOOD["keys"])) == []


def test_every_default_has_a_rule_and_every_rule_a_default():
    rules = {name: rule for name, rule in ntpcluster_rules.SETTINGS.items()}
    assert set(DEFAULTS) == set(rules) | {"keys", "options"}
    for name, rule in rules.items():
        assert not isinstance(rule, dict) or set(rule) == set(DEFAULTS[name]), name


@pytest.mark.parametrize(("path", "value", "key", "words"), BAD)
def test_a_mistake_is_reported_at_its_key(path, value, key, words):
    found = errors(spoilt(path, value), PLATFORMS["RedHat-6"])
    assert any(problem["key"] == key and words in problem["message"] for problem in found), found


@pytest.mark.parametrize(
    ("path", "value", "key", "words"),
    [
        ((*SERVER, "sources"), ["192.0.2.1"], "ntp:tiers:server:sources", "only one source"),
        (
            (*SERVER, "sources"),
            ["192.0.2.1", "192.0.2.2"],
            "ntp:tiers:server:sources",
            "gives tier server two sources: if they disagree, neither has a majority",
        ),
        ((*SERVER, "serves", 3), "0.0.0.0/0", "ntp:tiers:server:serves:3", "anybody"),
        (("package", "version"), "4.2.6p5-1.el6", "ntp:package:version", "is ignored"),
    ],
)
def test_a_doubtful_setting_is_a_warning(path, value, key, words):
    pillar = spoilt(path, value)
    assert errors(pillar) == []
    assert any(problem["key"] == key and words in problem["message"] for problem in judge(pillar))


def test_the_addresses_of_a_tier_are_not_where_its_hosts_ask_from():
    """Service nodes with an interface in each network: they serve on one address and send requests from another."""
    tiers = {
        "head": {
            "match": "mn*",
            "sources": ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
            "addresses": ["10.73.1.1"],
            "serves": ["10.73.1.0/24"],
        },
        "sn1": {
            "match": "sn1 or sn2",
            "follows": "head",
            "addresses": ["192.168.101.1", "192.168.101.2"],
            "serves": ["192.168.101.0/24"],
        },
        "island1": {"match": "c1*", "follows": "sn1"},
    }
    assert errors({"tiers": tiers}) == []


def test_a_tier_without_followers_is_not_reported():
    pillar = spoilt((*CLIENT, "addresses"), ["10.0.0.1"])
    assert [problem["key"] for problem in judge(pillar)] == ["ntp:tiers:rack:addresses"]


@pytest.mark.parametrize(
    "source", [{"10.0.0.1": "prefer"}, {"10.0.0.1": None}, {"server": "10.0.0.1"}, {"address": None}, {}]
)
def test_a_source_without_an_address_is_one_mistake_with_the_right_form(source):
    (problem,) = errors(spoilt((*SERVER, "sources", 0), source))
    assert problem["key"] == "ntp:tiers:server:sources:0"
    assert "{address: 10.0.0.1, prefer: true}" in problem["message"]


def test_a_list_of_hosts_as_long_as_a_cluster_is_a_matcher():
    assert errors(spoilt((*CLIENT, "match"), "L@" + ",".join(f"node{n:04}.example" for n in range(4000)))) == []


def test_a_file_that_apparmor_denies_to_the_daemon_is_an_error_on_that_platform():
    refused = {
        "leapfile": "/etc/ntp/leap-seconds.list",
        "logfile": "/var/log/ntpsec/ntp.log",
        "statsdir": "/var/log/ntpstats/",
        "statistics": ["loopstats", "sysstats"],
        "filegen": {"peerstats": {"file": "peers"}},
    }
    pillar = {"tiers": GOOD["tiers"], "keys": GOOD["keys"], "options": refused}
    assert errors(pillar, PLATFORMS["RedHat-6"]) == []
    found = errors(pillar, PLATFORMS["Debian-12"])
    where = ("filegen:peerstats:file", "leapfile", "logfile", "statsdir")
    assert sorted(problem["key"] for problem in found) == [f"ntp:options:{key}" for key in where]
    assert all("/usr/share/zoneinfo/*" in problem["message"] for problem in found)
    pillar["options"] = {
        "leapfile": "/usr/share/zoneinfo/leap-seconds.list",
        "logfile": "/var/log/ntp.log",
        "statsdir": "/var/log/ntpsec/",
        "statistics": ["loopstats"],
        "filegen": {"loopstats": {"file": "loopstats", "type": "day"}},
    }
    assert errors(pillar, PLATFORMS["Debian-12"]) == []


def told(pillar):
    return ntpcluster_wording.worded(judge(pillar))


@pytest.mark.parametrize("odd", ["\n", "\r\n", "\x1b[31m", "\x85", "\u2028", "\u202e", "\x00", "\x7f", "\u200b"])
@pytest.mark.parametrize(
    "path",
    [
        ("timezone",),
        (*SERVER, "sources", 0),
        (*SERVER, "addresses", 0),
        (*SERVER, "serves", 0),
        (*CLIENT, "follows"),
        ("options", "leapfile"),
        ("options", "interface", 0, "listen"),
        ("package", "version"),
        ("a",),
    ],
)
def test_no_problem_can_move_the_cursor(path, odd):
    pillar = spoilt(path, f"a{odd}b") if len(path) > 1 or path[0] != "a" else dict(GOOD, **{f"a{odd}b": 1})
    found = told(pillar)
    assert len(found) > 1
    for problem in found:
        for part in ("key", "value", "message", "text"):
            assert str(problem[part]).isprintable(), problem


def test_letters_of_any_script_are_shown_as_they_are():
    (problem,) = [each for each in told(spoilt(("timezone",), "亚洲/上海")) if each["level"] == "error"]
    assert "亚洲/上海" in problem["text"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*SERVER, "sources"), [f"bad_{n}" for n in range(10000)]),
        ((*SERVER, "sources"), [{"address": f"a{n}.example", "minpol": 3} for n in range(10000)]),
        ((*SERVER, "serves"), [f"10.0.0.0/{n}" for n in range(33, 10033)]),
        (("conflicts",), [f"b a d {n}" for n in range(10000)]),
        (("options",), {f"nonsense{n}": 1 for n in range(10000)}),
    ],
)
def test_ten_of_ten_thousand_mistakes_in_one_place_are_shown(path, value):
    found = [problem for problem in told(spoilt(path, value)) if problem["level"] == "error"]
    assert len(found) == 11
    assert found[-1]["text"] == "ntp:{}: and 9,990 more like these".format(":".join(path))


def test_all_mistakes_are_reported_at_once():
    keys = {problem["key"] for problem in errors(dict(GOOD, orphan=1, method="x", timezone="..", step=3))}
    assert keys == {"ntp:orphan", "ntp:method", "ntp:timezone", "ntp:step"}


def test_a_loop_of_three_is_reported_at_each_of_its_tiers():
    tiers = {
        name: {"match": name, "follows": above, "addresses": ["10.0.0.1"], "serves": ["10.0.0.0/8"]}
        for name, above in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
    }
    loops = [problem["key"] for problem in errors({"tiers": tiers}) if "a loop" in problem["message"]]
    assert loops == ["ntp:tiers:a:follows", "ntp:tiers:b:follows", "ntp:tiers:c:follows"]


def test_a_type_of_key_that_the_platform_cannot_read_is_refused():
    platform = dict(PLATFORMS["RedHat-6"], key_types=["M"])
    assert [problem["key"] for problem in errors(GOOD, platform)] == ["ntp:keys:1:type"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("keys",), "hunter3"),
        (("keys",), ["hunter3"]),
        (("keys", "hunter3"), "hunter3"),
        (("keys", 3), "hunter3"),
        (("keys", 3), ["hunter3"]),
        (("keys", 3), {"type": "hunter3", "secret": "hunter3 hunter3"}),
        (("keys", 3), {"type": "M", "secert": "hunter3"}),
        (("key",), {3: {"type": "M", "secret": "hunter3"}}),
        ((*SERVER, "key"), {"secret": "hunter3"}),
        ((*SERVER, "sources", 0), {"address": "a.example", "secret": "hunter3"}),
    ],
)
def test_no_problem_repeats_a_secret(path, value):
    found = errors(spoilt(path, value))
    assert found and "hunter3" not in json.dumps(found)


def test_a_text_where_a_mapping_belongs_is_never_repeated():
    """Salt does not parse a mapping of several lines on the command line: it arrives as one text, including secrets."""
    text = "keys:\n  1: {type: M, secret: hunter3}\n"

    def mappings(value, path=()):
        if isinstance(value, dict):
            yield path
            for key in value:
                yield from mappings(value[key], (*path, key))

    for path in mappings(GOOD):
        found = judge(spoilt(path, text))
        assert found and "hunter3" not in json.dumps(found), path
    assert "in one line, as JSON" in judge(text)[0]["message"]


def test_a_pillar_may_be_given_with_its_top_key(monkeypatch):
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_facts.facts", lambda _: {"defaults": DEFAULTS, "platform": None})
    validate = FUNCTIONS["ntpcluster_validate.validate"]
    assert validate({"ntp": GOOD}) == validate(GOOD)
    assert [one["key"] for one in validate({"ntp": GOOD, "more": 1})][:2] == ["ntp:more", "ntp:ntp"]
    assert "not nothing" in validate({"ntp": None})[0]["message"]


def test_a_long_list_is_judged_with_few_calls_through_salt(monkeypatch):
    """Each call takes 7 us with Salt 3008: reading nine networks for each of a thousand sources took most of a second."""

    class Counting(dict):
        calls = 0

        def __getitem__(self, name):
            Counting.calls += 1
            return super().__getitem__(name)

    for module in MODULES.values():
        monkeypatch.setattr(module, "__salt__", Counting(module.__salt__))

    def calls(number):
        sources = [f"10.0.0.{last}" for last in range(1, number + 1)]
        tiers = {"server": {"match": "*", "sources": sources, "serves": [f"10.0.{n}.0/24" for n in range(number)]}}
        Counting.calls = 0
        assert FUNCTIONS["ntpcluster_tiers.relations"](tiers) == []
        return Counting.calls

    assert (calls(200) - calls(100)) / 100 <= 6
