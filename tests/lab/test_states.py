"""The state tree on one host of each kind: every job with bad input and with a failure, and the removal.

The tests of this file run in order on one host: it is bare, then deployed, then restored.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, changed, failed, wait_until
from tests.lab.drilling import daemons, processes
from tests.lab.images import PROJECT
from tests.lab.solo import call, programs, set_pillar
from tests.lab.test_deployment import NOT_OURS
from tests.lab.test_traps import CONFIG, SERVICE

SERVER = {
    "timezone": "Asia/Shanghai",
    "tiers": {
        "server": {
            "match": "*",
            "sources": [{"address": a, "minpoll": 3, "maxpoll": 3} for a in INTERNET],
            "addresses": ["10.0.0.60"],
            "serves": ["10.0.0.0/25"],
        },
    },
    "sync": {"timeout": 40},
    "health": {"settle": 12},
}
KEYED = {**SERVER, "keys": {7: {"type": "SHA1", "secret": "0123456789abcdef0123456789abcdef01234567"}}}
#: The same host as a client without a daemon.
CRON = {
    **SERVER,
    "method": "cron",
    "tiers": {"client": {"match": "*", "sources": INTERNET}},
}


#: An interface of EL6 with DHCP.
LEASED = "/etc/sysconfig/network-scripts/ifcfg-eth7"

#: The setting that makes a minion start with a highstate.
BEGINNING = "/etc/salt/minion.d/highstate-on-boot.conf"

#: Files that a running system creates and removes by itself, or that belong to the package manager.
PASSING = ("etc/salt/", "var/lock/", "var/lib/rpm/", "var/lib/dpkg/", "etc/init.d/.depend", "srv/", "usr/", "tmp/",
           "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid", "etc/.pwd.lock",
           "etc/adjtime", "etc/ntp", "var/lib/ntp", "var/lib/systemd/", "var/lib/apt/")  # fmt: skip


@pytest.fixture(scope="module", params=["el6", "modern"])
def host(request, images):
    """A bare host, 90 s fast, that will become a server."""
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("server", "10.0.0.60", request.param), clock=90.0, pillar=SERVER)
        made.lab = lab
        if request.param == "el6":
            made.run(["mkdir", "-p", LEASED.rpartition("/")[0]]).check()
            made.write(LEASED, 'DEVICE=eth7\nBOOTPROTO="dhcp"\nPEERNTP=yes\nONBOOT=no\n')
        made.before = system(made)
        yield made


@pytest.fixture(autouse=True)
def as_the_tree_has_it(host):
    """Restores the project's own templates and the server's pillar after each test."""
    yield
    host.run(["sh", "-c", "rm -f /srv/instead/ntp/files/*"]).check()
    set_pillar(host, SERVER)


def system(host) -> dict:
    """The whole host: its files, its services at boot, its firewall, its crontabs, its packages."""
    upper = host.folder / "upper"
    files = {}
    for path in upper.rglob("*"):
        name = str(path.relative_to(upper))
        if not path.is_dir() and not name.startswith(NOT_OURS + PASSING):
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "removed"
            if path.is_file() and path.read_bytes() == shipped(host, name):
                del files[name]
    listed = ["chkconfig", "--list"] if host.platform == "el6" else ["sh", "-c", "ls /etc/rc?.d"]
    packages = ["rpm", "-qa"] if host.platform == "el6" else ["dpkg-query", "-W", "-f", "${Package} ${Status}\n"]
    rules = host.run(["iptables-save", "-t", "filter"]).out
    return {
        "files": files,
        "boot": host.run(listed).out,
        "firewall": [line for line in rules.splitlines() if line.startswith("-A")],
        "cron": host.run(["sh", "-c", "ls /etc/cron.d; crontab -l 2>/dev/null"]).out,
        "ntp": host.run(["sh", "-c", "ls -d /etc/ntp* /var/lib/ntp* 2>/dev/null"]).out,
        "packages": sorted(line for line in host.run(packages).out.splitlines() if "deinstall" not in line),
    }


def shipped(host, name: str) -> bytes | None:
    """The file of this name in the host's image."""
    for layer in host.layers:
        if (layer / name).is_file():
            return (layer / name).read_bytes()
    return None


