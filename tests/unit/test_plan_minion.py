"""The plan of one minion, made from its pillar, its grains and the files of the state tree."""

import copy
import fnmatch
import random

import pytest
from salt.exceptions import CommandExecutionError, SaltInvocationError

from _modules import (
    ntpcluster_applied,
    ntpcluster_facts,
    ntpcluster_misfits,
    ntpcluster_origin,
    ntpcluster_plan,
    ntpcluster_validate,
    ntpcluster_zones,
)
from tests.loaded import FUNCTIONS, MODULES
from tests.unit.pillars import ENTRIES, GOOD, PLATFORMS
from tests.unit.test_plan import DEFAULTS, PILLAR, ROOT, host
from tests.unit.test_validate_mutations import mutate


@pytest.fixture
def minion(monkeypatch, tmp_path):
    """The modules of one minion; returns its pillar and grains, which a test may change."""
    pillar = {"ntp": copy.deepcopy(PILLAR)}
    grains = {
        "id": "node148",
        "fqdn": "node148.example",
        "host": "node148",
        "localhost": "node148",
        "os": "CentOS",
        "osmajorrelease": 6,
        "ipv4": ["10.0.0.148", "127.0.0.1"],
        "ipv6": ["::1"],
    }
    functions = dict(
        FUNCTIONS,
        **{
            "cp.cache_file": lambda url, saltenv: str(ROOT / "salt" / url.replace("salt://", "")),
            # A file server with only the tree; the lab uses a real one.
            "cp.hash_file": lambda url, saltenv: {},
            "match.compound": lambda matcher: fnmatch.fnmatch(grains["id"], matcher),
            # The master's pillar is the same as the minion's copy.
            "pillar.items": lambda unmask: pillar,
            "ntpcluster_code.version": lambda: "0.1.0+12345678",
        },
    )
    monkeypatch.setattr(ntpcluster_applied, "KEPT", str(tmp_path / "applied.json"))
    monkeypatch.setattr(ntpcluster_origin, "STORE", str(tmp_path))
    context, opts = {}, {"cachedir": str(tmp_path)}
    # The two zones of a minimal tzdata.
    monkeypatch.setattr(ntpcluster_zones, "ZONES", str(tmp_path))
    (tmp_path / "Asia").mkdir()
    for name in ("Asia/Shanghai", "UTC"):
        (tmp_path / name).write_bytes(b"TZif2")
    for module in MODULES.values():
        for name, value in (
            ("__salt__", functions),
            ("__pillar__", pillar),
            ("__grains__", grains),
            ("__opts__", opts),
            ("__context__", context),
        ):
            monkeypatch.setattr(module, name, value, raising=False)
    return {"pillar": pillar, "grains": grains, "functions": functions}


def test_the_plan_of_a_minion_comes_from_its_pillar_and_grains(minion):
    made = ntpcluster_plan.plan()
    assert made["tier"] == "client" and made["platform"]["name"] == "RedHat-6"
    assert made["platform"]["conf"] == "/etc/ntp.conf"
    assert made["step_tickers"] == ["10.0.0.189", "10.0.0.180"]


def test_secrets_come_only_when_they_are_asked_for(minion):
    minion["pillar"]["ntp"]["keys"] = {
        "12": {"type": "M", "secret": "hunter2"},
        3: {"type": "M", "secret": "hunter3"},
    }
    assert ntpcluster_plan.plan()["keys"] == [{"id": 3, "type": "M"}, {"id": 12, "type": "M"}]
    assert [key["secret"] for key in ntpcluster_plan.plan(secrets=True)["keys"]] == ["hunter3", "hunter2"]


def test_an_invalid_pillar_makes_one_error_with_all_problems(minion):
    minion["pillar"]["ntp"].update(orphan=1, timezone="../etc/passwd")
    with pytest.raises(SaltInvocationError) as error:
        ntpcluster_plan.plan()
    assert "ntp:orphan: must be a whole number from 2 to 15" in str(error.value)
    assert "ntp:timezone: must be a time zone" in str(error.value)


