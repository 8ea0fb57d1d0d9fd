"""The plan of each host, derived from the few lines of the pillar."""

import copy
import fnmatch
import json
from pathlib import Path

import pytest
import yaml

from _modules import (
    ntpcluster_build,
    ntpcluster_misfits,
)
from tests.unit.pillars import ENTRIES, PLATFORMS

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = yaml.safe_load((ROOT / "salt/ntp/defaults.yaml").read_text())
PILLAR = yaml.safe_load((ROOT / "pillar/ntp/init.sls").read_text())["ntp"]

KOD = "kod limited nomodify notrap nopeer noquery"
#: How often a tier below the top asks.
OFTEN = "minpoll 4 maxpoll 4"
QUIET = "nomodify notrap nopeer noquery"

THREE_TIERS = {
    "tiers": {
        # Written from the bottom up, because the order of a mapping must not matter.
        "node": {"match": "*", "follows": "rack"},
        "rack": {
            "match": "rack*",
            "follows": "core",
            "addresses": ["10.1.0.1", "10.1.0.2", "10.1.0.3"],
            "serves": ["10.1.0.0/16", "2001:db8:1::/48"],
        },
        "core": {
            "match": "core*",
            "sources": [
                "192.0.2.1",
                {"address": "192.0.2.2", "prefer": True, "minpoll": 4, "maxpoll": 6},
                "192.0.2.3",
            ],
            "addresses": ["10.0.0.1", "10.0.0.2"],
            "serves": ["10.0.0.0/8"],
            "key": 7,
        },
    },
    "keys": {7: {"type": "SHA1", "secret": "0123456789abcdef0123456789abcdef01234567"}},
    "orphan": 6,
}


def host(name, *addresses, pillar=PILLAR):
    """A host as ``facts`` describes it, with simple glob matchers."""
    matches = {tier: fnmatch.fnmatch(name, keys["match"]) for tier, keys in pillar["tiers"].items()}
    return {
        "id": name,
        "names": [name, name + ".example"],
        "addresses": ["127.0.0.1", *addresses],
        "matches": matches,
    }


def plan(name, *addresses, pillar=PILLAR, platform="RedHat-6"):
    made = ntpcluster_build.build(
        pillar, DEFAULTS, dict(PLATFORMS[platform], name=platform), host(name, *addresses, pillar=pillar)
    )
    assert json.loads(json.dumps(made)) == made, "it is remembered and kept as JSON"
    return made


def lines(made):
    return [line for block in made["restrict"] for line in block["lines"]]


def test_a_server_asks_the_sources_of_the_pillar_and_prefers_none():
    made = plan("ntp189", "10.0.0.189")
    assert made["tier"] == "server" and made["level"] == 0 and made["follows"] is None
    assert [source["line"] for source in made["sources"]] == [f"server {n}.cn.pool.ntp.org iburst" for n in range(4)]


def test_a_client_follows_the_servers_and_prefers_the_first():
    made = plan("node148", "10.0.0.148")
    assert made["tier"] == "client" and made["level"] == 1 and made["follows"] == "server"
    assert [source["line"] for source in made["sources"]] == [
        f"server 10.0.0.189 iburst prefer {OFTEN}",
        f"server 10.0.0.180 iburst {OFTEN}",
    ]


@pytest.mark.parametrize(
    ("polls", "words"),
    [
        ({"maxpoll": 6}, "minpoll 4 maxpoll 6"),
        ({"maxpoll": None}, "minpoll 4"),
        ({"minpoll": None, "maxpoll": None}, ""),
    ],
)
def test_the_pillar_says_how_often_the_tiers_below_the_top_ask(polls, words):
    pillar = {**PILLAR, "polls": polls}
    client = plan("node148", "10.0.0.148", pillar=pillar)
    assert client["sources"][0]["line"] == f"server 10.0.0.189 iburst prefer {words}".strip()
    server = plan("ntp189", "10.0.0.189", pillar=pillar)
    assert [source["line"] for source in server["sources"]] == [f"server {n}.cn.pool.ntp.org iburst" for n in range(4)]


def test_a_client_of_numeric_servers_ignores_everyone_else():
    assert lines(plan("node148", "10.0.0.148")) == [
        "restrict default ignore",
        "restrict -6 default ignore",
        "restrict 127.0.0.1",
        "restrict -6 ::1",
        f"restrict 10.0.0.189 {QUIET}",
        f"restrict 10.0.0.180 {QUIET}",
    ]


