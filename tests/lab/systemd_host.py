"""A host that boots with systemd.

Its systemd has no more rights than the init of any other host. It needs none, because everything that it would mount is mounted
before it starts, and none of its other work affects the machine. It differs from a host with its own kernel:
- It skips what it has no right to do, as in any container: a service's own view of the file system (PrivateTmp=,
  ProtectSystem= and their like), and everything that needs BPF (DevicePolicy=, IPAddressDeny=).
- There is no udev, and there are no device units.
- It does not advance a clock that is earlier than its own release date; on real hardware systemd does that.
- A calendar timer does not elapse while the host's clock differs from the machine's. Monotonic timers are not affected.
- Units that need CAP_SYS_TIME start without it: drop-ins in the image clear their ConditionCapability=.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO

from tests.lab import cgroups
from tests.lab.host import NamespaceHost


class SystemdHost(NamespaceHost):
    """A host made of namespaces, with systemd as its init and its own control group."""

    # This tells systemd that it runs in a container: so it does not set the clock from the hardware and does not load modules.
    init = ("container=ntplab", "/lib/systemd/systemd")

    group: Path | None = None

    def _start(self, namespace: str, console: IO):
        self.group = cgroups.make(namespace)
        # The group can only be entered through this descriptor: `ip netns exec` hides the machine's /sys.
        descriptor = os.open(self.group / "cgroup.procs", os.O_WRONLY)
        try:
            enter = f'echo 0 >&{descriptor} && exec {descriptor}>&- && exec unshare --cgroup "$@"'
            return super()._start(namespace, console, ("bash", "-c", enter, "enter"), (descriptor,))
        finally:
            os.close(descriptor)

    def _own_mounts(self) -> list[str]:
        """All mounts that systemd would make itself if it had the right."""
        return [
            "mount -t sysfs sysfs sys; mount -o remount,bind,ro sys",
            "mount -t cgroup2 cgroup2 sys/fs/cgroup",
            "mount -t tmpfs -o mode=1777,size=5m tmpfs run/lock",
            "mount -t tmpfs -o mode=1777 tmpfs tmp",
            # The journal distinguishes boots by this id, and the kernel's own id stays the same.
            "cat /proc/sys/kernel/random/uuid > run/boot_id; mount --bind run/boot_id proc/sys/kernel/random/boot_id",
        ]

    def _wait_for_init(self, timeout: float = 60) -> None:
        super()._wait_for_init(timeout)
        until = time.monotonic() + timeout
        while not Path(f"/proc/{self.pid}/root/run/systemd/private").exists():
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError(f"systemd of {self.name} does not answer")
            time.sleep(0.01)

    def reboot(self, clean: bool = True) -> None:
        if clean:  # A minion takes 5 to 8 s to end, and no test depends on its end.
            self.run(["systemctl", "kill", "--signal=KILL", "salt-minion"])
        super().reboot(clean)

    def _is_down(self) -> bool:
        return self.process.poll() is not None

    def _power_off(self) -> None:
        super()._power_off()
        if self.group:
            cgroups.remove(self.group)

    def settle(self, timeout: float = 90) -> tuple[str, list[str]]:
        """Wait until everything that starts at boot has started; returns systemd's state, and the units that failed."""
        word = self.run(["systemctl", "is-system-running", "--wait"], timeout=timeout).out.strip()
        listed = self.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"]).check().out
        return word, [line.split()[0] for line in listed.splitlines()]