def difference(before: dict, after: dict) -> dict:
    """The differences, part by part."""
    found = {}
    for part in before:
        old, new = (d[part].items() if isinstance(d[part], dict) else d[part] for d in (before, after))
        old, new = (set(v.splitlines() if isinstance(v, str) else v) for v in (old, new))
        if old != new:
            found[part] = {"old": sorted(old - new), "new": sorted(new - old)}
    return found


def apply_predicted(host, sls: str = "ntp") -> list[str]:
    """Run test=True, then apply: the same states must change. Returns their ids."""
    before = system(host)
    predicted = solo.apply(host, "test=True", sls=sls)
    assert failed(predicted) == []
    assert difference(before, system(host)) == {}, "test=True has changed something"
    done = solo.apply(host, sls=sls)
    assert failed(done) == []
    would = [state["__id__"] for state in predicted if state["result"] is None]
    assert sorted(would) == sorted(changed(done))
    return changed(done)


def test_a_bare_host_becomes_a_server_as_predicted(host):
    apply_predicted(host)
    assert abs(host.clock_error()) < 0.1
    seen = call(host, "ntpcluster.status")
    assert seen["synchronized"], seen["problems"]


def test_a_second_apply_changes_nothing_and_starts_few_programs(host):
    done = solo.apply(host)
    assert (changed(done), failed(done)) == ([], [])
    # The query for packages and ntpq (each with a time limit), and those for firewall rules.
    firewall = {"el6": ["iptables-save", "ip6tables-save"], "modern": []}[host.platform]
    assert programs(host, "state.apply", "ntp") == ["timeout", "timeout", *firewall]
    assert programs(host, "ntpcluster.status") == ["timeout"]


def test_the_configuration_reads_as_ntp_conf_and_denies_by_default(host):
    text = host.read(CONFIG[host.platform])
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if line.startswith("server")] == [
        f"server {a} iburst minpoll 3 maxpoll 3" for a in INTERNET
    ]
    assert any(re.match(r"restrict default ignore", line) for line in lines)
    assert any(line.startswith("restrict 10.0.0.0 mask 255.255.255.128 kod limited") for line in lines)
    if host.platform == "el6":
        assert not [line for line in lines if re.match(r"restrict (source|-[46] .* mask)", line)]
        tickers = host.read("/etc/ntp/step-tickers").splitlines()
        assert [line for line in tickers if not line.startswith("#")] == INTERNET
        assert "SYNC_HWCLOCK=yes" in host.read("/etc/sysconfig/ntpdate")
        assert "SYNC_HWCLOCK" not in host.read("/etc/sysconfig/ntpd")


def test_the_daemon_understands_every_line(host):
    """ntpd ignores a line that it cannot read, so the test checks its messages at the start."""
    binary = ["/usr/sbin/ntpd", "-n", "-d", "-c", CONFIG[host.platform]]
    said = host.run(["timeout", "2", *binary])
    assert "syntax error" not in said.out + said.err
    assert "invalid" not in said.out + said.err


def test_the_zone_is_recorded_and_shown_and_survives_an_update_of_tzdata(host):
    assert host.run(["date", "+%Z"]).out.strip() == "CST"
    if host.platform == "el6":
        assert 'ZONE="Asia/Shanghai"' in host.read("/etc/sysconfig/clock")
        assert host.run(["test", "-L", "/etc/localtime"]).rc != 0
        host.run(["/usr/sbin/tzdata-update"]).check()
    else:
        assert host.read("/etc/timezone").strip() == "Asia/Shanghai"
    assert host.run(["date", "+%Z"]).out.strip() == "CST"


def from_outside(host, source: str, packet: str, port: int = 123) -> subprocess.CompletedProcess:
    """Send a packet (a Python expression) to the host from an address on its network; returns the answer in hex."""
    script = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1.5); "
        f"s.bind(('{source}', 0)); s.sendto({packet}, ('{host.address}', {port})); print(s.recv(999).hex())"
    )
    asked = ["ip", "netns", "exec", f"{host.lab.prefix}-internet", sys.executable, "-c", script]
    return subprocess.run(asked, capture_output=True, text=True)


def ask_time(host, source: str) -> bool:
    """Whether the host gives the time to this address: it answers with a synchronised server packet."""
    answer = from_outside(host, source, "b'\\x23' + bytes(39) + b'12345678'").stdout.strip()
    return len(answer) == 96 and int(answer[:2], 16) & 0xC7 == 4


