"""Disks of the virtual machines: the fast lab's own root file systems, flattened, with a kernel and an agent added.

Three steps, each kept in a folder named after a digest of what goes into it: the kernel; for each platform a disk (the layers
of `tests.lab.images` under one of ours, `guest/build.sh`, written into a file system image); and a golden machine, which has
booted from that disk once and was saved as it stood. A test's machines are copies of a golden one and need not boot.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab import images
from tests.lab.images import CACHE, FORBIDDEN, IMAGES, PROJECT, jail, remove

GUEST = Path(__file__).resolve().parent / "guest"
MACHINES = CACHE / "machines"
#: Memory of a machine in MiB: a minion, the process that applies its highstate, and yum or apt at work. Half of it is too
#: little: the kernel then reads programs from the disk repeatedly, and the machine stalls for minutes.
MEMORY = {"el6": 640, "modern": 768}
#: A disk's free space in MiB.
FREE = 300


def digest(*parts: object, files: list[Path] = ()) -> str:
    h = hashlib.sha256(repr(parts).encode())
    for path in files:
        h.update(path.name.encode() + path.read_bytes())
    return h.hexdigest()[:12]


def kernel() -> Path:
    """Folder of `vmlinuz`, `initrd` and `modules/`."""
    files = [GUEST / "kernel.sh", GUEST / "first-init"]
    return MACHINES / f"kernel-{digest(IMAGES['debian12'].digest(), files=files)}"


def disk(platform: str) -> Path:
    """Folder of `disk.ext4`."""
    files = [path for path in sorted(GUEST.iterdir()) if path.name not in ("kernel.sh", "first-init")]
    if platform == "modern":
        # These files determine the packages of this environment and of the guest: checkouts of one project share a cache.
        files += [PROJECT / "requirements.txt", PROJECT / "constraints.txt"]
    return MACHINES / f"{platform}-{digest(IMAGES[platform].digest(), kernel().name, FREE, files=files)}"


def golden(platform: str) -> Path:
    """Folder of `disk.qcow2`, which holds the saved machine and refers to the disk."""
    from tests.e2e.vm import Machine, save_golden

    recipe = (MEMORY[platform], qemu(), *map(inspect.getsource, (Machine.on, save_golden)))
    return MACHINES / f"golden-{platform}-{digest(disk(platform).name, *recipe)}"


def qemu() -> str:
    """The emulator's version: another version may refuse a saved machine."""
    return subprocess.run(["qemu-system-x86_64", "--version"], check=True, capture_output=True, text=True).stdout


def python_packages() -> Path:
    """The packages that these tests run with, Salt among them; the modern guest gets copies."""
    if sysconfig.get_python_version() != "3.11":
        raise RuntimeError(
            "the modern guest runs Debian 12's Python 3.11, and so must this environment, whose Salt it gets"
        )
    return Path(sysconfig.get_path("purelib"))


def ensure(say: Callable[[str], None] = print) -> None:
    """Build what is missing. A second run waits for the first; results of old recipes are removed."""
    images.ensure(list(MEMORY), say)
    MACHINES.mkdir(parents=True, exist_ok=True)
    with open(MACHINES / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make(kernel(), build_kernel, say)
        for platform in MEMORY:
            make(disk(platform), lambda work, platform=platform: build_disk(platform, work), say)
        for platform in MEMORY:
            make(golden(platform), lambda work, platform=platform: build_golden(platform, work), say)
        current = {kernel(), *map(disk, MEMORY), *map(golden, MEMORY)}
        for old in set(MACHINES.iterdir()) - current - {MACHINES / "lock"}:
            remove(old)


def make(folder: Path, build: Callable[[Path], None], say: Callable[[str], None]) -> None:
    """Fill the directory with `build`, unless that was done before. A failed build leaves only its `.tmp` directory."""
    if folder.exists():
        return
    start = time.monotonic()
    say(f"{folder.name}: building")
    work = folder.with_suffix(".tmp")
    remove(work)
    work.mkdir()
    build(work)
    work.rename(folder)
    say(f"{folder.name}: built in {time.monotonic() - start:.0f} s")


def logged(argv: list[str], log: Path) -> None:
    with open(log, "ab") as out:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    if done.returncode:
        tail = log.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"exit {done.returncode}; {log} ends with:\n{tail}")


def build_kernel(work: Path) -> None:
    build = work / "build"
    logged(jail(IMAGES["debian12"].layers(), build, ["bash", "/lab/guest/kernel.sh"], {"guest": GUEST}), work / "log")
    for path in (build / "layer" / "srv" / "kernel").iterdir():
        shutil.move(path, work / path.name)
    remove(build)


def build_disk(platform: str, work: Path) -> None:
    build, layers = work / "build", IMAGES[platform].layers()
    mounts = {"guest": GUEST, "kernel": kernel()}
    if platform == "modern":
        mounts["packages"] = python_packages()
    argv = ["env", f"MIRROR={os.environ.get('NTPLAB_MIRROR', '')}", "bash", "/lab/guest/build.sh", platform]
    logged(jail(layers, build, argv, mounts), work / "log")
    lower = ":".join(map(str, [build / "layer", *layers]))
    script = f"""
        set -eu
        mount -t overlay overlay -o ro,lowerdir={lower} {build}/root
        rm -f {work}/disk.ext4
        size=$(du -sm {build}/root | cut -f1)
        mkfs.ext4 -q -L root -m 0 -J size=16 -E lazy_itable_init=0 -d {build}/root {work}/disk.ext4 $((size * 11 / 10 + {FREE}))M
    """
    confined = ["setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all"]
    logged(["unshare", "--mount", "--propagation", "private", *confined, "bash", "-c", script], work / "log")
    remove(build)


def build_golden(platform: str, work: Path) -> None:
    from tests.e2e.vm import save_golden

    subprocess.run(
        [
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            "-F",
            "raw",
            "-b",
            disk(platform) / "disk.ext4",
            work / "disk.qcow2",
        ],
        check=True,
    )
    save_golden(platform, work)


if __name__ == "__main__":
    ensure()
