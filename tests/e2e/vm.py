"""A host of the lab as a virtual machine: its own kernel clock, an emulated CMOS clock, a real boot.

The processor is emulated in software (TCG): slow, but the same everywhere. The machine is connected to the lab's switch, so the
lab's internet and its Salt master serve it like any other host.
"""

from __future__ import annotations

import calendar
import contextlib
import shutil
import subprocess
import time
from pathlib import Path

from tests.e2e.channels import Agent, ChannelDown, Emulator
from tests.e2e.images import MEMORY, golden, kernel
from tests.lab.host import PATH, Done, Host
from tests.lab.images import FORBIDDEN
from tests.lab.network import Network, ip

#: Seconds: a boot takes 30 on a quiet machine, and three times that with four others in parallel.
BOOT_TIMEOUT = 300
GOLDEN = "golden"


class Machine:
    """The emulator's process, from power on to power off, and the interface to it."""

    def __init__(self, folder: Path, platform: str) -> None:
        self.folder, self.platform = folder, platform
        self.process: subprocess.Popen | None = None
        self.agent, self.emulator = Agent(folder), Emulator(folder)

    def on(
        self, cable: str, hardware: str, wrapper: tuple[str, ...] = (), rtc: float | None = None, saved: str = ""
    ) -> None:
        """Power on: boot from the disk, or go on where the machine was `saved`. `rtc` is the hardware clock's time."""
        base = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() if rtc is None else rtc))
        argv = [
            *wrapper,
            # The emulator must not outlive this process (nor does it its thread), and needs no right over the clock.
            "setpriv", "--pdeathsig", "KILL", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all",
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", "pc,usb=off,vmport=off", "-accel", "tcg,tb-size=128", "-cpu", "qemu64",
            "-m", str(MEMORY[self.platform]), "-smp", "1",
            "-kernel", str(kernel() / "vmlinuz"), "-initrd", str(kernel() / "initrd"),
            "-append", "console=ttyS0 loglevel=4 panic=-1 mitigations=off net.ifnames=0",
            "-rtc", f"base={base},clock=host",
            "-drive", "file=disk.qcow2,if=none,id=disk,format=qcow2,cache=unsafe", "-device", "virtio-blk-pci,drive=disk",
            "-netdev", f"{cable},id=cable", "-device", f"virtio-net-pci,netdev=cable,mac={hardware},romfile=",
            "-object", "rng-random,id=random,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=random",
            "-device", "virtio-serial-pci", "-chardev", "socket,id=agent,path=agent,server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-chardev", "file,id=console,path=console,append=on", "-serial", "chardev:console",
            "-qmp", "unix:emulator,server=on,wait=off",
            *(("-loadvm", saved) if saved else ()),
        ]  # fmt: skip
        with open(self.folder / "errors", "ab") as errors:
            self.process = subprocess.Popen(
                argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True
            )

    def wait_for_agent(self, unlike: str = "", timeout: float = BOOT_TIMEOUT) -> str:
        """Wait until the agent answers from a boot other than `unlike`; returns the boot's id."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the emulator has ended: {(self.folder / 'errors').read_text()}")
            try:
                self.agent.greet()
                boot = self.agent.run(["cat", "/proc/sys/kernel/random/boot_id"], None, 20)[1]
                if boot and boot != unlike:
                    return boot
            except (ChannelDown, RuntimeError, subprocess.TimeoutExpired):
                pass
            time.sleep(0.2)
        console = (self.folder / "console").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"no agent answers in {self.folder.name}; its console ends with:\n{console}")

    def off(self) -> None:
        """Cut the power. Data that the machine has not written to its disk is lost, as on real hardware."""
        if self.process:
            with contextlib.suppress(ChannelDown, RuntimeError):
                self.emulator.call("quit", timeout=5)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        self.agent.close()
        self.emulator.close()
        for name in ("agent", "emulator"):
            (self.folder / name).unlink(missing_ok=True)

    def rtc(self) -> float:
        """The emulated clock chip, read in the emulator. It shows whole seconds, so half of one is added."""
        shown = self.emulator.call("qom-get", path="/machine", property="rtc-time")
        fields = (shown["tm_year"] + 1900, shown["tm_mon"] + 1, shown["tm_mday"], shown["tm_hour"], shown["tm_min"])
        return calendar.timegm((*fields, shown["tm_sec"])) + 0.5


class VirtualHost(Host):
    """A virtual machine with the lab's host interface. It starts as a copy of the golden machine."""

    def __init__(
        self,
        network: Network,
        name: str,
        address: str,
        platform: str,
        folder: Path,
        clock: float = 0.0,
        rtc: float | None = None,
    ) -> None:
        """`clock` and `rtc` are offsets from the true time in seconds."""
        self.network, self.name, self.address, self.platform, self.folder = network, name, address, platform, folder
        self.offsets = (clock, clock if rtc is None else rtc)
        folder.mkdir(parents=True)
        shutil.copy(golden(platform) / "disk.qcow2", folder / "disk.qcow2")
        self.machine = Machine(folder, platform)
        self.boot_id = ""
        # The last byte of the address becomes part of the hardware address.
        self.hardware = f"52:54:00:77:00:{int(address.rsplit('.', 1)[1]):02x}"
        self.waiting = {
            "/etc/guest-network": f"address={address}/24\nhardware={self.hardware}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n{address} {name}\n",
            "/etc/resolv.conf": "",
        }
        if platform == "el6":
            self.waiting["/etc/sysconfig/network"] = f"NETWORKING=yes\nHOSTNAME={name}\n"
        else:
            self.waiting["/etc/hostname"] = f"{name}\n"

    def put(self, path: str, text: str) -> None:
        """Put a file on the machine's disk before its first boot."""
        assert self.waiting is not None, "a machine that has booted is written to through `write`"
        self.waiting[path] = text

    # -- life ---------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """The first boot: resume the golden machine in the clone, and set its name and its time."""
        self._plug()
        self._on(saved=GOLDEN)
        for path, text in self.waiting.items():
            self.write(path, text)
        self.waiting = None
        network = "network" if self.platform == "el6" else "networking"
        self.run(["bash", "-c", f"hostname {self.name}; /etc/init.d/{network} start"]).check()
        self.set_rtc(self.offsets[1])
        self.set_clock(self.offsets[0])
        # If several machines start in parallel, a minion may take minutes to start: do not wait for it here.
        self.run(["bash", "-c", "service salt-minion start > /dev/null 2>&1 < /dev/null &"]).check()

    def _plug(self) -> None:
        """A port of the lab's switch for the machine, if it has none yet."""
        if self.name in self.network.ports:
            return
        port = self.network.ports[self.name] = f"port{len(self.network.ports)}"
        ip("-n", self.network.switch, "tuntap", "add", "dev", port, "mode", "tap")
        ip("-n", self.network.switch, "link", "set", port, "master", "br0", "up")

    def _on(self, saved: str = "", rtc: float | None = None) -> None:
        cable = f"tap,ifname={self.network.ports[self.name]},script=no,downscript=no"
        self.machine.on(cable, self.hardware, ("ip", "netns", "exec", self.network.switch), rtc, saved)
        self.powered = time.monotonic()
        self.boot_id = self.machine.wait_for_agent()

    def reboot(self, clean: bool = True, rtc: float | None = None) -> None:
        """Boot again; with clean=False the power fails, and the hardware clock is `rtc` off afterwards (a bad battery)."""
        if not clean:
            self.power_off()
            self.power_on(rtc)
            return
        self.powered = time.monotonic()
        # This has no result: the agent ends with the machine.
        self.machine.agent.call("guest-exec", path="/sbin/shutdown", arg=["-r", "now"])
        self.boot_id = self.machine.wait_for_agent(unlike=self.boot_id)

    def power_off(self) -> None:
        """Cut the power, and leave the machine off."""
        self.battery = self.rtc_error()
        self.machine.off()

    def power_on(self, rtc: float | None = None) -> None:
        """Boot; the hardware clock has continued meanwhile, or is `rtc` seconds ahead of the true time."""
        self._on(rtc=time.time() + (self.battery if rtc is None else rtc))

    def close(self) -> None:
        self.machine.off()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- driving ------------------------------------------------------------------------------------------------

    def run(self, argv: list[str], timeout: float = 300, stdin: str | None = None) -> Done:
        if not self.machine.process or self.machine.process.poll() is not None:
            raise AssertionError(f"{self.name} is off: {(self.folder / 'errors').read_text()}")
        start = time.monotonic()
        words = ["/usr/bin/env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", *argv]
        rc, out, err = self.machine.agent.run(words, stdin, timeout)
        return Done(argv, rc, out, err, time.monotonic() - start)

    def clock(self) -> float:
        return self._clock()[0]

    def _clock(self) -> tuple[float, float]:
        """The kernel's clock as the agent reads it, and the true time at that moment, as accurately as the channel allows."""
        before = time.time()
        shown = self.machine.agent.call("guest-get-time") / 1e9
        return shown, (before + time.time()) / 2

    def clock_error(self) -> float:
        shown, true = self._clock()
        return shown - true

    def rtc(self) -> float:
        return self.machine.rtc()

    def set_clock(self, offset: float) -> None:
        self.run(["date", "-u", "-s", f"@{time.time() + offset:.3f}"]).check()

    def set_rtc(self, offset: float) -> None:
        shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + offset))
        self.run(["env", "TZ=UTC", "hwclock", "--set", "--utc", "--date", shown]).check()

    def cut(self, mend: bool = False) -> None:
        self.network.cut(self.name, mend=mend)


def save_golden(platform: str, folder: Path) -> None:
    """Boot the machine in `folder` once and save it as it then stands: its run level reached, its minion stopped and nameless."""
    machine = Machine(folder, platform)
    machine.on("hubport,hubid=0", "52:54:00:77:00:00")
    try:
        machine.wait_for_agent()
        script = """
            until service salt-minion status > /dev/null 2>&1; do sleep 1; done
            sleep 20
            service salt-minion stop
            rm -rf /etc/salt/pki /var/log/salt /var/cache/salt
            sync
        """
        rc, out, err = machine.agent.run(["/bin/bash", "-c", f"PATH={PATH}\n{script}"], None, BOOT_TIMEOUT)
        if rc:
            raise RuntimeError(f"the golden {platform} machine: exit {rc}: {out}{err}")
        machine.emulator.human(f"savevm {GOLDEN}")
    finally:
        machine.off()
