"""Root file systems of the lab: built once from Debian's packages, kept as layers, used through overlays.

An image is a layer (what its recipe added) on top of its parent's layers. Its folder is named after a digest of everything
that goes into it, so a changed recipe is a new image and the old one is no longer used (`prune` removes it).

Build steps run in a jail: private mount and process namespaces, and none of the capabilities that could set the machine's
clock, load modules, make device nodes or reboot. Nothing a step mounts or starts outlives it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LAB = Path(__file__).resolve().parent
PROJECT = LAB.parent.parent
CACHE = Path(os.environ.get("NTPLAB_CACHE", PROJECT / ".lab"))

#: Capabilities that no process of the lab ever holds, in a build step or in a host.
FORBIDDEN = "-sys_time,-sys_module,-sys_boot,-sys_rawio,-syslog"
#: Capabilities that a host's processes also lose once its mounts are made: perfmon and bpf by number, as Debian 11 has no name
#: for them.
CONFINED = FORBIDDEN + ",-sys_admin,-mknod,-mac_admin,-cap_38,-cap_39"


@dataclass(frozen=True)
class Image:
    """One layer: how it is built, and from what."""

    name: str
    parent: str | None = None
    suite: str = ""  # a Debian suite: the layer is made by mmdebstrap
    packages: tuple[str, ...] = ()  # what mmdebstrap puts in
    recipe: str = ""  # a directory next to this file: its build.sh runs in the jail, the directory is at /lab/<name>
    wheels: bool = False  # the Python 2.7 wheels are at /lab/wheels

    def digest(self) -> str:
        """Everything the layer depends on: its own description, its recipe's files, its parent."""
        h = hashlib.sha256(repr(self).encode())
        files = sorted(p for p in (LAB / self.recipe).rglob("*") if p.is_file()) if self.recipe else []
        if self.wheels:
            files.append(LAB / "salt27" / "wheels.txt")
        for path in files:
            h.update(f"{path.relative_to(LAB)} {path.stat().st_mode & 0o111}\n".encode() + path.read_bytes())
        if self.parent:
            h.update(IMAGES[self.parent].digest().encode())
        return h.hexdigest()[:12]

    @property
    def path(self) -> Path:
        return CACHE / "images" / f"{self.name}-{self.digest()}"

    @property
    def built(self) -> bool:
        return (self.path / "done").exists()

    def layers(self) -> list[Path]:
        """Overlay lower directories, topmost first."""
        below = IMAGES[self.parent].layers() if self.parent else []
        return [self.path / "layer", *below]


MIRROR = "http://deb.debian.org/debian"
#: /bin, /lib and /sbin are links into /usr, as on an installed system. Later suites do this themselves.
MERGED = 'cd "$1" && for d in bin lib lib64 sbin; do [ -L $d ] || { mkdir -p usr/$d && ln -s usr/$d $d; }; done'
COMMON = ("netbase", "procps", "iproute2", "iptables", "sysvinit-core", "cron", "tzdata", "ca-certificates")
IMAGES = {
    image.name: image
    for image in (
        Image(
            "debian11",
            suite="bullseye",
            packages=(*COMMON, "python2.7", "rpm", "dnf", "createrepo-c", "cpio", "libopts25", "libedit2",
                      "libcap2", "libssl1.1", "libbsd0", "util-linux"),
        ),
        Image("salt3000", parent="debian11", recipe="salt27", wheels=True),
        Image("el6", parent="salt3000", recipe="el6"),
        Image(
            "debian12",
            suite="bookworm",
            packages=(*COMMON, "python3", "python3-ntp", "perl", "bzip2", "util-linux-extra", "libbsd0", "libcap2"),
        ),
        Image("apt12", parent="debian12", recipe="apt"),
        Image("modern", parent="apt12", recipe="modern"),
        Image("systemd12", parent="debian12", recipe="systemd"),
        Image("el9", parent="systemd12", recipe="el9"),
        Image(
            "trixie",
            suite="trixie",
            packages=(*(package for package in COMMON if package != "sysvinit-core"), "systemd-sysv", "dbus", "nftables",
                      "python3", "python3-ntp", "perl", "bzip2", "util-linux-extra", "libbsd0", "libcap2", "libedit2",
                      "libgnutls30t64", "libnettle8t64", "libseccomp2", "ucf"),
        ),
        Image("systemd13", parent="trixie", recipe="systemd"),
        Image("debian13", parent="systemd13", recipe="apt"),
    )
}  # fmt: skip


#: Locks, each held while its image is built.
BUILDING = {name: threading.Lock() for name in IMAGES}


def jail(layers: list[Path], work: Path, argv: list[str], mounts: dict[str, Path]) -> list[str]:
    """The command line that runs `argv` as root in an overlay of `layers`; its writes go to work/layer."""
    for name in ("layer", "overlay", "root"):
        (work / name).mkdir(parents=True, exist_ok=True)
    lower = ":".join(map(str, layers))
    script = [
        "set -eu",
        f"mount -t overlay overlay -o lowerdir={lower},upperdir={work}/layer,workdir={work}/overlay {work}/root",
        f"cd {work}/root",
        "mount -t proc proc proc; mount -t tmpfs -o mode=755 tmpfs dev",
        "for d in null zero random urandom tty full; do touch dev/$d; mount --bind /dev/$d dev/$d; done",
        "mkdir dev/pts dev/shm; mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666",
        "ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd",
        "cp /etc/resolv.conf etc/resolv.conf",
        "mkdir -p lab; mount -t tmpfs tmpfs lab",
        *(f"mkdir lab/{name}; mount --bind -o ro {source} lab/{name}" for name, source in mounts.items()),
        # From here on nothing can be mounted or remounted.
        f"exec setpriv --bounding-set={CONFINED} --inh-caps=-all chroot . /usr/bin/env -i HOME=/root LC_ALL=C "
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "
        f'{proxy()} "$@"',
    ]
    return [
        "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
        "setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all",
        "bash", "-c", "\n".join(script), "jail", *argv,
    ]  # fmt: skip


