"""A master whose `user` is not root, as in Salt's packages since 3006: what its runners can write, and what they cannot."""

from __future__ import annotations

import os
import pwd

import pytest

from tests.lab.cluster import Cluster, Role
from tests.lab.operating import run

USER = "nobody"


@pytest.fixture(scope="module")
def cluster(images):
    with Cluster(master_options={"user": USER}) as lab:
        lab.add(Role("node149", "10.0.0.149", "modern"))
        lab.wait_for_minions()
        run(lab, "saltutil.sync_runners")
        lab.master.salt("*", "saltutil.sync_all")
        yield lab


@pytest.mark.parametrize(("what", "name"), [("report", "time.html"), ("metrics", "ntp.prom")])
def test_a_folder_of_that_user_is_written(cluster, what, name):
    folder = cluster.folder / "figures"
    folder.mkdir(exist_ok=True)
    user = pwd.getpwnam(USER)
    os.chown(folder, user.pw_uid, user.pw_gid)
    written, code = run(cluster, f"ntpcluster.{what}", f"path={folder}/{name}")
    assert (written["hosts"], code) == (1, 0)
    assert "node149" in (folder / name).read_text() and (folder / name).owner() == USER


@pytest.mark.parametrize(("what", "name"), [("report", "time.html"), ("metrics", "ntp.prom")])
def test_a_directory_of_root_is_reported_in_one_sentence(cluster, what, name):
    folder = cluster.folder / "roots"
    folder.mkdir(exist_ok=True)
    done = cluster.master.run("salt-run", "-l", "error", f"ntpcluster.{what}", f"path={folder}/{name}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == (
        f"Error: {folder}/{name} cannot be written: Permission denied. salt-run runs as the master's `user`, {USER}, "
        f"whoever starts it: make sure that {USER} can write there\n"
    )
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["report", "path=time.html"],
        ["metrics", "path=/tmp/x.txt"],
        ["tree", "none*"],
        ["view", "none*"],
        ["heal", "none"],
    ],
)
def test_every_other_failure_of_a_runner_is_one_sentence(cluster, words):
    done = cluster.master.run("salt-run", "-l", "error", f"ntpcluster.{words[0]}", *words[1:])
    # Salt's own message about a target that matches no minion comes first.
    *salt, last = done.stdout.splitlines()
    assert done.returncode == 1 and last.startswith("Error: "), done.stdout + done.stderr
    assert len(salt) == (words[0] not in ("report", "metrics")) and "Traceback" not in done.stdout + done.stderr
