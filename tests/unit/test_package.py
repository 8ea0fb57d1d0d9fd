"""The mark of a run of the package manager, and the repair. With real package managers that were killed: test_drills_disk.py."""

import os
import subprocess

import pytest
from salt.exceptions import CommandExecutionError

from _modules import ntpcluster_origin, ntpcluster_package, ntpcluster_process
from tests.loaded import FUNCTIONS

KILLED = {"package manager": {"old": "killed during a run", "new": "repaired"}}


class Killed(BaseException):
    """The end of the process: no `except` of the tree catches it."""


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host whose package manager ends with what `outcome` is, and whose repair is the program `false` or `true`."""

    class Host:
        outcome, folder, clock = {}, tmp_path / "db", 0.0

        @staticmethod
        def platform(*run):
            return {"package_mend": {"when": "no", "folder": str(Host.folder), "run": [list(argv) for argv in run]}}

    def install(**how):
        assert ntpcluster_package.repair(Host.platform()) == KILLED  # from the first moment on
        if isinstance(Host.outcome, BaseException):
            raise Host.outcome
        return Host.outcome

    def monotonic():
        Host.clock += 50.0
        return Host.clock

    def run(name, package, argv, timeout):
        code = subprocess.run([name, *argv], check=False).returncode
        return {"retcode": code, "timed_out": False, "stderr": "it says why", "stdout": ""}

    Host.folder.mkdir()
    functions = {
        **FUNCTIONS, "pkg.install": install, "pkg.version": lambda name: "1.2", "ntpcluster_program.monotonic": monotonic,
        "ntpcluster_program.run": run,
    }  # fmt: skip
    monkeypatch.setattr(ntpcluster_package, "__salt__", functions)
    monkeypatch.setattr(ntpcluster_package, "__context__", {"pkg.list_pkgs": {}}, raising=False)
    monkeypatch.setattr(ntpcluster_package.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(ntpcluster_origin, "STORE", str(tmp_path / "store"))
    return Host


@pytest.mark.parametrize(
    ("outcome", "left"),
    [
        ({"ntp": {"old": "", "new": "4.2.6"}}, False),
        (Killed(), True),
        (CommandExecutionError("no repository"), False),
        (CommandExecutionError("no repository", info={"changes": {}}), False),
        (CommandExecutionError("killed", info={"changes": {"ntpdate": {"old": "", "new": "4.2.6"}}}), True),
    ],
)
def test_the_mark_stays_if_packages_may_be_half_installed(host, outcome, left):
    host.outcome = outcome
    assert ntpcluster_package.repair(host.platform()) == {}
    if isinstance(outcome, dict):
        assert ntpcluster_package.transact("pkg.install", {"pkgs": ["ntp"]}) == outcome
    else:
        with pytest.raises(type(outcome)):
            ntpcluster_package.transact("pkg.install", {"pkgs": ["ntp"]})
    assert ntpcluster_package.repair(host.platform()) == (KILLED if left else {})
    assert ntpcluster_package.repair({"package_mend": None}) == {}  # nothing could be done about it


def test_a_mark_that_a_power_cut_has_emptied_is_one(host):
    os.mkdir(ntpcluster_origin.STORE)
    open(os.path.join(ntpcluster_origin.STORE, ntpcluster_package.AT_WORK), "w").close()
    assert ntpcluster_package.repair(host.platform()) == KILLED


def test_a_repair_that_fails_says_why_and_is_tried_again(host):
    ntpcluster_origin.store(ntpcluster_package.AT_WORK, {"doing": "pkg.install"})
    with pytest.raises(CommandExecutionError, match="cannot be repaired: false: it says why"):
        ntpcluster_package.mend(host.platform(["true"], ["false"]), [])
    assert ntpcluster_package.repair(host.platform()) == KILLED
    assert ntpcluster_package.mend(host.platform(["true"]), ["ntp"]) == KILLED
    assert ntpcluster_package.repair(host.platform()) == {}
    assert ntpcluster_package.__context__ == {}, "Salt would go on with the old list"


def test_nothing_is_repaired_under_the_hands_of_a_package_manager_at_work(host):
    path = host.folder / "Packages"
    path.touch()
    witness = host.folder / "repaired"
    with subprocess.Popen(["sleep", "60"], stdin=path.open()) as yum:
        try:
            with pytest.raises(CommandExecutionError, match=rf"is at work: sleep \(pid {yum.pid}\) is using"):
                ntpcluster_package.mend(host.platform(["touch", str(witness)]), [])
            assert not witness.exists()
            path.unlink()  # what works with a deleted file is not disturbed
            ntpcluster_package.mend(host.platform(["touch", str(witness)]), [])
            assert witness.exists()
        finally:
            yum.kill()


def test_a_name_that_python_2_cannot_decode_does_not_hide_who_uses_the_folder(host, monkeypatch):
    """Python 2.7 returns such a link as bytes. The stand-in here does so for every link."""
    readlink = os.readlink
    monkeypatch.setattr(os, "readlink", lambda path: os.fsencode(readlink(path)))
    with open(os.fsencode(host.folder) + b"/caf\xe9", "w"):
        [user] = ntpcluster_process.using(str(host.folder))
    assert user.endswith(f" (pid {os.getpid()})")
