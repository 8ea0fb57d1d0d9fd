"""Drills 5, 6, 10, 13 and 14: the daemon's environment fails: names, the firewall, its own program, the program that queries
it.

A firewall that is stopped, and one that drops the answers on the client's side, are in test_states and test_traps; a daemon
with options it cannot read, and hardware clocks that fail, in test_states and test_step.
"""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import INTERNET, changed, failed, wait_until
from tests.lab.drilling import Watch, daemons, follows, kill, service, sources, timed
from tests.lab.solo import call, codes, set_pillar
from tests.lab.test_traps import CONFIG, DRIFT, PROCESS

NAMES = ["time1.lab", "time2.lab", "time3.lab", "time4.lab"]
#: A dead resolver does not answer, not even with a refusal.
DEAD_RESOLVER = "nameserver 10.0.0.254\noptions timeout:2 attempts:1\n"

SERVER = {
    "tiers": {
        "server": {
            "match": "*",
            "sources": sources(*INTERNET),
            "addresses": ["10.0.0.60"],
            "serves": ["10.0.0.0/25"],
        },
    },
    "sync": {"timeout": 25},
    "health": {"settle": 12},
}
NAMED = {**SERVER, "tiers": {"server": {**SERVER["tiers"]["server"], "sources": sources(*NAMES)}}}
#: A stand-in for ntpd as the kernel sees it: its name and a socket on port 123, at the address in its argument.
NAMESAKE = (
    "import socket, sys, time; open('/proc/self/comm', 'w').write('ntpd'); "
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 123)); time.sleep(60)"
)
PYTHON = {"el6": "python2.7", "modern": "python3"}


@pytest.fixture(scope="module")
def host(kind):
    """A server behind a firewall that admits only ssh."""
    with drilling.server(kind, SERVER, guard) as made:
        yield made


def guard(host) -> None:
    """Close the firewall, unless it is EL6's, which is closed by default; and give the internet a second address to query
    from."""
    if host.platform != "el6":
        host.run(["iptables", "-A", "INPUT", "-m", "state", "--state", "ESTABLISHED", "-j", "ACCEPT"]).check()
        host.run(["iptables", "-A", "INPUT", "-i", "lo", "-j", "ACCEPT"]).check()
        host.run(["iptables", "-A", "INPUT", "-j", "REJECT"]).check()
    asker = f"{host.lab.prefix}-internet"
    subprocess.run(["ip", "-n", asker, "addr", "add", "10.0.0.70/24", "dev", "eth0"], check=True)


@pytest.fixture(autouse=True)
def whole(host):
    """After each drill, apply the tree's own pillar and check that nothing is lost."""
    yield
    host.lab.internet.behave()
    hosts_file(host, [])
    host.write("/etc/resolv.conf", "")
    set_pillar(host, SERVER)
    assert failed(solo.apply(host)) == []
    drilling.whole(host, host.belongings)


def told(host) -> bool:
    """Whether the host serves a neighbour: a packet from outside is answered as by a synchronised server."""
    script = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1.5); s.bind(('10.0.0.70', 0)); "
        f"s.sendto(b'\\x23' + bytes(39) + b'12345678', ('{host.address}', 123)); print(s.recv(99)[0] & 0xc7)"
    )
    asked = ["ip", "netns", "exec", f"{host.lab.prefix}-internet", sys.executable, "-c", script]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip() == "4"


# -- 14: the checks themselves ----------------------------------------------------------------------------------------


