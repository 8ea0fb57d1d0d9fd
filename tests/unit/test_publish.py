"""A file that others read is complete at every moment."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError, SaltInvocationError

from _runners.ntpcluster_ask import minions
from _runners.ntpcluster_publish import publish

ROOT = Path(__file__).parents[2]


def test_a_file_is_replaced_atomically_and_world_readable(tmp_path):
    path = tmp_path / "ntp.html"
    path.write_text("old")
    reader = path.open()
    mask = os.umask(0o077)
    try:
        publish(str(path), [b"ne", b"w\n"])
    finally:
        os.umask(mask)
    assert reader.read() == "old"
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["master.d/x.conf", "top.sls", "cron", "html", "x.html\0"])
def test_only_pages_and_metrics_are_written(tmp_path, name):
    with pytest.raises(SaltInvocationError, match="ends with .html or .prom"):
        publish(f"{tmp_path}/{name}", [b"auto_accept: True"])
    with pytest.raises(SaltInvocationError, match="full path"):
        publish("x.html", [b"new"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fun", "how"),
    [
        ("cmd.run", {"arg": ["id"]}),
        ("state.apply", {}),
        ("state.apply", {"arg": ["ssh"]}),
        ("state.apply", {"arg": ["ntp"], "kwarg": {"pillar": {"ntp": {}}}}),
        ("ntpcluster.step", {}),
        ("ntpcluster.validate", {"arg": [1]}),
    ],
)
def test_minions_are_asked_for_nothing_that_no_runner_needs(fun, how):
    """Users who may call `ntpcluster.*` by a site's `peer_run` may call this one too."""
    with pytest.raises(SaltInvocationError, match="is not what this asks of minions"):
        minions(fun, **how)


def test_a_failed_write_is_reported_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(CommandExecutionError, match="directory"):
        publish(str(tmp_path / "taken.html"), [b"ne", b"w\n"])
    assert list(tmp_path.iterdir()) == [tmp_path / "taken.html"]
    with pytest.raises(CommandExecutionError, match="No such file"):
        publish(str(tmp_path / "none" / "x.html"), [b"ne", b"w\n"])


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "ntp.html"
    path.write_text("old")
    with pytest.raises(TypeError):
        publish(str(path), [b"bytes", "and a text"])
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_master_that_is_not_root_gets_a_message_with_the_missing_right(tmp_path):
    """In a process that has dropped root, as salt-run does."""
    tmp_path.chmod(0o500)
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    program = """
import os, sys
from _runners.ntpcluster_publish import publish
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    publish(sys.argv[1], [b"new"])
except Exception as exc:
    print(exc)
"""
    said = subprocess.run(
        [sys.executable, "-c", program, f"{tmp_path}/time.html"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    name = pwd.getpwuid(user).pw_name
    assert said.startswith(f"{tmp_path}/time.html cannot be written: Permission denied. salt-run runs as")
    assert f"`user`, {name}, whoever starts it" in said
