"""Shared code of the scenarios on virtual machines."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.channels import ChannelDown
from tests.e2e.cluster import VirtualCluster
from tests.e2e.vm import VirtualHost
from tests.lab.cluster import CAST, PILLAR, failed, in_order, wait_until

#: Seconds. Emulated machines answer late, so their clocks are accurate to some milliseconds, and reading them from outside adds
#: some more.
CLOCK_BOUND = 0.5
#: hwclock writes when a second begins, and an emulated processor on a busy machine may be a whole second late.
RTC_BOUND = 3.0
#: Seconds for a host to boot, start its minion, apply its highstate and follow its tier, while other machines are busy.
RECOVERY = 420

#: One server, so that two machines are a cluster; its platform has a service that steps the clock before the daemon starts.
ONE_SERVER = {
    **PILLAR,
    "tiers": {**PILLAR["tiers"], "server": {**PILLAR["tiers"]["server"], "addresses": ["10.0.0.189"]}},
    "step": {"at_boot": True},
}

CONFIG = {"el6": "/etc/ntp.conf", "modern": "/etc/ntpsec/ntp.conf"}
SERVICE = {"el6": "ntpd", "modern": "ntpsec"}
BY_HAND = "# by hand\n"


def bring_up(cluster: VirtualCluster, clocks: dict[str, float], rtcs: dict[str, float] | None = None) -> None:
    """Start these hosts with their clocks this far off (and their hardware clocks, if they differ)."""
    for role in CAST:
        if role.name in clocks:
            cluster.add(role, clock=clocks[role.name], rtc=(rtcs or {}).get(role.name))
    start = time.monotonic()
    cluster.master.wait_for(list(clocks), timeout=RECOVERY)
    print(f"minions answer: {time.monotonic() - start:.0f} s", flush=True)


def deploy(cluster: VirtualCluster, *targets: str) -> dict[str, list[str]]:
    """`salt TARGET state.apply ntp.boot`, one target after the other; returns what failed on each minion."""
    failures = {}
    for target in targets:
        start = time.monotonic()
        answer = cluster.master.salt(target, "state.apply", "ntp.boot", timeout=1000)
        print(f"state.apply on {target}: {time.monotonic() - start:.0f} s", flush=True)
        failures.update({minion: failed(in_order(minion, result)) for minion, result in answer.items()})
    for minion, said in failures.items():
        print(*(f"{minion}: {line}" for line in said), sep="\n", flush=True)
    return failures


def together(cluster: VirtualCluster, do: Callable[[VirtualHost], None]) -> None:
    """Do it with all hosts in parallel; a failure on any host is raised here. Not for power: an emulator ends with its
    thread."""
    pool = ThreadPoolExecutor()
    try:
        list(pool.map(do, cluster.hosts.values()))
    finally:
        # A run that is terminated does not wait for a host to recover.
        pool.shutdown(wait=False, cancel_futures=True)


def follows(host: VirtualHost) -> bool:
    """The daemon has a source, and the clock is correct as seen from outside."""
    try:
        if abs(host.clock_error()) >= CLOCK_BOUND:
            return False
        return any(line.startswith("*") for line in host.run(["ntpq", "-pn"]).out.splitlines())
    except (ChannelDown, RuntimeError):
        return False


def change_by_hand(host: VirtualHost) -> None:
    """Put a mark into a managed file: a highstate removes it."""
    host.run(["tee", "-a", CONFIG[host.platform]], stdin=BY_HAND).check()
    host.run(["sync"]).check()


def highstate_has_run(host: VirtualHost) -> bool:
    try:
        seen = host.run(["cat", CONFIG[host.platform]])
        return seen.rc == 0 and "Written by Salt" in seen.out and BY_HAND not in seen.out
    except (ChannelDown, RuntimeError):
        return False


def recovers(host: VirtualHost, what: str) -> None:
    """Assert that the host recovers without help: highstate, both clocks, daemon."""
    # The cheap checks first and ntpq last: starting a program repeatedly takes half the time of an emulated host.
    for name, test in (
        ("highstate", highstate_has_run),
        ("hardware clock", lambda host: abs(host.rtc_error()) < RTC_BOUND),
        ("follows its tier", follows),
    ):
        wait_until(lambda test=test: test(host), RECOVERY, 3)
        print(f"{what}: {host.name}: {name} {time.monotonic() - host.powered:.0f} s after power on", flush=True)