def test_only_clients_get_the_time(host):
    namespace = f"{host.lab.prefix}-internet"
    for address in ("10.0.0.70", "10.0.0.200"):
        subprocess.run(["ip", "-n", namespace, "addr", "replace", f"{address}/24", "dev", "eth0"], check=True)
    wait_until(lambda: call(host, "ntpcluster.status")["synchronized"], 40, 1)
    assert ask_time(host, "10.0.0.70"), "10.0.0.70 is within serves"
    assert not ask_time(host, "10.0.0.200"), "10.0.0.200 is not"


@pytest.mark.parametrize("open_firewall", [False, True], ids=["firewall", "daemon alone"])
def test_only_the_host_itself_may_query_more_than_the_time(host, open_firewall):
    """Modes 6 (ntpq) and 7 (the monlist of CVE-2013-5211), through the firewall and without it."""
    if open_firewall:
        host.run(["iptables", "-I", "INPUT", "-p", "udp", "--dport", "123", "-j", "ACCEPT"]).check()
    for packet in ("b'\\x16\\x02' + bytes(10)", "b'\\x17\\x00\\x03\\x2a' + bytes(44)"):
        done = from_outside(host, "10.0.0.70", packet)
        assert done.returncode != 0 and "timed out" in done.stderr, done.stdout
    if open_firewall:
        host.run(["iptables", "-D", "INPUT", "-p", "udp", "--dport", "123", "-j", "ACCEPT"]).check()
    assert "associd" in host.run(["ntpq", "-c", "rv 0", "127.0.0.1"]).out


def test_keys_are_written_for_root_and_the_daemon_only_and_shown_nowhere(host):
    set_pillar(host, KEYED)
    secret = KEYED["keys"][7]["secret"]
    keys_file = "/etc/ntp/keys" if host.platform == "el6" else "/etc/ntpsec/ntp.keys"
    for arguments in (["test=True"], []):
        done = host.run(
            ["salt-call", "--local", "--out=json", "-l", "debug", "state.apply", "ntp", *arguments], timeout=200
        )
        assert secret not in done.out, "a secret is in the result"
        log = [line for line in done.err.splitlines() if secret in line]
        assert not [line for line in log if "ntp.keys" in line or "diff" in line.lower()], log[:3]
    assert f"7 SHA1 {secret}" in host.read(keys_file)
    assert host.run(["stat", "-c", "%a %U", keys_file]).out.split() == ["640", "root"]
    assert "trustedkey 7" in host.read(CONFIG[host.platform])
    assert call(host, "ntpcluster.status")["daemon"]["running"]
    assert secret not in json.dumps(call(host, "ntpcluster.plan"))
    set_pillar(host, SERVER)
    assert sorted(apply_predicted(host)) == sorted([keys_file, CONFIG[host.platform], "ntp-is-running"])
    assert secret not in host.run(["cat", keys_file]).out


def spoil(host, name: str, old: str, new: str) -> None:
    """Replace one of the project's templates with a broken copy."""
    text = (PROJECT / "salt" / "ntp" / "files" / name).read_text()
    assert old in text
    host.write(f"/srv/instead/ntp/files/{name}", text.replace(old, new))


def expect_rollback(host, good: str) -> str:
    done = solo.apply(host)
    red = {state["__id__"]: state["comment"] for state in done if state["result"] is False}
    assert "Restored the last working configuration" in red["ntp-is-running"], red
    assert host.read(CONFIG[host.platform]) == good
    assert sorted(peer["address"] for peer in call(host, "ntpcluster.peers")) == INTERNET
    return red["ntp-is-running"]


def test_a_configuration_that_loses_a_source_is_rolled_back(host):
    """ntpd logs a line that it cannot read, and ignores it; the proof detects this."""
    good = host.read(CONFIG[host.platform])
    spoil(
        host, "ntp.conf.jinja", "{{ source.line }}", "{{ source.line | replace('server 10.0.0.2', 'sever 10.0.0.2') }}"
    )
    assert "does not have 10.0.0.2" in expect_rollback(host, good)


def test_a_configuration_with_an_unplanned_source_is_rolled_back(host):
    good = host.read(CONFIG[host.platform])
    spoil(host, "ntp.conf.jinja", "# Time sources of this host.", "server 10.0.0.99")
    assert "10.0.0.99" in expect_rollback(host, good)


