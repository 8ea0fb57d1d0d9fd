"""Drills 1 and 3: servers die one by one, then the whole internet; every host recovers by itself.

Five servers and nine clients: for each kind of failure there is one server, preferred by two or three clients of different
kinds; the fifth server is the second source of all. So all failures are drilled in parallel, with the daemons' real polls.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import INTERNET, PATIENCE, Cluster, Role, failed, ready, wait_until
from tests.lab.drilling import Watch, claims, crash, follows, heard, service, sources, timed
from tests.lab.images import PROJECT
from tests.lab.solo import call, codes

SECOND = "10.0.0.180"
#: How a server dies, and which one.
PREFERRED = {"process": "10.0.0.181", "power": "10.0.0.182", "cable": "10.0.0.183", "chronyd": "10.0.0.184"}
SERVERS = {"ntp180": "modern", "ntp181": "el6", "ntp182": "modern", "ntp183": "el6", "ntp184": "el9"}
#: Their clients: one of each of these kinds.
FOLLOWERS = {
    "process": ("el6", "modern", "el9"),
    "power": ("el6", "modern"),
    "cable": ("el6", "modern"),
    "chronyd": ("el6", "el9"),
}
#: In the worst case the last answer arrived just before the failure, eight polls go unanswered until the reach is 0, and then
#: the second server's best sample of eight is its oldest: ntpd selects no other source before a newer sample is the best
#: (clock_filter() in ntp_proto.c: "the maximum interval between minimum samples is eight packets"). A poll of 8 s may be
#: stretched to 9.
CHANGE_S = (8 + 1 + 8) * 9
#: chronyd keeps a source until its newest sample is older than the oldest of the others (sources.c, SRC_STALE): for up to 64
#: polls, which is too long for a drill. Its clock runs free meanwhile.
REMEMBERS = "el9"
#: These continue as orphans, the others do not. chronyd turns orphan when its own error bound is a second: after days.
ORPHANS = ("ntp181", "ntp182")

PILLAR = {
    "tiers": {
        "server": {
            "match": "ntp*",
            "sources": sources(*INTERNET[:2]),
            "addresses": [SECOND, *PREFERRED.values()],
            "serves": ["10.0.0.0/24"],
        },
        **{
            death: {"match": f"{death}*", "sources": sources(server, SECOND, prefer=server)}
            for death, server in PREFERRED.items()
        },
    },
    "sync": {"timeout": 60},
    # Servers poll every 8 s here, not every 1024 s at most.
    "health": {"settle": 12, "reference_age": 80},
}


@pytest.fixture(scope="module")
def lab():
    ready(kinds=("el6", "modern", "el9"))
    with Cluster(master=False) as lab:
        for number, (name, kind) in enumerate(SERVERS.items()):
            mine = {**PILLAR, "orphan": 10} if name in ORPHANS else PILLAR
            host = solo.add(lab, Role(name, f"10.0.0.{180 + number}", kind), pillar=mine)
            if name in ORPHANS:
                # ntpd waits 300 s before it turns orphan; in the lab 20 s, to keep the test short.
                conf = (PROJECT / "salt/ntp/files/ntp.conf.jinja").read_text()
                host.write("/srv/instead/ntp/files/ntp.conf.jinja", conf + "\ntos orphanwait 20\n")
        for number, (death, kinds) in enumerate(FOLLOWERS.items()):
            for place, kind in enumerate(kinds):
                solo.add(lab, Role(f"{death}-{kind}", f"10.0.0.{20 + 3 * number + place}", kind), pillar=PILLAR)
        for host in lab.hosts.values():
            drilling.no_firewall(host)
            host.run(["service", "salt-minion", "stop"])
        with ThreadPoolExecutor(4) as pool:
            applied = dict(zip(lab.hosts, pool.map(solo.apply, lab.hosts.values()), strict=True))
        assert {name: failed(states) for name, states in applied.items()} == {name: [] for name in lab.hosts}
        lab.belongings = {name: drilling.belongings(host) for name, host in lab.hosts.items()}
        yield lab


def clients(lab, death=None):
    return [host for name, host in lab.hosts.items() if name.partition("-")[0] in ([death] if death else PREFERRED)]


def on(hosts, server_of) -> list[str]:
    """Names of the hosts that follow the server that they should follow."""
    return [host.name for host in hosts if follows(host) == server_of(host)]


def preferred(host):
    return PREFERRED[host.name.partition("-")[0]]


def when_each(hosts, what, timeout) -> dict[str, float]:
    """Seconds until `what` returns a true value for each host."""
    began, seen = time.monotonic(), {}
    while len(seen) < len(hosts):
        for host in hosts:
            if host.name not in seen and what(host):
                seen[host.name] = round(time.monotonic() - began)
        if time.monotonic() > began + PATIENCE * timeout:
            late = {host.name: call(host, "ntpcluster.status") for host in hosts if host.name not in seen}
            said = {name: (status["health"], status["problems"], status["peers"]) for name, status in late.items()}
            raise AssertionError(f"after {PATIENCE * timeout} s only {seen}; the others: {said}")
        time.sleep(1)
    return seen


def test_clients_switch_to_the_second_server_however_the_preferred_one_fails(lab):
    hosts = clients(lab)
    assert all(status["health"] in ("ok", "degraded") for status in [call(hosts[0], "ntpcluster.status")])
    when_each(hosts, lambda host: follows(host) == preferred(host), 60)
    # The second server must have been heard a few times.
    when_each(hosts, lambda host: heard(host, 8) == 2, 90)
    with Watch(*hosts) as watch:
        lab.network.cut("ntp183")
        lab.hosts["ntp182"]._power_off()
        for name in ("ntp181", "ntp184"):
            crash(lab.hosts[name])
        changing = [host for host in hosts if host.platform != REMEMBERS]
        seconds = when_each(changing, lambda host: follows(host) == SECOND, CHANGE_S)
    print("on the second server after s:", seconds)
    moved = {host.name: round(watch.moved(host) * 1000, 3) for host in hosts}
    print("clocks moved by ms:", moved)
    assert max(seconds.values()) < CHANGE_S
    assert max(moved.values()) < drilling.STILL_S * 1000


def test_status_names_the_dead_server_and_is_not_ok(lab):
    for host in clients(lab):
        seen = call(host, "ntpcluster.status")
        changed = (seen["health"], seen["synchronized"], seen["source"])
        follows_none = ("unsynchronized", False, preferred(host))
        assert changed == ("degraded", True, SECOND) or (host.platform == REMEMBERS and changed == follows_none), (
            host.name
        )
        assert [p["evidence"]["peer"] for p in seen["problems"] if p["code"] == "unreachable"] == [preferred(host)]


def test_clients_return_when_the_preferred_server_is_back(lab):
    hosts = clients(lab)
    with Watch(*hosts) as watch:
        lab.network.cut("ntp183", mend=True)
        lab.hosts["ntp182"].boot()
        for name in ("ntp181", "ntp184"):
            service(lab.hosts[name], "start").check()
        seconds = when_each(hosts, lambda host: follows(host) == preferred(host), CHANGE_S)
    print("back on the preferred server after s:", seconds)
    moved = {host.name: round(watch.moved(host) * 1000, 3) for host in hosts}
    print("clocks moved by ms:", moved)
    assert max(moved.values()) < drilling.STILL_S * 1000
    lab.hosts["ntp182"].run(["service", "salt-minion", "stop"])
    for name, host in lab.hosts.items():
        drilling.whole(host, lab.belongings[name])


def test_servers_and_clients_report_that_all_upstream_servers_are_gone(lab):
    lab.internet.behave(silent=True)
    began = time.monotonic()
    servers = [lab.hosts[name] for name in SERVERS]
    with Watch(*clients(lab)) as watch:
        said = {}
        while len(said) < len(servers):
            for host in servers:
                if host.name not in said and call(host, "ntpcluster.status")["health"] == "unsynchronized":
                    said[host.name] = round(time.monotonic() - began)
            assert time.monotonic() < began + 300, said
        print("servers are unsynchronized after s:", said)
        orphans = [lab.hosts[name] for name in ORPHANS]
        turned = when_each(orphans, lambda host: claims(host)[1] == 10, 120)
        print("orphans after further s:", turned)
        for host in orphans:
            assert "orphan" in codes(call(host, "ntpcluster.status")["problems"])
        below = clients(lab, "process") + clients(lab, "power")
        late = when_each(below, lambda host: call(host, "ntpcluster.status")["health"] == "unsynchronized", 60)
        print("clients of orphans say so after further s:", late)
        for host in below:
            # An orphan reports no error for its own time, so compared with a server that is 1 ms off it may look false.
            assert {"orphan", "falseticker"} & set(codes(call(host, "ntpcluster.status")["problems"])), host.name
    # A server that is not an orphan continues at stratum 2, and only its dispersion grows (15 us every second): this is how NTP
    # works. But its packets contain the time at which its clock was last set, so its clients notice that its sources are gone.
    for name in set(SERVERS) - set(ORPHANS):
        assert claims(lab.hosts[name]) == (True, 2), name
    orphaned = clients(lab, "cable") + clients(lab, "chronyd")

    def told(seen):
        # A server whose last update came from a source that had just missed a poll reports seconds of dispersion forever (the
        # empty stage of its filter counts as 16 s): its clients drop it. Otherwise they follow it and report a problem.
        sick = "degraded" if seen["synchronized"] else "unsynchronized"
        return seen["health"] == sick and "upstream-unsynchronized" in codes(seen["problems"])

    late = when_each(orphaned, lambda host: told(call(host, "ntpcluster.status")), 60)
    print("clients of servers that only lost their sources say so after further s:", late)
    for host in orphaned:
        seen = call(host, "ntpcluster.status")
        print(f"{host.name}: {seen['health']}, root dispersion {seen['root_dispersion_ms']} ms")
        assert told(seen)
    moved = {host.name: round(watch.moved(host) * 1000, 3) for host in clients(lab)}
    print("clocks moved by ms:", moved)
    assert max(moved.values()) < drilling.STILL_S * 1000


def test_when_the_internet_is_back_every_host_recovers_without_help(lab):
    lab.internet.behave()
    everybody = list(lab.hosts.values())
    seconds = timed(lambda: all(follows(host) in INTERNET for host in everybody[: len(SERVERS)]), 120)
    print(f"servers follow the internet again after {seconds:.0f} s")
    seconds += timed(lambda: all(follows(host) == preferred(host) for host in clients(lab)), 120)
    print(f"clients follow their own server again after {seconds:.0f} s")
    for host in everybody:
        wait_until(lambda host=host: call(host, "ntpcluster.status")["synchronized"], 60, 1)
        drilling.whole(host, lab.belongings[host.name])
