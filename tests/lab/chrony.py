"""Debian's chronyd and chronyc, unpacked beside the lab's images: nothing is installed, and no clock is in their reach."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from pathlib import Path

from tests.lab.images import CACHE, FORBIDDEN

FOLDER = CACHE / "chrony"


def fetch() -> Path:
    """The folder of the unpacked package; fetched once. OSError or CalledProcessError where it cannot be had."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "chrony.lock", "w") as lock:
        # Tests that run beside each other fetch it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (FOLDER / "usr/sbin/chronyd").exists():
            with tempfile.TemporaryDirectory() as folder:
                # As root, apt drops its rights to fetch; it may not write into a folder that only root can enter.
                Path(folder).chmod(0o755)
                subprocess.run(["apt-get", "-qq", "download", "chrony"], cwd=folder, check=True, capture_output=True)
                [package] = Path(folder).glob("*.deb")
                subprocess.run(["dpkg-deb", "-x", str(package), str(FOLDER)], check=True)
    return FOLDER


def chronyd(*words: str) -> subprocess.CompletedProcess:
    """Run chronyd once on this machine, without the right to set a clock: for ``-p``, which only reads a file."""
    argv = ["setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all", str(fetch() / "usr/sbin/chronyd"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20)
