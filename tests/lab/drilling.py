"""Shared code of the drills: watch clocks from outside, and check that nothing was lost.

The checks here read files, packets, processes and the lab's own clock; they never use the code under test.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

from tests.lab import solo
from tests.lab.cluster import PATIENCE, Cluster, Role, failed, ready, wait_until
from tests.lab.host import NamespaceHost
from tests.lab.test_traps import CONFIG, DRIFT, PROCESS, SERVICE

KEYS = {"el6": "/etc/ntp/keys", "modern": "/etc/ntpsec/ntp.keys", "el9": "/etc/chrony.keys"}
OPTIONS = {"el6": "/etc/sysconfig/ntpd", "modern": "/etc/default/ntpsec", "el9": "/etc/sysconfig/chronyd"}
SAVED_RULES = {"el6": "/etc/sysconfig/iptables", "modern": "/etc/iptables/rules.v4", "el9": "/etc/sysconfig/iptables"}
#: The UDP port that the daemon holds, as /proc shows it. chronyd has 123 only if it serves, but always 323 for commands.
PORT = {"el6": ":007B", "modern": ":007B", "el9": ":0143"}
#: A row of ntpq's table: the tally code, the source, and the reach register.
ROW = re.compile(r"^([ x.+#*o-])(\S+)(?:\s+\S+){5}\s+([0-7]{1,3})\s", re.M)

#: The maximum error of a clock that a drill calls right.
RIGHT_S = 0.1

#: How far a clock may move while its servers appear and disappear.
STILL_S = 0.005


def sources(*addresses: str, prefer: str | None = None) -> list[dict]:
    """Sources for a pillar, polled every 8 seconds: the daemon notices a fault after a few polls, so short polls keep a test
    short."""
    asked = [{"address": address, "minpoll": 3, "maxpoll": 3} for address in addresses]
    return [{**one, "prefer": True} if one["address"] == prefer else one for one in asked]


def table(host: NamespaceHost) -> dict[str, tuple[str, int]]:
    """The daemon's own table of sources: {address: (tally code, reach register)}."""
    if PROCESS[host.platform] == "chronyd":
        lines = [line.split(",") for line in host.run(["chronyc", "-n", "-c", "sources"]).out.splitlines()]
        return {line[2]: (line[1], int(line[5], 8)) for line in lines if len(line) > 5}
    rows = ROW.findall(host.run(["ntpq", "-pn"]).out)
    return {address: (mark, int(reach, 8)) for mark, address, reach in rows}


def follows(host: NamespaceHost) -> str | None:
    """The server that the daemon's table marks as selected."""
    return next((address for address, (mark, _) in table(host).items() if mark == "*"), None)


def heard(host: NamespaceHost, polls: int) -> int:
    """How many sources have answered at least this many of the last eight polls."""
    return sum(f"{reach:b}".count("1") >= polls for _, reach in table(host).values())


def claims(host: NamespaceHost) -> tuple[bool, int]:
    """Whether the daemon reports that it is synchronised, and at which stratum."""
    if PROCESS[host.platform] == "chronyd":
        words = host.run(["chronyc", "-n", "-c", "tracking"]).check().out.strip().split(",")
        return words[13] == "Normal", int(words[2])
    said = host.run(["ntpq", "-n", "-c", "rv 0 leap,stratum"]).check().out
    return "leap=00" in said, int(re.search(r"stratum=(\d+)", said).group(1))


def no_firewall(host: NamespaceHost) -> None:
    """Stop the default firewall of an EL9 host: it blocks NTP clients."""
    if host.platform == "el9":
        host.settle()
        host.run(["systemctl", "disable", "--now", "firewalld"]).check()
        # If it is stopped while it starts, it leaves its rules behind.
        host.run(["nft", "delete", "table", "inet", "firewalld"])


@contextlib.contextmanager
def server(
    kind: str, pillar: dict, prepare: Callable[[NamespaceHost], None] = lambda host: None
) -> Iterator[NamespaceHost]:
    """A lab with one server and no running minion, `prepare`d and then applied."""
    ready(kinds=(kind,))
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("server", "10.0.0.60", kind), pillar=pillar)
        made.lab = lab
        no_firewall(made)
        made.run(["service", "salt-minion", "stop"])
        prepare(made)
        assert failed(solo.apply(made)) == []
        made.belongings = belongings(made)
        yield made


def holders(host: NamespaceHost) -> list[int]:
    """Machine process ids of the processes with the daemon's name that hold its UDP port: the name alone is not enough."""
    tables = [open(f"/proc/{host.pid}/net/{name}").read().splitlines()[1:] for name in ("udp", "udp6")]
    rows = [line.split() for table in tables for line in table]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(PORT[host.platform])}
    found = []
    for pid in host.pids():
        # A process may end, or close a file, while it is being examined.
        with contextlib.suppress(OSError):
            if open(f"/proc/{pid}/comm").read().strip() != PROCESS[host.platform]:
                continue
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{number}") in sockets:
                        found.append(pid)
                        break
    return found


def daemons(host: NamespaceHost) -> list[int]:
    """Process ids of the host's NTP daemons, as seen in the host."""
    found = []
    for pid in holders(host):
        with contextlib.suppress(OSError):
            found.append(int(re.search(r"NSpid:.*\s(\d+)\n", open(f"/proc/{pid}/status").read()).group(1)))
    return found


