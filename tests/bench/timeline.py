"""When each state of a first apply ends, host by host, by the machine's clock, which no step changes.

Salt measures durations with the clock that is being set. So this reads the minions' logs from outside while they grow.
`python -m tests.bench.timeline [demo|four|el9|sixteen]`
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterable

from tests.lab.cluster import CAST, Cluster, Role, failed, ready
from tests.lab.demo import HOSTS, WRONG

#: States that take less get no separate line.
SHORT_S = float(os.environ.get("SHORT", "0.3"))

#: The end of a state, and the start of a program, in Salt's log.
WORTH = re.compile(r"(Completed state|Executing command) \[?([^\]\n]+)")


class Listener:
    """What minions do, from their logs at the moment it happens: (seconds, minion, text)."""

    def __init__(self, hosts) -> None:
        self.heard: list[tuple[float, str, str]] = []
        self.logs = {name: host.folder / "upper/var/log/salt/minion" for name, host in hosts.items()}
        self.read = {name: log.stat().st_size for name, log in self.logs.items()}
        self.began, self.stopping = time.monotonic(), threading.Event()
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        while not self.stopping.wait(0.02):
            for name, log in self.logs.items():
                if log.stat().st_size == self.read[name]:
                    continue
                with log.open("rb") as lines:
                    lines.seek(self.read[name])
                    new = lines.read()
                new = new[: new.rfind(b"\n") + 1]
                self.read[name] += len(new)
                now = time.monotonic() - self.began
                for kind, what in WORTH.findall(new.decode(errors="replace")):
                    self.heard.append((now, name, (f"{what}" if kind.startswith("Comp") else f"    $ {what[:90]}")))

    def close(self) -> None:
        self.stopping.set()
        self.thread.join()


def lines(heard: list[tuple[float, str, str]], minion: str) -> list[str]:
    """One line for each slow state, and one for those in between."""
    said, before, short = [], 0.0, 0
    for moment, who, state in heard:
        if who != minion:
            continue
        took, before = moment - before, moment
        if took >= SHORT_S:
            said.append(f"{moment:7.1f} s  {took:+6.1f}  {state}" + (f"  (and {short} short ones)" if short else ""))
        short = 0 if took >= SHORT_S else short + 1
    return said


def one(roles: tuple[Role, ...], number: int = 0) -> float:
    """A first apply on hosts with wrong clocks: its timeline, and how long it took, in seconds."""
    with Cluster(prefix=f"ntplab{os.getpid()}t{number}") as cluster:
        for role in roles:
            cluster.add(role, clock=WRONG.get(role.name, 100.0), minion={"log_level_logfile": "debug"})
        cluster.wait_for_minions()
        listener = Listener(cluster.hosts)
        applied = cluster.apply()
        took = time.monotonic() - listener.began
        listener.close()
        for minion, states in sorted(applied.items()):
            print(f"-- {minion} ({cluster.hosts[minion].platform})", *failed(states), sep="\n   ")
            print(*lines(listener.heard, minion), sep="\n")
        worst = max(abs(host.clock_error()) for host in cluster.hosts.values())
        print(
            f"first apply of {len(applied)} hosts: {took:.1f} s, worst clock {1000 * worst:.3f} ms, load {os.getloadavg()[0]:.1f}"
        )
        return took


def main(casts: Iterable[str] = ("demo",)) -> None:
    clients = (Role(f"node{n}", f"10.0.0.{n}", ("el6", "modern")[n % 2]) for n in range(20, 36))
    known = {
        "four": CAST,
        "demo": HOSTS,
        "el9": tuple(Role(role.name, role.address, "el9") for role in CAST),
        "sixteen": (*CAST[:2], *clients),
    }
    for number, cast in enumerate(casts):
        ready(kinds={role.image for role in known[cast]})
        one(known[cast], number)


if __name__ == "__main__":
    main(sys.argv[1:] or ["demo"])
