"""The lab's part of the machine's control groups: one group for each host that boots with systemd, which needs its own subtree.

A host sees its group as the root, through a cgroup namespace. This requires version 2 of control groups, which is mounted at
/sys/fs/cgroup or, with the older hierarchies, at /sys/fs/cgroup/unified.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

#: The group below a host's own for programs that are started from outside.
VISITORS = "visitors"


def root() -> Path:
    """Where the machine's cgroup2 is mounted; raises RuntimeError if it is not."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise RuntimeError("no cgroup2 is mounted on this machine, and a host cannot boot with systemd without one")


def make(name: str) -> Path:
    """Make a group for a host; raises RuntimeError if that is not possible."""
    group = root() / name
    try:
        (group / VISITORS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RuntimeError(
            f"no group can be made in {root()}, and a host cannot boot with systemd without one: {error.strerror}"
        ) from None
    return group


def named(prefix: str) -> list[Path]:
    """The groups of the hosts whose lab has this prefix."""
    try:
        return sorted(root().glob(f"{prefix}-*"))
    except RuntimeError:
        return []


def remove(group: Path) -> None:
    """Remove a group and everything below it. Its processes have been killed, but may take a moment to end."""
    until = time.monotonic() + 10
    while group.exists():
        for below, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(below)
        if time.monotonic() > until:
            raise RuntimeError(f"{group} still has processes in it: {list(group.rglob('cgroup.procs'))}")
        time.sleep(0.01)


def of(pid: int) -> Path | None:
    """The group of the host that the process is in; None if that is the machine's own."""
    if os.readlink(f"/proc/{pid}/ns/cgroup") == os.readlink("/proc/self/ns/cgroup"):
        return None
    path = next(line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::/"))
    return root() / path.removeprefix("0::/").split("/")[0]