def test_options_with_which_the_daemon_does_not_start_are_rolled_back(host):
    good = host.read(CONFIG[host.platform])
    options = "/etc/sysconfig/ntpd" if host.platform == "el6" else "/etc/default/ntpsec"
    kept = host.read(options)
    spoil(host, "sysconfig.jinja", "{{ setting.value }}", "{{ setting.value }} --no-such-option")
    assert "does not run" in expect_rollback(host, good)
    assert host.read(options) == kept


@pytest.mark.parametrize(
    ("pillar", "expected"),
    [
        ({"tiers": {"server": {"match": "*", "sauces": INTERNET}}}, "sauces"),
        ({**SERVER, "timezone": "../../etc/passwd"}, "timezone"),
        ({**SERVER, "options": {"includefile": "/etc/shadow"}}, "includefile"),
        ({"tiers": {"server": {**SERVER["tiers"]["server"], "sources": ["-oops"]}}}, "-oops"),
        ({**CRON, "step": {"limit": 60}}, "cannot be enforced in tier client, where the method is cron"),
    ],
)
def test_a_bad_pillar_changes_nothing(host, pillar, expected):
    before = system(host)
    set_pillar(host, pillar)
    done = solo.apply(host)
    assert done[0]["__id__"] == "pillar-is-valid" and done[0]["result"] is False
    assert expected in done[0]["comment"]
    assert changed(done) == []
    assert difference(before, system(host)) == {}


def test_an_unavailable_repository_does_not_affect_installed_packages(host):
    away = ["mv", "/srv/yum", "/srv/yum.away"] if host.platform == "el6" else ["mv", "/srv/apt", "/srv/apt.away"]
    host.run(away).check()
    done = solo.apply(host)
    host.run(["mv", away[2], away[1]]).check()
    assert (changed(done), failed(done)) == ([], [])


def test_the_other_method_replaces_the_daemon_and_can_be_reverted(host):
    set_pillar(host, CRON)
    apply_predicted(host)
    assert not call(host, "ntpcluster.status")["daemon"]["running"]
    line = [
        line for line in host.read("/etc/cron.d/ntpcluster").splitlines() if "ntpdate" in line and line[0].isdigit()
    ]
    assert len(line) == 1
    # One packet and one run for each server: a server with a rate limit refuses a second packet within 2 s.
    assert "ntpdate -p 1 $server" in line[0] or host.platform == "modern"
    assert "dport 123" not in host.run(["iptables-save"]).out
    done = solo.apply(host)
    assert (changed(done), failed(done)) == ([], [])
    cron = "crond" if host.platform == "el6" else "cron"
    assert "cron-stopped" not in solo.codes(call(host, "ntpcluster.status")["problems"])
    host.run(["service", cron, "stop"]).check()
    seen = call(host, "ntpcluster.status")
    assert (seen["health"], solo.codes(seen["problems"])) == ("degraded", ["cron-stopped"])
    host.run(["service", cron, "start"]).check()
    # Run cron's command now.
    host.set_clock(30)
    host.run(["sh", "-c", line[0].split(" root ", 1)[1]], timeout=60)
    assert abs(host.clock_error()) < 0.1
    assert host.time.counters["rtc_sets"] >= 1
    # The first source cannot be resolved; the next one is queried nevertheless.
    set_pillar(host, {**CRON, "tiers": {"client": {"match": "*", "sources": ["nobody.example", INTERNET[0]]}}})
    assert "/etc/cron.d/ntpcluster" in apply_predicted(host)
    line = [each for each in host.read("/etc/cron.d/ntpcluster").splitlines() if " root " in each]
    host.set_clock(30)
    host.run(["sh", "-c", line[0].split(" root ", 1)[1]], timeout=60)
    assert abs(host.clock_error()) < 0.1
    set_pillar(host, SERVER)
    apply_predicted(host)
    assert host.run(["test", "-e", "/etc/cron.d/ntpcluster"]).rc != 0
    assert call(host, "ntpcluster.status")["synchronized"]


