"""When each state of a first apply ends, host by host, on a clock that no step moves: the machine's own.

Salt's durations are measured by the clock that is being set. Minions tell the master of each state as it ends (`state_events`);
what is printed is when that reached the master.  `python -m tests.bench.timeline`
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

from tests.lab.cluster import CAST, Cluster, Role, failed, ready
from tests.lab.demo import HOSTS, WRONG

#: What takes less is no wait, and makes no line of its own.
SHORT_S = 0.3


class Listener:
    """The states that end, as the master hears of them: (seconds, minion, state)."""

    def __init__(self, master) -> None:
        self.began = time.monotonic()
        self.heard: list[tuple[float, str, str]] = []
        self.process = subprocess.Popen(
            master._argv("salt-run", "state.event"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=master.folder,
            env=dict(os.environ, PYTHONUNBUFFERED="1"),
        )  # fmt: skip
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            tag, _, data = line.partition("\t")
            words = tag.split("/")
            if words[:2] == ["salt", "job"] and "prog" in words:
                ret = json.loads(data)["data"]["ret"]
                self.heard.append((time.monotonic() - self.began, words[4], ret.get("__id__") or ret["name"]))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.thread.join()


def lines(heard: list[tuple[float, str, str]], minion: str) -> list[str]:
    """One line a state that took its time, and one for those between."""
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
            cluster.add(role, clock=WRONG.get(role.name, 100.0), minion={"state_events": True})
        cluster.wait_for_minions()
        listener = Listener(cluster.master)
        time.sleep(3)
        listener.began = time.monotonic()
        applied = cluster.apply()
        took = time.monotonic() - listener.began
        listener.close()
        for minion, states in sorted(applied.items()):
            print(f"-- {minion} ({cluster.hosts[minion].platform})", *failed(states), sep="\n   ")
            print(*lines(listener.heard, minion), sep="\n")
        worst = max(abs(host.clock_error()) for host in cluster.hosts.values())
        print(f"first apply of {len(applied)} hosts: {took:.1f} s, worst clock {1000 * worst:.3f} ms, load {os.getloadavg()[0]:.1f}")
        return took


def main() -> None:
    ready(kinds={role.image for role in HOSTS})
    casts = {"four": CAST, "demo": HOSTS, "el9": tuple(Role(r.name, r.address, "el9") for r in CAST),
             "sixteen": (*CAST[:2], *(Role(f"node{n}", f"10.0.0.{n}", ("el6", "modern")[n % 2]) for n in range(20, 36)))}
    for number, cast in enumerate(sys.argv[1:] or ["demo"]):
        one(casts[cast], number)


if __name__ == "__main__":
    main()
