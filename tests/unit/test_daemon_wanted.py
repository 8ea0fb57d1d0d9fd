"""Which daemon a host should have, and what is refused because its platform or its daemon does not have it."""

import copy

import pytest

from _modules import ntpcluster_build as build
from _modules import ntpcluster_misfits as misfits
from tests.unit.pillars import DEFAULTS, PLATFORMS

SOURCES = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
TIERS = {"top": {"match": "ntp*", "sources": SOURCES}, "rest": {"match": "*", "sources": SOURCES}}
#: The entry of RHEL 6 for both daemons; it has only one of them.
EL6, EL9 = (dict(PLATFORMS[name], name=name) for name in ("RedHat-6", "RedHat-9"))
BOTH = dict(EL6, name="Both-1", daemons={**EL6["daemons"], **EL9["daemons"]})


def pillar(site=None, **top):
    tiers = copy.deepcopy(TIERS)
    tiers["top"].update(top)
    return {"tiers": tiers, **({"daemon": site} if site else {})}


def host(name):
    return {"id": name, "names": [name], "addresses": ["10.0.0.7"], "matches": {"top": name[:3] == "ntp", "rest": True}}


def told(pillar, platform, name="ntp1"):
    found = misfits.doubts(pillar, DEFAULTS, platform, host(name))
    return [(one["level"], one["key"], one["message"]) for one in found]


@pytest.mark.parametrize(
    ("site", "top", "daemons"),
    [
        (None, {}, ("ntpd", "ntpd")),
        ("chrony", {}, ("chrony", "chrony")),
        (None, {"daemon": "chrony"}, ("chrony", "ntpd")),
        ("chrony", {"daemon": "ntpd"}, ("ntpd", "chrony")),
        # null in a tier means each platform's own daemon.
        ("chrony", {"daemon": None}, ("ntpd", "chrony")),
    ],
)
def test_the_key_of_a_tier_overrides_that_of_the_site(site, top, daemons):
    for name, daemon in zip(("ntp1", "node1"), daemons, strict=True):
        made = build.build(pillar(site, **top), DEFAULTS, BOTH, host(name))
        assert made["platform"]["daemon"] == daemon
        assert told(pillar(site, **top), BOTH, name) == []


def test_the_first_tier_from_the_top_decides():
    """Two matchers find the host: the tier that it belongs to counts, in any order of the tiers."""
    tiers = {
        "low": {"match": "n*", "follows": "high", "daemon": "ntpd"},
        "high": {"match": "ntp*", "sources": SOURCES, "daemon": "chrony"},
    }
    for names in (["low", "high"], ["high", "low"]):
        given = {"tiers": {name: tiers[name] for name in names}}
        assert build.daemon(given, DEFAULTS, {"low": True, "high": True}) == "chrony"


@pytest.mark.parametrize(
    "broken",
    [
        None, [], {}, {"tiers": None}, {"tiers": {"top": None}}, {"tiers": {3: {"match": "*"}}, "daemon": ["chrony"]},
        {"tiers": {"top": {"match": "*", "daemon": {}}}}, {"tiers": {"top": {"match": "*", "follows": ["top"]}}},
        {"tiers": {"top": {"match": "*", "follows": "top"}}}, {"tiers": {"top": {"match": "*", "follows": "nobody"}}},
    ],
)  # fmt: skip
def test_a_pillar_that_is_not_judged_yet_names_no_daemon(broken):
    assert build.daemon(broken, DEFAULTS, {"top": True}) is None


def test_a_loop_of_tiers_ends():
    tiers = {name: {"match": "*", "follows": other, "daemon": "ntpd"} for name, other in (("a", "b"), ("b", "a"))}
    assert build.daemon({"tiers": tiers}, DEFAULTS, {"a": True, "b": None}) == "ntpd"


def test_a_daemon_that_the_platform_does_not_have_is_refused():
    ((level, key, message),) = told(pillar("chrony"), EL6)
    assert (level, key) == ("error", "ntp:daemon")
    assert message == (
        "is not available on RedHat-6, the platform of this host, ntp1, which has ntpd. Write null here or in "
        "ntp:tiers:top:daemon to use each platform's default, or name one of these there"
    )
    assert told(pillar("chrony"), EL9) == []
    # Each of the remedies that the message names.
    assert (
        told(pillar(), EL6)
        == told(pillar("chrony", daemon=None), EL6)
        == told(pillar("chrony", daemon="ntpd"), EL6)
        == []
    )


