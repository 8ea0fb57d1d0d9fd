"""
The firewall functions and states with real iptables (both backends) and real packets.

Every test has two network namespaces of its own, joined by a cable: one host serves UDP 123, the other asks it.
"""

import fcntl
import os
import shutil
import stat
import subprocess
import sys

import pytest
from salt.exceptions import CommandExecutionError

from _modules import ntpcluster_firewall as firewall
from _modules import ntpcluster_firewall_rules as rules
from _states import ntpcluster_firewall as states

NEEDED = ["ip", "iptables-legacy", "iptables-nft", "ip6tables-legacy", "ip6tables-nft"]
MISSING = [program for program in NEEDED if not shutil.which(program)]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and iptables need root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (packages iproute2, iptables)"),
]

LAN = ["10.123.0.0/24"]
INSIDE, OUTSIDE = "10.123.0.2", "10.123.1.2"
INSIDE6, OUTSIDE6 = "fd00:123::2", "fd00:124::2"
OURS = "-A INPUT -s 10.123.0.0/24 -p udp -m udp --dport 123 -m comment --comment ntpcluster -j ACCEPT"
REJECT = "-A INPUT -j REJECT --reject-with icmp-host-prohibited"
RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -m state --state NEW -m tcp -p tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""

RESPONDER = """
import socket
both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
both.bind(("::", 123))
print("ready", flush=True)
while True:
    both.sendto(*both.recvfrom(64))
"""
ASK = """
import socket, sys
here, there = sys.argv[1:]
asker = socket.socket(socket.AF_INET6 if ":" in here else socket.AF_INET, socket.SOCK_DGRAM)
asker.bind((here, 0))
asker.connect((there, 123))
asker.settimeout(0.5)
for question in (b"first", b"second"):
    asker.send(question)
    assert asker.recv(64) == question
"""


