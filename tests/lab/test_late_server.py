"""Clients that wait for a server which is not synchronised yet and counts their requests: ntpd's own rate limit.

A server of this tree refuses clients that query too often (`restrict limited kod`). A host that waits for its server queries it
repeatedly; when the server is synchronised, it must still answer the step's packets and the daemon's first ones.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, failed, wait_until
from tests.lab.drilling import follows, service, sources, timed
from tests.lab.solo import call

SERVER = "10.0.0.189"
#: Seconds. Packets 2.2 s apart make a server with a rate limit refuse after 32 s.
LATE_S = 45
#: Seconds. A refused daemon gets answers again after minutes; otherwise the first answers arrive after some seconds.
SOON_S = 40
PILLAR = {
    "tiers": {
        "server": {
            "match": "ntp*",
            "sources": sources(*INTERNET[:2]),
            "addresses": [SERVER],
            "serves": ["10.0.0.0/24"],
        },
        "client": {"match": "*", "follows": "server"},
    },
    "sync": {"timeout": 60},
    "health": {"settle": 12},
}


@pytest.fixture(scope="module")
def lab(images):
    with Cluster(master=False) as lab:
        for role in (
            Role("ntp189", SERVER, "el6"),
            Role("node148", "10.0.0.148", "el6"),
            Role("node149", "10.0.0.149", "modern"),
        ):
            host = solo.add(lab, role, pillar=PILLAR)
            assert failed(solo.apply(host)) == []
        yield lab


def test_clients_that_wait_for_a_late_server_are_not_refused_when_it_is_synchronised(lab):
    server, *clients = lab.hosts.values()
    lab.internet.behave(silent=True)
    service(server, "restart").check()
    wait_until(lambda: call(server, "ntpcluster.variables")["leap"] == "alarm", 20)
    for host in clients:
        service(host, "stop").check()
        host.set_clock(-86400)

    def steps(host):
        done = call(host, "state.single", "ntpcluster.stepped", "clock", "wait=150", timeout=300)
        return next(iter(done.values())), time.monotonic()

    with ThreadPoolExecutor(2) as pool:
        stepped = {host: pool.submit(steps, host) for host in clients}
        time.sleep(LATE_S)
        lab.internet.behave()
        late = timed(lambda: call(server, "ntpcluster.variables")["leap"] == "none", 60, 1)
        began = time.monotonic()
        print(f"the server has the time {late:.0f} s after its sources")
        for host in clients:
            done, ended = stepped[host].result()
            print(f"{host.name}: {done['comment']}, {ended - began:.0f} s after the server had the time")
            assert done["result"] is True, done
            assert abs(host.clock_error()) < 0.1
    for host in clients:
        service(host, "start").check()
    for host in clients:
        print(f"{host.name}: follows after {timed(lambda host=host: follows(host) == SERVER, SOON_S, 1):.0f} s")
