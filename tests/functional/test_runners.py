"""The runners as salt-run starts them, on a master that does not run: nobody can be asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.images import PROJECT


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The configuration of a master that knows one minion and has stopped."""
    folder = tmp_path_factory.mktemp("master")
    for part in ("cache/proc", "pki/minions", "sock"):
        (folder / part).mkdir(parents=True)
    (folder / "pki/minions/node1").write_text("a key")
    places = {"root_dir": "", "cachedir": "cache", "pki_dir": "pki", "sock_dir": "sock", "log_file": "log"}
    lines = [f"{option}: {folder / place}" for option, place in places.items()]
    (folder / "master").write_text("\n".join([*lines, "user: root", f"runner_dirs: [{PROJECT / '_runners'}]", ""]))
    return folder


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["check"], "NTP UNKNOWN: ", 3),
        (["view"], "Error: ", 1),
        (["ask", "test.ping"], "Error: ", 1),
        (["heal", "node1"], "Error: ", 1),
    ],
)
def test_it_is_one_sentence(config, words, said, code):
    salt_run = Path(sys.executable).with_name("salt-run")
    done = subprocess.run(
        [salt_run, "-c", config, "-l", "quiet", f"ntpcluster.{words[0]}", *words[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last == f"{said}The salt master could not be contacted. Is master running?"
    assert "Traceback" not in done.stdout + done.stderr
