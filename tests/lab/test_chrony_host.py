"""Hosts with chronyd are deployed, judged and stepped like those with ntpd, in the tier above them and below them."""

from __future__ import annotations

import time

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, changed, failed, ready
from tests.lab.solo import PILLAR, apply, call, programs

#: A host's kind and daemon; None: the platform's own.
HOSTS = {
    "ntp6": ("el6", None),
    "ntp9": ("el9", None),
    "ntp12c": ("modern", "chrony"),
    "ntp13c": ("debian13", "chrony"),
    "ntp13n": ("debian13", "ntpd"),
    "node6": ("el6", None),
    "node9": ("el9", None),
    "node12c": ("modern", "chrony"),
    "node13c": ("debian13", "chrony"),
    "node13n": ("debian13", "ntpd"),
}
ADDRESSES = {name: f"10.0.0.{80 + number}" for number, name in enumerate(HOSTS)}
#: Their process names.
WORDS = {"ntpd": "ntpd", "chrony": "chronyd"}
CASES = [
    ("ntp6", "node9"),
    ("ntp9", "node6"),
    ("ntp9", "node9"),
    ("ntp12c", "node12c"),
    ("ntp13c", "node13n"),
    ("ntp13n", "node13c"),
]


def tiers(server: str, daemon: str | None) -> dict:
    return {
        **PILLAR,
        "daemon": daemon,
        "timezone": "Asia/Shanghai",
        "tiers": {
            "server": {
                "match": "ntp*",
                "sources": [{"address": address, "minpoll": 3, "maxpoll": 3} for address in INTERNET],
                "addresses": [ADDRESSES[server]],
                "serves": ["10.0.0.0/24"],
            },
            "client": {"match": "*", "follows": "server"},
        },
    }


@pytest.fixture(scope="module")
def lab():
    ready(kinds={kind for kind, _ in HOSTS.values()})
    with Cluster(master=False) as lab:
        yield lab


@pytest.fixture
def made(lab):
    """Makes a host of this name, or returns the existing one."""

    def made(name):
        return lab.hosts.get(name) or solo.add(lab, Role(name, ADDRESSES[name], HOSTS[name][0]))

    return made


@pytest.mark.parametrize(("server", "client"), CASES)
def test_one_apply_corrects_the_clock_and_a_second_one_changes_nothing(made, server, client):
    for name, clock in ((server, 500.0), (client, -1000.0)):
        host, (kind, daemon) = made(name), HOSTS[name]
        solo.set_pillar(host, tiers(server, daemon))
        host.set_clock(clock)
        if host.run(["pgrep", "-x", "chronyd|ntpd"]).rc == 0:
            call(host, "ntpcluster.step", "force=True")
        began = time.monotonic()
        states = apply(host)
        print(f"{server} > {client}: {name} applied in {time.monotonic() - began:.1f} s")
        assert failed(states) == []
        assert abs(host.clock_error()) < 0.01
        wanted = daemon or {"el6": "ntpd", "el9": "chrony"}[kind]
        assert set(host.run(["pgrep", "-lx", "chronyd|ntpd"]).out.split()[1::2]) == {WORDS[wanted]}
        seen = call(host, "ntpcluster.status")
        # A single source, as on the clients here, is reported.
        assert seen["health"] == "ok", seen["problems"]
        again = apply(host)
        assert (failed(again), changed(again)) == ([], [])
        if (kind, name) == ("el9", client):
            assert programs(host, "state.apply", "ntp") == ["timeout", "timeout"], "rpm and chronyc"
