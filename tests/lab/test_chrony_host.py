"""Hosts whose daemon is chronyd: deployed, judged and stepped as those with ntpd, above them and below them."""

from __future__ import annotations

import time

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, changed, failed, ready
from tests.lab.solo import PILLAR, apply, call

KINDS = {"ntp6": "el6", "ntp9": "el9", "node6": "el6", "node9": "el9"}
ADDRESSES = {"ntp6": "10.0.0.186", "ntp9": "10.0.0.189", "node6": "10.0.0.46", "node9": "10.0.0.49"}


def tiers(server: str) -> dict:
    return {
        **PILLAR,
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
    ready(kinds=("el6", "el9"))
    with Cluster(master=False) as lab:
        yield lab


@pytest.mark.parametrize(("server", "client"), [("ntp6", "node9"), ("ntp9", "node6"), ("ntp9", "node9")])
def test_one_apply_of_each_puts_wrong_clocks_right_and_a_second_one_changes_nothing(lab, server, client):
    for name, clock in ((server, 500.0), (client, -1000.0)):
        host = lab.hosts.get(name) or solo.add(lab, Role(name, ADDRESSES[name], KINDS[name]))
        solo.set_pillar(host, tiers(server))
        host.set_clock(clock)
        if host.run(["pgrep", "-x", "chronyd|ntpd"]).rc == 0:
            call(host, "ntpcluster.step", "force=True")
        began = time.monotonic()
        states = apply(host)
        print(f"{server} > {client}: {name} applied in {time.monotonic() - began:.1f} s")
        assert failed(states) == []
        assert abs(host.clock_error()) < 0.01
        seen = call(host, "ntpcluster.status")
        # One source, as the clients here have, is told.
        assert seen["health"] == "ok", seen["problems"]
        again = apply(host)
        assert (failed(again), changed(again)) == ([], [])
