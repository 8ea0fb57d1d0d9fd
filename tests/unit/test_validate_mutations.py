"""Whatever is changed in a valid pillar, nothing unsafe gets into a file."""

import copy
import datetime
import fnmatch
import random
import re

import salt.utils.data

from _modules import (
    ntpcluster_build,
    ntpcluster_chrony_conf,
    ntpcluster_misfits,
    ntpcluster_ntpd_conf,
    ntpcluster_rules,
)
from tests.unit.pillars import DEFAULTS, GOOD, PLATFORMS, errors

NASTY = [
    None, True, False, 0, 1, -1, 7, 99999, 1e308, float("nan"), float("inf"), 0.5, "", " ", "*", "-", "-q", "yes",
    "10.0.0.5", "10.0.0.5\n", "10.0.0.5 prefer", "10.0.0.0/24", "10.0.0.0/24\nserver 6.6.6.6", "::", "2001:db8::9",
    "a.example", "a.example\x00", "a\tb", "a#b", "a;reboot", "$(reboot)", "`reboot`", "../x", "/etc/passwd", "\u2028",
    "x" * 3000, "{{ 7 }}", "\x1b[31m", "\x85", "server 6.6.6.6", "restrict default", "\r\nrestrict default", [], {},
    [[]], [None], ["a.example", "a.example"], ["10.0.0.7"], {"address": "a.example"}, {"a": {"b": {}}}, b"bytes",
    datetime.date(2026, 1, 1), ("a", "b"), 3 + 4j,
]  # fmt: skip

HOSTS = (("ntp189", "10.0.0.189"), ("rack1", "10.1.0.1"), ("sky1", "10.2.0.1"), ("node148", "10.0.0.148"))
FLAGS = {"kod", "limited", "nomodify", "notrap", "nopeer", "noquery", "ignore"}
WORDS = {
    "tinker", "tos", "leapfile", "logfile", "statsdir", "statistics", "filegen", "logconfig", "enable",
    "disable", "interface", "allan", "dispersion", "freq", "huffpuff", "panic", "step", "stepout", "ceiling",
    "floor", "maxclock", "maxdist", "minclock", "mindist", "minsane", "monitor",
    "file", "type", "link", "nolink", "day", "stats", "kernel", "calibrate", "listen", "ignore", "drop",
    "loopstats", "peerstats", "=syncall", "wildcard", "eth0",
    # chrony's
    "makestep", "maxchange", "maxdistance", "bindaddress", "hwtimestamp", "leapseclist", "leapsecmode", "leapsectz", "log",
    "logdir", "maxslewrate", "ntsdumpdir", "ntsservercert", "ntsserverkey", "*", "right/UTC",
}  # fmt: skip


#: The directives that each daemon may get.
DIRECTIVES = {
    "ntpd": set(ntpcluster_rules.OPTIONS) - set(ntpcluster_ntpd_conf.FOREIGN),
    "chrony": set(ntpcluster_rules.OPTIONS) - set(ntpcluster_chrony_conf.FOREIGN) - {"tinker", "tos"} - {"discard"}
    | {"makestep", "maxchange", "maxdistance", "ratelimit"},
}


def places(data, path=()):
    """Every place in a structure."""
    if isinstance(data, (dict, list)):
        for key in list(data) if isinstance(data, dict) else range(len(data)):
            yield (*path, key)
            yield from places(data[key], (*path, key))


def mutate(chance, pillar):
    """Change something, somewhere; mostly to a likely mistake or to an attack."""
    *steps, last = chance.choice(list(places(pillar)))
    place = pillar
    for step in steps:
        place = place[step]
    change = chance.randrange(6)
    if change == 0:
        del place[last]
    elif change == 1 and isinstance(place, dict):
        place[chance.choice([str(last) + "s", "-x", "a b", "a\nb", 5, None, True, "server", "rack"])] = place.pop(last)
    elif change == 2 and isinstance(place[last], str):
        at = chance.randrange(len(place[last]) + 1)
        odd = chance.choice(["\n", " ", "\t", "\x00", "#", "-", "\n#", "\x7f", "é", "'", '"', "\\", "/", ".", "1", "a"])
        place[last] = place[last][:at] + odd + place[last][at:]
    elif change == 3 and isinstance(place, list):
        place.append(copy.deepcopy(chance.choice(place)))
    elif change == 4:
        place[last] = copy.deepcopy(GOOD[chance.choice(list(GOOD))])
    else:
        place[last] = copy.deepcopy(chance.choice(NASTY))


