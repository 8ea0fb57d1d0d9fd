"""30 days of 5,000 hosts, a view a minute: the cost of storing a view, of the shares of all hosts, and of the last 24 hours for
the report.

The runner itself stores the first views one by one. The rest is written at once, as 43,200 views would leave it.

`python -m tests.bench.history [hosts] [days]`
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.unit.runners import TABLE

VIEWS = 30
FILL = """
WITH RECURSIVE past (hour) AS (SELECT ? UNION ALL SELECT hour - 3600 FROM past WHERE hour - 3600 >= ?)
INSERT INTO sums SELECT hour, number, 3600 - number % 60, number % 60, 0, 5 + number % 7 FROM past JOIN hosts ORDER BY hour, number
"""


def used() -> float:
    """Seconds of CPU of this process."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def peak() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def fill(path: str, hosts: int, days: int) -> None:
    """Store some views of this many hosts, and print what one costs; then write what the days before them would have left."""
    host = {"tier": "client", "bound_ms": 3.5, "max_bound_ms": None, "max_offset_ms": 100.0}
    view: dict[str, Any] = {"hosts": {f"node{number:05}.rack7.example.org": host for number in range(hosts)}}
    now, costs = time.time() - 60 * VIEWS, []
    for number in range(VIEWS):
        began = used()
        TABLE["ntpcluster_history.keep"](path, {**view, "time": now + 60 * number})
        costs.append(used() - began)
    with sqlite3.connect(path) as file:
        last = int(now // 3600) * 3600 - 3600
        file.execute("UPDATE hosts SET first = ?", [now - days * 86400])
        file.execute(FILL, [last, last - days * 86400 + 3600])
    print(f"a view is kept in {statistics.median(costs[1:]) * 1e3:.0f} ms of CPU")


def tell(path: str, days: int) -> None:
    began, before = time.monotonic(), peak()
    found = TABLE["ntpcluster_slo.tell"](path, days, path.replace(".sqlite", ".prom"))
    lines = TABLE["ntpcluster_slo.table"](found).count("\n")
    told = {"seconds": time.monotonic() - began, "cpu": used(), "mb": peak(), "before": before, "lines": lines}
    TABLE["ntpcluster_history.hours"](path, [list(found["hosts"])], time.time(), 20)
    print(json.dumps({**told, "day": used() - told["cpu"]}))


def main(hosts: int = 5000, days: int = 30) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/history.sqlite"
        fill(path, hosts, days)
        rows = sqlite3.connect(path).execute("SELECT count(*) FROM sums").fetchone()[0]
        words = [
            sys.executable,
            "-c",
            "import sys; from tests.bench.history import tell; tell(sys.argv[1], int(sys.argv[2]))",
        ]
        done = subprocess.run([*words, path, str(days)], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        print(f"{hosts:,} hosts, {days} days: {rows:,} rows, {os.path.getsize(path) / 1e6:.0f} MB")
        print("table and figures in {seconds:.1f} s ({cpu:.1f} s of CPU), {mb:.0f} MB of memory".format(**found))
        print("the last 24 hours, for the report, in {day:.1f} s of CPU".format(**found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
