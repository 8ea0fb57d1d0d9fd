"""Real faults that make a host's time look better or worse than it is, and what `status` reports.

Real daemons, and the lab's internet, which answers as each test needs. `test_traps_chrony.py` runs the same on a host with
chrony.
"""

from __future__ import annotations

import time

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, failed, ready, wait_until
from tests.lab.solo import PILLAR, call, codes, set_pillar

SERVICE = {"el6": "ntpd", "modern": "ntpsec", "el9": "chronyd"}
PROCESS = {"el6": "ntpd", "modern": "ntpd", "el9": "chronyd"}
CONFIG = {"el6": "/etc/ntp.conf", "modern": "/etc/ntpsec/ntp.conf", "el9": "/etc/chrony.conf"}
DRIFT = {"el6": "/var/lib/ntp/drift", "modern": "/var/lib/ntpsec/ntp.drift", "el9": "/var/lib/chrony/drift"}
#: Seconds after which a daemon's sources are judged: its first packets are answered by then. chronyd does not need a fifth
#: sample.
SETTLE_S = {"el6": 12, "modern": 12, "el9": 7}
#: The lines that a configuration needs so that we may query the daemon, and those that make it follow its own clock.
LOOPBACK = {"el6": "restrict 127.0.0.1\n", "modern": "restrict 127.0.0.1\n", "el9": ""}
OWN_CLOCK = {
    "el6": "server 127.127.1.0 minpoll 3 maxpoll 3 prefer\n",
    "modern": "refclock local prefer\n",
    "el9": "local stratum 8\n",  # not a source, as a clock is in ntpd: only its refid shows it
}
#: chronyd detects a loop only if it serves: no host can follow one that does not.
SERVE = {"el6": "", "modern": "", "el9": "allow 10.0.0.0/24\n"}
#: A drift file of nearly 500 ppm, and the right one. chronyd also writes the uncertainty.
FAR_DRIFT = {"el6": "499.900\n", "modern": "499.900\n", "el9": "499.900 1.000\n"}
NO_DRIFT = {"el6": "0.000\n", "modern": "0.000\n", "el9": "0.000 1.000\n"}


@pytest.fixture(scope="module")
def host(kind):
    """A host that follows the lab's three internet servers."""
    ready(kinds=(kind,))
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("client", "10.0.0.50", kind), clock=5.0)
        made.lab = lab
        set_pillar(made, pillar(made))
        assert failed(solo.apply(made)) == []
        made.right_config = made.read(CONFIG[made.platform])
        yield made
        # After all this, one apply repairs the host.
        assert failed(solo.apply(made)) == []
        assert status(made)["synchronized"]
        assert abs(made.clock_error()) < 0.1


@pytest.fixture(autouse=True)
def mended(host):
    """Repairs after each test what it broke, except the daemon, which each test starts as it needs."""
    yield
    host.lab.internet.behave()
    host.time.allow_set(True)
    set_pillar(host, pillar(host))
    host.run(["iptables", "-D", "INPUT", "-p", "udp", "--sport", "123", "-j", "DROP"])
    host.run(["pkill", "-CONT", PROCESS[host.platform]])
    host.write(CONFIG[host.platform], host.right_config)


def pillar(host, **changes) -> dict:
    """The host's pillar, with these changes."""
    return {**PILLAR, "health": {"settle": SETTLE_S[host.platform]}, **changes}


def restart(host):
    host.run(["service", SERVICE[host.platform], "restart"]).check()


def status(host):
    return call(host, "ntpcluster.status")


def settled(host):
    """The status after the grace period of the start."""
    time.sleep(SETTLE_S[host.platform] + 1)
    return status(host)


def test_a_healthy_host_is_ok_and_names_its_source(host):
    seen = status(host)
    assert seen["synchronized"] and seen["health"] in ("ok", "degraded")
    assert [p for p in codes(seen["problems"]) if p != "reach-gaps"] == []
    assert seen["source"] in INTERNET
    assert (seen["stratum"], seen["expected_stratum"], seen["leap"]) == (2, 2, "none")
    assert sorted(peer["address"] for peer in seen["peers"]) == INTERNET
    assert abs(seen["offset_ms"]) < 100
    assert seen["daemon"]["running"] and seen["daemon"]["enabled"]


def test_a_stopped_daemon_is_stopped_and_nothing_is_raised(host):
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    seen = status(host)
    assert (seen["health"], seen["synchronized"]) == ("stopped", False)
    assert codes(seen["problems"]) == ["daemon-stopped"]


def timed(what):
    """How many seconds a call took, and its result."""
    start = time.monotonic()
    answer = what()
    return time.monotonic() - start, answer