def test_a_daemon_of_a_tier_that_the_platform_does_not_have_is_refused_in_that_tier():
    ((level, key, message),) = told(pillar("chrony", daemon="ntpd"), EL9)
    assert (level, key) == ("error", "ntp:tiers:top:daemon")
    assert message.startswith("is not available on RedHat-9, the platform of this host, ntp1, which has chrony. ")
    assert told(pillar("chrony", daemon="ntpd"), EL9, "node1") == []


@pytest.mark.parametrize(
    ("platform", "number"),
    [(EL6, 1), (dict(EL9, daemons={"chrony": dict(EL9["daemons"]["chrony"], nts=False)}), 1), (EL9, 0)],
)
def test_nts_is_refused_if_the_daemon_does_not_support_it(platform, number):
    given = pillar(
        sources=["192.0.2.1", {"address": "nts.example", "nts": True}, {"address": "192.0.2.3", "nts": False}]
    )
    found = [one for one in told(given, platform) if one[0] == "error"]
    assert [(level, key) for level, key, _ in found] == [("error", "ntp:tiers:top:sources:1:nts")] * number
    assert all("is not available with" in message and "their own tier" in message for _, _, message in found)
    # This host does not query the sources of another tier.
    assert [one for one in told(given, platform, "node1") if one[0] == "error"] == []


def test_a_source_with_nts_says_so_in_its_line():
    given = pillar(sources=[{"address": "nts.example", "nts": True, "maxpoll": 8}])
    (source,) = build.build(given, DEFAULTS, EL9, host("ntp1"))["sources"]
    assert source["nts"] is True and source["line"] == "server nts.example iburst maxpoll 8 nts"


@pytest.mark.parametrize(
    ("name", "options", "problems"),
    [
        ("RedHat-7", {"leapseclist": "/usr/share/zoneinfo/leap-seconds.list"}, [("error", "leapseclist")]),
        ("RedHat-7", {"leapseclist": "/a", "leapsectz": "right/UTC"}, []),
        ("RedHat-7", {"leapseclist": "/a", "leapsectz": None}, []),
        (
            "RedHat-7",
            {"ntsservercert": ["/a"], "ntsserverkey": ["/b"], "ntsdumpdir": "/c"},
            [("warning", "ntsdumpdir"), ("warning", "ntsservercert"), ("warning", "ntsserverkey")],
        ),
        ("RedHat-7", {"maxslewrate": 500}, []),
        ("Debian-12", {"leapseclist": "/a", "ntsdumpdir": "/c"}, [("error", "leapseclist")]),
        ("Debian-13", {"leapseclist": "/a", "ntsdumpdir": "/c"}, []),
        ("RedHat-9", {"leapseclist": "/a", "ntsdumpdir": "/c"}, []),  # since 9.6; before, chronyd -p says so
    ],
)
def test_an_option_that_the_platforms_chrony_is_too_old_for_is_reported_and_not_written(name, options, problems):
    given, platform = {**pillar("chrony"), "options": options}, dict(PLATFORMS[name], name=name)
    found = told(given, platform)
    assert [(level, key) for level, key, _ in found] == [(level, f"ntp:options:{key}") for level, key in problems]
    assert all(f"chrony in the version of {name}" in message for _, _, message in found)
    lines = "\n".join(build.build(given, DEFAULTS, platform, host("ntp1"))["options"])
    late = {key for _, key in problems} | ({"leapseclist"} if "leapsectz" in options else set())
    assert {key for key in options if f"{key} " in lines} == {key for key in options if options[key]} - late


BIND, LISTEN = "ntp:options:bindaddress:0", "ntp:options:interface:1:listen"


@pytest.mark.parametrize(
    ("platform", "bound", "keys"),
    [
        (EL9, ["10.0.0.8"], [BIND]),
        (EL9, ["10.0.0.7"], []),
        (EL9, ["0.0.0.0", "::"], []),
        (EL9, ["2001:db8::7"], [BIND]),
        (EL6, ["10.0.0.8"], [LISTEN]),
        (EL6, ["10.0.0.7"], []),
    ],
)
def test_an_address_to_listen_at_that_the_host_does_not_have_is_a_warning(platform, bound, keys):
    options = {"bindaddress": bound, "interface": [{"ignore": "wildcard"}, {"listen": bound[0]}, {"listen": "eth0"}]}
    found = told({**pillar(), "options": options}, platform)
    assert [(level, key) for level, key, _ in found] == [("warning", key) for key in keys]
    assert all(
        "this host, ntp1, whose addresses are 10.0.0.7: the daemon answers nobody" in text for _, _, text in found
    )
    # Which addresses a host has may be unknown.
    known = {**host("ntp1"), "addresses": []}
    assert misfits.doubts({**pillar(), "options": options}, DEFAULTS, platform, known) == []
