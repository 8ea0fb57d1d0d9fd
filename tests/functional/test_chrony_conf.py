"""
The chrony.conf of a host, made from a plan and read by chronyd itself (``chronyd -p``, 4.3 of Debian 12).

ntpcluster_build makes the plans from pillars, for the platform RHEL 9. They contain its paths, but `-p` does not open these
files.
"""

import copy
import os
from pathlib import Path

import jinja2
import pytest

from _modules import ntpcluster_build, ntpcluster_chronyd, ntpcluster_daemon
from tests.lab import chrony
from tests.lab.images import PROJECT
from tests.unit.pillars import DEFAULTS, ENTRIES, PLATFORMS, errors

FILES = PROJECT / "salt/ntp/files"
PLATFORM = {**PLATFORMS["RedHat-9"], "name": "RedHat-9"}
SECRET = "0123456789abcdef0123456789abcdef01234567"
BASE = {
    "tiers": {
        "server": {
            "match": "ntp*",
            "sources": ["192.0.2.1", "time.example.net", "2001:db8::1"],
            "addresses": ["10.0.0.189", "10.0.0.180"],
            "serves": ["10.0.0.0/24", "2001:db8:1::/48"],
        },
        "client": {"match": "*", "follows": "server"},
    }
}


@pytest.fixture(scope="module", autouse=True)
def chronyd():
    if os.geteuid() != 0:
        pytest.skip("to take the right to set the clock from chronyd needs root")


def island():
    """BASE without sources."""
    pillar = changed(server={"island": True})
    del pillar["tiers"]["server"]["sources"]
    return pillar


def plan_of(pillar, tier="server", platform=PLATFORM):
    """The plan of a host of a tier."""
    host = {
        "id": "ntp189",
        "names": ["ntp189"],
        "addresses": ["10.0.0.189"] if tier == "server" else ["10.0.0.148"],
        "matches": {"server": tier == "server", "client": True},
    }
    assert errors(pillar, platform) == []
    return ntpcluster_build.build(pillar, DEFAULTS, platform, host)


def changed(**keys):
    """BASE with further keys; those of the server's tier under ``server``."""
    pillar = copy.deepcopy(BASE)
    pillar["tiers"]["server"].update(keys.pop("server", {}))
    return {**pillar, **keys}


def render(name, plan):
    """Render a template as Salt's `file.managed` does."""
    source = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    calls = {"ntpcluster_plan.plan": lambda secrets=False: plan}
    return source.from_string((FILES / name).read_text()).render(salt=calls)


def written(tmp_path, plan):
    """The directives of the host's chrony.conf, checked by chronyd."""
    path = Path(tmp_path) / "chrony.conf"
    path.write_text(render("chrony.conf.jinja", plan))
    done = chrony.chronyd("-p", "-f", str(path))
    proof = ntpcluster_chronyd.proof(done.stdout, done.stderr, done.returncode)
    assert proof == {"good": True, "message": "", "line": None, "text": None}, path.read_text()
    # It prints the lines that it has read: it took none of ours for a comment.
    ours = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert done.stdout.splitlines() == ours
    return ours


PLAIN = [
    "driftfile /var/lib/chrony/drift",
    "server 192.0.2.1 iburst",
    "server time.example.net iburst",
    "server 2001:db8::1 iburst",
    "minsources 2",
    "makestep 0.128 3",
    "maxchange 1000 3 -1",
    "ratelimit interval 2 burst 16 leak 2",
    "rtcsync",
    "allow 10.0.0.0/24",
    "allow 2001:db8:1::/48",
]


def test_a_server_of_the_top_tier(tmp_path):
    assert written(tmp_path, plan_of(BASE)) == PLAIN


def test_a_client_does_not_serve(tmp_path):
    assert written(tmp_path, plan_of(BASE, "client")) == [
        "driftfile /var/lib/chrony/drift",
        "server 10.0.0.189 iburst prefer minpoll 4 maxpoll 4",
        "server 10.0.0.180 iburst minpoll 4 maxpoll 4",
        "makestep 0.128 3",
        "maxchange 1000 3 -1",
        "rtcsync",
    ]


POLLS = {"address": "192.0.2.9", "minpoll": 4, "maxpoll": 6, "iburst": False, "prefer": True, "key": 7}
KEYS = {7: {"type": "SHA1", "secret": SECRET}, 8: {"type": "M", "secret": 'a"$%~'}}


WATCHED = {"address": "192.0.2.9", "noselect": True, "burst": True, "version": 3}
CLOCKS = [
    {"refclock": "shm", "offset": 0.12}, {"refclock": "pps", "prefer": True}, "192.0.2.1",
    {"refclock": "phc", "path": "/dev/ptp0", "stratum": 2, "noselect": True},
    {"refclock": "sock", "path": "/run/gps.sock", "refid": "SOCK"},
]  # fmt: skip
ISLAND = island()


