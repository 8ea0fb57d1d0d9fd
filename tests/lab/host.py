"""A host of the lab, and the interface for tests.

`Host` is the driver interface; a virtual machine can implement it as well. `NamespaceHost` is the fast implementation: it has
its own network, process tree, init, root file system, clock and hardware clock, on the machine's kernel.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.lab import cgroups
from tests.lab.clock import Clock
from tests.lab.images import CONFINED, FORBIDDEN, IMAGES, LAB
from tests.lab.network import Network

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Bits of /proc/PID/status' CapBnd that no process of a host may have.
DANGEROUS = {16: "sys_module", 21: "sys_admin", 22: "sys_boot", 25: "sys_time", 27: "mknod", 38: "perfmon", 39: "bpf"}


@dataclass(frozen=True)
class Done:
    """The result of a program in a host."""

    argv: list[str]
    rc: int
    out: str
    err: str
    seconds: float

    def check(self) -> Done:
        """Returns itself if the program exited with 0; else raises AssertionError with all its output."""
        assert self.rc == 0, f"{' '.join(self.argv)}: exit {self.rc}\n{self.out}\n{self.err}"
        return self


class Host:
    """What every kind of host can do. Clocks are read from outside, never with the programs under test."""

    name: str
    address: str
    platform: str

    def run(self, argv: list[str], timeout: float = 120, stdin: str | None = None) -> Done:
        """Run one program in the host, as root, and wait for it."""
        raise NotImplementedError

    def read(self, path: str) -> str:
        """The text of a file in the host."""
        return self.run(["cat", path]).check().out

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file into the host."""
        self.run(["tee", path], stdin=text).check()
        self.run(["chmod", f"{mode:o}", path]).check()

    def clock(self) -> float:
        """The host's system time, in seconds since 1970."""
        raise NotImplementedError

    def rtc(self) -> float:
        """The hardware clock, in seconds since 1970 (kept in UTC)."""
        raise NotImplementedError

    def clock_error(self) -> float:
        """How far the host's system time is ahead of the true time, in seconds."""
        return self.clock() - time.time()

    def rtc_error(self) -> float:
        return self.rtc() - time.time()

    def set_clock(self, offset: float) -> None:
        """Set the system time this many seconds ahead of the true time."""
        raise NotImplementedError

    def set_rtc(self, offset: float) -> None:
        raise NotImplementedError

    def boot(self) -> None:
        raise NotImplementedError

    def reboot(self, clean: bool = True) -> None:
        """Shut down and boot again; clean=False simulates a power failure instead."""
        raise NotImplementedError

    def cut(self, mend: bool = False) -> None:
        """Unplug the network cable; mend=True plugs it in again."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class NamespaceHost(Host):
    """A host made of namespaces. Its mounts exist only in its own mount namespace and end with its init."""

    #: The init, and the words before it on the command line.
    init: tuple[str, ...] = ("/sbin/init",)

    def __init__(
        self,
        network: Network,
        name: str,
        address: str,
        image: str,
        folder: Path,
        clock: float = 0.0,
        rtc: float | None = None,
        binds: tuple[Path, ...] = (),
    ) -> None:
        """`clock` and `rtc` are offsets from the true time in seconds; `binds` are the machine's directories that are mounted
        read-only."""
        self.network, self.name, self.address, self.platform = network, name, address, image
        self.folder, self.binds = folder, binds
        self.layers = IMAGES[image].layers()
        self.process: subprocess.Popen | None = None
        self.pid = 0
        for part in ("upper", "work", "root"):
            (folder / part).mkdir(parents=True)
        self.time = Clock.create(str(folder / "clock"), offset_s=clock, rtc_offset_s=clock if rtc is None else rtc)
        self.put("/usr/lib/labclock/labclock.so", (LAB / "clock" / "labclock.so").read_bytes(), 0o755)
        self.put("/etc/ld.so.preload", b"/usr/lib/labclock/labclock.so\n")
        self.put("/etc/hostname", f"{name}\n".encode())
        self.put("/etc/hosts", f"127.0.0.1 localhost\n{address} {name}\n".encode())
        self.put("/etc/resolv.conf", b"")

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a file on the host's disk before it boots."""
        assert not self.process, "a running host's disk is written through `write`"
        target = self.folder / "upper" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)

    # -- life ---------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        namespace = self.network.plug(self.name, self.address)
        self.time.boot()
        with open(self.folder / "console", "ab") as console:
            self.process = self._start(namespace, console)
        self._wait_for_init()

    def _start(self, namespace: str, console: IO, join: tuple[str, ...] = (), descriptors: tuple[int, ...] = ()):
        """Begin to boot. `join` comes before the boot script on the command line; the script inherits these file
        descriptors."""
        return subprocess.Popen(
            [
                "ip", "netns", "exec", namespace,
                "setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all",
                "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private",
                *join, "bash", "-c", self._boot_script(),
            ],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True,
            pass_fds=descriptors,
        )  # fmt: skip

    def _own_mounts(self) -> list[str]:
        """Commands for the additional mounts of this kind of host; the working directory is its root."""
        return []

    def _boot_script(self) -> str:
        """The script that sets up the host before its init runs: its root and its devices; and drops every dangerous
        capability."""
        f, lower = self.folder, ":".join(map(str, self.layers))
        binds = [
            f"{f'mkdir -p {f}/root{p}' if p.is_dir() else f'touch {f}/root{p}'}; "
            f"mount --bind {p} {f}/root{p}; mount -o remount,bind,ro {f}/root{p}"
            for p in self.binds
        ]
        return "\n".join(
            [
                "set -e",
                f"hostname {self.name}",
                f"mount -t overlay overlay -o lowerdir={lower},upperdir={f}/upper,workdir={f}/work {f}/root",
                f"cd {f}/root",
                "mount -t proc proc proc",
                "mount -t tmpfs -o mode=755 tmpfs run; mkdir -p run/lock; touch run/labclock",
                f"mount --bind {f}/clock run/labclock",
                "mount -t tmpfs -o mode=755 tmpfs dev",
                "for d in null zero random urandom tty full; do touch dev/$d; mount --bind /dev/$d dev/$d; done",
                "mkdir -p dev/pts dev/shm; mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666",
                "mount -t tmpfs tmpfs dev/shm",
                "ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd",
                "ln -s /proc/self/fd/0 dev/stdin; ln -s /proc/self/fd/1 dev/stdout; ln -s /proc/self/fd/2 dev/stderr",
                *self._own_mounts(),
                *binds,
                "mkdir -p .machine; pivot_root . .machine; umount -l /.machine; rmdir /.machine",
                # Kernel settings belong to the machine, except those of the host's own network.
                "mount --rbind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
                "mount --bind /proc/sys/net /proc/sys/net",
                f"exec setpriv --bounding-set={CONFINED} --inh-caps=-all env -i PATH={PATH} TERM=dumb {' '.join(self.init)}",
            ]
        )

    def _wait_for_init(self, timeout: float = 60) -> None:
        """Find init's process id on the machine. It is recognised by its program, so that no earlier step is mistaken for
        it."""
        until, program = time.monotonic() + timeout, os.path.basename(self.init[-1])
        while time.monotonic() < until and self.process.poll() is None:
            try:
                children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
                if children and os.path.basename(os.readlink(f"/proc/{children[0]}/exe")) == program:
                    self.pid = int(children[0])
                    return
            except FileNotFoundError:
                pass
            time.sleep(0.01)
        console = (self.folder / "console").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} does not boot; its console ends with:\n{console}")

    def reboot(self, clean: bool = True) -> None:
        if clean:
            self.run(["shutdown", "-r", "now"])
            until = time.monotonic() + 60
            while not self._is_down():
                if time.monotonic() > until:
                    raise RuntimeError(f"{self.name} does not shut down")
                time.sleep(0.05)
        self._power_off()
        self.boot()

    def _is_down(self) -> bool:
        return Path(f"/proc/{self.pid}/root/run/lab-down").exists()

    def _power_off(self) -> None:
        """Kill init, and with it everything in its process namespace."""
        if self.process:
            if self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            else:
                self.process.kill()
            self.process.wait()
        self.process, self.pid = None, 0

    def close(self) -> None:
        self._power_off()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- driving ------------------------------------------------------------------------------------------------

    def enter(self) -> list[str]:
        """The command-line prefix that runs a program inside the host."""
        if not self.pid:
            raise RuntimeError(f"{self.name} is not running")
        return enter(self.pid)

    def run(self, argv: list[str], timeout: float = 120, stdin: str | None = None) -> Done:
        start = time.monotonic()
        done = subprocess.run(
            [*self.enter(), *argv],
            input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True, text=True, errors="replace", timeout=timeout,
        )  # fmt: skip
        return Done(argv, done.returncode, done.stdout, done.stderr, time.monotonic() - start)

    def clock(self) -> float:
        return self.time.now()

    def rtc(self) -> float:
        return self.time.rtc_now()

    def clock_error(self) -> float:
        return self.time.error()

    def rtc_error(self) -> float:
        return self.time.rtc_error()

    def set_clock(self, offset: float) -> None:
        self.time.set(offset_s=offset)

    def set_rtc(self, offset: float) -> None:
        self.time.set_rtc(offset_s=offset)

    def cut(self, mend: bool = False) -> None:
        self.network.cut(self.name, mend=mend)

    def pids(self) -> list[int]:
        """Machine process ids of everything that runs in the host."""
        mine = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/ns/pid") == mine:
                    found.append(int(pid))
            except OSError:
                pass
        return found


def enter(pid: int) -> list[str]:
    """The command-line prefix that runs a program inside the host whose init is `pid`, without any dangerous capability. Fails
    closed."""
    for kind in ("mnt", "pid", "net", "uts"):
        if os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}"):
            raise RuntimeError(f"process {pid} shares the machine's {kind} namespace: it is no host of the lab")
    held = dangerous_rights(pid)
    if held:
        raise RuntimeError(f"process {pid} may still have {', '.join(held)}: it is no host of the lab")
    group = cgroups.of(pid)
    join = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', f"{group}/{cgroups.VISITORS}/cgroup.procs"] if group else []
    return [
        *join, "nsenter", "-t", str(pid), "-m", "-p", "-u", "-i", "-n", *(["-C"] if group else []), "-r", "-w",
        "setpriv", f"--bounding-set={CONFINED}", "--inh-caps=-all",
        "env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8",
    ]  # fmt: skip


def dangerous_rights(pid: int) -> list[str]:
    """Names of the dangerous capabilities that the process has or could get."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sets = [int(line.split()[1], 16) for line in lines if line.startswith(("CapBnd", "CapPrm", "CapEff", "CapInh"))]
    return [name for bit, name in DANGEROUS.items() if any(s >> bit & 1 for s in sets)]
