"""When each state of a first apply ends, host by host, by the machine's clock, which no step changes.

Salt measures durations with the clock that is being set. So this reads the minions' logs from outside while they grow.
`python -m tests.bench.timeline [demo|four|el9-el9|el6-el9|el9-el6|sixteen] [RUNS]`
(`el6-el9`: servers of el6, clients of el9)
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time

from tests.bench.scale import spread
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


def one(roles: tuple[Role, ...], number: int = 0) -> dict[str, float] | None:
    """
    A first apply on hosts with wrong clocks: prints its timeline. Returns the seconds it took, and the milliseconds of the worst
    clock; None if a state failed or a host did not return.
    """
    with Cluster(prefix=f"ntplab{os.getpid()}t{number}") as cluster:
        for role in roles:
            cluster.add(role, clock=WRONG.get(role.name, 100.0), minion={"log_level_logfile": "debug"})
        cluster.wait_for_minions()
        listener = Listener(cluster.hosts)
        try:
            applied = cluster.apply()
            took = time.monotonic() - listener.began
        finally:
            listener.close()
        for minion, states in sorted(applied.items()):
            print(f"-- {minion} ({cluster.hosts[minion].platform})", *failed(states), sep="\n   ")
            print(*lines(listener.heard, minion), sep="\n")
        errors = {name: 1000 * host.clock_error() for name, host in cluster.hosts.items()}
        worst = max(map(abs, errors.values()))
        print(*(f"{name} {error:+.3f} ms" for name, error in sorted(errors.items())), sep=", ")
        load = f"load {os.getloadavg()[0]:.1f}"
        print(f"first apply of {len(applied)} hosts: {took:.1f} s, worst clock {worst:.3f} ms, {load}", flush=True)
        if set(applied) != set(cluster.hosts) or any(failed(states) for states in applied.values()):
            return None
        return {"seconds": took, "worst clock, ms": worst}


def main(cast: str = "demo", runs: int = 1) -> None:
    """Print the timelines of so many first applies, and at the end the median and the range of what they took."""
    clients = (Role(f"node{n}", f"10.0.0.{n}", ("el6", "modern")[n % 2]) for n in range(20, 36))
    known = {
        "four": CAST,
        "demo": HOSTS,
        **{
            f"{server}-{client}": tuple(
                Role(role.name, role.address, server if role.name.startswith("ntp") else client) for role in CAST
            )
            for server, client in (("el9", "el9"), ("el6", "el9"), ("el9", "el6"))
        },
        "sixteen": (*CAST[:2], *clients),
    }
    ready(kinds={role.image for role in known[cast]})
    done = [figures for number in range(runs) if (figures := one(known[cast], number))]
    counted = f"{len(done)} of {runs} runs succeeded"
    print(f"== first apply, {cast}, {len(known[cast])} hosts, {counted}: median (range), by the clock on the wall")
    for name, digits in (("seconds", 1), ("worst clock, ms", 3)) if done else ():
        print(f"{name:16}{spread([each[name] for each in done], digits)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
