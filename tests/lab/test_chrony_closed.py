"""What a server with chronyd answers: the time for its clients, and nothing else. All packets are real."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, SYSTEMD, Cluster, Role, failed, ready, wait_until
from tests.lab.images import PROJECT
from tests.lab.solo import call, set_pillar
from tests.lab.test_states import ask_time, from_outside

ADDRESS = {"el9": "10.0.0.60", "debian13": "10.0.0.61"}
SERVICE = {"el9": "chronyd", "debian13": "chrony"}
CONF = {"el9": "/etc/chrony.conf", "debian13": "/etc/chrony/chrony.conf"}
KEYS = {"el9": ("/etc/chrony.keys", "chrony"), "debian13": ("/etc/chrony/chrony.keys", "_chrony")}
SERVED, STRANGER = "10.0.0.70", "10.0.0.200"
SECRET = "0123456789abcdef0123456789abcdef01234567"

#: The requests of ntpq and ntpdc: the system's variables (mode 6), and the monlist of CVE-2013-5211 (mode 7).
MODES = {"mode 6": r"b'\x16\x02' + bytes(10)", "mode 7": r"b'\x17\x00\x03\x2a' + bytes(44)"}

#: The request of `chronyc tracking` in protocol 6 (candm.h): padded to the length of its answer.
TRACKING = r"b'\x06\x01\0\0\0\x21' + bytes(98)"


def pillar(kind: str) -> dict:
    server = {
        "match": "*",
        "sources": [{"address": address, "minpoll": 3, "maxpoll": 3} for address in INTERNET],
        "addresses": [ADDRESS[kind]],
        "serves": ["10.0.0.0/25"],
        "key": 7,
    }
    # A server has a firewall, but here it is stopped: the daemon must reject strangers by itself.
    return {
        **solo.PILLAR,
        "daemon": "chrony",
        "firewall": {"manage": False},
        "tiers": {"server": server, "client": {"match": "nobody", "follows": "server"}},
        "keys": {7: {"type": "SHA1", "secret": SECRET}},
    }


@pytest.fixture(scope="module")
def lab():
    ready(kinds=SYSTEMD)
    with Cluster(master=False) as lab:
        for address in (SERVED, STRANGER):
            words = ["ip", "-n", f"{lab.prefix}-internet", "addr", "replace", f"{address}/24", "dev", "eth0"]
            subprocess.run(words, check=True)
        yield lab


@pytest.fixture(scope="module", params=SYSTEMD)
def host(request, lab):
    """A synchronised server without a firewall, and the output of its first apply."""
    kind = request.param
    made = solo.add(lab, Role(kind, ADDRESS[kind], kind), pillar=pillar(kind))
    made.lab = lab
    made.settle()
    if kind == "el9":
        made.run(["systemctl", "disable", "--now", "firewalld"]).check()
        # If firewalld is stopped within a second after its start, as here, it leaves its rules behind.
        made.run(["nft", "flush", "ruleset"]).check()
    made.said = [
        made.run(["salt-call", "--local", "--out=json", "-l", "debug", *words], timeout=200)
        for words in (["state.apply", "ntp", "test=True"], ["state.apply", "ntp"])
    ]
    assert [done.rc for done in made.said] == [0, 0], made.said[-1].out
    wait_until(lambda: call(made, "ntpcluster.status")["synchronized"], 40, 1)
    assert "drop" not in made.run(["nft", "list", "ruleset"]).out
    return made


def answered(host, source: str, packet: str, port: int = 123) -> bool:
    """Whether the host answers this packet; False: there is no answer, or the port is closed."""
    done = from_outside(host, source, packet, port)
    assert done.returncode == 0 or "timed out" in done.stderr or "refused" in done.stderr, done.stderr
    return done.returncode == 0


def test_only_clients_get_the_time(host):
    assert ask_time(host, SERVED)
    assert not ask_time(host, STRANGER)


@pytest.mark.parametrize("source", [SERVED, STRANGER])
@pytest.mark.parametrize("mode", MODES)
def test_nobody_gets_more_than_the_time(host, mode, source):
    assert not answered(host, source, MODES[mode])


@pytest.mark.parametrize("source", [SERVED, STRANGER])
def test_nobody_outside_is_answered_at_the_port_for_commands(host, source):
    assert not answered(host, source, TRACKING, 323)
    # The same applies to the host's own address from inside; on its loopback chronyd answers.
    assert host.run(["chronyc", "-h", "127.0.0.1", "tracking"]).rc == 0
    assert host.run(["chronyc", "-h", host.address, "tracking"]).rc != 0


def test_a_chronyd_that_is_open_to_commands_would_be_found(host):
    """With two lines that the tree never writes, chronyd answers this packet: so the test above can fail."""
    right = host.read(CONF[host.platform])
    host.write(CONF[host.platform], right + "bindcmdaddress 0.0.0.0\ncmdallow all\n")
    host.run(["systemctl", "restart", SERVICE[host.platform]]).check()
    opened = wait_until(lambda: answered(host, STRANGER, TRACKING, 323), 10)
    host.write(CONF[host.platform], right)
    host.run(["systemctl", "restart", SERVICE[host.platform]]).check()
    assert opened and not answered(host, STRANGER, TRACKING, 323)
    wait_until(lambda: call(host, "ntpcluster.status")["synchronized"], 40, 1)


def test_keys_are_for_root_and_the_daemon_and_shown_nowhere(host):
    path, group = KEYS[host.platform]
    assert host.run(["stat", "-c", "%a %U:%G", path]).check().out == f"640 root:{group}\n"
    assert f"7 SHA1 HEX:{SECRET}" in host.read(path)
    for done in host.said:
        assert SECRET not in done.out, "the secret is in the result"
        assert [line for line in done.err.splitlines() if SECRET in line] == []
    for function in ("ntpcluster.plan", "ntpcluster.status", "ntpcluster.diagnose", "ntpcluster.valid"):
        assert SECRET not in json.dumps(call(host, function)), function
    # The secret is not in the diff either when it changes.
    changed = pillar(host.platform)
    changed["keys"][7]["secret"] = SECRET[::-1]
    set_pillar(host, changed)
    for words in (["test=True"], []):
        done = host.run(["salt-call", "--local", "-l", "debug", "state.apply", "ntp", *words], timeout=200)
        assert path in done.out and not re.search(f"{SECRET}|{SECRET[::-1]}", done.out + done.err)
    assert SECRET[::-1] in host.read(path)
    # The copy that a failed apply restores is as restricted as the file.
    folders = ["/etc", "/run/log", "/var/log", "/var/cache", "/var/lib", "/tmp", "/srv"]
    found = host.run(["grep", "-rlE", f"{SECRET}|{SECRET[::-1]}", *folders]).out.split()
    # The project itself, which the host may read, may be in one of these directories.
    found = [path for path in found if not path.startswith(f"{PROJECT}/")]
    assert len(found) == 3 and {path, "/srv/pillar/ntp.sls"} < set(found), found
    [copy] = set(found) - {path, "/srv/pillar/ntp.sls"}
    assert copy.startswith("/var/lib/ntpcluster/") and host.run(["stat", "-c", "%a %U", copy]).out == "640 root\n"
    assert SECRET not in host.run(["journalctl", "--no-pager", "-o", "cat"]).check().out


def test_a_host_that_serves_nobody_does_not_open_the_port(host):
    client = {**solo.PILLAR, "daemon": "chrony"}
    assert host.run(["ss", "-Hlun", "sport = :123"]).check().out
    set_pillar(host, client)
    assert failed(solo.apply(host)) == []
    assert host.run(["ss", "-Hlun", "sport = :123"]).check().out == ""
    assert not ask_time(host, SERVED)