@pytest.mark.parametrize(
    ("pillar", "there", "gone"),
    [
        (changed(step={"limit": 900, "threshold": 0.5}), ["makestep 0.5 3", "maxchange 900 0 -1"], ["maxchange 1000 3 -1"]),
        (changed(options={"tinker": {"panic": 0}}), [], ["maxchange 1000 3 -1"]),
        (changed(options={"tinker": {"step": 0}}), [], ["makestep 0.128 3"]),
        (changed(server={"sources": [{"address": "nts.example.net", "nts": True, "minpoll": 4}, "192.0.2.1"]}),
         ["server nts.example.net iburst minpoll 4 nts", "server 192.0.2.1 iburst"], ["authselectmode ignore"]),
        (changed(options={"tinker": {"step": 0.0000001}}), ["makestep 0.0000001 3"], ["makestep 0.128 3"]),
        (changed(options={"tos": {"minsane": 3, "maxdist": 1.5}}), ["minsources 3", "maxdistance 1.5"], ["minsources 2"]),
        (changed(hwclock={"manage": False}), [], ["rtcsync"]),
        (changed(hwclock={"utc": False}), [], ["rtcsync"]),
        (changed(orphan=6), ["local stratum 6 orphan"], []),
        (changed(orphan=6, server={"peers": True}), ["server 10.0.0.180 iburst", "local stratum 6 orphan"], []),
        (ISLAND, ["server 10.0.0.180 iburst", "local stratum 4"], ["server 192.0.2.1 iburst", "minsources 2"]),
        (changed(server={"sources": [WATCHED, "192.0.2.1"]}), ["server 192.0.2.9 iburst burst noselect version 3"], []),
        (changed(server={"sources": CLOCKS}),
         ["refclock SHM 0 refid GPS offset 0.120000", "refclock PPS /dev/pps0 refid PPS prefer",
          "refclock PHC /dev/ptp0 refid PHC stratum 2 noselect", "refclock SOCK /run/gps.sock refid SOCK"], []),
        (changed(options={"discard": {"average": 0}}), ["ratelimit interval 0 burst 16 leak 2"],
         ["ratelimit interval 2 burst 16 leak 2"]),
        (changed(server={"serves": ["0.0.0.0/0", "::/0"]}), ["allow 0.0.0.0/0", "allow ::/0"], ["allow 10.0.0.0/24"]),
        (changed(server={"sources": [POLLS]}, keys=KEYS),
         ["server 192.0.2.9 prefer key 7 minpoll 4 maxpoll 6", "keyfile /etc/chrony.keys"],
         ["minsources 2", "authselectmode ignore"]),
        (changed(server={"sources": [POLLS, "192.0.2.1"]}, keys=KEYS), ["authselectmode ignore"], []),
        (changed(server={"sources": [POLLS, "192.0.2.1", {"address": "nts.example.net", "nts": True}]}, keys=KEYS),
         ["server nts.example.net iburst nts"], ["authselectmode ignore"]),
        (changed(options={"leapsectz": "right/UTC", "hwtimestamp": ["*"], "bindaddress": ["10.0.0.1", "2001:db8::9"],
                          "logdir": "/var/log/chrony", "log": ["tracking", "measurements"], "maxslewrate": 500.5,
                          "leapsecmode": "slew", "ntsdumpdir": "/var/lib/chrony", "ntsservercert": ["/etc/a.crt"],
                          "ntsserverkey": ["/etc/a.key"]}),
         ["leapsectz right/UTC", "hwtimestamp *", "bindaddress 10.0.0.1", "bindaddress 2001:db8::9", "logdir /var/log/chrony",
          "log tracking measurements", "maxslewrate 500.5", "leapsecmode slew", "ntsdumpdir /var/lib/chrony",
          "ntsservercert /etc/a.crt", "ntsserverkey /etc/a.key"], []),
    ],
    ids=[
        "step:limit", "tinker:panic", "tinker:step", "nts", "a tiny number", "tos", "hwclock:manage", "hwclock:utc", "orphan",
        "peers", "island", "watched", "refclock", "discard", "everybody", "source",
        "a key for one source", "NTS for another", "options",
    ],
)  # fmt: skip
def test_a_key_of_the_pillar_and_its_directive(tmp_path, pillar, there, gone):
    lines = written(tmp_path, plan_of(pillar))
    assert [line for line in there if line not in lines] == []
    assert [line for line in gone if line in lines] == []


@pytest.mark.parametrize(("name", "told"), [("RedHat-7", []), ("RedHat-8", ["authselectmode ignore"])])
def test_a_directive_that_a_platforms_chronyd_does_not_know_is_not_written(tmp_path, name, told):
    """EL7 has 3.4, which is not available here: 4.3 reads the file, and knows all directives of 3.4."""
    keyed = {"address": "192.0.2.1", "key": 7}
    pillar = changed(server={"sources": [keyed, "192.0.2.2"]}, keys={7: {"type": "SHA1", "secret": SECRET}})
    entry = ENTRIES[name]
    platform = {**entry, **ntpcluster_daemon.platform(entry, "chrony"), "name": name}
    lines = written(tmp_path, plan_of(pillar, platform=platform))
    assert "keyfile /etc/chrony.keys" in lines
    assert [line for line in lines if line.startswith("authselectmode")] == told


def test_chronyd_would_refuse_a_line_of_ntpd(tmp_path):
    """The check can fail: a plan with options of ntpd does not pass."""
    plan = dict(plan_of(BASE), options=["tinker panic 0"])
    with pytest.raises(AssertionError, match="Invalid directive"):
        written(tmp_path, plan)


def test_keys_as_chronyd_reads_them():
    """ntpd uses up to 20 characters as they are and reads more as hexadecimal digits; for chronyd the file must say which."""
    assert render("chrony.keys.jinja", plan_of(changed(keys=KEYS))).splitlines()[1:] == [
        f"7 SHA1 HEX:{SECRET}",
        '8 MD5 ASCII:a"$%~',
    ]


def test_a_secret_is_only_in_the_key_file():
    plan = plan_of(changed(server={"sources": [POLLS]}, keys=KEYS))
    assert SECRET not in render("chrony.conf.jinja", plan)
