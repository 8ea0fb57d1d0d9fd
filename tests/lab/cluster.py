"""The default cluster of the lab: an internet, two NTP servers, two clients, a Salt master. Two platforms in each tier."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.lab import cgroups
from tests.lab.host import NamespaceHost
from tests.lab.images import CACHE, IMAGES, LAB, ensure, remove
from tests.lab.master import SCRIPTS, Master
from tests.lab.network import Network, namespaces, remove_namespace
from tests.lab.systemd_host import SystemdHost
from tests.lab.upstream import Upstream

INTERNET = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
MASTER = "10.0.0.250"


@dataclass(frozen=True)
class Role:
    """A host of the default cluster."""

    name: str
    address: str
    image: str  # "el6" or "modern", or one of SYSTEMD


#: The kinds of host that boot with systemd.
SYSTEMD = ("el9", "debian13")


CAST = (
    Role("ntp189", "10.0.0.189", "el6"),
    Role("ntp180", "10.0.0.180", "modern"),
    Role("node148", "10.0.0.148", "el6"),
    Role("node149", "10.0.0.149", "modern"),
)

#: The cluster's pillar, exactly as a site would write it.
#: Five labs in parallel on two cores are slow; measured times are printed, and time limits only end a test that would hang.
PATIENCE = 2

PILLAR = {
    "timezone": "Asia/Shanghai",
    "tiers": {
        "server": {
            "match": "ntp*",
            "sources": INTERNET[:2],
            "addresses": ["10.0.0.189", "10.0.0.180"],
            "serves": ["10.0.0.0/24"],
        },
        "client": {"match": "*", "follows": "server"},
    },
}

MINION = {
    "master": MASTER,
    "log_level": "warning",
    # For speed: accept keys, reconnect and refresh without delay.
    "acceptance_wait_time": 1,
    "acceptance_wait_time_max": 0,
    "random_reauth_delay": 1,
    "recon_default": 100,
    "recon_max": 500,
    "auth_timeout": 5,
    "master_tries": -1,
    "enable_fqdns_grains": False,
    "grains_cache": False,
}


#: The interpreter that runs this code.
PYTHON = Path(sys.executable).resolve()


def python_paths(kind: str) -> tuple[Path, ...]:
    """The machine's directories that a host of this kind needs to run our Python: our environment, and its interpreter."""
    if kind == "el6":  # it has its own Salt
        return ()
    if not sys.base_prefix.startswith("/usr"):
        return SCRIPTS.parent, Path(sys.base_prefix)
    if any((layer / str(PYTHON).lstrip("/")).exists() for layer in IMAGES[kind].layers()):
        return (SCRIPTS.parent,)
    return SCRIPTS.parent, PYTHON, Path(sysconfig.get_path("stdlib"))


def launcher(program: str) -> str:
    """A script for a host that starts one of our programs with our Python: /usr/bin/python3 may be a different version
    there."""
    return f'#!/bin/bash\nexec -a {SCRIPTS}/python3 {PYTHON} {SCRIPTS}/{program} "$@"\n'


