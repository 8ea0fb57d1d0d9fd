"""The lab's network: one switch in its own network namespace, with one port for each host. The machine's network is not part of
it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Network:
    """A bridge and the network namespaces plugged into it, all named `<prefix>-...`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.switch = f"{prefix}-switch"
        self.ports: dict[str, str] = {}
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        ip("-n", self.switch, "link", "set", "br0", "up")

    def plug(self, name: str, address: str) -> str:
        """Give `name` a namespace with one interface, eth0, at `address`/24; returns the namespace's name.

        This is repeated when a host boots: its addresses, firewall and connections are reset, as on a real host.
        """
        namespace = f"{self.prefix}-{name}"
        if name in self.ports:
            end_processes(namespace)
            ip("netns", "del", namespace)
            # The kernel removes the old link a moment after its namespace.
            subprocess.run(["ip", "-n", self.switch, "link", "del", self.ports[name]], capture_output=True)
        port = self.ports.setdefault(name, f"port{len(self.ports)}")
        ip("netns", "add", namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", self.switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("-n", self.switch, "link", "set", port, "master", "br0", "up")
        ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        ip("-n", namespace, "link", "set", "eth0", "up")
        return namespace

    def cut(self, name: str, *, mend: bool = False) -> None:
        """Unplug the host's cable, or plug it in again."""
        ip("-n", self.switch, "link", "set", self.ports[name], "up" if mend else "down")

    def close(self) -> None:
        for name in list(self.ports):
            remove_namespace(f"{self.prefix}-{name}")
        remove_namespace(self.switch)


def namespaces(prefix: str) -> list[str]:
    """Names of the network namespaces that begin with `prefix`."""
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    return [name for name in names if name.startswith(f"{prefix}-")]


def end_processes(namespace: str) -> None:
    """Kill every process in a network namespace of the lab, and wait until it is gone."""
    until = time.monotonic() + 10
    while pids := subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True).stdout.split():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if time.monotonic() > until:
            raise RuntimeError(f"processes {' '.join(pids)} in {namespace} do not end")
        time.sleep(0.02)


def remove_namespace(namespace: str) -> None:
    if namespace in namespaces(namespace.rsplit("-", 1)[0]):
        end_processes(namespace)
        ip("netns", "del", namespace)