class Host:
    """One end of the cable that serves, with a saved file and the lock file of EL6's firewall service."""

    def __init__(self, name, folder, backend):
        self.name, self.folder, self.backend = name, folder, backend
        self.file, self.lock = folder / "iptables", folder / "lock"
        self.fail_at = None  # which change of rules fails, counted from 1
        self.changed = 0
        self.failure = {"retcode": 1, "stdout": "", "stderr": "iptables: No chain/target/match by that name."}
        self.calls = []

    def run(self, *command, check=True, **options):
        # a lock file of its own: the machine's real one stays free
        environment = {**os.environ, "LC_ALL": "C", "XTABLES_LOCKFILE": str(self.folder / "xtables.lock")}
        command = ["ip", "netns", "exec", self.name, *command]
        return subprocess.run(command, check=check, env=environment, capture_output=True, text=True, **options)

    def run_all(self, command, python_shell=True, env=None, timeout=None, ignore_retcode=False):
        """What Salt's cmd.run_all does, inside this host."""
        assert isinstance(command, list) and not python_shell and env == {"LC_ALL": "C"}
        self.calls.append(command)
        if any(argument in ("-I", "-D") for argument in command):
            self.changed += 1
            if self.changed == self.fail_at:
                return self.failure
        try:
            answer = self.run(*command, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            return {"retcode": 1, "stdout": f"Timed out after {timeout} seconds", "stderr": ""}
        return {"retcode": answer.returncode, "stdout": answer.stdout, "stderr": answer.stderr}

    def load(self, text, program="iptables"):
        self.run(f"{program}-{self.backend}-restore", input=text)

    def lines(self, program="iptables"):
        saved = self.run(f"{program}-{self.backend}-save", "-t", "filter").stdout
        return [line.strip() for line in saved.splitlines() if line.startswith("-A")]

    @property
    def platform(self):
        def family(program):
            commands = {"command": f"{program}-{self.backend}", "save_command": f"{program}-{self.backend}-save"}
            return {**commands, "file": str(self.folder / program), "lock": str(self.folder / "lock")}

        return {"firewall": {"ipv4": family("iptables"), "ipv6": family("ip6tables")}}


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture(params=["legacy", "nft"])
def host(request, tmp_path, monkeypatch):
    """A host with running EL6 rules that are saved too."""
    serving, asking = f"fw-{os.getpid()}-s", f"fw-{os.getpid()}-c"
    host = Host(serving, tmp_path, request.param)
    ip("netns", "add", serving)
    ip("netns", "add", asking)
    responder = None
    try:
        ip("-n", serving, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", asking)
        for name, number in ((serving, "1"), (asking, "2")):
            ip("-n", name, "link", "set", "lo", "up")
            for network in ("10.123.0.{}/24", "10.123.1.{}/24"):
                ip("-n", name, "address", "add", network.format(number), "dev", "eth0")
            for network in ("fd00:123::{}/64", "fd00:124::{}/64"):
                ip("-n", name, "address", "add", network.format(number), "dev", "eth0", "nodad")
            ip("-n", name, "link", "set", "eth0", "up")
        responder = subprocess.Popen(
            ["ip", "netns", "exec", serving, sys.executable, "-c", RESPONDER], stdout=subprocess.PIPE
        )
        assert responder.stdout.readline() == b"ready\n"
        host.load(RULES)
        host.file.write_text(RULES)
        host.file.chmod(0o600)
        host.lock.touch()
        salt = {
            "cmd.run_all": host.run_all,
            "ntpcluster.firewall_judge": rules.firewall_judge,
            "ntpcluster.firewall_edit": rules.firewall_edit,
            "ntpcluster.firewall": firewall.firewall,
            "ntpcluster.firewall_apply": firewall.firewall_apply,
            "ntpcluster.plan": lambda: {
                "platform": host.platform,
                "firewall": {"manage": True, "networks": LAN},
            },
        }
        monkeypatch.setattr(firewall, "__salt__", salt, raising=False)
        monkeypatch.setattr(states, "__salt__", salt, raising=False)
        monkeypatch.setattr(states, "__opts__", {"test": False}, raising=False)
        host.asking = asking
        yield host
    finally:
        if responder:
            responder.kill()
            responder.wait()
        ip("netns", "delete", serving)
        ip("netns", "delete", asking)


@pytest.fixture(params=[False, True], ids=["real", "test"])
def testmode(request, monkeypatch, host):
    monkeypatch.setattr(states, "__opts__", {"test": request.param})
    return request.param


def answered(host, source):
    """Does the host answer two questions in a row, from one port as ntpd asks, that come from this address?"""
    there = source[:-1] + "1"
    command = ["ip", "netns", "exec", host.asking, sys.executable, "-c", ASK, source, there]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def state_of(host):
    """Everything a change could touch."""
    saved = {path.name: path.read_bytes() for path in host.folder.iterdir() if path.name.startswith("ip")}
    return host.lines(), host.lines("ip6tables"), saved


def test_only_the_networks_of_the_pillar_get_the_time(host):
    assert not answered(host, INSIDE)
    ret = states.firewall("open")
    assert ret["result"] is True, ret["comment"]
    assert answered(host, INSIDE)
    assert not answered(host, OUTSIDE)
    assert states.firewall_absent("close")["result"] is True
    assert not answered(host, INSIDE)


def test_the_rule_lands_before_the_reject_live_and_in_the_file_and_nothing_else_moves(host, testmode):
    before = state_of(host)
    ret = states.firewall("open")
    assert ret["result"] is (None if testmode else True)
    change = {"added": [OURS], "removed": []}
    assert ret["changes"] == {"ipv4": change, "ipv4 saved": change}
    if testmode:
        assert state_of(host) == before
        return
    lines = before[0][:]
    lines.insert(lines.index(REJECT), OURS)
    assert host.lines() == lines
    assert host.file.read_text() == RULES.replace(REJECT, OURS + "\n" + REJECT)
    assert stat.S_IMODE(host.file.stat().st_mode) == 0o600


def test_a_second_run_changes_nothing_and_closing_gives_back_every_byte(host):
    before = state_of(host)
    states.firewall("open")
    opened = state_of(host)
    ret = states.firewall("open")
    assert (ret["result"], ret["changes"], state_of(host)) == (True, {}, opened)
    states.firewall_absent("close")
    assert state_of(host) == before
    ret = states.firewall_absent("close")
    assert (ret["result"], ret["changes"], state_of(host)) == (True, {}, before)


def test_reading_and_test_mode_run_nothing_but_iptables_save(host, monkeypatch):
    monkeypatch.setattr(states, "__opts__", {"test": True})
    states.firewall("open")
    firewall.firewall()
    assert {command[0].rpartition("/")[2] for command in host.calls} == {
        f"iptables-{host.backend}-save",
        f"ip6tables-{host.backend}-save",
    }


def test_what_iptables_prints_for_our_rule_is_the_text_that_goes_into_the_file(host):
    states.firewall("open")
    assert OURS in host.lines()
    host.load(host.file.read_text())
    assert host.lines().index(OURS) == host.lines().index(REJECT) - 1


def test_a_rule_by_hand_counts_in_the_spelling_iptables_gives_it(host):
    by_hand = "-s 10.123.0.0/255.255.255.0 -m state --state NEW -m udp -p udp --dport ntp -j ACCEPT"
    host.run(f"iptables-{host.backend}", "-I", "INPUT", "4", *by_hand.split())
    report = firewall.firewall()["ipv4"]
    assert (len(report["present"]), report["missing"], report["saved"]["missing"]) == (1, [], [OURS])
    assert list(states.firewall("open")["changes"]) == ["ipv4 saved"]


def test_a_changed_pillar_moves_the_hole(host):
    states.firewall("open")
    new = OURS.replace("10.123.0.0", "10.123.1.0")
    ret = states.firewall("open", networks=["10.123.1.0/24"])
    assert ret["changes"]["ipv4"] == {"added": [new], "removed": [OURS]}
    assert answered(host, OUTSIDE)
    assert not answered(host, INSIDE)
    assert host.file.read_text() == RULES.replace(REJECT, new + "\n" + REJECT)


def test_our_rule_behind_the_reject_is_put_right(host):
    host.run(f"iptables-{host.backend}", *OURS.split())
    ret = states.firewall("open")
    assert ret["changes"]["ipv4"] == {"added": [OURS], "removed": [OURS]}
    assert answered(host, INSIDE)
    assert host.lines().count(OURS) == 1


def test_a_stopped_firewall_stays_stopped_and_its_file_keeps_its_rules(host):
    host.load("*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n")
    host.lock.unlink()
    ret = states.firewall("open")
    assert list(ret["changes"]) == ["ipv4 saved"]
    assert "not running" in ret["comment"]
    assert host.lines() == []
    assert host.calls == []  # asking iptables would load its kernel module
    assert host.file.read_text() == RULES.replace(REJECT, OURS + "\n" + REJECT)


def test_rules_loaded_without_the_service_are_seen_when_the_kernel_lists_their_table(host, monkeypatch, tmp_path):
    host.lock.unlink()
    listing = tmp_path / "ip_tables_names"  # the kernel's own lists the tables of the reader's namespace
    listing.write_text("nat\nfilter\n")
    platform = host.platform
    platform["firewall"]["ipv4"]["tables"] = str(listing)
    assert firewall.firewall(platform, LAN)["ipv4"]["running"]
    listing.write_text("nat\n")
    assert not firewall.firewall(platform, LAN)["ipv4"]["running"]


def test_unsaved_rules_of_others_are_neither_lost_nor_saved(host):
    unsaved = "-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT"
    host.run(f"iptables-{host.backend}", *unsaved.replace("-A INPUT", "-I INPUT 1").split())
    states.firewall("open")
    assert host.lines()[0] == unsaved
    assert "8080" not in host.file.read_text()


def test_without_a_saved_file_none_is_made(host):
    host.file.unlink()
    ret = states.firewall("open")
    assert list(ret["changes"]) == ["ipv4"]
    assert "no saved file" in ret["comment"]
    assert not host.file.exists()


def test_a_system_without_a_firewall_service_is_guarded_when_its_chain_is(host):
    platform = host.platform
    del platform["firewall"]["ipv4"]["lock"]
    platform["firewall"]["ipv4"]["file"] = "/nonexistent/rules.v4"
    assert list(firewall.firewall_apply(platform, LAN)) == ["ipv4"]
    assert firewall.firewall_apply(platform, LAN) == {}
    host.load("*filter\n:INPUT ACCEPT\nCOMMIT\n")
    assert firewall.firewall_apply(platform, LAN) == {}
    assert host.lines() == []
    host.load("*filter\n:INPUT DROP\nCOMMIT\n")
    assert list(firewall.firewall_apply(platform, LAN)) == ["ipv4"]
    assert answered(host, INSIDE)
    assert not answered(host, OUTSIDE)


def test_closing_the_last_rule_of_a_chain_is_no_error(host):
    platform = host.platform
    del platform["firewall"]["ipv4"]["lock"]
    host.load(f"*filter\n:INPUT ACCEPT\n{OURS}\nCOMMIT\n")
    assert firewall.firewall_apply(platform, [])["ipv4"] == {"added": [], "removed": [OURS]}
    assert host.lines() == []


def test_a_host_without_iptables_has_no_firewall(host):
    platform = host.platform
    for family in platform["firewall"].values():
        family.update(save_command="no-such-save", file="/nonexistent")
    assert firewall.firewall_apply(platform, LAN) == {}
    assert not firewall.firewall(platform, LAN)["ipv4"]["running"]


def test_ipv6_networks_go_to_ip6tables(host):
    drop = "-A INPUT -j REJECT --reject-with icmp6-adm-prohibited"
    saved = f"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p ipv6-icmp -j ACCEPT\n{drop}\nCOMMIT\n"
    host.load(saved, "ip6tables")
    (host.folder / "ip6tables").write_text(saved)
    assert not answered(host, INSIDE6)
    ret = states.firewall("open", networks=[*LAN, "fd00:123::/64"])
    assert sorted(ret["changes"]) == ["ipv4", "ipv4 saved", "ipv6", "ipv6 saved"]
    assert answered(host, INSIDE6)
    assert answered(host, INSIDE)
    assert not answered(host, OUTSIDE6)
    assert states.firewall_absent("close")["result"] is True
    assert (host.folder / "ip6tables").read_text() == saved
    assert host.lines("ip6tables")[-1] == drop


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_failure_half_way_says_what_was_done_and_leaves_every_other_rule(host, number):
    states.firewall("open", networks=["192.0.2.0/24"])
    old = OURS.replace("10.123.0.0", "192.0.2.0")
    before, file_before = host.lines(), host.file.read_bytes()
    host.changed, host.fail_at = 0, number
    networks = [*LAN, "10.123.1.0/24"]
    ret = states.firewall("open", networks=networks)
    done = [OURS, OURS.replace("10.123.0.0", "10.123.1.0")][: number - 1]
    assert ret["result"] is False
    assert "No chain/target/match by that name" in ret["comment"]
    assert ret["changes"] == ({"ipv4": {"added": done, "removed": []}} if done else {})
    place = before.index(REJECT)
    assert host.lines() == before[:place] + done + before[place:]
    assert old in host.lines()
    assert host.file.read_bytes() == file_before
    host.fail_at = None
    assert states.firewall("open", networks=networks)["result"] is True
    assert states.firewall("open", networks=networks)["changes"] == {}
    assert answered(host, OUTSIDE)


def test_a_saved_file_that_cannot_be_replaced_stays_whole(host, monkeypatch):
    def refuse(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(firewall.os, "rename", refuse)
    ret = states.firewall("open")
    assert ret["result"] is False
    assert "No space left" in ret["comment"]
    assert list(ret["changes"]) == ["ipv4"]
    assert host.file.read_text() == RULES
    assert not list(host.folder.glob(".ntpcluster*"))


def test_a_saved_file_keeps_owner_mode_link_and_odd_bytes(host):
    odd = b"# caf\xe9 \xe2\x80\xa8 \x85 \x0b rules\r\n" + RULES.encode()
    real = host.folder / "real"
    real.write_bytes(odd)
    os.chown(real, 12, 34)
    real.chmod(0o640)
    host.file.unlink()
    host.file.symlink_to(real)
    states.firewall("open")
    assert host.file.is_symlink()
    assert real.read_bytes() == odd.replace(REJECT.encode(), f"{OURS}\n{REJECT}".encode())
    assert (real.stat().st_uid, real.stat().st_gid, stat.S_IMODE(real.stat().st_mode)) == (12, 34, 0o640)


def test_a_change_that_met_another_one_is_tried_again(host, monkeypatch):
    monkeypatch.setattr(firewall.time, "sleep", lambda seconds: None)
    host.fail_at = 1
    host.failure = {"retcode": 4, "stdout": "", "stderr": "iptables: Resource temporarily unavailable."}
    assert states.firewall("open")["result"] is True
    assert host.lines().count(OURS) == 1
    assert host.changed == 2


@pytest.mark.parametrize("host", ["legacy"], indirect=True)  # nft has no lock: the kernel takes each change whole
def test_a_lock_that_somebody_keeps_is_an_error_and_changes_nothing(host, monkeypatch):
    before = state_of(host)
    monkeypatch.setattr(firewall, "TIMEOUT", 1)
    with open(host.folder / "xtables.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CommandExecutionError, match="Timed out after 1 seconds"):
            firewall.firewall_apply()
    assert state_of(host) == before


def test_a_firewall_that_cannot_be_read_is_red_only_where_a_hole_is_needed(host):
    platform = host.platform
    platform["firewall"]["ipv4"]["save_command"] = "false"
    with pytest.raises(CommandExecutionError, match="ntp:firewall:manage"):
        firewall.firewall_apply(platform, LAN)
    assert firewall.firewall_apply(platform, []) == {}


def test_wide_rules_and_bans_of_others_are_named_in_the_comment_and_left(host):
    program = f"iptables-{host.backend}"
    host.run(program, "-I", "INPUT", "1", "-p", "udp", "--dport", "123", "-j", "ACCEPT")
    host.run(program, "-I", "INPUT", "1", "-s", "10.0.0.0/8", "-j", "DROP")
    before = host.lines()
    comment = states.firewall("open")["comment"]
    assert f"left alone: {before[1]}" in comment
    assert f"keep them out: {before[0]}" in comment
    assert [line for line in host.lines() if line != OURS] == before


def test_an_unmanaged_firewall_is_left_alone(host):
    before = state_of(host)
    ret = states.firewall("open", manage=False)
    assert (ret["result"], ret["changes"], state_of(host), host.calls) == (True, {}, before, [])
