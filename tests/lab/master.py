"""The lab's Salt master: a real one in its own namespace, serving the project's tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests.lab.images import CACHE, FORBIDDEN, PROJECT
from tests.lab.network import Network

#: Where Salt's programs are: those of the hosts, and those of the master, which may be another release (LAB_MASTER=FOLDER).
SCRIPTS = Path(sys.executable).parent
MASTER_SCRIPTS = Path(os.environ.get("LAB_MASTER", SCRIPTS))


def without_roots_home() -> list[str]:
    """
    The command-line prefix for a program that gives up root: its new user must find Python and the tree, even if they are in
    root's home. In a separate mount namespace, that is a directory that contains only these.
    """
    inside = [path for path in (Path(sys.base_prefix), SCRIPTS.parent, PROJECT, CACHE) if path.is_relative_to("/root")]
    lines = ["set -e", "mount --bind /root /mnt", "mount -t tmpfs -o mode=755 tmpfs /root"]
    lines += [f"mkdir -p '{path}'; mount --bind '/mnt/{path.relative_to('/root')}' '{path}'" for path in inside]
    lines += ["umount -l /mnt"]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join([*lines, 'exec "$0" "$@"'])]


class Master:
    """A master that accepts every key, because only the lab's hosts can reach it."""

    def __init__(self, network: Network, address: str, folder: Path, pillar: dict, options: dict | None = None) -> None:
        self.folder, self.address = folder, address
        self.user = (options or {}).get("user", "root")
        for part in ("etc", "pillar/ntp"):
            (folder / part).mkdir(parents=True)
        self.write_pillar(pillar)
        for part in ("log/salt", "cache/salt/master", "run/salt/master") if self.user != "root" else ():
            # Directories that Salt's package creates for its user; Salt itself would create their parents for root only.
            (folder / "var" / part).mkdir(parents=True)
            shutil.chown(folder / "var" / part, self.user)
        config = {
            "interface": address,
            "root_dir": str(folder),
            "user": "root",
            "auto_accept": True,
            # EL6 minions use the oldest version of the protocol, which current masters refuse by default.
            "minimum_auth_version": 0,
            "worker_threads": 3,
            # How long `salt` waits before it asks whether a job still runs: on a busy machine the answer may be late.
            "timeout": 300,
            "log_level": "warning",
            # 3008 masters read an old minion's request twice, the first time with the wrong key, and log that as critical.
            "log_granular_levels": {"salt.payload": "quiet"},
            "file_roots": {"base": [str(PROJECT / "salt")]},
            "pillar_roots": {"base": [str(folder / "pillar")]},
            **(options or {}),
        }
        (folder / "etc" / "master").write_text(yaml.safe_dump(config))
        self.namespace = network.plug("master", address)
        self.process = subprocess.Popen(
            self._argv("salt-master"),
            cwd=folder, stdin=subprocess.DEVNULL, stdout=open(folder / "log", "wb"), stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def write_pillar(self, pillar: dict) -> None:
        """Give every minion this pillar under the key `ntp`, as the project's own top file does."""
        folder = self.folder / "pillar"
        (folder / "top.sls").write_text((PROJECT / "pillar" / "top.sls").read_text())
        (folder / "ntp" / "init.sls").write_text(yaml.safe_dump({"ntp": pillar}, sort_keys=False))

    def _argv(self, program: str, *words: str) -> list[str]:
        return [
            "ip", "netns", "exec", self.namespace, "setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all",
            *(() if self.user == "root" else without_roots_home()),
            str(MASTER_SCRIPTS / program), "-c", str(self.folder / "etc"), *words,
        ]  # fmt: skip

    def run(self, program: str, *words: str, timeout: float = 600) -> subprocess.CompletedProcess:
        """Run `salt`, `salt-run` or `salt-key` in the master's namespace."""
        return subprocess.run(
            self._argv(program, *words),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def salt(self, target: str, *words: str, timeout: float = 600) -> dict:
        """What each targeted minion returned. A minion that did not return is missing."""
        done = self.run("salt", target, "--out=json", "--static", "--no-color", *words, timeout=timeout)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(
                f"salt {target} {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            ) from None
        return {minion: value for minion, value in answer.items() if value is not False or words[0] != "test.ping"}

    def wait_for(self, minions: list[str], timeout: float = 120) -> None:
        """Wait until all these minions answer."""
        until = time.monotonic() + timeout
        missing = set(minions)
        while missing:
            if time.monotonic() > until:
                raise RuntimeError(
                    f"no answer from {', '.join(sorted(missing))}; the master's log: {(self.folder / 'log').read_text()[-3000:]}"
                )
            done = self.run("salt", "-L", ",".join(missing), "test.ping", "--out=json", "--static", "-t", "5")
            try:
                missing -= {minion for minion, value in json.loads(done.stdout).items() if value is True}
            except ValueError:
                time.sleep(0.3)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
