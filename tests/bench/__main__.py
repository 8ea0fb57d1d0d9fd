"""Figures, no verdicts: what the master's runners cost with 50,000 hosts, what status and an apply cost on both kinds
of host. `make bench`

A function's own time is that of `salt-call` with it, less that of `salt-call test.ping`, as medians of alternating runs.
"""

from __future__ import annotations

import statistics

from tests.bench import scale
from tests.lab import solo
from tests.lab.cluster import Cluster, Role, failed, ready

RUNS = 5
NTPQ = ["ntpq", "-n", "-c", "timeout 300", "-c", "rv 0", "-c", "lpeers", "-c", "lassoc", "127.0.0.1"]


def seconds(host, *words: str) -> float:
    return host.run(["salt-call", "--local", "-l", "quiet", *words]).check().seconds


def programs(host, *words: str) -> list[str]:
    """The programs that a call starts, as Salt logs them."""
    said = host.run(["salt-call", "--local", "-l", "trace", *words]).err
    return [line.partition("Executing command ")[2][:60] for line in said.splitlines() if "Executing command" in line]


def measure(host) -> None:
    for line in failed(solo.apply(host)):
        raise SystemExit(line)
    print(f"== {host.platform}")
    bare, ping, status = [], [], []
    for _ in range(RUNS):
        bare.append(host.run(NTPQ).check().seconds)
        ping.append(seconds(host, "test.ping"))
        status.append(seconds(host, "ntpcluster.status"))
    own = statistics.median(status) - statistics.median(ping)
    print(f"the ntpq it must run   {statistics.median(bare):6.3f} s")
    print(f"ntpcluster.status      {own:6.3f} s beyond salt-call's own {statistics.median(ping):.2f} s")
    for line in programs(host, "ntpcluster.status"):
        print(f"    {line}")
    states = solo.apply(host)
    for state in states:
        print(f"{state['__id__']:30} {state['duration']:8.1f} ms")
    print(f"{'all states, nothing to do':30} {sum(state['duration'] for state in states):8.1f} ms")
    started = programs(host, "state.apply", "ntp")
    print(f"programs started by an apply with nothing to do: {len(started)}")
    for line in started:
        print(f"    {line}")


def main() -> None:
    scale.main()
    ready()
    with Cluster(master=False) as lab:
        for number, image in enumerate(("el6", "modern")):
            measure(solo.add(lab, Role(f"bench{number}", f"10.0.0.{30 + number}", image)))


if __name__ == "__main__":
    main()
