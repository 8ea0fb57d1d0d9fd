"""A mistake that only the host itself can detect is reported before anything on it is changed; so is an unknown platform."""

from __future__ import annotations

import pytest
import yaml

from tests.lab import solo
from tests.lab.cluster import Cluster, Role, changed
from tests.lab.drilling import holders
from tests.lab.images import PROJECT
from tests.lab.solo import PILLAR, call, codes, set_pillar
from tests.lab.test_states import CRON, apply_predicted, difference, system

ZONE = "/usr/share/zoneinfo/Asia/Shanghai"

#: The directory where each daemon may write statistics.
STATISTICS = {"el6": "/var/log/ntpstats/", "modern": "/var/log/ntpsec/"}

#: What a daemon prints about a line that it does not accept.
COMPLAINTS = ("syntax error", "unexpected", "not recognized", "ignored", "invalid")


@pytest.fixture(scope="module", params=["el6", "modern"])
def host(request, images):
    """A bare host, 90 s fast, on which an apply would change many things."""
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("client", "10.0.0.70", request.param), clock=90.0)
        made.before, made.lab = system(made), lab
        yield made


def red_and_untouched(host, states) -> dict:
    """Assert that one state fails by itself, all others because they require it, and the host is unchanged; returns that
    state."""
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
        # There SELinux uses labels, which the tree does not know.
        assert call(host, "ntpcluster.validate") == []
    else:
        comment = red_and_untouched(host, solo.apply(host))["comment"]
        assert "ntp:options:leapfile: would make the daemon open /etc/ntp/leap-seconds.list" in comment


def test_a_platform_that_the_tree_does_not_know(host):
    """Arch minions have no `osmajorrelease`; this one claims to be such a host, because /etc/salt/grains takes precedence."""
    set_pillar(host, PILLAR)
    host.write("/etc/salt/grains", "os: Arch\nosmajorrelease: null\n")
    host.write("/srv/instead/top.sls", "base:\n  '*':\n    - ntp\n    - ntp.boot\n    - others\n")
    host.write("/srv/instead/others.sls", "work-of-others:\n  test.nop: []\n")
    known = ", ".join(sorted(yaml.safe_load((PROJECT / "salt/ntp/platforms.yaml").read_text())))
    told = f"ntpcluster does not know the platform Arch-unknown, only {known}: it changes nothing on this host"
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


def test_a_link_is_right_however_it_is_written_where_the_platform_wants_one(host):
    """As timedatectl writes it, and with an extra slash. On EL6 any link is replaced by a copy."""
    set_pillar(host, {**PILLAR, "timezone": "Asia/Shanghai"})
    assert changed(solo.apply(host, sls="ntp.timezone")) == ["timezone-is-set"]
    for target in (f"..{ZONE}", ZONE.replace("/Asia", "//Asia")):
        host.run(["ln", "-sfn", target, "/etc/localtime"]).check()
        if host.platform == "el6":
            assert changed(solo.apply(host, sls="ntp.timezone")) == ["timezone-is-set"]
            assert host.run(["test", "-h", "/etc/localtime"]).rc != 0
            assert host.run(["cmp", ZONE, "/etc/localtime"]).rc == 0
        else:
            assert changed(solo.apply(host, sls="ntp.timezone")) == []
            assert host.run(["readlink", "/etc/localtime"]).out.strip() == target


def complaints(host, lines: list[str]) -> list[str]:
    """What the host's daemon (4.2.8p15 on the el6 host, 4.2.6p5 on real EL6) prints about these lines; it runs for 5 s."""
    host.write("/tmp/options.conf", "\n".join([*lines, ""]))
    log = "/tmp/options.log"
    host.run(["timeout", "-s", "KILL", "5", "ntpd", "-n", "-l", log, "-c", "/tmp/options.conf"], timeout=20)
    said = host.read(log).splitlines()
    host.run(["rm", "-f", log]).check()
    assert said, "it has not even begun"
    return [line for line in said if any(word in line.lower() for word in COMPLAINTS)]


def test_every_option_that_the_pillar_may_name_is_read_by_the_daemon(host):
    """The last test of this file, because it installs the daemon."""
    kinds = ["clockstats", "loopstats", "peerstats", "protostats", "rawstats", "sysstats"]
    types = ["none", "pid", "day", "week", "month", "year"]
    words = ["all", "info", "events", "status", "statistics"]
    options = {
        "tinker": {"allan": 1500, "dispersion": 1.5e-5, "freq": -3.5, "huffpuff": 7200, "step": 0.128, "stepout": 300},
        "tos": {"ceiling": 15, "floor": 1, "maxclock": 10, "maxdist": 3, "minclock": 4, "mindist": 0.005, "minsane": 1},
        "statsdir": STATISTICS[host.platform],
        "statistics": kinds,
        "filegen": {
            kind: {"file": kind, "type": one, "link": one == "day", "enable": one != "none"}
            for kind, one in zip(kinds, types, strict=True)
        },
        "logconfig": ["=all"]
        + [f"+{kind}{word}" for kind in ("all", "clock", "peer", "sync", "sys") for word in words],
        "enable": ["calibrate", "kernel", "monitor", "stats"],
        # An interface whose name is a keyword of the grammar.
        "interface": [
            {"listen": card} for card in ("wildcard", "ipv4", "ntp", "eth0.7", "eth0:1", "10.0.0.9", "2001:db8::9")
        ],
    }
    options["tinker"]["panic"] = 0
    set_pillar(host, {**PILLAR, "options": options})
    states = solo.apply(host, sls="ntp.package")
    assert all(state["result"] for state in states), states
    host.run(["service", {"el6": "ntpd", "modern": "ntpsec"}[host.platform], "stop"])
    assert complaints(host, call(host, "ntpcluster.plan")["options"]) == []
    # A directive that the pillar may not name is rejected: so the check of the list above can fail.
    for line in ("logconfig =clock", "interface listen 1", "interface listen 1.5", "interface listen ntp"):
        assert complaints(host, [line]) != [], line


def test_the_cron_method_on_a_bare_host_does_what_it_has_predicted(host):
    """Debian's package starts its daemon, which must be stopped then."""
    bare = solo.add(host.lab, Role("bare", "10.0.0.61", host.platform), pillar=CRON)
    assert ("ntp-is-running" in apply_predicted(bare)) == (host.platform == "modern")
    assert not holders(bare)
