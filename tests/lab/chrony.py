"""Debian's chronyd and chronyc, unpacked next to the lab's images: nothing is installed, and they cannot set a clock."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from pathlib import Path

from tests.lab.host import Done, NamespaceHost
from tests.lab.images import CACHE, FORBIDDEN

FOLDER = CACHE / "chrony"
PACKAGES = ("chrony", "libedit2")
CONF = "/etc/chrony/chrony.conf"


def fetch() -> Path:
    """The folder of the unpacked packages; fetched once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "chrony.lock", "w") as lock:
        # Tests that run in parallel fetch it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((FOLDER / package).exists() for package in PACKAGES):
            with tempfile.TemporaryDirectory() as folder:
                # As root, apt drops its privileges to fetch; then it cannot write into a directory that only root can enter.
                Path(folder).chmod(0o755)
                download = ["apt-get", "-qq", "download", *PACKAGES]
                if subprocess.run(download, cwd=folder, capture_output=True).returncode:
                    subprocess.run(["apt-get", "-qq", "update"], check=True, capture_output=True)
                    subprocess.run(download, cwd=folder, check=True, capture_output=True)
                for package in Path(folder).glob("*.deb"):
                    subprocess.run(["dpkg-deb", "-x", str(package), str(FOLDER)], check=True)
                    (FOLDER / package.name.split("_")[0]).touch()
    return FOLDER


def chronyd(*words: str) -> subprocess.CompletedProcess:
    """Run chronyd once on this machine, without the right to set a clock: for ``-p``, which only reads a file."""
    argv = ["setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all", str(fetch() / "usr/sbin/chronyd"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20)


def once(host: NamespaceHost, *words: str) -> Done:
    """Run chronyd in a host of the lab, without its system call filter, which would block the lab's clock."""
    return host.run([str(FOLDER / "usr/sbin/chronyd"), "-F", "0", "-u", "root", *words])


def start(host: NamespaceHost, conf: str) -> None:
    """Start or restart chronyd in a host of the lab with this configuration."""
    stop(host)
    host.run(["mkdir", "-p", "-m", "750", "/run/chrony", "/etc/chrony", "/var/lib/chrony"]).check()
    host.write(CONF, conf)
    once(host, "-f", CONF).check()


def stop(host: NamespaceHost) -> None:
    host.run(["sh", "-c", "while pkill -x chronyd; do sleep 0.1; done"])


def chronyc(host: NamespaceHost, *words: str, user: int = 0) -> Done:
    """Run chronyc in a host of the lab, as root or as this user."""
    [libraries] = (FOLDER / "usr/lib").glob("*-linux-gnu")
    as_user = ["setpriv", "--reuid", str(user), "--clear-groups"] if user else []
    return host.run([*as_user, "env", f"LD_LIBRARY_PATH={libraries}", str(FOLDER / "usr/bin/chronyc"), *words])