def test_the_message_for_a_minion_without_pillar_says_where_to_write_it(minion):
    del minion["pillar"]["ntp"]
    with pytest.raises(SaltInvocationError, match="pillar/ntp/init.sls"):
        ntpcluster_plan.plan()


@pytest.mark.parametrize(
    ("grains", "name"),
    [
        ({"os": "SUSE", "osmajorrelease": 11}, "SUSE-11"),
        ({"os": "Debian", "osmajorrelease": 7}, "Debian-7"),
        # Other systems of the same family have the same numbers.
        ({"os": "Ubuntu", "os_family": "Debian", "osmajorrelease": 12}, "Ubuntu-12"),
        ({"os": "Mint", "os_family": "Debian", "osmajorrelease": 22}, "Mint-22"),
        ({"os": "Fedora", "os_family": "RedHat", "osmajorrelease": 6}, "Fedora-6"),
        ({"os": "Arch", "osmajorrelease": None}, "Arch-unknown"),
        ({"os": "Windows", "osmajorrelease": ""}, "Windows-unknown"),
        ({"os": "proxy", "osmajorrelease": None}, "proxy-unknown"),
    ],
)
def test_an_unknown_platform_is_named_together_with_the_known_ones(minion, grains, name):
    minion["grains"].update(grains)
    minion["pillar"]["ntp"]["orphan"] = 1
    with pytest.raises(SaltInvocationError) as error:
        ntpcluster_plan.plan()
    known = ", ".join(sorted(ENTRIES))
    told = f"ntpcluster does not know the platform {name}, only {known}: it changes nothing on this host"
    assert str(error.value) == told
    assert f"platforms.yaml: {told}" in [problem["text"] for problem in ntpcluster_validate.validate()]


def test_a_zone_that_this_hosts_tzdata_does_not_have_is_an_error(minion):
    assert ntpcluster_plan.plan()["timezone"] == "Asia/Shanghai"
    minion["pillar"]["ntp"]["timezone"] = "Asia/Shangai"
    with pytest.raises(SaltInvocationError, match=r"ntp:timezone \(Asia/Shangai\): .*did you mean Asia/Shanghai\?"):
        ntpcluster_plan.plan()


@pytest.mark.parametrize("platform", ["Debian-12", "RedHat-6"])
def test_disabling_the_monitor_that_limited_needs_is_reported(platform):
    pillar = dict(PILLAR, options={"disable": ["monitor"]})
    for name, address, words in (("ntp189", "10.0.0.189", ["`limited`"]), ("node148", "10.0.0.148", [])):
        found = ntpcluster_misfits.doubts(pillar, DEFAULTS, PLATFORMS[platform], host(name, address))
        said = [problem for problem in found if problem["key"] == "ntp:options:disable"]
        assert [word in problem["message"] for problem, word in zip(said, words, strict=True)] == [True] * len(words)


def test_a_file_server_without_the_tree_is_reported(minion):
    minion["functions"]["cp.cache_file"] = lambda url, saltenv: ""
    with pytest.raises(CommandExecutionError, match="file_roots"):
        ntpcluster_plan.plan()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("platforms.yaml", "rack1: {model: x}\n"),
        ("platforms.yaml", "- RedHat\n"),
        ("platforms.yaml", ""),
        ("platforms.yaml", "RedHat: [\n"),
        ("defaults.yaml", "ntp: {enabled: true}\n"),
        ("defaults.yaml", "ntp\n"),
    ],
)
def test_a_file_that_hides_one_of_the_tree_is_told_by_name(name, text, minion, tmp_path):
    (tmp_path / name).write_text(text)
    ours = minion["functions"]["cp.cache_file"]
    minion["functions"]["cp.cache_file"] = lambda url, saltenv: (
        str(tmp_path / name) if url == f"salt://ntp/{name}" else ours(url, saltenv)
    )
    with pytest.raises(CommandExecutionError, match=f"salt://ntp/{name} is not"):
        ntpcluster_plan.plan()


