"""Keys that have no effect, or cannot be enforced, because of another key."""

import pytest

from _modules import ntpcluster_effect
from tests.unit.pillars import DEFAULTS, PLATFORMS, SHA1
from tests.unit.test_platforms import MADE_UP

EL6, DEBIAN = PLATFORMS["RedHat-6"], PLATFORMS["Debian-12"]

SERVER = {"match": "ntp*", "sources": ["192.0.2.1"], "addresses": ["10.0.0.1"], "serves": ["10.0.0.0/24"]}
CLIENT = {"match": "*", "follows": "server"}
BY_CRON = {**CLIENT, "method": "cron"}
ALONE = {"client": {"match": "*", "sources": ["192.0.2.1"]}}
KEYS = {1: {"type": "SHA1", "secret": SHA1}}


def told(pillar, platform=EL6):
    """The problems of a pillar: [(level, key below ntp, message)]."""
    found = ntpcluster_effect.effects(pillar, DEFAULTS, platform)
    return [(one["level"], one["key"].partition(":")[2], one["message"]) for one in found]


def tiers(client=CLIENT, **server):
    return {"server": {**SERVER, **server}, "client": client}


def test_a_pillar_whose_keys_all_do_something_is_left_alone():
    assert (
        told({"tiers": tiers(), "step": {"limit": 60}, "orphan": 6, "keys": KEYS, "options": {"tos": {"minclock": 4}}})
        == []
    )
    assert told({"tiers": tiers(BY_CRON), "cron": {"hour": 3}, "orphan": 6, "step": {"at_boot": True}}) == []


@pytest.mark.parametrize("given", [{"tiers": tiers(BY_CRON)}, {"tiers": ALONE, "method": "cron"}])
def test_a_limit_that_the_crontab_does_not_keep_is_refused(given):
    ((level, key, message),) = told({**given, "step": {"limit": 60}})
    assert (level, key) == ("error", "step:limit")
    assert (
        message.startswith("cannot be enforced in tier client, where the method is cron")
        and "use a daemon there" in message
    )


@pytest.mark.parametrize("platform", [EL6, None])
def test_a_limit_that_the_step_at_boot_does_not_keep_is_refused(platform):
    ((level, key, message),) = told({"tiers": tiers(), "step": {"limit": 60, "at_boot": True}}, platform)
    assert (level, key) == ("error", "step:at_boot")
    assert "cannot be combined with step:limit" in message


def test_a_step_at_boot_is_reported_if_nothing_steps_at_boot():
    for step in ({"at_boot": True}, {"at_boot": True, "limit": 60}):
        ((level, key, message),) = told({"tiers": tiers(), "step": step}, DEBIAN)
        assert (level, key) == ("warning", "step:at_boot")
        assert message == "has no effect on this host: its platform has no ntpdate service"
    assert told({"tiers": tiers(), "step": {"at_boot": False}}, DEBIAN) == []


@pytest.mark.parametrize("panic", [0, 61])
def test_a_daemon_that_may_jump_further_than_the_limit_is_reported(panic):
    pillar = {"tiers": tiers(), "step": {"limit": 60}, "options": {"tinker": {"panic": panic}}}
    assert told(pillar) == [("warning", "options:tinker:panic", "makes the daemon step further than step:limit, 60")]
    pillar["options"]["tinker"]["panic"] = 60
    assert told(pillar) == []


def test_a_daemon_whose_options_cannot_be_written_is_reported():
    ((level, key, message),) = told({"tiers": tiers(), "step": {"limit": 60}}, MADE_UP["daemons:ntpd:sysconfig"])
    assert (level, key) == ("warning", "step:limit") and "-g" in message


def test_a_key_that_only_a_daemon_reads_is_reported_if_no_tier_has_one():
    given = {"keys": KEYS, "options": {"tinker": {"step": 1}}, "orphan": 6, "health": {"settle": 60, "survivors": 2}}
    given["polls"] = {"maxpoll": 6}
    found = told({"tiers": ALONE, "method": "cron", **given})
    assert [(level, key) for level, key, _ in found] == [
        ("warning", key) for key in ("keys", "options", "orphan", "polls", "health:settle")
    ]
    assert {message for _, _, message in found} == {
        "has no effect: every tier has the method cron, and only a daemon reads it"
    }


def test_polls_are_reported_if_no_tier_follows_another():
    found = told({"tiers": ALONE, "polls": {"maxpoll": 6}})
    assert [(level, key) for level, key, _ in found] == [("warning", "polls")]
    assert told({"tiers": tiers(), "polls": {"maxpoll": 6}}) == []


def test_a_source_key_that_only_a_daemon_reads_is_reported_in_a_tier_with_cron():
    source = {"address": "192.0.2.1", "prefer": True, "key": 1}
    found = told(
        {
            "keys": KEYS,
            "tiers": {
                "a": {**SERVER, "sources": [source]},
                "b": {"match": "*", "method": "cron", "sources": ["192.0.2.2", source]},
            },
        }
    )
    why = "has no effect: the method of this tier is cron"
    assert found == [("warning", f"tiers:b:sources:1:{key}", why) for key in ("key", "prefer")]


def test_a_key_that_the_tier_below_does_not_check_is_reported():
    ((level, key, message),) = told({"keys": KEYS, "tiers": tiers(BY_CRON, key=1)})
    assert (level, key) == ("warning", "tiers:server:key")
    assert message == "has no effect in tier client: its method is cron, and a step from crontab checks no key"
    assert told({"keys": KEYS, "tiers": tiers(key=1)}) == []


def test_a_key_of_a_tier_without_followers_is_reported():
    found = told({"keys": KEYS, "tiers": {"server": {**SERVER, "key": 1}}})
    assert found == [("warning", "tiers:server:key", "has no effect: no tier follows this one")]


def test_fields_of_a_crontab_that_no_tier_has_are_reported():
    found = told({"tiers": tiers(), "cron": {"hour": 3}})
    assert found == [("warning", "cron", "has no effect: no tier has the method cron")]


def test_an_orphan_without_clients_is_reported():
    ((level, key, message),) = told({"tiers": ALONE, "orphan": 6})
    assert (level, key) == ("warning", "orphan") and "no tier serves" in message
