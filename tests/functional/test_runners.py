"""The runners as salt-run starts them, on a master that does not run: no minion can be queried."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import salt.config
import salt.loader
import yaml

from tests.lab.images import PROJECT
from tests.unit.test_report import PARTS

PUBLIC = {"view", "tree", "check", "watch", "report", "metrics", "slo", "rollout", "heal", "set_island_time"}
OFF = "The salt master could not be contacted. Is master running?"


class Master:
    """The configuration of a stopped master that knows one minion."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.folder = folder
        for part in ("cache/proc", "pki/minions", "sock", "empty"):
            (folder / part).mkdir(parents=True)
        (folder / "pki/minions/node1").write_text("a key")
        places = {"root_dir": "", "cachedir": "cache", "pki_dir": "pki", "sock_dir": "sock", "log_file": "log"}
        config = {option: str(folder / place) for option, place in places.items()}
        (folder / "master").write_text(yaml.safe_dump({**config, "user": "root", **options}))

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """`salt-run WORDS` as cron starts it, without a locale."""
        salt_run = Path(sys.executable).with_name("salt-run")
        return subprocess.run(
            [salt_run, "-c", self.folder, "-l", "quiet", *map(str, words)],
            env={"PATH": "/usr/bin:/bin", "HOME": "/root", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def runners(tmp_path_factory):
    """The runners of a fresh checkout: Salt's loader also loads files that older versions left in `__pycache__`."""
    folder = tmp_path_factory.mktemp("checkout") / "_runners"
    shutil.copytree(PROJECT / "_runners", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return [str(folder)]


@pytest.fixture(scope="module")
def master(tmp_path_factory, runners):
    """A master with the tree in its file roots and a configured directory of runners."""
    roots = {"base": [str(PROJECT / "salt")]}
    return Master(tmp_path_factory.mktemp("master"), runner_dirs=runners, file_roots=roots)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["check"], "NTP UNKNOWN: ", 3),
        (["view"], "Error: ", 1),
        (["tree"], "Error: ", 1),
        (["watch"], "Error: ", 1),
        (["report", "path=/tmp/ntp.html"], "Error: ", 1),
        (["metrics", "path=/tmp/ntp.prom"], "Error: ", 1),
        (["heal", "node1"], "Error: ", 1),
    ],
)
def test_it_is_one_sentence(master, words, said, code):
    done = master.run(f"ntpcluster.{words[0]}", *words[1:])
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == said + OFF
    assert "Traceback" not in done.stdout + done.stderr


def test_the_rollout_names_it_among_its_problems(master):
    done = master.run("ntpcluster.rollout", "--out=json")
    assert json.loads(done.stdout)["problems"] == [OFF]


def manual(master: Master) -> set[str]:
    """The functions that `salt-run -d ntpcluster` shows."""
    return set(re.findall(r"^ntpcluster\.(\w+):$", master.run("-d", "ntpcluster").stdout, re.MULTILINE))


def test_the_manual_shows_only_public_functions(master):
    assert manual(master) == PUBLIC


def test_runners_of_an_earlier_release_are_removed_when_the_new_ones_are_synced(tmp_path):
    master = Master(tmp_path, file_roots={"base": [str(PROJECT / "salt")]})
    kept = tmp_path / "var/cache/salt/master/extmods/runners"
    kept.mkdir(parents=True)
    old = '__virtualname__ = "ntpcluster"\ndef __virtual__():\n    return "ntpcluster"\ndef sentence():\n    "Old."\n'
    (kept / "ntpcluster_sentence.py").write_text(old)
    assert manual(master) == {"sentence"}
    master.run("saltutil.sync_runners")
    assert manual(master) == PUBLIC


@pytest.fixture(scope="module")
def loaded(master):
    """The runners as Salt's own loader loads them."""
    opts = salt.config.master_config(str(master.folder / "master"))
    return {name: function for name, function in salt.loader.runner(opts).items() if name.startswith("ntpcluster")}


def test_public_functions_are_in_one_file_and_all_others_say_internal(loaded):
    assert {name for name in loaded if name.startswith("ntpcluster.")} == {f"ntpcluster.{name}" for name in PUBLIC}
    for name, function in loaded.items():
        internal = function.__doc__.split()[0] == "Internal."
        assert internal != name.startswith("ntpcluster."), name


def test_calls_between_runners_name_functions_that_there_are_and_go_in_no_circle(loaded):
    calls = {
        path.stem: set(re.findall(r'__salt__\["(.+?)"\]', path.read_text(encoding="utf-8")))
        for path in (PROJECT / "_runners").glob("*.py")
    }
    assert len(calls["ntpcluster"]) > 5 and set().union(*calls.values()) <= set(loaded)
    # Raises CycleError.
    order = list(
        TopologicalSorter({file: {name.split(".")[0] for name in calls[file]} for file in calls}).static_order()
    )
    # No runner calls a public function.
    assert order[-1] == "ntpcluster"


@pytest.fixture(scope="module", params=["runner_dirs", "sync_runners", "another environment", "git"])
def somewhere(request, tmp_path_factory, runners):
    """The master of a site, with each way of installing the runners."""
    folder = tmp_path_factory.mktemp("site")
    tree, empty = [str(PROJECT / "salt")], [str(folder / "empty")]
    if request.param == "runner_dirs":
        return Master(folder, runner_dirs=runners, file_roots={"base": tree})
    if request.param == "sync_runners":
        made = Master(folder, file_roots={"base": tree})
        made.run("saltutil.sync_runners")
        return made
    if request.param == "another environment":
        made = Master(folder, file_roots={"base": empty, "prod": tree})
        made.run("saltutil.sync_runners", "saltenv=prod")
        return made
    url = f"file://{committed(folder / 'tree')}"
    served = {"gitfs_remotes": [{url: [{"root": "salt"}]}], "gitfs_base": "main"}
    made = Master(folder, fileserver_backend=["gitfs"], gitfs_provider="gitpython", **served)
    for function in ("fileserver.update", "saltutil.sync_runners"):
        made.run(function)
    return made


def committed(folder: Path) -> Path:
    """A repository with the current tree."""
    shutil.copytree(PROJECT / "salt", folder / "salt", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@invalid"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*author, "commit", "-q", "-m", "the tree"]):
        subprocess.run(["git", "-C", folder, *words], check=True)
    return folder


def test_the_page_is_found_wherever_the_runners_are(somewhere):
    parts = json.loads(somewhere.run("ntpcluster_page.parts", "--out=json").stdout)
    assert parts == PARTS


def test_a_page_that_the_master_does_not_serve_is_one_sentence(tmp_path, runners):
    master = Master(tmp_path, runner_dirs=runners, file_roots={"base": [str(tmp_path / "empty")]})
    (tmp_path / "empty/ntp/report").mkdir(parents=True)
    (tmp_path / "empty/ntp/report/page.html").write_text("half a page")
    done = master.run("ntpcluster.report", f"path={tmp_path}/ntp.html")
    assert (done.returncode, done.stdout) == (
        1,
        "Error: the master's file server has no complete salt://ntp/report: environment base lacks style.css, "
        "pictures.css, hosts.css, media.css, script.js; its file_roots must contain the whole tree\n",
    )
    done = master.run("ntpcluster.report", f"path={tmp_path}/ntp.html", "saltenv=prod")
    assert done.returncode == 1 and "environment prod lacks page.html" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
