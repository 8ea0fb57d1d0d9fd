"""A host without a master: the tree is on its disk, and `salt-call --local` applies it."""

from __future__ import annotations

import json
import subprocess
import time

import yaml

from tests.lab.cluster import INTERNET, Cluster, Role, changed, failed, in_order, wait_until
from tests.lab.host import NamespaceHost
from tests.lab.images import PROJECT

#: Precedes the host's own ntpdate in the path.
SLOW = "/usr/local/sbin/ntpdate"

#: One tier that queries the lab's internet. Polls are short, so that eight of them fit into a test.
PILLAR = {
    "tiers": {
        "client": {"match": "*", "sources": [{"address": a, "minpoll": 3, "maxpoll": 3} for a in INTERNET]},
    },
    "step": {"threshold": 0.128},
    "sync": {"timeout": 40},
    "health": {"settle": 12},
}


def add(lab: Cluster, role: Role, clock: float = 0.0, pillar: dict | None = None, show=(), **how) -> NamespaceHost:
    """A host that reads the tree from the project's directory, which is mounted read-only, like the directories `show`."""
    minion = {
        "master_type": "disable",
        "file_client": "local",
        # A file in the first directory replaces the project's own: this is how tests break a template.
        "file_roots": {"base": ["/srv/instead", str(PROJECT / "salt")]},
        "pillar_roots": {"base": ["/srv/pillar"]},
        "module_dirs": [str(PROJECT)],
    }
    host = lab.add(role, clock=clock, minion=minion, show=(PROJECT, *show), **how)
    # init starts the minion last: everything before it, for example the firewall, runs by then.
    wait_until(lambda: host.run(["pgrep", "-f", "salt-minion"]).rc == 0, 60, 0.2)
    # A salt-call of Salt 3000 that creates the cache directories at the same moment fails with "File exists".
    for _ in range(25):
        if host.run(["test", "-d", "/var/cache/salt/minion/proc"]).rc == 0:
            break
        time.sleep(0.2)
    host.run(["mkdir", "-p", "/srv/pillar", "/srv/instead/ntp/files"]).check()
    host.write("/srv/pillar/top.sls", "base:\n  '*':\n    - ntp\n")
    set_pillar(host, pillar or PILLAR)
    return host


def set_pillar(host: NamespaceHost, pillar: dict) -> None:
    host.write("/srv/pillar/ntp.sls", yaml.safe_dump({"ntp": pillar}, sort_keys=False))


def call(host: NamespaceHost, function: str, *arguments: str, timeout: float = 180):
    """What a function returned; raises AssertionError with all its output if it returned nothing."""
    done = host.run(["salt-call", "--local", "--out=json", "-l", "error", function, *arguments], timeout=timeout)
    try:
        return json.loads(done.out)["local"]
    except ValueError:
        raise AssertionError(f"{function}: exit {done.rc}\n{done.out}\n{done.err}") from None


def programs(host: NamespaceHost, function: str, *arguments: str) -> list[str]:
    """The names of the programs that a call starts, in order, as Salt logs them; a program with a time limit appears as
    `timeout`."""
    done = host.run(["salt-call", "--local", "--out=quiet", "-l", "trace", function, *arguments]).check()
    lines = [line.partition("Executing command ")[2] for line in done.err.splitlines() if "Executing command " in line]
    return [line.split()[0].strip("'").rpartition("/")[2] for line in lines]


def refused(host: NamespaceHost, function: str, *arguments: str, timeout: float = 180) -> str:
    """The message of a call that must fail."""
    done = host.run(["salt-call", "--local", "--out=json", "-l", "error", function, *arguments], timeout=timeout)
    assert done.rc != 0, f"{function} should have failed: {done.out}"
    return done.err + done.out


def apply(host: NamespaceHost, *arguments: str, sls: str = "ntp", timeout: float = 300) -> list[dict]:
    """`salt-call --local state.apply`: the states in the order in which they ran."""
    return in_order(host.name, call(host, "state.apply", sls, *arguments, timeout=timeout))


def written_once(host: NamespaceHost) -> dict:
    """Check that the next apply writes a hardware clock that is a day fast, as a dry run predicts, and that the apply after it
    does not; returns the state."""
    host.set_rtc(86400)
    dry = apply(host, "test=True")
    assert (changed(dry), failed(dry)) == (["hardware-clock-is-right"], [])
    assert abs(host.rtc_error() - 86400) < 2
    done = apply(host)
    assert (changed(done), failed(done)) == (["hardware-clock-is-right"], [])
    assert abs(host.rtc_error()) < 2
    again = apply(host)
    assert (changed(again), failed(again)) == ([], [])
    return next(state for state in done if state["changes"])


def step_under_way(host: NamespaceHost) -> subprocess.Popen:
    """A step that has stopped the daemon and waits for ntpdate: a stand-in at SLOW, which is slow."""
    host.write(SLOW, "#!/bin/sh\nexec sleep 15\n", 0o755)
    host.set_clock(50)
    step = subprocess.Popen(
        [*host.enter(), "salt-call", "--local", "ntpcluster.step", "force=True"],
        stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
    )  # fmt: skip
    wait_until(lambda: host.run(["pgrep", "-f", "sleep 15"]).rc == 0, 60, 0.2)
    return step


def step_that_waits(host: NamespaceHost, tool: str) -> subprocess.Popen:
    """
    A step that has queried its servers and stopped the daemon. A script at this path replaces its tool, and queries a server
    once more as soon as the file /run/go exists.
    """
    real = host.run(["sh", "-c", f"PATH=/usr/sbin:/usr/bin command -v {tool.rpartition('/')[2]}"]).check().out.strip()
    host.run(["rm", "-f", "/run/go", "/run/waiting"]).check()
    script = "touch /run/waiting\nfor _ in $(seq 500); do [ -e /run/go ] && break; sleep 0.05; done"
    host.write(tool, f'#!/bin/bash\n{script}\nexec {real} "$@"\n', 0o755)
    words = [*host.enter(), "salt-call", "--local", "-l", "error", "ntpcluster.step", "force=True"]
    step = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_until(lambda: host.run(["test", "-e", "/run/waiting"]).rc == 0, 60, 0.1)
    return step


def codes(problems: list[dict]) -> list[str]:
    return [problem["code"] for problem in problems]