@pytest.mark.parametrize("matcher", ["(ntp1 or ntp2)", "X@foo", "N@servers"])
def test_a_matcher_that_salt_cannot_read_is_an_error_and_is_not_asked(matcher, minion):
    minion["pillar"]["ntp"]["tiers"]["server"]["match"] = matcher
    asked = []
    minion["functions"]["match.compound"] = lambda matcher: asked.append(matcher) or True
    (problem,) = [problem for problem in ntpcluster_validate.validate() if problem["level"] == "error"]
    assert problem["key"] == "ntp:tiers:server:match" and matcher in problem["text"]
    assert set(asked) == {"*"}
    assert ntpcluster_facts.facts(minion["pillar"]["ntp"])["host"]["matches"] == {"server": None, "client": True}


def test_the_facts_of_a_minion_are_those_of_the_daemon_that_its_tier_wants(minion):
    minion["grains"].update(os="Debian", osmajorrelease=12)
    assert ntpcluster_facts.facts(minion["pillar"]["ntp"])["platform"]["daemon"] == "ntpd"
    minion["pillar"]["ntp"]["tiers"]["client"]["daemon"] = "chrony"
    assert ntpcluster_facts.facts(minion["pillar"]["ntp"])["platform"]["daemon"] == "chrony"
    assert ntpcluster_plan.plan()["platform"]["conf"] == "/etc/chrony/chrony.conf"
    minion["pillar"]["ntp"]["daemon"] = ["chrony"]
    assert [one["key"] for one in ntpcluster_validate.validate() if one["level"] == "error"] == ["ntp:daemon"]


def test_a_missing_zone_for_leap_seconds_is_reported(minion, tmp_path):
    minion["grains"].update(osmajorrelease=9)
    minion["pillar"]["ntp"]["options"] = {"leapsectz": "right/UTC"}

    def told():
        return [one["message"] for one in ntpcluster_validate.validate() if one["key"] == "ntp:options:leapsectz"]

    assert told()[0].startswith("is not among the time zones of this host")
    (tmp_path / "right").mkdir()
    (tmp_path / "right/UTC").write_bytes(b"TZif2")
    assert told() == []


def test_the_pillar_of_this_repository_has_no_errors_on_any_platform(minion):
    for system, release, name, address in (
        ("RedHat", 6, "ntp189", "10.0.0.189"),
        ("Debian", 12, "node148", "10.0.0.148"),
    ):
        minion["grains"].update(os=system, osmajorrelease=release, id=name, ipv4=[address])
        assert [problem for problem in ntpcluster_validate.validate() if problem["level"] == "error"] == []


def test_another_pillar_can_be_judged_without_installing_it(minion):
    found = ntpcluster_validate.validate({"tiers": {"server": {"match": "ntp*", "follows": "server"}}})
    assert [(problem["key"], problem["level"]) for problem in found] == [("ntp:tiers:server:follows", "error")]


def test_a_limit_that_is_not_kept_makes_no_plan(minion):
    """The crontab of a host without a daemon steps by any distance."""
    minion["pillar"]["ntp"] = {**PILLAR, "method": "cron", "step": {"limit": 60}}
    minion["pillar"]["ntp"]["tiers"] = {"client": {"match": "*", "sources": ["10.0.0.1"]}}
    with pytest.raises(SaltInvocationError, match="ntp:step:limit .60.: cannot be enforced in tier client"):
        ntpcluster_plan.plan()


def test_every_pillar_makes_a_plan_or_one_clear_error(minion):
    chance = random.Random(652)
    plans = 0
    for _ in range(500):
        minion["pillar"]["ntp"] = copy.deepcopy(GOOD)
        for _ in range(chance.randint(1, 3)):
            mutate(chance, minion["pillar"]["ntp"])
        try:
            plans += ntpcluster_plan.plan()["id"] == "node148"
        except SaltInvocationError as error:
            assert str(error).count("\n  ntp:") >= 1
    assert 10 < plans < 400
