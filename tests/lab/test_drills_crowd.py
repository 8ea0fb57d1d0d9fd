"""Drill 12: two simultaneous applies on one host, and sixteen clients deployed simultaneously with two servers."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import INTERNET, Cluster, Role, failed, in_order, wait_until
from tests.lab.drilling import Watch, follows, sources

SERVERS = {"ntp1": ("10.0.0.101", "el6"), "ntp2": ("10.0.0.102", "modern")}
CLIENTS = 16

PILLAR = {
    "tiers": {
        "server": {
            "match": "ntp*",
            "sources": sources(*INTERNET[:2]),
            "addresses": [address for address, _ in SERVERS.values()],
            "serves": ["10.0.0.0/24"],
        },
        "client": {"match": "*", "follows": "server"},
    },
    "sync": {"timeout": 120},
}


@pytest.fixture(scope="module")
def lab(images):
    with Cluster(master=False) as lab:
        for name, (address, kind) in SERVERS.items():
            made = solo.add(lab, Role(name, address, kind), pillar=PILLAR)
            made.run(["service", "salt-minion", "stop"])
            assert failed(solo.apply(made)) == []
        yield lab


def begin(host) -> subprocess.Popen:
    """Start an apply and do not wait for it."""
    return subprocess.Popen(
        [*host.enter(), "salt-call", "--local", "--out=json", "-l", "error", "state.apply", "ntp"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(host, run: subprocess.Popen):
    """What an apply returned: its states in order, or the list of reasons why it did not begin."""
    out, err = run.communicate(timeout=400)
    try:
        answer = json.loads(out)["local"]
    except ValueError:
        raise AssertionError(f"{host.name}: exit {run.returncode}\n{out}\n{err}") from None
    return in_order(host.name, answer) if isinstance(answer, dict) else answer


@pytest.mark.parametrize("kind", ["el6", "modern"])
def test_two_applies_at_once_are_one_deployment(lab, kind):
    """Salt itself allows one state run at a time on a host; if both get past that, our lock lets only one step the clock."""
    host = solo.add(lab, Role(f"twice-{kind}", "10.0.0.61" if kind == "el6" else "10.0.0.62", kind), 77.0, PILLAR)
    host.run(["service", "salt-minion", "stop"])
    both = [begin(host), begin(host)]
    answers = [ended(host, run) for run in both]
    green = [a for a in answers if a and isinstance(a[0], dict) and failed(a) == []]
    other = [failed(a) if a and isinstance(a[0], dict) else a for a in answers if a not in green]
    print(f"{kind}: {len(green)} of 2 green; the other says {other}")
    assert green, other
    assert host.time.counters["steps"] == 1
    assert drilling.stopped(host) == [] and drilling.wrong_clock(host) == []
    before = drilling.belongings(host)
    assert failed(solo.apply(host)) == []
    drilling.whole(host, before)


def test_sixteen_clients_applied_at_once_all_follow_their_servers(lab):
    servers = [lab.hosts[name] for name in SERVERS]
    before = {server.name: drilling.belongings(server) for server in servers}
    clients = []
    for number in range(CLIENTS):
        client = solo.add(
            lab, Role(f"node{number}", f"10.0.0.{120 + number}", "el6"), (-1) ** number * (10.0 + number), PILLAR
        )
        client.run(["service", "salt-minion", "stop"])
        clients.append(client)
    began = time.monotonic()
    with Watch(*servers) as watch:
        runs = [(client, begin(client)) for client in clients]
        answers = {client.name: ended(client, run) for client, run in runs}
    seconds = time.monotonic() - began
    print(f"{CLIENTS} clients at once: {seconds:.0f} s on this machine")
    assert {name: failed(states) for name, states in answers.items()} == {client.name: [] for client in clients}
    errors = {client.name: client.clock_error() for client in clients}
    print(f"worst clock {max(map(abs, errors.values())) * 1000:.3f} ms; servers moved "
          f"{max(watch.moved(server) for server in servers) * 1000:.3f} ms")  # fmt: skip
    assert max(map(abs, errors.values())) < 0.01
    addresses = [address for address, _ in SERVERS.values()]
    for client in clients:
        assert client.time.counters["steps"] == 1, client.name
        assert wait_until(lambda client=client: follows(client), 60) in addresses
        assert drilling.stopped(client) == []
    for server in servers:
        assert watch.moved(server) < drilling.STILL_S
        drilling.whole(server, before[server.name])
