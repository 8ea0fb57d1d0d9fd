"""A host with a firewall in front of UDP 123, and two neighbours that query it: one that it serves, and one that it does not.

A stand-in answers at the port and sends back whatever it gets: a real daemon would reject strangers by itself.
"""

from __future__ import annotations

import contextlib
import subprocess

from tests.functional.firewalled import RESPONDER, asked
from tests.lab import solo
from tests.lab.cluster import Cluster, Role, ready

NETWORKS = ["10.0.0.64/26", "fd00:123::/64"]
INSIDE, OUTSIDE = ("10.0.0.70", "fd00:123::70"), ("10.0.0.200", "fd00:124::70")
HERE = {
    "10.0.0.70": "10.0.0.61",
    "10.0.0.200": "10.0.0.61",
    "fd00:123::70": "fd00:123::61",
    "fd00:124::70": "fd00:124::61",
}
PILLAR = {
    "tiers": {
        "server": {
            "match": "*",
            "sources": ["10.0.0.1"],
            "addresses": ["10.0.0.61"],
            "serves": NETWORKS,
        },
    },
}


@contextlib.contextmanager
def guarded(kind: str):
    """A masterless host of this kind with its two neighbours; nothing answers yet."""
    ready(kinds=(kind,))
    with Cluster(master=False) as lab:
        host = solo.add(lab, Role("host", "10.0.0.61", kind), pillar=PILLAR)
        host.neighbour, host.namespace, host.answering = f"{lab.prefix}-internet", f"{lab.prefix}-host", None
        for address in (*INSIDE, *OUTSIDE):
            address_of(host.neighbour, address)
        up(host)
        yield host


def address_of(namespace: str, address: str) -> None:
    words = [f"{address}/64", "dev", "eth0", "nodad"] if ":" in address else [f"{address}/24", "dev", "eth0"]
    subprocess.run(["ip", "-n", namespace, "address", "add", *words], check=True)


def up(host) -> None:
    """Set up what a boot does not: the addresses of the second family, and the stand-in that answers."""
    host.settle()
    # The neighbour still has the MAC address that the host had before its boot.
    for family in ("-4", "-6"):
        subprocess.run(
            ["ip", family, "-n", host.neighbour, "neighbour", "flush", "all"], check=True, capture_output=True
        )
    for address in ("fd00:123::61", "fd00:124::61"):
        address_of(host.namespace, address)
    listen = [*host.enter(), "python3", "-c", RESPONDER]
    host.answering = subprocess.Popen(listen, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert host.answering.stdout.readline() == b"ready\n"


def reboot(host) -> None:
    host.answering.kill()
    host.answering.wait()
    host.reboot(clean=True)
    up(host)


def answered(host, source: str) -> bool:
    """Whether two requests in a row to this address, from one port as ntpd sends them, are answered."""
    return asked(host.neighbour, source, HERE[source])


def answers(host) -> list[str]:
    return [source for source in (*INSIDE, *OUTSIDE) if answered(host, source)]


def state(host, name: str = "opened", *words: str) -> dict:
    found = solo.call(host, "state.single", f"ntpcluster_firewall.{name}", "name=x", *words)
    return list(found.values())[0]
