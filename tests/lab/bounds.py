"""Compare the bound of every host continuously with the true error of its clock, from outside the host.

The product's functions run here with the plan that was applied on the host. Only the daemon's tool runs in the host, and the
time comes from the host's clock. So each check starts only one small program.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

from salt.exceptions import CommandExecutionError

from tests.lab.cluster import Cluster
from tests.lab.host import NamespaceHost
from tests.lab.images import PROJECT
from tests.loaded import FUNCTIONS

#: Seconds between two checks of one host, and whether drills are watched at all: watching keeps a processor busy.
EVERY_S, WATCHED = float(os.environ.get("BOUNDS_EVERY", "1")), "BOUNDS_EVERY" in os.environ
#: ntpsec's ntpq is a Python program and takes 0.2 s: hosts that run ntpd and are not of the kind CLASSIC are checked less often.
CLASSIC, SLOWER = "el6", 5.0
#: Up to this many hosts are checked at that interval; more hosts are checked less often.
AT_ONCE = 6
#: Where a host stores the plan that was applied there.
KEPT = "upper/var/lib/ntpcluster/applied.json"


def reader(host: NamespaceHost, daemon: str):
    """The product's reader for this daemon; it runs programs in the host and uses the host's time."""

    def run(name, _package, argv, timeout=10, **_):
        try:
            done = host.run([name, *argv], timeout=timeout + 20)
        except Exception as exc:  # a host that is being switched off has no program
            raise CommandExecutionError(str(exc)) from None
        if done.rc == 127:
            raise CommandExecutionError(done.err)
        return {"retcode": done.rc, "stdout": done.out, "stderr": done.err, "timed_out": False, "seconds": done.seconds}

    spec = importlib.util.spec_from_file_location(
        f"{daemon}_of_{host.name}", PROJECT / f"_modules/ntpcluster_{daemon}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__salt__ = {**FUNCTIONS, "ntpcluster_program.run": run}
    module.time = SimpleNamespace(time=host.clock)
    return module


@dataclass
class Seen:
    """The checks of one host: for each (seconds since the start, true error in s, the return of ``ntpcluster.bound``)."""

    looks: list[tuple[float, float, dict]] = field(default_factory=list)

    def bounded(self) -> list[tuple[float, float, dict]]:
        return [look for look in self.looks if look[2]["bound_ms"] is not None]

    def ratios(self) -> list[float]:
        """The ratio of true error to bound, for each check with a bound."""
        return [abs(error) * 1000.0 / said["bound_ms"] for _, error, said in self.bounded()]


class Bounds:
    """Checks the bounds of hosts, each in a separate thread, until the block ends."""

    def __init__(self, *hosts: NamespaceHost) -> None:
        self.over, self.began = threading.Event(), time.monotonic()
        self.seen = {host.name: Seen() for host in hosts}
        self.slower = max(1.0, len(hosts) / AT_ONCE)
        self.threads = [threading.Thread(target=self.look, args=(host,), daemon=True) for host in hosts]

    def __enter__(self) -> Bounds:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def look(self, host: NamespaceHost) -> None:
        readers: dict = {}
        slower = self.slower
        while not self.over.wait(EVERY_S * slower):
            # A host that is switched off, or whose plan is being written, is checked the next time.
            with contextlib.suppress(OSError, ValueError, KeyError, RuntimeError):
                plan = json.loads((host.folder / KEPT).read_text())["plan"]
                if plan.get("reference") == "island":
                    continue  # its bound is relative to its leader's clock, which is not the true time
                daemon = plan["platform"]["daemon"]
                module = readers.setdefault(daemon, None) or reader(host, daemon)
                readers[daemon] = module
                slower = self.slower * (SLOWER if daemon == "ntpd" and host.platform != CLASSIC else 1.0)
                self.note(host, plan, module)

    def note(self, host: NamespaceHost, plan: dict, module) -> None:
        before = host.clock_error()
        try:
            seen = module.look(0, once=True)
        except CommandExecutionError as exc:
            said = {**FUNCTIONS["ntpcluster_bound.nothing"](str(exc)), "source": None}
        else:
            said = FUNCTIONS["ntpcluster_judge.bound"](plan, seen)
        # The daemon answered at some moment between the two readings: if the clock was stepped meanwhile, only one of them
        # applies.
        error = min(before, host.clock_error(), key=abs)
        self.seen[host.name].looks.append((round(time.monotonic() - self.began, 1), error, said))

    def broken(self) -> list[str]:
        """Every check in which a clock was further off than its bound."""
        return [
            f"{name}: after {at} s {error * 1000:+.3f} ms off, bound {said['bound_ms']:.3f} ms: {said['parts_ms']}"
            for name, seen in self.seen.items()
            for at, error, said in seen.bounded()
            if abs(error) * 1000.0 > said["bound_ms"]
        ]

    def figures(self) -> dict:
        """The number of checks, how many of them had a bound, the smallest and the largest bound, how often it was exceeded,
        and the largest ratio of error to bound."""
        bounds = [said["bound_ms"] for seen in self.seen.values() for _, _, said in seen.bounded()]
        return {
            "looks": sum(len(seen.looks) for seen in self.seen.values()),
            "bounded": len(bounds),
            "least_ms": min(bounds, default=0.0),
            "most_ms": max(bounds, default=0.0),
            "exceeded": len(self.broken()),
            "tightest": max((ratio for seen in self.seen.values() for ratio in seen.ratios()), default=0.0),
        }


def in_words(figures: dict) -> str:
    """The figures as one line of text."""
    return (
        "{looks} looks, {bounded} with a bound, of {least_ms:.3f} to {most_ms:.3f} ms, {exceeded} exceeded; "
        "tightest {tightest:.3f}".format(**figures)
    )


def together(figures: list[dict]) -> dict:
    """The combined figures of several drills."""
    totals = {name: sum(one[name] for one in figures) for name in ("looks", "bounded", "exceeded")}
    told = [one for one in figures if one["bounded"]]
    return {
        **totals,
        "least_ms": min((one["least_ms"] for one in told), default=0.0),
        "most_ms": max((one["most_ms"] for one in told), default=0.0),
        "tightest": max((one["tightest"] for one in told), default=0.0),
    }


@contextlib.contextmanager
def kept(item) -> Iterator[None]:
    """Watch the bounds of a drill's hosts while the block runs; raises AssertionError at its end if one was exceeded."""
    hosts = {}
    for value in item.funcargs.values():
        found = value.hosts.values() if isinstance(value, Cluster) else [value]
        hosts.update({host.name: host for host in found if isinstance(host, NamespaceHost)})
    with Bounds(*hosts.values()) as bounds:
        yield
    figures = bounds.figures()
    print(f"bounds: {in_words(figures)}")
    item.user_properties.append(("bounds", figures))
    assert not bounds.broken(), "\n".join(bounds.broken())