def test_a_server_of_ntp_4_2_6_with_sources_by_name_cannot_ignore_by_default():
    assert lines(plan("ntp189", "10.0.0.189")) == [
        f"restrict default {KOD}",
        f"restrict -6 default {KOD}",
        "restrict 127.0.0.1",
        "restrict -6 ::1",
        f"restrict 10.0.0.0 mask 255.255.255.0 {KOD}",
    ]


def test_ntpsec_lets_in_sources_by_name_one_by_one():
    assert lines(plan("ntp189", "10.0.0.189", platform="Debian-12")) == [
        "restrict default ignore",
        "restrict 127.0.0.1",
        "restrict ::1",
        "restrict source nomodify noquery",
        "restrict 10.0.0.0 mask 255.255.255.0 kod limited nomodify noquery",
    ]


def test_no_rule_with_a_mask_has_a_family_flag():
    # A syntax error before 4.2.6p5-9: ntpd would only log it and not serve anybody.
    for platform in ("RedHat-6", "Debian-12"):
        made = plan("rack1", "10.1.0.1", pillar=THREE_TIERS, platform=platform)
        masked = [line.split(" kod ")[0] for line in lines(made) if " mask " in line]
        assert masked == [
            "restrict 10.1.0.0 mask 255.255.0.0",
            "restrict 2001:db8:1:: mask ffff:ffff:ffff::",
        ]


def test_a_host_that_serves_all_networks_has_no_default_ignore():
    pillar = copy.deepcopy(PILLAR)
    pillar["tiers"]["server"].update(sources=["192.0.2.1"], serves=["0.0.0.0/0"])
    made = plan("ntp189", "10.0.0.189", pillar=pillar, platform="Debian-12")
    everyone = "restrict default kod limited nomodify noquery"
    assert lines(made) == [everyone, "restrict 127.0.0.1", "restrict ::1"]
    assert made["firewall"]["networks"] == ["0.0.0.0/0"]


def test_the_firewall_opens_to_served_networks_only():
    assert plan("ntp189", "10.0.0.189")["firewall"] == {"manage": True, "networks": ["10.0.0.0/24"]}
    assert plan("node148", "10.0.0.148")["firewall"] == {"manage": True, "networks": []}


def test_step_tickers_are_bare_names():
    assert plan("node148", "10.0.0.148")["step_tickers"] == ["10.0.0.189", "10.0.0.180"]


@pytest.mark.parametrize(
    ("name", "tier", "level", "sources"),
    [
        (
            "core1",
            "core",
            0,
            [
                "server 192.0.2.1 iburst",
                "server 192.0.2.2 iburst prefer minpoll 4 maxpoll 6",
                "server 192.0.2.3 iburst",
            ],
        ),
        ("rack1", "rack", 1, [f"server 10.0.0.1 iburst prefer key 7 {OFTEN}", f"server 10.0.0.2 iburst key 7 {OFTEN}"]),
        ("db17", "node", 2, [f"server 10.1.0.{n} iburst{' prefer' * (n == 1)} {OFTEN}" for n in (1, 2, 3)]),
    ],
)
def test_each_of_three_tiers_asks_the_one_above(name, tier, level, sources):
    made = plan(name, "10.1.7.7", pillar=THREE_TIERS)
    assert (made["tier"], made["level"]) == (tier, level)
    assert [source["line"] for source in made["sources"]] == sources
    assert made["tiers"] == ["core", "rack", "node"]


def test_a_tier_for_everyone_else_is_tried_last_at_any_level():
    pillar = {
        "tiers": {
            "a-rest": {"match": "*", "follows": "top"},
            "deep": {"match": "edge*", "follows": "rack"},
            "rack": {"match": "rack*", "follows": "top", "addresses": ["10.0.0.3"], "serves": ["10.0.0.0/8"]},
            "top": {
                "match": "ntp*",
                "sources": ["192.0.2.1"],
                "addresses": ["10.0.0.1"],
                "serves": ["10.0.0.0/8"],
            },
        }
    }
    tiers = {name: plan(name, "10.9.9.9", pillar=pillar)["tier"] for name in ("ntp1", "rack1", "edge1", "web1")}
    assert tiers == {"ntp1": "top", "rack1": "rack", "edge1": "deep", "web1": "a-rest"}


