"""salt-ssh against a host of the lab.

Salt's side is real: its roster, its thin, its shim, the host's own Python. `ssh` and `scp` are stand-ins, because no image has
an sshd: they enter the host's namespaces, as every test does, without keys, ports and encryption.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.lab.cluster import Cluster
from tests.lab.host import NamespaceHost
from tests.lab.images import PROJECT

STAND_IN = f"""#!{sys.executable}
import os, subprocess, sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.lab.host import enter
words, plain = iter(sys.argv[1:]), []
for word in words:
    if word == "-V":
        sys.exit("OpenSSH_0.0 stand-in")
    if word == "-o":
        next(words)
    else:
        plain.append(word)
into = [*enter(PID), "sh", "-c"]
if sys.argv[0].endswith("ssh"):
    os.execvp(into[0], [*into, "cd; " + " ".join(plain[1:])])
source, target = plain
path = target.split(":", 1)[1]
subprocess.run([*into, 'cd; cat > "$0"', path], stdin=open(source, "rb"), check=True)
"""


class SaltSsh:
    """`salt-ssh` in the lab master's namespace, with its configuration, for one host that needs no minion."""

    def __init__(self, lab: Cluster, host: NamespaceHost, folder: Path) -> None:
        self.lab, self.host = lab, host
        for program in ("ssh", "scp"):
            path = folder / program
            path.write_text(STAND_IN.replace("PID", str(host.pid)))
            path.chmod(0o755)
        # The shim looks for it before it asks for Salt's files.
        host.write("/usr/bin/scp", "#!/bin/sh\nexit 1\n", 0o755)
        (folder / "roster").write_text(json.dumps({host.name: {"host": host.address, "user": "root"}}))
        self.words = ["--roster-file", str(folder / "roster"), "-i", "--out=json", host.name]
        self.environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}

    def __call__(self, *words: str):
        """What the function returned."""
        done = subprocess.run(
            self.lab.master._argv("salt-ssh", *self.words, *words),
            cwd=self.lab.master.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        try:
            return json.loads(done.stdout)[self.host.name]
        except (ValueError, KeyError):
            raise AssertionError(f"salt-ssh {words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}") from None