def test_a_daemon_that_does_not_answer_costs_three_seconds_at_most(host):
    restart(host)
    usual = timed(lambda: status(host))[0]
    host.run(["pkill", "-STOP", PROCESS[host.platform]]).check()
    # The shortest of three; the limit grows on a slow machine.
    tries = [timed(lambda: status(host)) for _ in range(3)]
    cost, seen = min(tries, key=lambda one: one[0])
    cost -= usual
    print(f"{host.platform}: a silent daemon costs {cost:.1f} s more than one that answers ({usual:.1f} s)")
    assert cost < 3 * max(1, usual)
    assert (seen["health"], seen["synchronized"]) == ("unsynchronized", False)
    assert codes(seen["problems"]) == ["daemon-silent"]


def test_silent_servers_are_unreachable_after_the_start_and_settling_before(host):
    host.lab.internet.behave(silent=True)
    restart(host)
    early = status(host)
    assert (early["health"], codes(early["problems"])) == ("settling", ["settling"])
    late = settled(host)
    assert (late["health"], late["synchronized"]) == ("unsynchronized", False)
    assert codes(late["problems"]).count("unreachable") == 3


def test_a_firewall_that_drops_the_answers_looks_the_same_and_diagnose_says_so(host):
    host.run(["iptables", "-I", "INPUT", "-p", "udp", "--sport", "123", "-j", "DROP"]).check()
    restart(host)
    late = settled(host)
    assert late["health"] == "unsynchronized"
    found = call(host, "ntpcluster.diagnose")
    assert codes(found).count("unreachable") == 3
    assert all("UDP port 123" in one["remedy"] for one in found if one["code"] == "unreachable")


def test_an_unsynchronised_server_is_distinguished_from_a_silent_one(host):
    host.lab.internet.behave(stratum=16, leap=3, refid="INIT")
    host.lab.internet.behave(INTERNET[2], silent=True)
    restart(host)
    late = settled(host)
    assert late["health"] == "unsynchronized"
    for problems in (late["problems"], call(host, "ntpcluster.diagnose")):
        assert codes(problems).count("upstream-unsynchronized") == 2
        assert codes(problems).count("unreachable") == 1


def test_sources_that_lose_synchronisation_are_reported_at_once_and_remain_so(host):
    """They answer every poll, with stratum 16. ntpsec drops such answers, so that only a query can distinguish them from
    silence."""
    restart(host)
    wait_until(lambda: status(host)["synchronized"], 40, 1)
    host.lab.internet.behave(stratum=16, leap=3, refid="INIT")
    if host.platform != "modern":
        seen = wait_until(lambda: lost(status(host)) and status(host), 20, 1)
        assert seen["source"] and "reach-gaps" not in codes(seen["problems"]), seen["problems"]
    late = wait_until(lambda: (seen := status(host))["health"] == "unsynchronized" and seen, 90, 2)
    if host.platform != "modern":
        assert lost(late) == 3 and "unreachable" not in codes(late["problems"])
    assert codes(call(host, "ntpcluster.diagnose")).count("upstream-unsynchronized") == 3


def lost(seen) -> int:
    return codes(seen["problems"]).count("upstream-unsynchronized")


def test_a_server_that_has_just_started_is_not_reported_as_refusing(host):
    """What ntpd 4.2.6 answers until it is synchronised: stratum 0, leap 3, INIT (RFC 5905, 7.4)."""
    host.lab.internet.behave(kiss="INIT")
    restart(host)
    settled(host)
    found = call(host, "ntpcluster.diagnose")
    assert codes(found).count("upstream-unsynchronized") == 3 and "denied" not in codes(found)


def test_one_refusal_among_good_answers_is_history(host):
    restart(host)
    wait_until(lambda: status(host)["synchronized"], 40, 1)
    host.lab.internet.behave(kiss="RATE")
    # chronyd has no events: the code is the last answer's refid.
    refused = wait_until(
        lambda: [
            p["address"] for p in status(host)["peers"] if p["last_event"] == "rate_exceeded" or p["refid"] == "RATE"
        ],
        30,
        1,
    )
    host.lab.internet.behave()

    def answered():
        seen = status(host)
        peers = [peer for peer in seen["peers"] if peer["address"] in refused]
        return all(peer["reach"] & 1 for peer in peers) and seen, [peer["last_event"] for peer in peers]

    # A daemon polls less often for a while after a refusal.
    seen, events = wait_until(lambda: (found := answered())[0] and found, 60, 1)
    print(f"{host.platform}: {events} {codes(seen['problems'])}")
    assert "rate_exceeded" in events or host.platform == "el9", "the event is still the last one"
    assert seen["synchronized"] and "denied" not in codes(seen["problems"])