@pytest.mark.parametrize("how", ["stopped", "disabled", "missing"])
def test_a_host_whose_cron_daemon_does_not_run_keeps_its_ntpd(host, how):
    """The stand-in for a missing package: the service has no script and does not start at boot, which is what Salt checks."""
    cron = "crond" if host.platform == "el6" else "cron"
    # Like update-rc.d, but without touching the link for systemd, which update-rc.d removes and does not restore.
    rename = ["sh", "-ec", 'for link in /etc/rc[2-5].d/"$0"cron; do mv $link ${link%???cron}"$1"cron; done']
    off = {"el6": ["chkconfig", cron, "off"], "modern": [*rename, "S01", "K01"]}
    on = {"el6": ["chkconfig", cron, "on"], "modern": [*rename, "K01", "S01"]}
    if how != "stopped":
        host.run(off[host.platform]).check()
    if how != "disabled":
        host.run(["service", cron, "stop"]).check()
    if how == "missing":
        host.run(["mv", f"/etc/init.d/{cron}", "/tmp/script"]).check()
    set_pillar(host, CRON)
    before, pid = system(host), host.run(["pidof", "ntpd"]).check().out
    runs = [solo.apply(host, "test=True"), solo.apply(host)]
    after = system(host)
    if how == "missing":
        host.run(["mv", "/tmp/script", f"/etc/init.d/{cron}"]).check()
    if how != "stopped":
        host.run(on[host.platform]).check()
    host.run(["service", cron, "start"]).check()
    package = "cronie" if host.platform == "el6" else "cron"
    words = {
        "stopped": ("does not run, so nothing would set the clock", f"start the service {cron}"),
        "disabled": ("does not start at boot, so nothing would set the clock", f"enable the service {cron}"),
        "missing": ("is not installed", f"install the package {package}, then start and enable the service {cron}"),
    }
    for done in runs:
        assert [state["__id__"] for state in done if state["result"] is False][0] == "cron-runs"
        assert all(text in failed(done)[0] for text in words[how]) and changed(done) == []
    assert (difference(before, after), host.run(["pidof", "ntpd"]).out) == ({}, pid)


def test_a_stopped_firewall_stays_stopped_and_keeps_its_rules(host):
    if host.platform == "modern":
        pytest.skip("the iptables of this host have no service that could be stopped")
    saved = host.read("/etc/sysconfig/iptables")
    host.run(["service", "iptables", "stop"]).check()
    host.run(["sed", "-i", "/ntpcluster/d", "/etc/sysconfig/iptables"]).check()
    done = solo.apply(host)
    assert failed(done) == [] and changed(done) == ["served-networks-may-ask"]
    assert host.read("/etc/sysconfig/iptables") == saved
    assert host.run(["service", "iptables", "status"]).rc == 3
    host.run(["service", "iptables", "start"]).check()
    assert "--dport 123" in host.run(["iptables-save"]).out


def test_another_time_daemon_is_stopped_and_stays_off(host):
    # A stand-in for an installed chronyd: a service of that name that can be started, stopped and enabled.
    name = {"el6": "chronyd", "modern": "chrony"}[host.platform]
    script = f"""#!/bin/sh
### BEGIN INIT INFO
# Provides: {name}
# Required-Start: $local_fs
# Required-Stop: $local_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
# chkconfig: 2345 58 74
# description: stands for another time daemon
case $1 in start) touch /var/run/rival;; stop) rm -f /var/run/rival;; status) test -e /var/run/rival || exit 3;; esac
"""
    host.write(f"/etc/init.d/{name}", script, 0o755)
    enable = ["chkconfig", "--add", name] if host.platform == "el6" else ["update-rc.d", name, "defaults"]
    host.run(enable).check()
    host.run(["service", name, "start"]).check()
    # It runs until each file of the new daemon is written: without one of them the new daemon is not started.
    sysconfig = {"el6": "/etc/sysconfig/ntpd", "modern": "/etc/default/ntpsec"}[host.platform]
    host.run(["sh", "-c", f"mv {sysconfig} /root/ && mkdir {sysconfig}"]).check()
    assert failed(solo.apply(host)) and host.run(["service", name, "status"]).rc == 0
    host.run(["sh", "-c", f"rmdir {sysconfig} && mv /root/{sysconfig.split('/')[-1]} {sysconfig}"]).check()
    assert apply_predicted(host) == ["no-other-time-daemon"]
    assert host.run(["service", name, "status"]).rc == 3
    assert host.run(["sh", "-c", f"ls /etc/rc?.d/S*{name}"]).rc != 0
    host.run(["rm", "-f", f"/etc/init.d/{name}"]).check()
    host.run(["sh", "-c", f"rm -f /etc/rc?.d/*{name}"]).check()


