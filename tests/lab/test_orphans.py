"""A chain of three levels below an orphan: all of them follow a free-running clock, and each host reports this."""

from __future__ import annotations

import time

from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, failed, ready, wait_until
from tests.lab.drilling import claims, follows, sources
from tests.lab.images import PROJECT
from tests.lab.solo import call, codes

TOP, MIDDLE, LOW, BESIDE = "10.0.0.61", "10.0.0.62", "10.0.0.63", "10.0.0.64"
NETWORK = ["10.0.0.0/24"]
PILLAR = {
    "orphan": 10,
    "tiers": {
        "top": {"match": "top*", "sources": sources(*INTERNET[:2]), "addresses": [TOP], "serves": NETWORK},
        "middle": {"match": "middle*", "sources": sources(TOP), "addresses": [MIDDLE], "serves": NETWORK},
        "low": {"match": "low*", "sources": sources(MIDDLE)},
    },
    "sync": {"timeout": 60},
    "health": {"settle": 12},
}


def test_every_level_below_an_orphan_reports_that_it_follows_an_orphan():
    ready(kinds=("el6", "modern", "el9"))
    with Cluster(master=False) as lab:
        hosts = [
            solo.add(lab, Role(name, address, kind), pillar=PILLAR)
            for name, address, kind in (
                ("top", TOP, "el6"),
                ("middle", MIDDLE, "modern"),
                ("low", LOW, "el6"),
                ("low9", BESIDE, "el9"),
            )
        ]
        # ntpd waits 300 s before it turns orphan; in the lab 20 s, to keep the test short.
        conf = (PROJECT / "salt/ntp/files/ntp.conf.jinja").read_text()
        for host in hosts:
            host.write("/srv/instead/ntp/files/ntp.conf.jinja", conf + "\ntos orphanwait 20\n")
            assert failed(solo.apply(host)) == [], host.name
        assert [follows(host) for host in hosts[1:]] == [TOP, MIDDLE, MIDDLE]
        strata = [call(host, "ntpcluster.status")["stratum"] for host in hosts]
        assert strata == [2, 3, 4, 4]
        lab.internet.behave(silent=True)
        began = time.monotonic()
        for host in hosts:
            wait_until(lambda host=host: claims(host)[1] >= 10, 200, 2)
            seen = wait_until(lambda host=host: orphaned(host), 60, 2)
            print(
                f"{host.name}: stratum {seen['stratum']} after {time.monotonic() - began:.0f} s, {codes(seen['problems'])}"
            )
            assert (seen["synchronized"], seen["health"]) == (False, "unsynchronized")
        assert [call(host, "ntpcluster.status")["stratum"] for host in hosts] == [10, 11, 12, 12]


def orphaned(host):
    """The host's status, if it reports that it is below an orphan or is one."""
    seen = call(host, "ntpcluster.status")
    return seen if "orphan" in codes(seen["problems"]) else None