def crash(host: NamespaceHost) -> None:
    """Kill the daemon without a warning."""
    for pid in daemons(host):
        host.run(["kill", "-9", str(pid)]).check()
    timed(lambda: not daemons(host), 5, 0.05)


def service(host: NamespaceHost, action: str):
    return host.run(["service", SERVICE[host.platform], action])


class Beside:
    """Runs `look` in parallel to a block of code; it must end when `over` is set, at the end of the block."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()


class Watch(Beside):
    """Reads the clocks of some hosts from outside, ten times a second until the block ends."""

    def __init__(self, *hosts: NamespaceHost) -> None:
        super().__init__()
        self.errors: dict[str, list[float]] = {host.name: [] for host in hosts}
        self.hosts = hosts

    def look(self) -> None:
        while not self.over.wait(0.1):
            for host in self.hosts:
                self.errors[host.name].append(host.clock_error())

    def moved(self, host: NamespaceHost) -> float:
        """The distance in seconds between the clock's extremes."""
        seen = self.errors[host.name]
        return max(seen) - min(seen)


def belongings(host: NamespaceHost) -> dict:
    """What must not be lost: the configuration, the keys, the drift file, the live and the saved firewall rules."""
    kept = [files[host.platform] for files in (CONFIG, KEYS, OPTIONS, SAVED_RULES)]
    found = {}
    for path in kept:
        facts = host.run(["stat", "-c", "%a %U %G", path])
        found[path] = (host.read(path), facts.out.split()) if facts.rc == 0 else None
    found["drift"] = host.run(["test", "-s", DRIFT[host.platform]]).rc == 0
    found["firewall"] = rules(host)
    return found


def rules(host: NamespaceHost) -> list[str]:
    """The live rules of the firewall."""
    saved = host.run(["iptables-save", "-t", "filter"]).out.splitlines()
    return [line.strip() for line in saved if line.startswith("-A")]


def lost(host: NamespaceHost, before: dict) -> list[str]:
    """What a host has lost or changed, and which files were left behind: empty if all is well."""
    now = belongings(host)
    gone = [name for name in before if name != "drift" and now[name] != before[name]]
    if before["drift"]:
        text = host.run(["cat", DRIFT[host.platform]]).out.split()
        gone += [] if text and re.fullmatch(r"-?\d+\.\d+", text[0]) else ["drift"]
    litter = ["find", "/etc", "/var/lib/ntpcluster", "-maxdepth", "2",
              "(", "-name", "*.ntpcluster", "-o", "-name", "*.new", "-o", "-name", ".ntpcluster-*", ")"]  # fmt: skip
    return gone + [f"left behind: {path}" for path in host.run(litter).out.split()]


def stopped(host: NamespaceHost) -> list[str]:
    """What is wrong with the daemon's process: empty if exactly one runs and the service knows it."""
    wrong = []
    if len(daemons(host)) != 1:
        wrong.append(f"{len(daemons(host))} daemons")
    if service(host, "status").rc != 0:
        wrong.append("the service says that it does not run")
    return wrong


def unread(host: NamespaceHost) -> list[str]:
    """Configuration files that are newer than the daemon: it has not read their present content."""
    # A daemon binds its port a moment after its start.
    pid = wait_until(lambda: holders(host), 10, 0.1)[0]
    ticks = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19])
    began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    files = [
        (path, host.folder / "upper" / path.lstrip("/"))
        for path in (files[host.platform] for files in (CONFIG, KEYS, OPTIONS))
    ]
    return [path for path, file in files if file.exists() and file.stat().st_mtime > began + 0.1]


def wrong_clock(host: NamespaceHost, within: float = RIGHT_S) -> list[str]:
    """Empty if the clock is right."""
    error = host.clock_error()
    return [] if abs(error) < within else [f"the clock is {error:+.6f} s off"]


def whole(host: NamespaceHost, before: dict) -> None:
    """The final check of every drill: nothing is lost, ntpd runs with its present configuration, the clock is right."""
    assert lost(host, before) == [], host.name
    assert stopped(host) == [], host.name
    assert unread(host) == [], host.name
    assert wrong_clock(host) == [], host.name


def processes(host: NamespaceHost, *words: str) -> list[int]:
    """Machine process ids in the host whose command line contains all these words, each as a whole word or as the end of
    one."""
    found = []
    for pid in host.pids():
        try:
            # A program that sets its own title, as Salt does, separates the words by blanks.
            line = open(f"/proc/{pid}/cmdline").read().replace("\0", " ").split()
        except OSError:
            continue
        if all(any(each.endswith(word) for each in line) for word in words):
            found.append(pid)
    return found


def kill(*pids: int) -> None:
    """Send SIGKILL to processes of a host, by their machine process ids."""
    if pids:
        subprocess.run(["kill", "-9", *map(str, pids)], capture_output=True)


def timed(what, timeout: float, interval: float = 0.5) -> float:
    """Seconds until `what` returns a true value; raises AssertionError after PATIENCE times `timeout`."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() < began + PATIENCE * timeout, f"not within {timeout:g} s: {what}"
        time.sleep(interval)
    return time.monotonic() - began