def is_path_or_number(word):
    return re.fullmatch(r"/[A-Za-z0-9_.+/-]*|-?[0-9]+(\.[0-9]+)?", word) is not None


def check_lines(made):
    """No line of a plan contains anything unexpected."""
    made_by = DIRECTIVES[made["platform"]["daemon"]]
    name = r"[A-Za-z0-9:][A-Za-z0-9.:-]*"
    flags = r"( iburst)?( burst)?( prefer)?( noselect)?( key \d+)?( minpoll \d+)?( maxpoll \d+)?( version \d)?( nts)?"
    for source in made["sources"]:
        assert re.fullmatch(rf"server {name}{flags}", source["line"]), source["line"]
        assert made["platform"]["daemon"] == "chrony" or not source["nts"]
    for line in (line for block in made["restrict"] for line in block["lines"]):
        found = re.fullmatch(rf"restrict (?:(?:-6 )?(?:default|source|{name}(?: mask {name})?))((?: [a-z]+)*)", line)
        assert found and set(found.group(1).split()) <= FLAGS, line
    for comment in (block["comment"] for block in made["restrict"]):
        assert comment.isprintable()
    for ticker in made["step_tickers"]:
        assert re.fullmatch(name, ticker), ticker
    for line in made["options"]:
        assert line.isprintable() and line.isascii() and "#" not in line, line
        words = line.split(" ")
        if words[0] == "interface":  # an interface is in quotes
            words[2] = words[2].strip('"')
        for word in words:
            assert word in WORDS or is_path_or_number(word) or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:@-]*", word), line
        assert line.split(" ")[0] in made_by, line
    for key in made["keys"]:
        assert isinstance(key["id"], int) and key["type"] in ("M", "MD5", "SHA1")
        assert re.fullmatch(r"[!-~]{1,40}", key["secret"]) and "#" not in key["secret"]
    for field in made["cron"].values():
        assert re.fullmatch(r"[0-9*,/-]+", field), field
    for text in (
        made["tier"],
        *made["tiers"],
        *made["conflicts"],
        *made["package"]["names"],
        *made["firewall"]["networks"],
    ):
        assert re.fullmatch(r"[A-Za-z0-9:][A-Za-z0-9@:./+_-]*", text), text
    assert made["timezone"] is None or re.fullmatch(r"[A-Za-z0-9_+/-]+", made["timezone"])


def all_match(pillar):
    """What `facts` returns for a host that every matcher finds: None for a matcher that cannot be read."""
    tiers = pillar.get("tiers") if isinstance(pillar, dict) else None
    tiers = tiers if isinstance(tiers, dict) else {}
    return {name: isinstance(tier, dict) and isinstance(tier.get("match"), str) or None for name, tier in tiers.items()}


def test_no_mutation_of_the_pillar_gets_an_unsafe_line_into_a_file():
    chance = random.Random(20131122)
    accepted, made = 0, set()
    for _ in range(2000):
        pillar = copy.deepcopy(GOOD)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            mutate(chance, pillar)
        pillar = salt.utils.data.decode(pillar, keep=True)  # as a minion reads its pillar
        for name in ("Debian-12", "RedHat-9"):
            errors(pillar, PLATFORMS[name])  # it is judged, whatever its content is
        named = ntpcluster_build.daemon(pillar, DEFAULTS, all_match(pillar))
        assert named in (None, "ntpd", "chrony") or errors(pillar)
        if errors(pillar):
            continue
        accepted += 1
        for kind in ("Debian-12", "RedHat-6", "RedHat-9"):
            platform = dict(PLATFORMS[kind], name=kind)
            for name, address in HOSTS:
                matches = {
                    tier: fnmatch.fnmatch(name, keys["match"].split()[0]) for tier, keys in pillar["tiers"].items()
                }
                host = {"id": name, "names": [name], "addresses": [address], "matches": matches}
                found = ntpcluster_misfits.doubts(pillar, DEFAULTS, platform, host)
                if not any(problem["level"] == "error" for problem in found):
                    plan = ntpcluster_build.build(pillar, DEFAULTS, platform, host)
                    check_lines(plan)
                    made.add((name, plan["platform"]["daemon"]))
    # Some mutations are harmless; if all of them were refused, the check above would never have run.
    assert 100 < accepted < 1500
    # And there were hosts with each daemon.
    assert made >= {("ntp189", "ntpd"), ("rack1", "ntpd"), ("rack1", "chrony"), ("node148", "ntpd"), ("sky1", "chrony")}