@pytest.mark.parametrize("own", ["10.1.0.1", "2001:db8::5"])
def test_a_host_never_lists_its_own_address(own):
    pillar = copy.deepcopy(THREE_TIERS)
    pillar["tiers"]["rack"]["addresses"] = ["10.1.0.1", "2001:DB8:0::5", "10.1.0.2"]
    made = plan("db17", own, pillar=pillar)
    assert own not in made["step_tickers"] and len(made["sources"]) == 2
    assert [source["prefer"] for source in made["sources"]] == [True, False]


def test_a_host_never_lists_its_own_name():
    pillar = copy.deepcopy(PILLAR)
    pillar["tiers"]["server"]["sources"] = ["NTP189.example", "ntp180.example"]
    assert plan("ntp189", "10.0.0.189", pillar=pillar)["step_tickers"] == ["ntp180.example"]


def test_only_a_tier_that_serves_is_an_orphan_parent():
    orphans = {name: plan(name, "10.1.7.7", pillar=THREE_TIERS)["orphan"] for name in ("core1", "rack1", "db17")}
    assert orphans == {"core1": 6, "rack1": 6, "db17": None}
    # But every tier knows the stratum of a source that is below an orphan.
    assert plan("db17", "10.1.7.7", pillar=THREE_TIERS)["orphan_stratum"] == 6


@pytest.mark.parametrize(
    ("count", "tos", "minsane", "lines"),
    [
        (1, None, 1, []),
        (2, None, 1, []),
        (3, None, 2, []),
        (4, None, 2, []),
        (3, {"maxdist": 3}, 2, ["tos maxdist 3"]),
        (3, {"minsane": 1}, 1, []),
        (4, {"minsane": 3, "minclock": 4}, 3, ["tos minclock 4"]),
        (2, {"minsane": 2}, 2, []),
        # ntpd keeps one survivor, so two could never agree.
        (3, {"minclock": 1}, 1, ["tos minclock 1"]),
    ],
)
def test_two_of_three_sources_have_to_agree_unless_the_pillar_says_otherwise(count, tos, minsane, lines):
    pillar = copy.deepcopy(PILLAR)
    pillar["tiers"]["server"]["sources"] = [f"192.0.2.{number}" for number in range(count)]
    pillar["options"] = {"tos": tos} if tos else {}
    made = plan("ntp189", "10.0.0.189", pillar=pillar)
    assert (made["minsane"], made["options"]) == (minsane, lines)


def test_a_host_that_leaves_itself_out_counts_the_others():
    pillar = copy.deepcopy(PILLAR)
    pillar["tiers"]["server"]["sources"] = ["10.0.0.189", "192.0.2.1", "192.0.2.2"]
    assert plan("ntp189", "10.0.0.189", pillar=pillar)["minsane"] == 1


def test_options_become_finished_lines_without_exponents():
    options = {
        "tinker": {"panic": 0, "step": 0.128, "dispersion": 1.5e-05},
        "statistics": ["loopstats", "peerstats"],
        "filegen": {"loopstats": {"file": "loops", "type": "day", "link": False, "enable": True}},
        "interface": [{"ignore": "wildcard"}, {"listen": "eth0"}],
        "leapfile": "/etc/ntp/leap-seconds.list",
        "logconfig": ["=syncall", "+clockall"],
    }
    assert plan("node148", "10.0.0.148", pillar=dict(PILLAR, options=options))["options"] == [
        "filegen loopstats file loops type day nolink enable",
        "interface ignore wildcard",
        'interface listen "eth0"',
        "leapfile /etc/ntp/leap-seconds.list",
        "logconfig =syncall +clockall",
        "statistics loopstats peerstats",
        "tinker dispersion 0.000015 panic 0 step 0.128",
    ]


def test_a_section_of_the_pillar_replaces_only_the_keys_it_names():
    made = plan("node148", "10.0.0.148", pillar=dict(PILLAR, step={"passes": 5}, sync=None))
    assert made["step"] == {"threshold": 0.128, "limit": None, "passes": 5, "at_boot": False}
    assert made["sync"] == DEFAULTS["sync"]
    assert DEFAULTS["step"]["passes"] == 3


def test_packages_and_rivals_are_the_platforms_unless_the_pillar_says_otherwise():
    made = plan("node148", "10.0.0.148", platform="Debian-12")
    assert made["package"]["names"] == PLATFORMS["Debian-12"]["packages"]
    assert made["conflicts"] == PLATFORMS["Debian-12"]["conflicts"]
    own = dict(PILLAR, conflicts=[], package={"names": ["ntp"], "version": "4.2.6p5-1.el6"})
    made = plan("node148", "10.0.0.148", pillar=own)
    assert made["conflicts"] == [] and made["package"] == {
        "names": ["ntp"],
        "version": "4.2.6p5-1.el6",
        "sources": [],
    }