def test_a_daemon_that_nobody_here_can_ask_is_restarted_once_and_not_by_every_apply(host):
    """Its configuration is the proven one; the host's own firewall keeps ntpq out."""

    def running(*arguments):
        (ran,) = call(host, "state.single", "ntpcluster_deploy.running", "ntp", *arguments).values()
        return ran

    assert failed(solo.apply(host)) == []
    closed = ["INPUT", "-i", "lo", "-p", "udp", "-j", "DROP"]
    host.run(["iptables", "-I", *closed]).check()
    before = daemons(host)
    try:
        first, restarted = running(), daemons(host)
        again = [running("test=True"), running()]
        kept = daemons(host)
    finally:
        host.run(["iptables", "-D", *closed]).check()
    assert first["result"] is False and restarted != before
    assert kept == restarted
    for ran in again:
        assert (ran["result"], ran["changes"]) == (False, {})
        assert "A restart did not help and is not repeated" in ran["comment"]
    ran = running()
    assert (ran["result"], ran["changes"]) == (True, {})
    # It has answered since: if it hangs later, it is restarted.
    assert host.run(["ls", "/var/run/ntpcluster-restarted-in-vain.pid"]).rc != 0


def test_leases_with_time_servers_are_ignored(host):
    if host.platform == "modern":
        assert 'IGNORE_DHCP="yes"' in host.read("/etc/default/ntpsec")
    else:
        assert host.read(LEASED) == 'DEVICE=eth7\nBOOTPROTO="dhcp"\nONBOOT=no\nPEERNTP=no\n'
        host.write(LEASED, "DEVICE=eth7\nBOOTPROTO=dhcp\n")
        assert apply_predicted(host) == ["leases-leave-it-alone"]
        assert host.read(LEASED) == "DEVICE=eth7\nBOOTPROTO=dhcp\nPEERNTP=no\n"


def test_the_boot_time_step_is_switched_on_by_the_pillar(host):
    set_pillar(host, {**SERVER, "step": {"at_boot": True}})
    if host.platform == "el6":
        steps_at_boot(host)
    else:
        assert apply_predicted(host) == []
        (told,) = [one for one in call(host, "ntpcluster.validate") if one["key"] == "ntp:step:at_boot"]
        assert (told["level"], "has no effect on this host" in told["message"]) == ("warning", True)
    set_pillar(host, SERVER)
    assert apply_predicted(host) == (["step-at-boot"] if host.platform == "el6" else [])


def steps_at_boot(host):
    assert apply_predicted(host) == ["step-at-boot"]
    assert "3:on" in host.run(["chkconfig", "--list", "ntpdate"]).out
    host.set_rtc(-500)
    host.reboot(clean=False)
    assert host.clock_error() == pytest.approx(-500, abs=60) or abs(host.clock_error()) < 1
    wait_until(lambda: abs(host.clock_error()) < 0.1, 60)
    wait_until(lambda: host.run(["service", "ntpd", "status"]).rc == 0, 60)
    assert "-p 1" in host.read("/etc/sysconfig/ntpdate"), (
        "four samples at once would fill the servers' account of this host"
    )
    assert host.run(["test", "-e", "/var/lock/subsys/ntpdate"]).rc == 0, "the ntpdate service has done it"


