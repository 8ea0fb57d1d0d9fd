"""A key that differs between server and client: ntpd says so to its client, chronyd keeps silent, and both are named."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, failed, ready, wait_until
from tests.lab.drilling import no_firewall, sources
from tests.lab.solo import call

SERVERS = {"ntp6": ("el6", "10.0.0.66"), "ntp9": ("el9", "10.0.0.69")}
CLIENTS = {"node6": ("el6", "10.0.0.76"), "node9": ("el9", "10.0.0.79")}
OPEN, SILENT = (address for _, address in SERVERS.values())
RIGHT, WRONG = "0123456789abcdef0123456789abcdef01234567", "f" * 40


def pillar(secret: str, timeout: int = 60) -> dict:
    asked = [{**one, "key": 7} for one in sources(OPEN, SILENT)]
    return {
        "tiers": {
            "server": {
                "match": "ntp*",
                "sources": sources(*INTERNET),
                "addresses": [OPEN, SILENT],
                "serves": ["10.0.0.0/24"],
            },
            "client": {"match": "*", "sources": asked},
        },
        "keys": {7: {"type": "SHA1", "secret": secret}},
        "sync": {"timeout": timeout},
        "health": {"settle": 12},
    }


@pytest.fixture(scope="module")
def clients():
    """One client of each daemon; both have a key that their servers have not."""
    ready(kinds=("el6", "el9"))
    with Cluster(master=False) as lab:
        for name, (kind, address) in {**SERVERS, **CLIENTS}.items():
            no_firewall(solo.add(lab, Role(name, address, kind), pillar=pillar(RIGHT)))
        hosts = lab.hosts.values()
        for some in (SERVERS, CLIENTS):
            with ThreadPoolExecutor(2) as pool:
                applied = list(pool.map(lambda name: failed(solo.apply(lab.hosts[name])), some))
            assert applied == [[], []]
        assert all(call(host, "ntpcluster.status")["synchronized"] for host in hosts)
        found = [lab.hosts[name] for name in CLIENTS]
        for host in found:
            # Nobody answers any more, so the apply need not wait for that: it is the keys that are written.
            solo.set_pillar(host, pillar(WRONG, timeout=5))
            solo.apply(host)
        yield found


def named(problems: list[dict]) -> dict[str, str]:
    """{the server: its code}."""
    return {one["evidence"]["peer"]: one["code"] for one in problems if "peer" in one["evidence"]}


def test_a_wrong_key_is_named_whoever_serves_and_whoever_asks(clients):
    time.sleep(12)
    for host in clients:
        seen = wait_until(
            lambda host=host: named((look := call(host, "ntpcluster.status"))["problems"]) and look, 60, 1
        )
        assert not seen["synchronized"]
        # What the daemon can know of a server that does not answer.
        assert named(seen["problems"]) == {OPEN: "authentication", SILENT: "unreachable"}, host.name
        found = call(host, "ntpcluster.diagnose")
        assert named(found) == {OPEN: "authentication", SILENT: "authentication"}, host.name
        keys = {"el6": "/etc/ntp/keys", "el9": "/etc/chrony.keys"}[host.platform]
        assert all(keys in one["remedy"] for one in found if one["code"] == "authentication")
