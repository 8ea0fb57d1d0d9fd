"""The figures of docs/discipline.md: `python -m tests.bench discipline [SEEDS]`.

For each daemon, poll range and oscillator, and for as many seeds, six hours are lived three times: with two servers that live, with
a preferred server that dies after two hours and some minutes, and with a single server that does so.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.discipline.daemons import DAEMONS, SERVERS, Daemon, Life, Missing, World, live

POLLS = ((3, 3), (4, 4), (5, 5), (6, 6), (4, 6), (6, 8), (6, 10), (8, 10), (10, 10), (3, 10))
#: How unstable the oscillator is: the random walk of its frequency, in ppb per square root of a second. A PC's
#: crystal in a room of even temperature, and one whose temperature changes with its load: Allan deviations of 2e-8 and 2e-7 over
#: 1000 s.
WANDERS_PPB = {"stable": 1, "unstable": 10}
#: The first half hour, in which the daemon learns the oscillator's error, is left out.
SETTLED_S = 1800
#: The poll interval has grown to what it will be.
GROWN_S = 7200
CLIENTS = 5000


@dataclass(frozen=True)
class Figures:
    """One client with one seed. Errors in seconds; `left_s` is infinite if the dead server was followed to the end."""

    rms_s: float
    worst_s: float
    left_s: float
    worst_dead_s: float
    alone_s: float  # the error an hour after the only server died
    requests: float  # a second, on a server of so many clients


def errors(life: Life, since_s: float) -> list[float]:
    return [abs(error) for second, error in life.clock if second >= since_s]


def figures(daemon: Daemon, polls: tuple[int, int], wander_ppb: float, seed: int, work: Path) -> Figures:
    """Three lives of one client."""
    life = live(daemon, World(seed, wander_ppb=wander_ppb), polls, work)
    settled = errors(life, SETTLED_S)
    grown = [second for second, server in life.asked if server == 1 and second >= GROWN_S]
    # The moment of death is unlike for each seed: it falls anywhere between two polls.
    died_s = GROWN_S + 1024 * (seed * 0.618 % 1)
    bereft = live(daemon, World(seed, wander_ppb=wander_ppb, dead_s=died_s), polls, work)
    alone = live(daemon, World(seed, wander_ppb=wander_ppb, dead_s=died_s), polls, work, servers=1)
    left = [second for second, address in bereft.followed if second >= died_s and address == SERVERS[1]]
    return Figures(
        rms_s=math.sqrt(statistics.fmean(error**2 for error in settled)),
        worst_s=max(settled),
        left_s=left[0] - died_s if left else math.inf,
        worst_dead_s=max(errors(bereft, died_s)),
        alone_s=errors(alone, died_s + 3600)[0],
        requests=len(grown) / (World(seed).end_s - GROWN_S) * CLIENTS,
    )


def cell(values: list[float], scale: float, digits: int) -> str:
    """The median, and the lowest and the highest."""
    middle, low, high = (one * scale for one in (statistics.median(values), min(values), max(values)))
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def table(daemon: Daemon, runs: int, work: Path) -> None:
    """Print a row for each oscillator and poll range."""
    for kind, wander_ppb in WANDERS_PPB.items():
        for polls in POLLS:
            found = [figures(daemon, polls, wander_ppb, seed, work) for seed in range(1, runs + 1)]
            cells = [
                daemon.name, kind, f"{polls[0]}-{polls[1]}",
                cell([one.rms_s for one in found], 1e6, 0),
                cell([one.worst_s for one in found], 1e6, 0),
                cell([one.left_s for one in found], 1, 0),
                cell([one.worst_dead_s for one in found], 1e6, 0),
                cell([one.alone_s for one in found], 1e3, 2),
                cell([one.requests for one in found], 1, 0),
            ]  # fmt: skip
            print(f"| {' | '.join(cells)} |", flush=True)


def main(runs: int) -> None:
    os.nice(10)
    print(f"Clock discipline in virtual time: six hours, {runs} seeds, median (lowest-highest)")
    print("| daemon | oscillator | polls | RMS µs | worst µs | leaves a dead server, s | worst since its death, µs "
          f"| an hour alone, ms | requests/s of {CLIENTS} clients |\n|{'---|' * 9}")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="discipline-") as work:
        for daemon in DAEMONS:
            try:
                table(daemon, runs, Path(work))
            except Missing as why:
                print(f"{daemon.name}: not measured, {why}")