def test_the_checks_of_these_drills_can_fail(host):
    """Each is made to fail once on purpose: a check that finds nothing now would find nothing in any drill."""
    config, keep = CONFIG[host.platform], host.read(CONFIG[host.platform])
    assert (
        drilling.lost(host, host.belongings) == [] and drilling.stopped(host) == [] and drilling.wrong_clock(host) == []
    )

    with Watch(host) as watch:
        time.sleep(0.5)
        host.set_clock(host.clock_error() + 0.006)
        time.sleep(0.5)
    assert watch.moved(host) > drilling.STILL_S, "a clock that moved by 6 ms"
    host.set_clock(0.2)
    assert drilling.wrong_clock(host), "a clock left wrong"
    host.set_clock(0)

    service(host, "stop").check()
    assert drilling.stopped(host), "a daemon left stopped"
    for address in ("127.0.0.8", "127.0.0.9"):
        host.run(["sh", "-c", f'{PYTHON[host.platform]} -c "{NAMESAKE}" {address} >/dev/null 2>&1 &'])
    wait_until(lambda: len(daemons(host)) == 2, 10, 0.1)
    assert "2 daemons" in drilling.stopped(host), "two daemons"
    kill(*drilling.processes(host, "127.0.0.8"), *drilling.processes(host, "127.0.0.9"))
    wait_until(lambda: not daemons(host), 10, 0.1)
    service(host, "start").check()

    # Two queries a second to a host that is not synchronised yet would exceed its rate limit before it is.
    wait_until(lambda: follows(host), 60)
    assert wait_until(lambda: told(host), 40, 8), "the firewall is open to its neighbours"
    ours = [line for line in drilling.rules(host) if "--dport 123" in line]
    assert len(ours) == 1
    kept = host.run(["iptables-save", "-t", "filter"]).check().out
    host.run(["iptables", *ours[0].replace("-A", "-D", 1).replace('"', "").split()]).check()
    assert "firewall" in drilling.lost(host, host.belongings), "a rule left out"
    assert not told(host), "a closed firewall, seen from outside"
    host.run(["iptables", "-I", "INPUT", "-p", "udp", "--dport", "123", "-j", "ACCEPT"]).check()
    assert "firewall" in drilling.lost(host, host.belongings), "a rule left open"
    host.run(["iptables-restore"], stdin=kept).check()
    assert drilling.lost(host, host.belongings) == []

    host.write(config, keep + "# one line more\n")
    assert drilling.lost(host, host.belongings) == [config], "another configuration"
    host.write(config, keep, 0o600)
    assert drilling.lost(host, host.belongings) == [config], "another mode"
    host.write(config, keep)
    host.write(config + ".ntpcluster", "half")
    assert drilling.lost(host, host.belongings) == [f"left behind: {config}.ntpcluster"], "a file left behind"
    host.run(["rm", config + ".ntpcluster"]).check()

    host.write(DRIFT[host.platform], "")
    assert drilling.lost(host, {**host.belongings, "drift": True}) == ["drift"], "an empty drift file"
    host.run(["rm", DRIFT[host.platform]]).check()

    assert drilling.unread(host) == [config], "a configuration that the daemon has not read"
    service(host, "restart").check()
    assert drilling.unread(host) == []


# -- 5: names ----------------------------------------------------------------------------------------------------


def hosts_file(host, names: list[str]) -> None:
    """The names that the resolver knows: these, and the host's own."""
    known = "".join(f"10.0.0.{name[4]} {name}\n" for name in names)
    host.write("/etc/hosts", f"127.0.0.1 localhost\n{host.address} {host.name}\n{known}")


def test_one_unresolvable_name_of_four_does_not_affect_the_others(host):
    set_pillar(host, NAMED)
    hosts_file(host, NAMES[:3])
    done = solo.apply(host)
    seen = call(host, "ntpcluster.status")
    print(f"{host.platform}: {failed(done)} {seen['health']} {codes(seen['problems'])}")
    assert failed(done) == []
    assert seen["synchronized"] and follows(host) in INTERNET
    found = call(host, "ntpcluster.diagnose")
    assert "time4.lab" in [p["evidence"].get("peer") for p in found if p["code"] == "unresolvable"]


