"""Benchmarks: figures without a verdict. `make bench`, or one part of it: `python -m tests.bench PART [RUNS]`

- `scale`: what the master's runners cost with 50,000 hosts
- `hosts`: what an apply with nothing to do and a status cost a host, compared with similar formulas
- `demo`, `sixteen`: the timeline of a first apply of five hosts, and of two servers with sixteen clients
"""

from __future__ import annotations

import sys

from tests.bench import hosts, scale, timeline

PARTS = {
    "scale": lambda runs: scale.main(runs=runs),
    "hosts": hosts.main,
    "demo": lambda runs: timeline.main("demo", runs),
    "sixteen": lambda runs: timeline.main("sixteen", runs),
}
RUNS = 5


def main(part: str = "", runs: str = f"{RUNS}") -> None:
    for name in [part] if part else PARTS:
        PARTS[name](int(runs))


if __name__ == "__main__":
    main(*sys.argv[1:])
