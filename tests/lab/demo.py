"""The demonstration: five hosts with wrong clocks, one `salt '*' state.apply ntp`, and the same correct time on all of them.

Exits with 0 only if every host follows its own tier and its clocks, read from outside, are right.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from tests.lab.cluster import CAST, Cluster, Role, failed, ready, require_root
from tests.lab.images import CACHE

#: A client with chrony beside those with ntpd.
HOSTS = (*CAST, Role("node150", "10.0.0.150", "el9"))
#: The wrong clocks, in seconds ahead of the true time. The first is from the incident that led to this project.
WRONG = {
    "ntp189": 1114.672613,
    "ntp180": -3600.0,
    "node148": datetime(2018, 3, 12, 13, 42, tzinfo=UTC).timestamp() - time.time(),
    "node149": 37.0,
    "node150": -86400.0,
}
CLOCK_BOUND = 0.1
RTC_BOUND = 2.0


def main() -> int:
    require_root()
    # Ctrl-C and SIGTERM both run the clean-up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell makes background processes ignore this signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console(width=None if sys.stdout.isatty() else 150)
    start = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - start:6.1f} s[/dim]  {text}", highlight=False)

    say("the lab's root file systems")
    ready(lambda text: say(f"  {text}"), {role.image for role in HOSTS})
    with Cluster() as cluster:
        say("an internet, a Salt master, and five hosts with wrong clocks")
        for role in HOSTS:
            cluster.add(role, clock=WRONG[role.name])
        cluster.wait_for_minions()
        before = {name: host.clock_error() for name, host in cluster.hosts.items()}
        say("all minions answer; now: salt '*' state.apply ntp")
        began = time.monotonic()
        applied = cluster.apply()
        took = time.monotonic() - began
        for minion, states in sorted(applied.items()):
            bad = failed(states)
            say(f"  {minion}: {len(states)} states, {len(bad)} failed")
            for line in bad:
                say(f"    [red]{line}[/red]")
        say(f"done in {took:.1f} s; now: salt '*' ntpcluster.status")
        status = cluster.master.salt("*", "ntpcluster.status")
        good = show(console, cluster, before, status) and not any(map(failed, applied.values()))
        if "--keep" in sys.argv:
            cluster.keep()
            where = f"NTPLAB_CACHE={shlex.quote(str(CACHE))} " if "NTPLAB_CACHE" in os.environ else ""
            enter = f"{where}.venv/bin/python -m tests.lab.enter"
            for what, how in (
                ("The cluster is up. On a host:", f"{enter} node148"),
                ("On the master:", f"{enter} master salt '*' ntpcluster.status"),
                ("The lab's pillar:", f"{cluster.folder}/master/pillar/ntp/init.sls"),
                ("Remove it:", f"{where}make lab-down"),
            ):
                # Not wrapped, so that a line can be copied.
                console.print(f"{what:30}{how}", highlight=False, markup=False, soft_wrap=True)
    say("[green]every host has the right time[/green]" if good else "[red]not every host has the right time[/red]")
    return 0 if good else 1


def show(console: Console, cluster: Cluster, before: dict[str, float], status: dict[str, dict]) -> bool:
    """Print one row for each host; returns whether all of them are as they should be."""
    table = Table(title="Clock and RTC errors are read from outside the hosts, the rest is what ntpcluster.status says")
    for column in (
        "host",
        "platform",
        "tier",
        "clock before",
        "clock after",
        "RTC after",
        "source",
        "stratum",
        "offset",
        "health",
    ):
        table.add_column(
            column, justify="right" if column.split()[0] in ("clock", "RTC", "stratum", "offset") else "left"
        )
    good = True
    for name, host in cluster.hosts.items():
        clock, rtc, seen = host.clock_error(), host.rtc_error(), status.get(name)
        if not isinstance(seen, dict):
            table.add_row(
                name, host.platform, "?", f"{before[name]:+.3f} s", f"{clock:+.6f} s", f"{rtc:+.1f} s", str(seen)
            )
            good = False
            continue
        fine = seen["synchronized"] and abs(clock) <= CLOCK_BOUND and abs(rtc) <= RTC_BOUND
        good = good and fine
        table.add_row(
            name, host.platform, seen["tier"], f"{before[name]:+.3f} s", f"{clock:+.6f} s", f"{rtc:+.1f} s",
            str(seen["source"]), str(seen["stratum"]), f"{seen['offset_ms']} ms", seen["health"],
            style="" if fine else "red",
        )  # fmt: skip
        for problem in seen["problems"]:
            console.print(f"{name}: {problem['code']}: {problem['message']}")
    console.print(table)
    return good


if __name__ == "__main__":
    sys.exit(main())