def test_a_resolver_that_dies_does_not_disturb_a_host_that_is_right(host):
    set_pillar(host, NAMED)
    hosts_file(host, NAMES[:3])
    assert failed(solo.apply(host)) == []
    hosts_file(host, [])
    host.write("/etc/resolv.conf", DEAD_RESOLVER)
    pid, began = daemons(host), time.monotonic()
    done = solo.apply(host)
    print(f"{host.platform}: apply with a dead resolver {time.monotonic() - began:.0f} s")
    assert (failed(done), changed(done)) == ([], [])
    assert daemons(host) == pid


def test_names_that_are_unknown_at_the_apply_are_found_when_the_resolver_is_back(host):
    set_pillar(host, NAMED)
    host.write("/etc/resolv.conf", DEAD_RESOLVER)
    service(host, "stop").check()
    began = time.monotonic()
    done = solo.apply(host)
    took = time.monotonic() - began
    print(f"{host.platform}: apply without any name {took:.0f} s: {failed(done)}")
    red = {s["__id__"] for s in done if s["result"] is False}
    assert red <= {"clock-is-stepped", "tier-is-followed", "hardware-clock-is-right"}
    assert "unknown name" in " ".join(failed(done))
    assert len(daemons(host)) == 1, "the daemon must be there to find its servers later"
    hosts_file(host, NAMES[:3])
    back = timed(lambda: follows(host), 200, 1)
    print(f"{host.platform}: follows its servers {back:.0f} s after the resolver came back")


def test_names_that_are_unknown_at_boot_are_found_when_the_resolver_is_back(host):
    set_pillar(host, NAMED)
    hosts_file(host, NAMES[:3])
    assert failed(solo.apply(host)) == []
    rules = drilling.rules(host)
    hosts_file(host, [])
    host.write("/etc/resolv.conf", DEAD_RESOLVER)
    host.reboot()
    host.run(["service", "salt-minion", "stop"])
    if host.platform != "el6":  # the rules that its service would restore at boot
        for line in rules:
            host.run(["iptables", *line.replace('"', "").split()]).check()
    wait_until(lambda: daemons(host), 30)
    seen = call(host, "ntpcluster.status")
    assert not seen["synchronized"]
    hosts_file(host, NAMES[:3])
    back = timed(lambda: follows(host), 200, 1)
    print(f"{host.platform}: after a boot without a resolver follows its servers {back:.0f} s after it came back")


# -- 6: firewall -----------------------------------------------------------------------------------------------------


def test_a_ban_in_front_of_our_rule_is_kept_and_named(host):
    # A part of the network; a ban of all of it makes the state fail (tests/functional).
    ban = ["INPUT", "-s", "10.0.0.64/26", "-p", "udp", "--dport", "123", "-j", "DROP"]
    host.run(["iptables", "-I", *ban]).check()
    assert not told(host)
    done = solo.apply(host)
    said = next(s for s in done if s["__id__"] == "served-networks-may-ask")
    assert (failed(done), changed(done)) == ([], [])
    assert "may block served networks" in said["comment"] and "DROP" in said["comment"]
    assert drilling.rules(host)[0].endswith("DROP"), "somebody else's ban stays"
    host.run(["iptables", "-D", *ban]).check()
    assert told(host)


def test_a_rule_that_somebody_has_changed_is_corrected(host):
    ours = next(line for line in drilling.rules(host) if "--dport 123" in line)
    words = ours.replace('"', "").split()[1:]
    host.run(["iptables", "-D", *words]).check()
    narrower = [word.replace("10.0.0.0/25", "10.0.0.96/27") for word in words]
    host.run(["iptables", "-I", *narrower]).check()
    assert not told(host)
    done = solo.apply(host)
    assert (failed(done), changed(done)) == ([], ["served-networks-may-ask"])
    assert told(host)
    assert not [line for line in drilling.rules(host) if "10.0.0.96/27" in line]


