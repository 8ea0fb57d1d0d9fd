"""Debian's Prometheus and node_exporter, unpacked next to the lab's images: nothing is installed or started."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from pathlib import Path

from tests.lab.images import CACHE

TOOLS = CACHE / "tools"
PACKAGES = ("prometheus", "prometheus-node-exporter")


def tool(name: str) -> Path:
    """The full path of promtool, prometheus or prometheus-node-exporter; fetched once."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "tools.lock", "w") as lock:
        # Tests that run in parallel fetch it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (TOOLS / "usr" / "bin" / name).exists():
            _fetch()
    return TOOLS / "usr" / "bin" / name


def _fetch() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # As root, apt drops its privileges to fetch; then it cannot write into a directory that only root can enter.
        Path(folder).chmod(0o755)
        try:
            _apt("download", *PACKAGES, folder=folder)
        except subprocess.CalledProcessError:
            _apt("update", folder=folder)
            _apt("download", *PACKAGES, folder=folder)
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(TOOLS)], check=True)


def _apt(*words: str, folder: str) -> None:
    subprocess.run(["apt-get", "-qq", *words], cwd=folder, check=True, capture_output=True)
