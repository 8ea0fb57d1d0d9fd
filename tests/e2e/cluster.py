"""The lab's cluster on virtual machines: the same network, internet and Salt master as in the fast lab, but other hosts."""

from __future__ import annotations

import os
import subprocess

import yaml

from tests.e2e.vm import VirtualHost
from tests.lab.cluster import MASTER, MINION, PILLAR, Cluster, Role
from tests.lab.master import Master
from tests.lab.network import end_processes

#: An emulated minion may need minutes for a job and does not always answer when the master asks for the job's progress, so the
#: master just waits. A minion tries to reach its master as often as with the package's own configuration, so that a test of a
#: master that is down shows what a site would see.
SLOW_MASTER = {"timeout": 900, "gather_job_timeout": 120}
SLOW_MINION = {**MINION, "auth_timeout": 30, "master_tries": 1}


class VirtualCluster(Cluster):
    """A running lab of virtual machines. `with VirtualCluster() as cluster:` removes everything at its end, even after an
    error."""

    hosts: dict[str, VirtualHost]

    def __init__(self, prefix: str | None = None, pillar: dict | None = None) -> None:
        super().__init__(prefix or f"ntplab{os.getpid()}vm", pillar or PILLAR, master=False)

    def start(self) -> None:
        super().start()
        self.master = Master(self.network, MASTER, self.folder / "master", self.pillar, SLOW_MASTER)
        self.closing.callback(self.master.close)

    def master_down(self) -> None:
        self.master.close()
        end_processes(self.master.namespace)

    def master_up(self) -> None:
        """Start the same master again, with its keys and its pillar."""
        with open(self.master.folder / "log", "ab") as log:
            self.master.process = subprocess.Popen(
                self.master._argv("salt-master"),
                cwd=self.master.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def add(self, role: Role, clock: float = 0.0, rtc: float | None = None, boot: bool = True) -> VirtualHost:
        """Start a host, its clocks these seconds ahead of the true time."""
        host = VirtualHost(
            self.network, role.name, role.address, role.image, self.folder / "hosts" / role.name, clock, rtc
        )
        self.hosts[role.name] = host
        self.closing.callback(host.close)
        host.put("/etc/salt/minion", yaml.safe_dump({**SLOW_MINION, "id": role.name}))
        if boot:
            host.boot()
        return host
