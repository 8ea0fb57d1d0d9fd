"""A mistake that only the host itself can see is told before anything on it is changed; so is a platform nobody knows."""

from __future__ import annotations

import pytest

from tests.lab import solo
from tests.lab.cluster import Cluster, Role, changed
from tests.lab.solo import PILLAR, call, codes, set_pillar
from tests.lab.test_states import difference, system

ZONE = "/usr/share/zoneinfo/Asia/Shanghai"


@pytest.fixture(scope="module", params=["el6", "modern"])
def host(request, images):
    """A bare host, 90 s fast: there would be much to do."""
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("client", "10.0.0.70", request.param), clock=90.0)
        made.before = system(made)
        yield made


def red_and_untouched(host, states) -> dict:
    """The one state that is red for a reason of its own; all others wait for it, and the host is as it was."""
    assert changed(states) == []
    assert {state["result"] for state in states} == {False}
    assert difference(host.before, system(host)) == {}
    assert abs(host.clock_error()) > 80
    (first, *others) = states
    assert first["__id__"] == "pillar-is-valid"
    assert all("requisite" in state["comment"] for state in others)
    return first


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Asia/Shangai", "did you mean Asia/Shanghai?"),
        ("asia/shanghai", "did you mean Asia/Shanghai?"),
        ("CST", "name a place"),
        ("UTC+8", "name a place"),
    ],
)
def test_a_zone_that_this_host_does_not_know(host, zone, words):
    set_pillar(host, {**PILLAR, "timezone": zone})
    dry = solo.apply(host, "test=True")
    assert words in red_and_untouched(host, dry)["comment"]
    assert words in red_and_untouched(host, solo.apply(host))["comment"]


def test_a_file_that_the_daemon_may_not_read(host):
    set_pillar(host, {**PILLAR, "options": {"leapfile": "/etc/ntp/leap-seconds.list"}})
    if host.platform == "el6":
        assert call(host, "ntpcluster.validate") == [], "nothing is known that would keep EL6's ntpd from it"
        return
    comment = red_and_untouched(host, solo.apply(host))["comment"]
    assert "ntp:options:leapfile: makes it /etc/ntp/leap-seconds.list" in comment


def test_a_platform_that_the_tree_does_not_know(host):
    """Minions of Arch have no `osmajorrelease`; this one says that it is such a host, as /etc/salt/grains wins."""
    set_pillar(host, PILLAR)
    host.write("/etc/salt/grains", "os_family: Arch\nosmajorrelease: null\n")
    host.write("/srv/instead/top.sls", "base:\n  '*':\n    - ntp\n    - ntp.boot\n    - others\n")
    host.write("/srv/instead/others.sls", "work-of-others:\n  test.nop: []\n")
    told = (
        "ntpcluster does not know the platform Arch-unknown, only Debian-12, RedHat-6: it changes nothing on this host"
    )
    try:
        first, other = sorted(call(host, "state.highstate").values(), key=lambda state: state["__run_num__"])
        assert (first["name"], first["result"], first["changes"]) == (told, False, {})
        assert (other["__id__"], other["result"]) == ("work-of-others", True)
        red_and_untouched(host, solo.apply(host))
        seen = call(host, "ntpcluster.status")
        assert [problem["message"] for problem in seen["problems"]] == [told]
        assert codes(seen["problems"]) == ["unknown-platform"]
    finally:
        host.run(["rm", "-f", "/etc/salt/grains", "/srv/instead/top.sls", "/srv/instead/others.sls"]).check()


def test_the_link_that_timedatectl_writes_is_the_right_one(host):
    if host.platform == "el6":
        pytest.skip("/etc/localtime is a copy on EL6")
    set_pillar(host, {**PILLAR, "timezone": "Asia/Shanghai"})
    assert changed(solo.apply(host, sls="ntp.timezone")) == ["timezone-is-set"]
    for target in (f"..{ZONE}", ZONE.replace("/Asia", "//Asia")):
        host.run(["ln", "-sfn", target, "/etc/localtime"]).check()
        assert changed(solo.apply(host, sls="ntp.timezone")) == []
        assert host.run(["readlink", "/etc/localtime"]).out.strip() == target
