"""The recipes of docs/recipes.md: the tree from git, salt-ssh, a site's own top files, batches, minions in test mode.

One master serves everything: the tree from a git repository, and the site's own states and top file from a directory.
"""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml

from tests.lab.cluster import CAST, Cluster, Role, changed, failed, in_order
from tests.lab.images import PROJECT
from tests.lab.salt_ssh import SaltSsh
from tests.lab.solo import PILLAR

ALONE = Role("node150", "10.0.0.150", "modern")


def repository(folder):
    """A git repository with the current tree."""
    shutil.copytree(PROJECT / "salt", folder / "salt", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@invalid"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*author, "commit", "-q", "-m", "the tree"]):
        subprocess.run(["git", "-C", folder, *words], check=True)
    return folder.as_uri()


def remotes(url):
    """The remotes of docs/recipes.md."""
    text = (PROJECT / "docs/recipes.md").read_text().split("gitfs_remotes:")[1].split("```")[0]
    return yaml.safe_load("gitfs_remotes:" + text.replace("https://git.example.com/ntpcluster.git", url))


@pytest.fixture(scope="module")
def lab(images, tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    (site / "motd.sls").write_text("the-sites-own:\n  test.nop: []\n")
    (site / "top.sls").write_text("base:\n  '*':\n    - motd\n    - ntp\n")
    options = {
        "fileserver_backend": ["roots", "gitfs"],
        "file_roots": {"base": [str(site)]},
        "gitfs_provider": "gitpython",
        "gitfs_base": "main",
        **remotes(repository(tmp_path_factory.mktemp("git") / "ntpcluster")),
    }
    # A site may name its systems in its own way; a minion may be in test mode.
    minions = {"ntp189": {"grains": {"osfinger": "Our Linux-6"}}, "node149": {"test": True}}
    # On a busy machine much time may pass between an apply and the check after it: until then the daemon counts as just
    # started.
    pillar = {**PILLAR, "timezone": "Asia/Shanghai", "health": {"settle": 600}}
    with Cluster(pillar=pillar, master_options=options) as running:
        for role in CAST:
            if role.name in minions:
                running.add(role, clock=50, minion=minions[role.name], show=(PROJECT,))
        running.master.run("salt-run", "fileserver.update")
        running.wait_for_minions()
        yield running


def test_fresh_minions_are_applied_from_git(lab):
    applied = lab.apply("*", "test=True")
    assert {name: failed(states) for name, states in applied.items()} == {name: [] for name in lab.hosts}
    assert lab.master.salt("ntp189", "grains.get", "osfinger") == {"ntp189": "Our Linux-6"}


def test_the_sites_own_top_file_counts(lab):
    assert lab.master.salt("*", "state.show_top") == dict.fromkeys(lab.hosts, {"base": ["motd", "ntp"]})


def test_a_minion_in_test_mode_is_applied_with_test_false(lab):
    zones = []
    for words in ((), ("test=False",)):
        states = lab.master.salt("node149", "state.apply", "ntp.timezone", *words)["node149"]
        zones.append(
            ([s["result"] for s in states.values() if s["changes"]], lab.hosts["node149"].read("/etc/timezone"))
        )
    assert zones == [([None], "Etc/UTC\n"), ([True], "Asia/Shanghai\n")]


def test_in_batches_each_host_is_one_line(lab):
    done = lab.master.run("salt", "--batch-size=1", "*", "ntpcluster.summary")
    lines = [line.split(": ")[:2] for line in done.stdout.splitlines() if " | " in line]
    assert sorted(lines) == [[name, "stopped, follows nobody | daemon-stopped"] for name in ("node149", "ntp189")], (
        done.stdout
    )


@pytest.fixture(scope="module")
def alone(lab):
    """A host without a running minion."""
    return lab.add(ALONE, clock=100, minion={"master_type": "disable"}, show=(PROJECT,))


@pytest.mark.parametrize("name", ["ntp189", ALONE.name])
def test_states_without_the_code_beside_them_say_what_is_missing(lab, alone, name):
    host = lab.hosts[name]
    host.run(["mkdir", "-p", "/srv/half/roots"]).check()
    host.run(["ln", "-s", str(PROJECT / "salt/ntp"), "/srv/half/roots/ntp"]).check()
    minion = {"file_client": "local", "root_dir": "/srv/half", "file_roots": {"base": ["/srv/half/roots"]}}
    host.write("/srv/half/minion", yaml.safe_dump(minion))
    done = host.run(["salt-call", "-c", "/srv/half", "--out=json", "state.apply", "ntp"])
    (first, *others) = in_order(name, json.loads(done.out)["local"])
    assert (first["__id__"], first["result"]) == ("pillar-is-valid", False)
    assert first["name"].startswith("salt://_states/ntpcluster.py is not on the file server (environment base)")
    assert {state["result"] for state in others} == {False} and changed(others) == []


def test_salt_ssh_applies_and_asks_without_a_flag(lab, alone, tmp_path):
    # salt-ssh sends the master's own copy, or the one in file_roots (mod_data in salt/client/ssh/__init__.py).
    lab.master.run("salt-run", "saltutil.sync_all")
    ssh = SaltSsh(lab, alone, tmp_path)
    states = in_order(alone.name, ssh("state.apply", "ntp"))
    assert failed(states) == []
    assert abs(alone.clock_error()) < 0.1
    seen = ssh("ntpcluster.status")
    assert (seen["health"], seen["judged_by"][:16]) == ("ok", "the plan applied"), seen["problems"]
