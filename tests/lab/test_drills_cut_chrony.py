"""Servers of one tier that lose contact with each other or with their sources: an island that is split in two, and a tier with
`peers`.

The same for servers with ntpd and with chrony. Polls are 8 s apart and ntpd turns orphan after 20 s; at a site 64 s and 300 s.
To simulate hours of drift in a minute, the oscillators of one half run 500 ppm too fast.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import INTERNET, Cluster, Role, failed, ready, wait_until
from tests.lab.drilling import follows, sources
from tests.lab.images import PROJECT
from tests.lab.solo import call, codes

FIRST, SECOND, CLIENT, BESIDE = "10.0.0.61", "10.0.0.62", "10.0.0.63", "10.0.0.64"
#: Two servers and two clients, each pair of two kinds.
CASTS = {"ntpd": ("el6", "modern", "el6", "modern"), "chrony": ("el9", "el6", "el9", "modern")}
SERVER = {"match": "server*", "addresses": [FIRST, SECOND], "serves": ["10.0.0.0/24"]}
COMMON = {"sync": {"timeout": 90}, "health": {"settle": 12}}
#: The maximum difference of two clocks when one follows the other.
ONE_TIME_S = 0.02


def lab_of(lab, cast, server):
    """Start the cluster with this top tier and apply it; polls are short, and a daemon without sources waits 20 s."""
    pillar = {**COMMON, **server.pop("more", {})}
    pillar["tiers"] = {"server": {**SERVER, **server}, "client": {"match": "*", "follows": "server"}}
    names = zip(("server1", "server2", "client1", "client2"), (FIRST, SECOND, CLIENT, BESIDE), CASTS[cast], strict=True)
    hosts = [solo.add(lab, Role(*each), pillar=pillar) for each in names]
    for host in hosts:
        drilling.no_firewall(host)
        for name in ("ntp.conf", "chrony.conf"):
            text = (PROJECT / f"salt/ntp/files/{name}.jinja").read_text()
            short = text.replace("{{ source.line }}", "{{ source.line.split(' minpoll')[0] }} minpoll 3 maxpoll 3")
            if name == "ntp.conf":
                short += "\ntos orphanwait 20\n"
            host.write(f"/srv/instead/ntp/files/{name}.jinja", short)
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(solo.apply, hosts))
    assert [failed(states) for states in applied] == [[]] * 4
    return hosts


def spread(hosts) -> float:
    """Seconds between the first and the last of these clocks."""
    errors = [host.clock_error() for host in hosts]
    return max(errors) - min(errors)


def statuses(hosts):
    return [(seen["health"], codes(seen["problems"])) for seen in (call(host, "ntpcluster.status") for host in hosts)]


def green(hosts):
    return all(health == "ok" for health, _ in statuses(hosts))


@pytest.fixture(params=CASTS)
def lab(request):
    ready(kinds=set(CASTS[request.param]))
    with Cluster(master=False) as running:
        running.cast = request.param
        yield running


@pytest.mark.beyond_the_bound("nothing ties an island to UTC")
def test_two_halves_of_an_island_continue_apart_and_rejoin_without_a_step(lab):
    hosts = first, second, *clients = lab_of(lab, lab.cast, {"island": True})
    wait_until(lambda: green(hosts), 90, 2)
    steps = [host.time.counters["steps"] for host in hosts]
    began = time.monotonic()
    first.cut()
    first.time.oscillator(500.0)
    # Clients drop a server that is silent for eight polls, and the second server continues: chronyd as it is, ntpd as an
    # orphan.
    for host in clients:
        wait_until(lambda host=host: follows(host) == SECOND, 300, 2)
    print(f"{lab.cast}: the clients follow the second server {time.monotonic() - began:.0f} s after the cut")
    time.sleep(30)
    said = statuses(hosts)
    assert [health for health, _ in said] == ["degraded"] * 4 and all("unreachable" in found for _, found in said), said
    assert spread(hosts[1:]) < ONE_TIME_S
    first.time.oscillator(0.0)
    apart = spread(hosts)
    assert apart > 0.03, "the two halves are as near as one"
    print(f"{lab.cast}: cut for {time.monotonic() - began:.0f} s, {apart * 1000:.1f} ms apart, {said}")
    began = time.monotonic()
    first.cut(mend=True)
    wait_until(lambda: green(hosts), 300, 2)
    print(f"{lab.cast}: green {time.monotonic() - began:.0f} s after the reunion; follow {[follows(h) for h in hosts]}")
    # One server leads, and the other follows it.
    assert sorted(follows(host) in (FIRST, SECOND) for host in hosts[:2]) == [False, True]
    wait_until(lambda: spread(hosts) < apart / 2, 600, 2)
    print(f"{lab.cast}: {spread(hosts) * 1000:.1f} ms apart after {time.monotonic() - began:.0f} s")
    assert [host.time.counters["steps"] for host in hosts] == steps


@pytest.mark.beyond_the_bound("orphans are nobody's time")
def test_a_server_that_loses_its_sources_follows_its_neighbour_and_its_clients_stay_green(lab):
    more = {"orphan": 8}
    hosts = first, second, *clients = lab_of(
        lab, lab.cast, {"sources": sources(*INTERNET[:2]), "peers": True, "more": more}
    )
    wait_until(lambda: green(hosts), 90, 2)
    assert follows(first) in INTERNET and follows(second) in INTERNET
    began = time.monotonic()
    block = ["ip", "route", "add", "blackhole"]
    for address in INTERNET[:2]:
        first.run([*block, f"{address}/32"]).check()
    wait_until(lambda: follows(first) == SECOND, 300, 2)
    print(
        f"{lab.cast}: the first server follows its neighbour {time.monotonic() - began:.0f} s after its sources are gone"
    )
    time.sleep(20)
    said = statuses(hosts)
    print(f"{lab.cast}: {said}")
    # Without a route chronyd sends nothing and expects no answer: that looks like a refusal.
    assert said[0][0] == "degraded" and set(said[0][1]) <= {"unreachable", "denied"}
    assert [health for health, _ in said[1:]] == ["ok"] * 3
    # Now no host has a source. ntpd: the first server continues as an orphan and the second follows it; chronyd continues as it
    # is, for days. No host rejects one of the two times as false.
    lab.internet.behave(silent=True)
    began = time.monotonic()
    if lab.cast == "ntpd":
        wait_until(lambda: follows(second) == FIRST and follows(first) is None, 300, 2)
    time.sleep(60)
    said = statuses(hosts)
    print(
        f"{lab.cast}: without any source after {time.monotonic() - began:.0f} s {[follows(h) for h in hosts]}, {said}"
    )
    assert spread(hosts) < ONE_TIME_S
    assert not [code for _, found in said for code in found if code in ("falseticker", "loop")]