@pytest.mark.parametrize("kiss", ["DENY", "RATE", "RSTR"])
def test_a_kiss_of_death_is_called_denied(host, kiss):
    host.lab.internet.behave(kiss=kiss)
    restart(host)
    late = settled(host)
    assert late["health"] == "unsynchronized"
    if host.platform != "modern" or kiss == "RATE":
        assert codes(late["problems"]).count("denied") == 3
    else:  # ntpsec knows no other kiss code, and just discards such packets
        assert codes(late["problems"]).count("upstream-unsynchronized") == 3
    found = [one for one in call(host, "ntpcluster.diagnose") if one["code"] == "denied"]
    assert [one["evidence"]["answer"]["kiss"] for one in found] == [kiss] * 3


def test_one_false_server_among_three_is_named(host):
    host.lab.internet.behave(INTERNET[1], offset=3.0)
    restart(host)
    late = settled(host)
    assert late["synchronized"]
    liars = [one for one in late["problems"] if one["code"] == "falseticker"]
    assert [one["evidence"]["peer"] for one in liars] == [INTERNET[1]]
    assert late["health"] == "degraded"


@pytest.mark.parametrize(
    ("refid", "stratum"), [("127.127.1.0", 11), ("127.127.1.1", 11), ("127.127.7.1", 8), ("LOCL", 1), ("127.0.0.1", 10)]
)
def test_a_server_that_follows_its_own_clock_does_not_pass_as_right(host, refid, stratum):
    host.lab.internet.behave(stratum=stratum, refid=refid)
    restart(host)
    late = settled(host)
    assert not late["synchronized"]
    assert "orphan" in codes(late["problems"])


def test_one_server_of_three_on_its_own_clock_is_named(host):
    host.lab.internet.behave(INTERNET[2], stratum=8, refid="127.127.7.1")
    restart(host)
    late = settled(host)
    assert late["synchronized"] and late["health"] == "degraded"
    assert [one["evidence"]["peer"] for one in late["problems"] if one["code"] == "orphan"] == [INTERNET[2]]


def test_a_daemon_on_its_own_clock_does_not_pass_as_right(host):
    host.write(CONFIG[host.platform], LOOPBACK[host.platform] + OWN_CLOCK[host.platform])
    restart(host)
    wait_until(lambda: "orphan" in codes(status(host)["problems"]), 90, 2)
    late = settled(host)
    assert (late["health"], late["synchronized"]) == ("unsynchronized", False)
    assert {"orphan", "not-listed"} <= set(codes(late["problems"]))


def test_a_daemon_with_other_sources_than_configured_is_seen(host):
    host.run(["sed", "-i", "s/10.0.0.1 /10.0.0.99 /", CONFIG[host.platform]]).check()
    restart(host)
    seen = status(host)
    listed = [one for one in seen["problems"] if one["code"] == "not-listed"]
    assert listed and listed[0]["evidence"]["missing"] == ["10.0.0.1"]


def test_sources_that_nobody_planned_are_named(host):
    restart(host)
    wait_until(lambda: status(host)["synchronized"], 40, 1)
    set_pillar(host, pillar(host, tiers={"client": {"match": "*", "sources": INTERNET[:1]}}))
    seen = status(host)
    assert [one["evidence"]["extra"] for one in seen["problems"] if one["code"] == "not-listed"] == [INTERNET[1:]]
    assert seen["synchronized"] == (seen["source"] == INTERNET[0])


def test_after_the_daemons_own_step_its_sources_have_time_for_a_poll(host):
    # Only this grace period.
    set_pillar(host, pillar(host, health={"settle": 1}))
    # It lasts for a second or two, and on a busy machine the first check may miss it. chronyd does not have this state: it
    # keeps its samples and corrects them by the step.
    wanted = host.platform != "el9"
    assert any(seen_after_a_step_of_its_own(host) for _ in range(3 if wanted else 1)) == wanted
    assert abs(host.clock_error()) < 0.1


def seen_after_a_step_of_its_own(host) -> bool:
    """Make the daemon step by itself; returns whether its sources were seen without an answer then. No problem may be reported
    for them."""
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    host.time.set(offset_s=5)
    host.run(["service", SERVICE[host.platform], "start"]).check()
    waited, steps = [], host.time.counters["steps"]
    for seen in iter(lambda: status(host), None):
        blamed = [one["evidence"]["peer"] for one in seen["problems"] if "peer" in one["evidence"]]
        stepped = [peer["address"] for peer in seen["peers"] if peer["refid"] == ".STEP."]
        waited += stepped
        assert not set(stepped) & set(blamed), seen["problems"]
        if seen["synchronized"] or seen["daemon"]["uptime_s"] > 60:
            break
    assert host.time.counters["steps"] > steps
    return bool(waited)


def test_servers_that_follow_this_host_are_a_loop(host):
    host.lab.internet.behave(stratum=3, refid=host.address)
    host.write(CONFIG[host.platform], host.right_config + SERVE[host.platform])
    restart(host)
    late = settled(host)
    assert not late["synchronized"]
    assert "loop" in codes(late["problems"])