def test_the_next_apply_repairs_a_killed_one(host):
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    host.set_clock(200)
    run = subprocess.Popen(
        [*host.enter(), "salt-call", "--local", "state.apply", "ntp"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(4)
    calls = processes(host, "salt-call", "state.apply")
    assert calls, "the apply is over already"
    for pid in calls:
        subprocess.run(["kill", "-9", str(pid)])
    run.wait()
    assert failed(solo.apply(host)) == []
    assert abs(host.clock_error()) < 0.1
    assert call(host, "ntpcluster.status")["daemon"]["running"]


def test_what_an_apply_costs_when_nothing_changes(host):
    done = solo.apply(host)
    for state in done:
        print(f"{host.platform} {state['__id__']:28} {state['duration']:8.1f} ms")
    total = sum(state["duration"] for state in done)
    print(f"{host.platform} {'all':28} {total:8.1f} ms")
    assert changed(done) == []


def test_a_host_is_configured_to_start_with_a_highstate(host):
    assert apply_predicted(host, "ntp.boot") == [BEGINNING]
    assert host.read(BEGINNING) == "startup_states: highstate\n"
    assert apply_predicted(host, "ntp.boot") == []


def test_clean_restores_the_earlier_state(host):
    predicted = solo.apply(host, "test=True", sls="ntp.clean")
    assert failed(predicted) == []
    done = solo.apply(host, sls="ntp.clean")
    assert failed(done) == []
    after = system(host)
    for zone in ("etc/localtime", "etc/timezone", "etc/sysconfig/clock"):
        for system_then in (host.before, after):
            system_then["files"].pop(zone, None)
    assert difference(host.before, after) == {}
    assert host.run(["date", "+%Z"]).out.strip() == "CST", "the time zone stays"
    again = solo.apply(host, sls="ntp.clean")
    assert (changed(again), failed(again)) == ([], [])
    for ours in ("/var/lib/ntpcluster", BEGINNING):
        assert host.run(["test", "-e", ours]).rc != 0, ours


def offline(host) -> list[dict]:
    """The platform's packages as files with checksums, as at a site without a repository."""
    folder, ending = ("/srv/yum", "rpm") if host.platform == "el6" else ("/srv/apt", "deb")
    names = host.run(["sh", "-c", f"ls {folder}/ntp*.{ending}"]).check().out.split()
    if host.platform == "el6":
        names = [name for name in names if "-1.el6" in name]
    files = []
    for name in names:
        total = host.run(["sha256sum", name]).check().out.split()[0]
        package = (
            name.rpartition("/")[2].partition("_")[0]
            if ending == "deb"
            else re.match(r"[a-z]+", name.rpartition("/")[2]).group()
        )
        files.append(
            {"name": package, "source": f"/srv/offline/{name.rpartition('/')[2]}", "source_hash": f"sha256={total}"}
        )
    host.run(["cp", "-a", folder, "/srv/offline"]).check()
    return files


def test_packages_come_from_files_when_there_is_no_repository_and_only_with_the_right_checksum(host):
    files = offline(host)
    host.run(
        ["mv", *{"el6": ("/srv/yum", "/srv/yum.away"), "modern": ("/srv/apt", "/srv/apt.away")}[host.platform]]
    ).check()
    names = [one["name"] for one in files]
    wrong = [{**files[0], "source_hash": "sha256=" + "0" * 64}, *files[1:]]
    set_pillar(host, {**SERVER, "package": {"names": names, "sources": wrong}})
    done = solo.apply(host, sls="ntp.package")
    assert [s["__id__"] for s in done if s["result"] is False and "sha256" in s["comment"]] == ["ntp-is-installed"]
    assert not any(call(host, "pkg.version", name) for name in names)
    set_pillar(host, {**SERVER, "package": {"names": names, "sources": files}})
    done = solo.apply(host, sls="ntp.package")
    assert failed(done) == [] and all(call(host, "pkg.version", name) for name in names)
    again = solo.apply(host, sls="ntp.package")
    assert (changed(again), failed(again)) == ([], [])
    host.run(
        ["mv", *{"el6": ("/srv/yum.away", "/srv/yum"), "modern": ("/srv/apt.away", "/srv/apt")}[host.platform]]
    ).check()


def test_a_pinned_version_is_the_one_that_is_installed(host):
    assert failed(solo.apply(host, sls="ntp.clean")) == []
    newest = call(host, "pkg.latest_version", "ntp" if host.platform == "el6" else "ntpsec")
    pinned = newest.replace("-2.el6", "-1.el6")
    names = ["ntp", "ntpdate"] if host.platform == "el6" else ["ntpsec", "ntpsec-ntpdate"]
    set_pillar(host, {**SERVER, "package": {"names": names, "version": pinned}})
    assert failed(solo.apply(host, sls="ntp.package")) == []
    assert call(host, "pkg.version", names[0]) == pinned
    set_pillar(host, {**SERVER, "package": {"names": names, "version": "9.9.9-9"}})
    assert failed(solo.apply(host, sls="ntp.package")) != []
    assert call(host, "pkg.version", names[0]) == pinned