def test_a_policy_of_drop_needs_only_our_rule(host):
    ours = next(line for line in drilling.rules(host) if "--dport 123" in line)
    host.run(["iptables", "-D", *ours.replace('"', "").split()[1:]]).check()
    host.run(["iptables", "-P", "INPUT", "DROP"]).check()
    assert not told(host)
    done = solo.apply(host)
    assert (failed(done), changed(done)) == ([], ["served-networks-may-ask"])
    assert told(host) and wait_until(lambda: follows(host), 30)
    host.run(["iptables", "-P", "INPUT", "ACCEPT"]).check()


# -- 10: the daemon's program ------------------------------------------------------------------------------------


def test_a_daemon_that_dies_a_moment_after_its_start_is_not_taken_for_running(host):
    service(host, "stop").check()
    host.run(["mv", "/usr/sbin/ntpd", "/usr/sbin/ntpd.real"]).check()
    # A stand-in for an ntpd that crashes after its service has reported OK.
    host.write("/usr/sbin/ntpd", "#!/bin/sh\n(sleep 1; kill -SEGV $$) &\nexec sleep 5\n", 0o755)
    began = time.monotonic()
    done = solo.apply(host)
    took = time.monotonic() - began
    host.run(["mv", "-f", "/usr/sbin/ntpd.real", "/usr/sbin/ntpd"]).check()
    red = {s["__id__"]: s["comment"] for s in done if s["result"] is False}
    print(f"{host.platform}: {took:.0f} s, {red}")
    assert "ntp-is-running" in red
    assert "does not run" in red["ntp-is-running"]


# -- 13: what ntpq or chronyc says -------------------------------------------------------------------------------

#: For each daemon the program that queries it, a number of characters of its answer, and one of its rows.
ASKS = {
    "ntpd": ("ntpq", 700, "*10.0.0.1 .LAB. 1 u 1 8 377 0.1 0.2 0.3"),
    "chronyd": ("chronyc", 250, "^,*,10.0.0.1,1,3,377,1,0.0001,0.0001,0.0002"),
}
#: Replacements for it, and what they stand for.
DOUBLES = {
    "half a table": 'REAL "$@" 2>&1 | head -c HALF',  # a truncated answer
    "garbage": "head -c 3000 /dev/urandom",  # a broken program, or another protocol
    "ten megabytes": "yes 'ROW' | head -c 10000000",  # a program that does not end
    "a minute of nothing": "exec sleep 60",  # a daemon too busy to answer
}


@pytest.mark.parametrize("saying", DOUBLES)
def test_status_does_not_hang_with_or_trust_a_broken_program(host, saying):
    wait_until(lambda: follows(host), 40)
    assert call(host, "ntpcluster.status")["synchronized"]
    began = time.monotonic()
    call(host, "ntpcluster.status")
    usual = time.monotonic() - began
    program, half, row = ASKS[PROCESS[host.platform]]
    real = host.run(["sh", "-c", f"command -v {program}"]).out.strip()
    double = f"/usr/local/sbin/{program}"
    text = DOUBLES[saying].replace("REAL", real).replace("HALF", f"{half}").replace("ROW", row)
    host.write(double, f"#!/bin/sh\n{text}\n", 0o755)
    steps, pid = host.time.counters["steps"], daemons(host)
    try:
        began = time.monotonic()
        seen = call(host, "ntpcluster.status")
        took = time.monotonic() - began
        stepped = list(call(host, "state.single", "ntpcluster.stepped", "clock", "wait=5").values())[0]
        if saying == "half a table":  # whether the other half contains the missing ones is unknown
            (ran,) = call(host, "state.single", "ntpcluster_deploy.running", "ntp").values()
            assert (ran["result"], ran["changes"]) == (False, {}) and "cannot tell whether" in ran["comment"]
    finally:
        host.run(["rm", "-f", double])
    print(
        f"{host.platform}, {saying}: {took - usual:+.1f} s, {seen['health']}, {codes(seen['problems'])}; {stepped['comment']}"
    )
    # A busy machine takes longer for everything.
    assert took - usual < 8 * max(1, usual / 2)
    assert seen["health"] != "ok"
    assert seen["problems"]
    assert host.time.counters["steps"] == steps and daemons(host) == pid