def proxy() -> str:
    """The machine's proxy settings, which a build step needs too."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    return " ".join(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))


def build(image: Image) -> None:
    """Make one layer; its parent must exist."""
    work = image.path.with_suffix(".tmp")
    remove(work)
    work.mkdir(parents=True)
    if image.suite:
        argv = [
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
            "setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all",
            "mmdebstrap", "--mode=root", "--variant=minbase", "--include=" + ",".join(image.packages),
            "--hook-directory=/usr/share/mmdebstrap/hooks/maybe-merged-usr", f"--setup-hook={MERGED}",
            image.suite, str(work / "layer"), os.environ.get("NTPLAB_MIRROR") or MIRROR,
        ]  # fmt: skip
    else:
        mounts = {image.recipe: LAB / image.recipe}
        if image.wheels:
            mounts["wheels"] = CACHE / "wheels27"
        argv = jail(IMAGES[image.parent].layers(), work, ["bash", f"/lab/{image.recipe}/build.sh"], mounts)
    with open(work / "log", "wb") as log:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        tail = (work / "log").read_text(errors="replace")[-3000:]
        raise RuntimeError(
            f"image {image.name}: the build failed (exit {done.returncode}); {work}/log ends with:\n{tail}"
        )
    for name in ("overlay", "root"):
        remove(work / name)
    (work / "done").touch()
    remove(image.path)
    work.rename(image.path)


def remove(path: Path) -> None:
    """Remove a directory tree. The last process that wrote into it may still be ending, so try again if something changed."""
    for _ in range(10):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.1)
    shutil.rmtree(path)


def fetch_wheels() -> None:
    """Python 2.7 wheels for the el6 minion, by the machine's own pip.

    Salt 3000.9 exists only as source, and pip under Python 3 cannot read its setup.py, so this file is fetched directly from
    the package index and checked against its digest in wheels.txt.
    """
    folder = CACHE / "wheels27"
    wanted = (LAB / "salt27" / "wheels.txt").read_text()
    stamp = folder / "wheels.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    remove(folder)
    folder.mkdir(parents=True)
    lines = [line.split() for line in wanted.splitlines() if line and not line.startswith("#")]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        "--python-version",
        "27",
        "-d",
        folder,
    ]
    abi = [
        "--implementation",
        "cp",
        "--abi",
        "cp27mu",
        "--platform",
        "manylinux1_x86_64",
        "--platform",
        "manylinux2010_x86_64",
    ]
    pure = ["--implementation", "py", "--platform", "any"]
    for kind, options in (("binary", abi), ("pure", pure)):
        names = [line[1] for line in lines if line[0] == kind]
        subprocess.run([*pip, *options, *names], check=True)
    for _, requirement, sha256 in (line for line in lines if line[0] == "source"):
        name, version = requirement.split("==")
        (folder / f"{name}-{version}.tar.gz").write_bytes(fetch_source(name, f"{name}-{version}.tar.gz", sha256))
    stamp.write_text(wanted)


def fetch_source(project: str, file_name: str, sha256: str) -> bytes:
    """One source archive from the package index that pip is configured to use."""
    from html import unescape
    from urllib.parse import urljoin
    from urllib.request import urlopen

    found = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    )
    index = os.environ.get("PIP_INDEX_URL") or found.stdout.strip()
    if not index:
        from pip._internal.models.index import PyPI

        index = PyPI.simple_url
    page_url = f"{index.rstrip('/')}/{project}/"
    with urlopen(page_url, timeout=120) as answer:
        page = answer.read().decode()
    link = next(unescape(h) for h in re.findall(r'href="([^"]+)"', page) if f"/{file_name}" in h)
    with urlopen(urljoin(page_url, link), timeout=300) as answer:
        data = answer.read()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RuntimeError(f"{file_name}: the package index sent a file whose digest is not {sha256}")
    return data


def ensure(names: list[str], say: Callable[[str], None] = print) -> None:
    """Build what is missing for the named images, independent chains in parallel; a second lab waits for the first."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if all(IMAGES[name].built for name in names):
        return
    with open(CACHE / "build.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: ensure_chain(name, say), names))


def ensure_chain(name: str, say: Callable[[str], None]) -> None:
    image = IMAGES[name]
    with BUILDING[name]:  # the parent of two
        if image.built:
            say(f"{name}: there")
            return
        if image.parent:
            ensure_chain(image.parent, say)
        start = time.monotonic()
        say(f"{name}: building")
        if image.wheels:
            fetch_wheels()
        build(image)
        say(f"{name}: built in {time.monotonic() - start:.0f} s")


def prune() -> list[str]:
    """Remove images whose recipe has changed since; returns their names."""
    current = {image.path.name for image in IMAGES.values()}
    old = [p for p in (CACHE / "images").glob("*") if p.name not in current]
    for path in old:
        remove(path)
    return [path.name for path in old]


if __name__ == "__main__":
    ensure(["el6", "modern", "el9", "debian13"])