def test_a_drift_file_at_the_limit_is_a_frequency_limit(host):
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    there = host.run(["test", "-e", DRIFT[host.platform]]).rc == 0
    kept = host.read(DRIFT[host.platform]) if there else NO_DRIFT[host.platform]
    host.write(DRIFT[host.platform], FAR_DRIFT[host.platform])
    host.run(["service", SERVICE[host.platform], "start"]).check()
    # chronyd overwrites its file at once with its own measurement.
    wait_until(lambda: "frequency-limit" in codes(status(host)["problems"]), 10, 0.2)
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    host.write(DRIFT[host.platform], kept)
    host.time.set(offset_s=0)


def test_a_host_that_may_not_set_its_clock_reports_it(host):
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    host.time.allow_set(False)
    assert "no-clock-capability" in codes(call(host, "ntpcluster.diagnose"))


def test_another_time_daemon_is_named(host):
    # A process with that name: only the name is checked.
    other = "ntpd" if PROCESS[host.platform] == "chronyd" else "chronyd"
    host.run(["cp", "/bin/sleep", f"/tmp/{other}"]).check()
    host.run(["sh", "-c", f"/tmp/{other} 60 >/dev/null 2>&1 &"]).check()
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    found = call(host, "ntpcluster.diagnose")
    host.run(["pkill", other]).check()
    assert "rival-daemon" in codes(found)


def test_unknown_names_are_unresolvable(host):
    named = ["no-such-host.lab", INTERNET[0]]
    set_pillar(host, pillar(host, tiers={"client": {"match": "*", "sources": named}}))
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    found = call(host, "ntpcluster.diagnose")
    assert [one["evidence"]["peer"] for one in found if one["code"] == "unresolvable"] == ["no-such-host.lab"]


def test_names_without_a_resolver_are_unresolvable_and_heal_does_nothing(host):
    names = ["nosuch1.lab", "nosuch2.lab"]
    set_pillar(host, pillar(host, tiers={"client": {"match": "*", "sources": names}}))
    host.write("/etc/resolv.conf", "nameserver 10.0.0.254\noptions timeout:2 attempts:1\n")
    lines = "".join(f"server {name} iburst minpoll 3 maxpoll 3\n" for name in names)
    host.write(CONFIG[host.platform], LOOPBACK[host.platform] + lines)
    restart(host)
    early = status(host)
    late = settled(host)
    host.write("/etc/resolv.conf", "")
    assert (early["health"], codes(early["problems"])[0]) == ("settling", "unresolvable")
    assert (late["health"], codes(late["problems"])[0]) == ("unsynchronized", "unresolvable")
    for seen in (early, late):
        assert not {"not-listed", "daemon-stopped", "incomplete"} & set(codes(seen["problems"]))


def by_crontab(host):
    """`status` of a host whose method is cron: our own packets query its servers. Its daemon is a rival then."""
    set_pillar(host, pillar(host, method="cron"))
    seen = status(host)
    assert seen["health"] != "ok"
    return seen, [code for code in codes(seen["problems"]) if code not in ("rival-daemon", "few-sources")]


def test_without_a_daemon_the_majority_counts_as_well(host):
    seen, found = by_crontab(host)
    assert (seen["synchronized"], found) == (True, [])
    host.lab.internet.behave(INTERNET[1], offset=5.0)
    seen, found = by_crontab(host)
    assert (seen["synchronized"], found) == (True, ["falseticker"])
    host.lab.internet.behave(INTERNET[0], offset=5.0)
    seen, found = by_crontab(host)
    assert (seen["synchronized"], found) == (False, ["falseticker", "offset-high"])
    host.lab.internet.behave(INTERNET[2], silent=True)
    host.lab.internet.behave(INTERNET[0])
    seen, found = by_crontab(host)
    assert (seen["synchronized"], found) == (False, ["unreachable", "falseticker", "falseticker"])


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"stratum": 8, "refid": "127.127.7.1"}, "orphan"),
        ({"kiss": "DENY"}, "denied"),
        ({"kiss": "INIT"}, "upstream-unsynchronized"),
        ({"stratum": 16, "leap": 3}, "upstream-unsynchronized"),
    ],
)
def test_without_a_daemon_servers_get_the_same_codes(host, how, code):
    host.lab.internet.behave(**how)
    seen, found = by_crontab(host)
    assert (seen["synchronized"], found) == (False, [code] * 3)


def test_a_broken_pillar_does_not_keep_status_from_answering(host):
    restart(host)
    set_pillar(host, {"tiers": {"client": {"match": "*", "sauces": INTERNET}}})
    seen = status(host)
    assert codes(seen["problems"])[0] == "invalid-pillar"
    assert seen["tier"] is None and len(seen["peers"]) == 3
