"""Where the seconds of the demonstration go: when each state of each host ended, by the machine's clock.

Salt's own durations are of no use here: they are measured by the very clocks that are stepped. The minions tell the master of
each state as it ends (`state_events`), and what counts is when the event arrives there.
"""

from __future__ import annotations

import contextlib
import json
import time

from tests.lab.cluster import Cluster, failed, ready
from tests.lab.demo import HOSTS, WRONG
from tests.lab.operating import Listener

#: States that took less are left out.
SHORT_S = 0.1


class Arrivals(Listener):
    """What comes over the bus, with the moment when it came."""

    def _read(self):
        for line in self.process.stdout:
            now = time.monotonic()
            tag, _, data = line.strip().partition("\t")
            with contextlib.suppress(ValueError):
                self.events.append((now, tag, json.loads(data)))


def main() -> None:
    ready(kinds={role.image for role in HOSTS})
    with Cluster() as cluster:
        for role in HOSTS:
            cluster.add(role, clock=WRONG[role.name], minion={"state_events": True})
        cluster.wait_for_minions()
        bus = Arrivals(cluster.master, "salt/job/*/prog/*")
        time.sleep(5)  # until the listener listens
        began = time.monotonic()
        applied = cluster.apply()
        took = time.monotonic() - began
        bus.process.terminate()
        bus.process.wait()
    print(f"== the demonstration: {took:.1f} s from the command to its end")
    for name, states in sorted(applied.items()):
        for line in failed(states):
            print(f"{name}: {line}")
        seen = [(at - began, data["data"]) for at, tag, data in bus.events if tag.split("/")[4] == name]
        last = 0.0
        print(f"{name} ({next(role.image for role in HOSTS if role.name == name)})")
        for at, said in seen:
            if at - last >= SHORT_S:
                state = said["ret"]
                print(f"    {at:6.1f} s  +{at - last:4.1f}  {state['__id__']}")
            last = at
