"""The state of the machine that a lab could change."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tests.lab import cgroups

#: Settings that a host must not reach; systemd would set some of them when it starts.
KERNEL = (
    "net/ipv4/ip_forward", "kernel/hostname", "kernel/random/boot_id", "kernel/core_pattern", "kernel/printk", "fs/nr_open",
    "fs/file-max",
)  # fmt: skip


def machine() -> dict:
    """What must be the same on the machine before, during and after a lab. Other labs may start and end meanwhile."""
    devices = sorted(
        (str(p), p.lstat().st_mode, p.lstat().st_uid) for p in Path("/dev").iterdir() if not p.name.startswith("tty")
    )
    return {
        "devices": devices,
        # `ip netns` keeps each network namespace as a mount: test_lab.py checks that those are gone.
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if " /run/netns" not in line],
        "zone": os.readlink("/etc/localtime")
        if os.path.islink("/etc/localtime")
        else Path("/etc/localtime").read_bytes(),
        "firewall": subprocess.run(["iptables-save"], capture_output=True, text=True).stdout.count("-A"),
        "kernel": {name: Path("/proc/sys", name).read_text() for name in KERNEL},
        "control groups": control_groups(),
    }


def control_groups() -> tuple[str, list[str]] | None:
    """The controllers of the machine's groups, and the groups except those of labs; None if there is no cgroup2."""
    try:
        root = cgroups.root()
    except RuntimeError:
        return None
    groups = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("ntplab"))
    return (root / "cgroup.subtree_control").read_text(), groups


def clock_shift() -> float:
    """The machine's clock relative to its raw oscillator: a step or a new rate appears as a change."""
    return time.time() - time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
