"""The machine that a lab runs on, as far as a lab could leave traces on it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tests.lab import cgroups


def machine() -> dict:
    """What must be the same on the machine before, during and after a lab. Other labs may come and go meanwhile."""
    devices = sorted(
        (str(p), p.lstat().st_mode, p.lstat().st_uid) for p in Path("/dev").iterdir() if not p.name.startswith("tty")
    )
    return {
        "devices": devices,
        # `ip netns` keeps each network namespace by a mount of its name: test_lab.py sees those gone.
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if " /run/netns" not in line],
        "zone": os.readlink("/etc/localtime")
        if os.path.islink("/etc/localtime")
        else Path("/etc/localtime").read_bytes(),
        "firewall": subprocess.run(["iptables-save"], capture_output=True, text=True).stdout.count("-A"),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "hostname": Path("/proc/sys/kernel/hostname").read_text(),
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(),
        "control groups": [p.name for p in cgroups.root().iterdir() if p.is_dir() and not p.name.startswith("ntplab")],
        "controllers": (cgroups.root() / "cgroup.subtree_control").read_text(),
    }


def clock_shift() -> float:
    """The machine's clock against its raw oscillator: a step or a new rate shows as a change."""
    return time.time() - time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
