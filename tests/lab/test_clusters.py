"""Whole clusters and their master: one of EL6 only, and all four kinds of host with ntpd above chrony and the reverse."""

from __future__ import annotations

import subprocess
import sys

import pytest

from _modules.ntpcluster_query import PACE_S
from tests.lab.cluster import Cluster, Role, changed, failed, ready
from tests.lab.demo import WRONG

ADDRESSES = {
    "ntp189": "10.0.0.189",
    "ntp180": "10.0.0.180",
    "node148": "10.0.0.148",
    "node149": "10.0.0.149",
    "node150": "10.0.0.150",
}
#: Each host has its platform's default daemon; in the mixed clusters the last one has the daemon of the tier above.
CASTS = {
    "el6 alone": dict.fromkeys(("ntp189", "ntp180", "node148", "node149"), "el6"),
    "ntpd above": {"ntp189": "el6", "ntp180": "modern", "node148": "el9", "node149": "debian13", "node150": "el6"},
    "chrony above": {"ntp189": "el9", "ntp180": "debian13", "node148": "el6", "node149": "modern", "node150": "el9"},
}


@pytest.fixture(scope="module", params=CASTS)
def cluster(request):
    kinds = CASTS[request.param]
    ready(kinds=set(kinds.values()))
    with Cluster() as running:
        for name, kind in kinds.items():
            running.add(Role(name, ADDRESSES[name], kind), clock=WRONG[name])
        running.wait_for_minions()
        yield running


def test_the_first_apply_succeeds_and_corrects_every_clock(cluster, first):
    assert {name: failed(states) for name, states in first.items()} == {name: [] for name in cluster.hosts}
    for name, host in cluster.hosts.items():
        assert abs(host.clock_error()) < 0.1, name
        assert abs(host.rtc_error()) < 2, name
        assert host.time.counters["steps"] == 1, name


def test_every_host_reports_the_same_keys(cluster, first):
    told = cluster.master.salt("*", "ntpcluster.status")
    for name, seen in told.items():
        assert (seen["health"], seen["synchronized"]) == ("ok", True), (name, seen["problems"])
        assert seen["stratum"] == (2 if name.startswith("ntp") else 3), name
    proofs = cluster.master.salt("node*", "ntpcluster_served.served")
    for name, proof in proofs.items():
        assert [(server["reachable"], server["kiss"]) for server in proof["servers"]] == [(True, None)] * 2, (
            name,
            proof,
        )
    lines = cluster.master.salt("*", "ntpcluster.summary")
    assert all(line.startswith(f"ok, follows {told[name]['source']}, stratum ") for name, line in lines.items()), lines
    assert len({tuple(sorted(seen)) for seen in told.values()}) == 1
    assert len({tuple(sorted(peer)) for seen in told.values() for peer in seen["peers"]}) == 1


#: Sends packets to each server at this interval, from a host that sends no other packets; returns how many it answers.
ASK_AT_OUR_PACE = """
import socket, sys, time
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in sys.argv[3:]]
answered = [0] * len(socks)
for _ in range(int(sys.argv[1])):
    for sock, server in zip(socks, sys.argv[3:]):
        sock.settimeout(1)
        sock.sendto(b"\\x23" + bytes(39) + b"ourpace!", (server, 123))
    sent = time.monotonic()
    for number, sock in enumerate(socks):
        try:
            answered[number] += 0 < sock.recv(99)[1] < 16
        except OSError:
            pass
    time.sleep(max(0, sent + float(sys.argv[2]) - time.monotonic()))
print(*answered)
"""


def test_servers_with_a_rate_limit_answer_packets_at_our_pace(cluster, first):
    """ntp_monitor() in the real ntpd, ntpsec and chronyd, whose limits ntpcluster_query assumes."""
    servers = [ADDRESSES[name] for name in cluster.hosts if name.startswith("ntp")]
    words = ["ip", "netns", "exec", cluster.master.namespace, sys.executable, "-c", ASK_AT_OUR_PACE]
    done = subprocess.run([*words, "8", str(PACE_S), *servers], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["8"] * len(servers), done.stdout
    # They do have a limit. That of ntpsec 1.2.2 is higher: it answers all of these.
    limits = [
        ADDRESSES[name] for name, host in cluster.hosts.items() if name[:3] == "ntp" and host.platform != "modern"
    ]
    done = subprocess.run([*words, "30", "0.2", *limits], capture_output=True, text=True, check=True, timeout=60)
    assert all(int(answers) < 30 for answers in done.stdout.split()), done.stdout


def test_a_second_apply_changes_nothing(cluster, first):
    again = cluster.apply()
    assert {name: (failed(states), changed(states)) for name, states in again.items()} == {
        name: ([], []) for name in cluster.hosts
    }