def test_hosts_that_ask_by_crontab_do_not_all_ask_in_the_same_minute():
    minutes = {plan(f"node{n}", "10.0.0.7")["cron"]["minute"] for n in range(100)}
    assert len(minutes) > 30 and all(0 <= int(minute) < 60 for minute in minutes)
    assert plan("node1", "10.0.0.7", pillar=dict(PILLAR, cron={"minute": 0}))["cron"]["minute"] == "0"


def test_a_tier_can_have_its_own_method():
    pillar = copy.deepcopy(PILLAR)
    pillar["tiers"]["client"]["method"] = "cron"
    assert plan("node148", "10.0.0.148", pillar=pillar)["method"] == "cron"
    assert plan("ntp189", "10.0.0.189", pillar=pillar)["method"] == "daemon"
    # The name in the first release.
    assert plan("ntp189", "10.0.0.189", pillar={**pillar, "method": "ntpd"})["method"] == "daemon"


def test_every_platform_says_the_same_things():
    def shape(entry):
        return {
            key: shape(value) if value and key in ("grammar", "timezone", "firewall") else None
            for key, value in entry.items()
            if key != "daemons"
        }

    shapes = [shape(entry) for entry in ENTRIES.values()]
    assert all(each == shapes[0] for each in shapes)
    for daemon in ("ntpd", "chrony"):
        shapes = [shape(entry["daemons"][daemon]) for entry in ENTRIES.values() if daemon in entry["daemons"]]
        assert all(each == shapes[0] for each in shapes)


@pytest.mark.parametrize(
    ("name", "addresses", "platform", "expected"),
    [
        ("node148", ["10.0.0.148"], "RedHat-6", []),
        ("ntp189", ["10.0.0.189"], "Debian-12", []),
        ("ntp189", ["10.0.0.189"], "RedHat-6", [("ntp:tiers:server:sources", "the firewall must do it")]),
        (
            "node148",
            ["192.168.7.7"],
            "RedHat-6",
            [("ntp:tiers:server:serves", "does not include this host, node148")],
        ),
    ],
)
def test_what_does_not_fit_between_host_and_pillar_is_a_warning(name, addresses, platform, expected):
    found = ntpcluster_misfits.doubts(PILLAR, DEFAULTS, PLATFORMS[platform], host(name, *addresses))
    assert [(problem["key"], problem["level"]) for problem in found] == [(key, "warning") for key, _ in expected]
    assert all(words in problem["message"] for problem, (_, words) in zip(found, expected, strict=True))


def test_the_message_for_a_host_of_no_tier_contains_its_name():
    pillar = copy.deepcopy(PILLAR)
    del pillar["tiers"]["client"]
    (problem,) = ntpcluster_misfits.doubts(pillar, DEFAULTS, PLATFORMS["RedHat-6"], host("node148", pillar=pillar))
    assert problem["level"] == "error" and problem["key"] == "ntp:tiers" and "node148" in problem["message"]


def test_a_host_that_could_ask_only_itself_is_an_error():
    pillar = copy.deepcopy(PILLAR)
    pillar["tiers"]["server"]["addresses"] = ["10.0.0.148"]
    found = ntpcluster_misfits.doubts(
        pillar, DEFAULTS, PLATFORMS["RedHat-6"], host("node148", "10.0.0.148", pillar=pillar)
    )
    assert ("ntp:tiers:client:follows", "error") in [(problem["key"], problem["level"]) for problem in found]


@pytest.mark.parametrize(
    ("pillar", "spoil", "name", "address", "key"),
    [
        # Its matcher no longer finds it: it would follow the other server, which follows it.
        (PILLAR, {"server": {"match": "X@foo"}}, "ntp189", "10.0.0.189", "ntp:tiers:server:addresses"),
        # Two tiers down, where its own address is not in the list of its sources.
        (THREE_TIERS, {"core": {"match": "croe*"}}, "core1", "10.0.0.1", "ntp:tiers:core:addresses"),
        # Up instead of down.
        (THREE_TIERS, {"core": {"match": "*1"}}, "rack1", "10.1.0.1", "ntp:tiers:rack:addresses"),
        # By name: the id or the fully qualified name.
        (PILLAR, {"server": {"addresses": ["Node148"]}}, "node148", "10.0.0.148", "ntp:tiers:server:addresses"),
        (PILLAR, {"server": {"addresses": ["node148.example"]}}, "node148", "10.0.0.148", "ntp:tiers:server:addresses"),
    ],
)
def test_a_server_never_silently_becomes_a_client(pillar, spoil, name, address, key):
    pillar = copy.deepcopy(pillar)
    for tier, keys in spoil.items():
        pillar["tiers"][tier].update(keys)
    found = ntpcluster_misfits.doubts(pillar, DEFAULTS, PLATFORMS["RedHat-6"], host(name, address, pillar=pillar))
    (problem,) = [problem for problem in found if problem["key"] == key and problem["level"] == "error"]
    assert f"is this host, {name}, but the host belongs to tier" in problem["message"]


