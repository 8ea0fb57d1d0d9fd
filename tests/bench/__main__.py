"""Benchmarks: figures without a verdict. `make bench`, or one part of it: `python -m tests.bench PART [RUNS]`

- `scale`: what the master's runners cost with 50,000 hosts
- `hosts`: what an apply with nothing to do and a status cost a host, compared with similar formulas
- `demo`, `el9-el9`, `el6-el9`, `el9-el6`, `sixteen`: the timeline of a first apply of the demonstration, of two servers with two
  clients (the tiers as named), and of two servers with sixteen clients
- `discipline`: how well the daemons hold the time, and how soon they leave a dead server, by their poll range
"""

from __future__ import annotations

import sys
from functools import partial

from tests.bench import hosts, scale, timeline
from tests.bench.discipline import measure

PARTS = {
    "scale": lambda runs: scale.main(runs=runs),
    "hosts": hosts.main,
    **{cast: partial(timeline.main, cast) for cast in ("demo", "el9-el9", "el6-el9", "el9-el6", "sixteen")},
    "discipline": measure.main,
}
RUNS = 5


def main(part: str = "", runs: str = f"{RUNS}") -> None:
    for name in [part] if part else PARTS:
        PARTS[name](int(runs))


if __name__ == "__main__":
    main(*sys.argv[1:])
