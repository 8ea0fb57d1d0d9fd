"""Servers that do not serve a client, with both daemons on either side: they refuse it, or have another key.

Such a server hardly answers the daemon; only a request without a key can find the reason.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, failed, ready, wait_until
from tests.lab.drilling import KEYS, no_firewall, service, sources
from tests.lab.solo import call
from tests.lab.test_traps import CONFIG

SERVERS = {"ntp6": ("el6", "10.0.0.66"), "ntp9": ("el9", "10.0.0.69")}
CLIENTS = {"node6": ("el6", "10.0.0.76"), "node9": ("el9", "10.0.0.79")}
CLASSIC, CHRONY = (address for _, address in SERVERS.values())
#: How a server refuses one host. ntpd sends a kiss code only to clients that query too often (ntp_monitor.c).
REFUSE = {"el6": "restrict {} noserve kod\n", "el9": "deny {}\n"}
RIGHT, WRONG = "0123456789abcdef0123456789abcdef01234567", "f" * 40


def pillar(key: str | None = None, timeout: int = 60) -> dict:
    # With the default poll intervals: a host that polls every 8 s has exhausted the rate limit of a server, and unsuccessful
    # requests count too. Then the server does not answer the queries of `diagnose` either.
    asked = [{"address": one, "key": 7} for one in (CLASSIC, CHRONY)] if key else sources(CLASSIC, CHRONY)
    return {
        "tiers": {
            "server": {
                "match": "ntp*",
                "sources": sources(*INTERNET),
                "addresses": [CLASSIC, CHRONY],
                "serves": ["10.0.0.0/24"],
            },
            "client": {"match": "*", "sources": asked},
        },
        "keys": {7: {"type": "SHA1", "secret": key or RIGHT}},
        "sync": {"timeout": timeout},
        "health": {"settle": 12},
    }


@pytest.fixture(scope="module")
def lab():
    """A server and a client of each daemon, all working, without keys."""
    ready(kinds=("el6", "el9"))
    with Cluster(master=False) as lab:
        for name, (kind, address) in {**SERVERS, **CLIENTS}.items():
            no_firewall(solo.add(lab, Role(name, address, kind), pillar=pillar()))
        for some in (SERVERS, CLIENTS):
            with ThreadPoolExecutor(2) as pool:
                applied = list(pool.map(lambda name: failed(solo.apply(lab.hosts[name])), some))
            assert applied == [[], []]
        assert all(call(host, "ntpcluster.status")["synchronized"] for host in lab.hosts.values())
        yield lab


def named(problems: list[dict]) -> dict[str, str]:
    """{the server: its code}."""
    return {one["evidence"]["peer"]: one["code"] for one in problems if "peer" in one["evidence"]}


def diagnosed(host) -> list[dict]:
    """What `diagnose` returns; printed, so that a failed test shows every attempt."""
    found = call(host, "ntpcluster.diagnose")
    print(f"{host.name}: diagnose says {named(found)}")
    return found


def told(host) -> tuple[dict[str, str], list[dict]]:
    """The problems of both servers in `status` shortly after the daemon's start, and in `diagnose`."""
    seen = wait_until(lambda: len(named((look := call(host, "ntpcluster.status"))["problems"])) == 2 and look, 60, 1)
    assert not seen["synchronized"]
    return named(seen["problems"]), diagnosed(host)


def test_a_server_that_refuses_a_host_does_not_answer_and_the_remedy_says_where_to_look(lab):
    for name in SERVERS:
        server = lab.hosts[name]
        refused = "".join(REFUSE[server.platform].format(address) for _, address in CLIENTS.values())
        server.write(CONFIG[server.platform], server.read(CONFIG[server.platform]) + refused)
        service(server, "restart").check()
    for name in CLIENTS:
        service(lab.hosts[name], "restart").check()
    for name in CLIENTS:
        seen, found = told(lab.hosts[name])
        assert seen == named(found) == {CLASSIC: "unreachable", CHRONY: "unreachable"}, name
        assert all(
            "restrict" in one["remedy"] and "allow" in one["remedy"] for one in found if "peer" in one["evidence"]
        )
    for name in SERVERS:
        assert failed(solo.apply(lab.hosts[name])) == []


def test_a_wrong_key_is_reported_for_every_daemon_of_server_and_client(lab):
    for name in CLIENTS:
        # No server will answer, so the apply need not wait: it only has to write the keys.
        solo.set_pillar(lab.hosts[name], pillar(WRONG, timeout=5))
        solo.apply(lab.hosts[name])
    both = {CLASSIC: "authentication", CHRONY: "authentication"}
    for name in CLIENTS:
        host = lab.hosts[name]
        seen, _ = told(host)
        print(f"{name}: status says {seen}")
        # A server with ntpd may answer that it does not accept the key, and a client with chronyd reports it.
        assert seen[CHRONY] == "unreachable" and seen[CLASSIC] in ("unreachable", "authentication")
        # Queries add to the daemon's first eight requests: a server with a rate limit may refuse some of them.
        found = wait_until(lambda host=host: named(look := diagnosed(host)) == both and look, 150, 30)
        assert all(KEYS[host.platform] in one["remedy"] for one in found if one["code"] == "authentication")
