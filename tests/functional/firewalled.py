"""
A host that serves UDP 123 behind real iptables (either kind) and real nft, and a neighbour that queries it.

Two connected network namespaces. The functions under test run in this process, which is in the first one.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
import sys

import pytest

from _modules import ntpcluster_firewall as firewall
from _modules import ntpcluster_firewall_nft as nft
from _modules import ntpcluster_firewall_nft_rules as nft_rules
from _modules import ntpcluster_firewall_rules as rules
from _states import ntpcluster_firewall as states
from tests.loaded import FUNCTIONS
from tests.unit.test_firewall import OURS as THEIRS
from tests.unit.test_firewall import STOCK as RULES

NEEDED = ["ip", "iptables-legacy", "iptables-nft", "ip6tables-legacy", "ip6tables-nft", "nft"]
MISSING = [program for program in NEEDED if not shutil.which(program)]
NEEDS = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and iptables need root"),
    pytest.mark.skipif(
        bool(MISSING), reason=f"not in the PATH: {', '.join(MISSING)} (packages iproute2, iptables, nftables)"
    ),
]

LAN = ["10.123.0.0/24"]
INSIDE, OUTSIDE = "10.123.0.2", "10.123.1.2"
INSIDE6, OUTSIDE6 = "fd00:123::2", "fd00:124::2"
OURS = THEIRS.replace("10.0.0.0/24", LAN[0])

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
here, there, port = sys.argv[1:]
asker = socket.socket(socket.AF_INET6 if ":" in here else socket.AF_INET, socket.SOCK_DGRAM)
asker.bind((here, int(port)))
asker.connect((there, 123))
asker.settimeout(0.5)
for question in (b"first", b"second"):
    asker.send(question)
    assert asker.recv(64) == question
"""
#: Each request comes from a port of its own, below those that the kernel chooses at random: it may choose one again while
#: connection tracking still knows the flow (two minutes), and such a packet passes whatever rules are in force now.
PORTS = itertools.count(10000)


class Host:
    """The serving end of the connection, with a saved file and the lock file of EL6's firewall service."""

    def __init__(self, name, folder, backend):
        self.name, self.folder, self.backend = name, folder, backend
        self.file, self.lock = folder / "iptables", folder / "lock"
        self.fail_at = None  # which change of rules fails, counted from 1
        self.changed = 0
        self.failure = {"retcode": 1, "stdout": "", "stderr": "iptables: No chain/target/match by that name."}
        self.calls = []
        self.nft = "nft"
        self.service = True  # is iptables a service with a lock file, as on EL6

    def run(self, *command, check=True, **options):
        # a separate lock file: the machine's real one stays free
        environment = {**os.environ, "LC_ALL": "C", "XTABLES_LOCKFILE": str(self.folder / "xtables.lock")}
        command = ["ip", "netns", "exec", self.name, *command]
        return subprocess.run(command, check=check, env=environment, capture_output=True, text=True, **options)

    def run_all(self, command, python_shell=True, env=None, timeout=None, ignore_retcode=False, stdin=None):
        """What Salt's cmd.run_all does, inside this host."""
        assert isinstance(command, list) and not python_shell and env == FUNCTIONS["ntpcluster_program.environment"]()
        self.calls.append(command)
        if any(argument in ("-I", "-D") for argument in command):
            self.changed += 1
            if self.changed == self.fail_at:
                return self.failure
        try:
            answer = self.run(*command, timeout=timeout, check=False, input=stdin)
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
            lock = {"lock": str(self.folder / "lock")} if self.service else {}
            return {**commands, "file": str(self.folder / program), **lock}

        return {
            "firewall": {
                "nft": self.nft,
                "nft_file": str(self.folder / "nftables.conf"),
                "ipv4": family("iptables"),
                "ipv6": family("ip6tables"),
            }
        }


@contextlib.contextmanager
def inside(namespace):
    """Move this process into a network namespace, so that it queries the kernel there as on a separate host."""
    enter = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/self/ns/net") as before, open(f"/run/netns/{namespace}") as there:
        assert enter(there.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert enter(before.fileno(), 0) == 0, os.strerror(ctypes.get_errno())


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def made(backend, folder, monkeypatch):
    """A host whose EL6 rules are live and saved."""
    serving, asking = f"fw-{os.getpid()}-s", f"fw-{os.getpid()}-c"
    host = Host(serving, folder, backend)
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
            **FUNCTIONS,
            "cmd.run_all": host.run_all,
            "ntpcluster_applied.pillar": lambda: None,
            "ntpcluster_facts.facts": lambda pillar: {"platform": host.platform},
            "ntpcluster_plan.plan": lambda: {
                "platform": host.platform,
                "firewall": {"manage": True, "networks": LAN},
            },
        }
        for module in (firewall, nft, nft_rules, rules, states):
            monkeypatch.setattr(module, "__salt__", salt, raising=False)
        monkeypatch.setattr(states, "__opts__", {"test": False}, raising=False)
        host.asking = asking
        with inside(serving):
            yield host
    finally:
        if responder:
            responder.kill()
            responder.wait()
        ip("netns", "delete", serving)
        ip("netns", "delete", asking)


def asked(namespace, source, there, port=None):
    """Whether two requests in a row from this port in a namespace, as ntpd sends them, are answered; None: a port used once."""
    words = [sys.executable, "-c", ASK, source, there, str(next(PORTS) if port is None else port)]
    return subprocess.run(["ip", "netns", "exec", namespace, *words], capture_output=True, check=False).returncode == 0


def answered(host, source, port=None):
    """Whether the host answers requests from this address."""
    return asked(host.asking, source, source[:-1] + "1", port)


def state_of(host):
    """Everything that a change could affect."""
    saved = {path.name: path.read_bytes() for path in host.folder.iterdir() if path.name.startswith("ip")}
    return host.lines(), host.lines("ip6tables"), saved