def test_a_member_with_an_address_that_its_tier_shares_is_not_an_error():
    pillar = copy.deepcopy(PILLAR)
    pillar["tiers"]["server"]["addresses"] = ["10.0.0.100", "ntp.example"]
    for name in ("ntp189", "ntp180", "node148"):
        own = host(name, "10.0.0.7", *(["10.0.0.100"] if name == "ntp189" else []), pillar=pillar)
        found = ntpcluster_misfits.doubts(pillar, DEFAULTS, PLATFORMS["Debian-12"], own)
        assert [problem for problem in found if problem["level"] == "error"] == []


def test_a_host_that_two_matchers_find_is_reported_with_its_tier():
    pillar = copy.deepcopy(THREE_TIERS)
    pillar["tiers"]["rack"]["match"] = "*1"
    found = ntpcluster_misfits.doubts(
        pillar, DEFAULTS, PLATFORMS["Debian-12"], host("core1", "10.0.0.1", pillar=pillar)
    )
    assert [(problem["key"], problem["level"]) for problem in found] == [("ntp:tiers:rack:match", "warning")]
    assert "core applies" in found[0]["message"]


def test_a_limit_on_steps_binds_the_daemon_as_well():
    free, bound = plan("ntp189", pillar=PILLAR), plan("ntp189", pillar=dict(PILLAR, step={"limit": 3600}))
    assert free["platform"]["sysconfig"]["values"][0]["value"].split()[-1] == "-g"
    assert "-g" not in bound["platform"]["sysconfig"]["values"][0]["value"].split()
    assert bound["options"] == ["tinker panic 3600"] and free["options"] == []


@pytest.mark.parametrize(
    ("platform", "words"), [("RedHat-6", "-u ntp:ntp -p /var/run/ntpd.pid -g -x"), ("Debian-12", "-g -N -x")]
)
def test_additional_start_options_follow_the_daemons_own(platform, words):
    made = plan("ntp189", pillar=dict(PILLAR, arguments=["-x"]), platform=platform)
    values = made["platform"]["sysconfig"]["values"]
    assert values[0]["value"] == words and values[1:] == PLATFORMS[platform]["sysconfig"]["values"][1:]
    again = plan("ntp189", pillar=dict(PILLAR, arguments=["-N", "-x"], step={"limit": 60}), platform="Debian-12")
    assert again["platform"]["sysconfig"]["values"][0]["value"] == "-N -x"


def test_chronyd_is_not_started_with_options_of_ntpd():
    platform = dict(PLATFORMS["RedHat-9"], name="RedHat-9")
    found = ntpcluster_misfits.doubts(dict(PILLAR, arguments=["-x"]), DEFAULTS, platform, host("ntp189"))
    assert [(one["key"], one["level"]) for one in found if "given to chrony" in one["message"]] == [
        ("ntp:arguments", "error")
    ]


def test_a_noselect_source_does_not_count():
    pillar = copy.deepcopy(PILLAR)
    watched = {"address": "192.0.2.9", "noselect": True, "burst": True, "version": 3}
    pillar["tiers"]["server"]["sources"] = ["192.0.2.1", "192.0.2.2", watched]
    made = plan("ntp189", pillar=pillar)
    assert made["sources"][2]["line"] == "server 192.0.2.9 iburst burst noselect version 3"
    assert made["minsane"] == 1 and made["step_by"] == made["step_tickers"] == ["192.0.2.1", "192.0.2.2"]


def test_without_a_daemon_no_network_is_admitted():
    assert plan("ntp189", pillar=PILLAR)["firewall"]["networks"] == ["10.0.0.0/24"]
    assert plan("ntp189", pillar=dict(PILLAR, method="cron"))["firewall"]["networks"] == []
