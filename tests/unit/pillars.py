"""Shared by the tests of the pillar: a pillar with every key, the platforms, and the problems of a pillar."""

import copy
from pathlib import Path

import yaml

from _modules import ntpcluster_daemon, ntpcluster_effect, ntpcluster_tiers, ntpcluster_validate

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = yaml.safe_load((ROOT / "salt/ntp/defaults.yaml").read_text())
ENTRIES = yaml.safe_load((ROOT / "salt/ntp/platforms.yaml").read_text())


def with_own_daemon(entry):
    """An entry of platforms.yaml as `facts` returns it, with the platform's own daemon."""
    return {**entry, **ntpcluster_daemon.platform(entry)}


PLATFORMS = {name: with_own_daemon(entry) for name, entry in ENTRIES.items()}

SHA1 = "0123456789abcdef0123456789abcdef01234567"

# Every key that the pillar may have, with a valid value.
GOOD = {
    "timezone": "Asia/Shanghai",
    "daemon": "ntpd",
    "method": "daemon",
    "cron": {"minute": "5,35", "hour": "*/2", "daymonth": "1-15/2", "month": 12, "dayweek": "*"},
    "package": {
        "names": ["ntp", "ntpdate"],
        "version": None,
        "sources": [
            {
                "name": "ntp",
                "source": "salt://ntp/rpm/ntp-4.2.6p5.x86_64.rpm",
                "source_hash": "sha256=" + "0" * 64,
            }
        ],
    },
    # No limit: the crontab of the last tier could not enforce it.
    "step": {"threshold": 0.2, "limit": None, "passes": 2},
    "sync": {"timeout": 60, "max_offset": 0.05, "max_bound": 0.2},
    "polls": {"minpoll": 3, "maxpoll": 5},
    "firewall": {"manage": True},
    "hwclock": {"manage": True, "utc": False},
    "keys": {1: {"type": "SHA1", "secret": SHA1}, "2": {"type": "M", "secret": "hunter2"}},
    "orphan": 10,
    "arguments": ["-x"],
    "options": {
        "discard": {"average": 1, "minimum": 0},
        "tinker": {"panic": 0, "step": 0.128, "freq": -3.5},
        "tos": {"maxdist": 3, "minclock": 4},
        "leapfile": "/etc/ntp/leap-seconds.list",
        "logfile": "/var/log/ntp.log",
        "statsdir": "/var/log/ntpstats/",
        "statistics": ["loopstats", "peerstats"],
        "filegen": {"loopstats": {"file": "loopstats", "type": "day", "link": True, "enable": True}},
        "logconfig": ["=syncall"],
        "enable": ["stats"],
        "disable": ["monitor"],
        "interface": [{"listen": "eth0"}, {"ignore": "wildcard"}],
        "bindaddress": ["10.0.0.189", "2001:db8::2"],
        "hwtimestamp": ["eth0", "*"],
        "leapseclist": "/usr/share/zoneinfo/leap-seconds.list",
        "leapsecmode": "slew",
        "leapsectz": "right/UTC",
        "log": ["tracking", "measurements"],
        "logdir": "/var/log/chrony",
        "maxslewrate": 500.5,
        "ntsdumpdir": "/var/lib/chrony",
        "ntsservercert": ["/etc/chrony/a.crt"],
        "ntsserverkey": ["/etc/chrony/a.key"],
    },
    "conflicts": ["chronyd"],
    "health": {"settle": 600, "frequency_ppm": 490, "survivors": 1, "reference_age": 10240},
    "tiers": {
        "server": {
            "match": "ntp* or G@role:time",
            "sources": [
                "0.cn.pool.ntp.org",
                {
                    "address": "192.0.2.1",
                    "prefer": True,
                    "iburst": False,
                    "key": 1,
                    "minpoll": 4,
                    "maxpoll": 8,
                    "noselect": False,
                    "burst": True,
                    "version": 3,
                },
                "2001:db8::1",
            ],
            "addresses": ["10.0.0.189", "10.0.0.180", "2001:db8::2"],
            "serves": ["10.0.0.0/24", "10.1.0.0/16", "2001:db8::/64", "192.0.2.77"],
            "key": 1,
            "island": False,
            "peers": True,
            "method": "daemon",
        },
        "rack": {
            "match": "rack*",
            "follows": "server",
            "addresses": ["10.1.0.1"],
            "serves": ["10.1.0.0/16"],
            "daemon": None,
        },
        "sky": {
            "match": "sky*",
            "daemon": "chrony",
            "sources": [
                {"address": "nts.example", "nts": True},
                {"address": "192.0.2.9", "nts": False, "key": 1},
                "192.0.2.10",
            ],
        },
        "client": {"match": "*", "follows": "rack", "method": "cron"},
    },
}

GONE = object()


def judge(pillar, platform=None):
    """All problems that do not depend on the host."""
    tiers = pillar.get("tiers") if isinstance(pillar, dict) else None
    method = pillar.get("method", "daemon") if isinstance(pillar, dict) else "ntpd"
    found = ntpcluster_validate.problems(pillar, DEFAULTS, platform)
    found += ntpcluster_tiers.relations(tiers, method)
    return found + (ntpcluster_effect.effects(pillar, DEFAULTS, platform) if isinstance(pillar, dict) else [])


def errors(pillar, platform=None):
    return [problem for problem in judge(pillar, platform) if problem["level"] == "error"]


def spoilt(path, value):
    """The valid pillar with one value replaced, added or (GONE) left out."""
    pillar = copy.deepcopy(GOOD)
    if not path:
        return value
    *steps, last = path
    place = pillar
    for step in steps:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return pillar


SERVER = ("tiers", "server")
CLIENT = ("tiers", "client")
RACK = ("tiers", "rack")
SKY = ("tiers", "sky")