class Cluster:
    """A running lab. `with Cluster() as cluster:` removes everything at its end, even after an error."""

    def __init__(
        self,
        prefix: str | None = None,
        pillar: dict | None = None,
        master: bool = True,
        master_options: dict | None = None,
    ) -> None:
        self.prefix = prefix or f"ntplab{os.getpid()}"
        self.folder = CACHE / "run" / self.prefix
        self.pillar, self.with_master, self.master_options = pillar or PILLAR, master, master_options
        self.hosts: dict[str, NamespaceHost] = {}
        self.closing = contextlib.ExitStack()

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def start(self) -> None:
        require_root()
        # Labs that start at the same time build the library one after the other.
        subprocess.run(["flock", str(LAB / "clock/Makefile"), "make", "-s", "-C", str(LAB / "clock")], check=True)
        if namespaces(self.prefix):
            raise RuntimeError(f"a lab named {self.prefix} is up already; `make lab-down` removes it")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / "owner").write_text(str(os.getpid()))
        self.closing.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.closing.callback(self._remove_namespaces)
        self.network = Network(self.prefix)
        self.internet = Upstream(self.network, "internet", INTERNET, self.folder / "internet")
        self.closing.callback(self.internet.close)
        if self.with_master:
            self.master = Master(self.network, MASTER, self.folder / "master", self.pillar, self.master_options)
            self.closing.callback(self.master.close)

    def add(
        self,
        role: Role,
        clock: float = 0.0,
        rtc: float | None = None,
        minion: dict | None = None,
        show: tuple[Path, ...] = (),
    ) -> NamespaceHost:
        """Start a host, its clocks these seconds ahead of the true time; `show` are directories that it may read."""
        binds = (*python_paths(role.image), *show)
        make = SystemdHost if role.image in SYSTEMD else NamespaceHost
        host = make(
            self.network, role.name, role.address, role.image, self.folder / "hosts" / role.name, clock, rtc, binds
        )
        self.hosts[role.name] = host
        self.closing.callback(host.close)
        host.put("/etc/salt/minion", yaml.safe_dump({**MINION, "id": role.name, **(minion or {})}).encode())
        if role.image == "modern":
            host.put("/etc/default/salt-minion", f"DAEMON={SCRIPTS}/salt-minion\n".encode())
        if role.image != "el6":
            for program in ("salt-call", "salt-minion"):
                host.put(f"/usr/local/bin/{program}", launcher(program).encode(), 0o755)
        host.boot()
        return host

    def wait_for_minions(self) -> None:
        self.master.wait_for(list(self.hosts))

    def apply(self, target: str = "*", *words: str, timeout: float = 900) -> dict[str, list[dict]]:
        """`salt TARGET state.apply ntp`: each minion's states in the order they ran."""
        answer = self.master.salt(target, "state.apply", "ntp", *words, timeout=timeout)
        return {minion: in_order(minion, states) for minion, states in answer.items()}

    def _remove_namespaces(self) -> None:
        for name in namespaces(self.prefix):
            remove_namespace(name)

    def keep(self) -> None:
        """Keep the lab running when this process ends: `python -m tests.lab.enter HOST` enters a host, `make lab-down` removes
        the lab."""
        pids = {name: host.pid for name, host in self.hosts.items()}
        (self.folder / "hosts.json").write_text(json.dumps(pids))
        self.closing.pop_all()

    def close(self) -> None:
        self.closing.close()


def in_order(minion: str, states: dict | list | str) -> list[dict]:
    """A minion's state results in the order in which they ran; raises AssertionError if there are none."""
    assert isinstance(states, dict), f"{minion}: {states}"
    ordered = sorted(states.items(), key=lambda item: item[1]["__run_num__"])
    words = [key.split("_|-") for key, _ in ordered]
    return [{"state": f"{w[0]}.{w[-1]}", "__id__": w[1], **value} for w, (_, value) in zip(words, ordered, strict=True)]


def failed(states: list[dict]) -> list[str]:
    return [f"{s.get('__id__')}: {s['comment']}" for s in states if s["result"] is False]


def changed(states: list[dict]) -> list[str]:
    return [s["__id__"] for s in states if s["changes"]]


def require_root() -> None:
    if os.geteuid() != 0:
        raise SystemExit("The lab makes network namespaces and mounts of its own, so it needs root: run this as root.")


#: The message if no lab is found. It names the directory, because the lab may have been started with another NTPLAB_CACHE.
NONE_UP = f"No lab is up in {CACHE / 'run'} (one that was started with NTPLAB_CACHE set is in that directory)"


def down() -> list[str]:
    """Remove the labs that were left running here (`make demo KEEP=1`, or a run that was killed); returns their names.

    A lab whose owner still runs is not touched, unless the owner left it on purpose.
    """
    removed = []
    for folder in sorted((CACHE / "run").glob("*")):
        owner = folder / "owner"
        if not (folder / "hosts.json").exists() and owner.exists() and Path(f"/proc/{owner.read_text()}").exists():
            continue
        for name in namespaces(folder.name):
            remove_namespace(name)
        for group in cgroups.named(folder.name):
            cgroups.remove(group)
        remove(folder)
        removed.append(folder.name)
    return removed


def ready(say=print, kinds: Iterable[str] = ("el6", "modern")) -> None:
    """Build what the lab needs for hosts of these kinds, if it is missing."""
    require_root()
    ensure(sorted(kinds), say)


def wait_until(what, timeout: float, interval: float = 0.5):
    """Call `what` until it returns a true value, and return that. Raises AssertionError after PATIENCE times `timeout`
    seconds."""
    until = time.monotonic() + PATIENCE * timeout
    while not (got := what()):
        assert time.monotonic() < until, f"not within {timeout:g} s: {what}"
        time.sleep(interval)
    return got
