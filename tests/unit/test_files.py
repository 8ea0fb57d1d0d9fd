"""How a finished file replaces another one. No kernel here has SELinux: a file is the stand-in for its switch, and a recorded
call that for restorecon, so only the arguments of restorecon are tested."""

import os

import pytest
from salt.exceptions import CommandExecutionError

from _modules import ntpcluster_files
from tests.loaded import FUNCTIONS


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with SELinux and restorecon; returns the arguments of restorecon. `code`: its exit code."""
    calls = []

    class Host:
        switch, code, labelled = tmp_path / "enforce", 0, calls

    def run(name, package, argv):
        assert (name, package) == ("restorecon", "policycoreutils")
        # Labels depend on the path: the file has to be in place.
        assert all(os.path.lexists(path) for path in argv)
        calls.append(argv)
        return {"retcode": Host.code, "stdout": "", "stderr": "no"}

    Host.switch.write_text("1")
    monkeypatch.setattr(ntpcluster_files, "SELINUX", (str(tmp_path / "none"), str(Host.switch)))
    monkeypatch.setattr(ntpcluster_files.salt.utils.path, "which", lambda name: f"/sbin/{name}")
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.run", run)
    return Host


@pytest.fixture
def put(tmp_path):
    """Puts a link in the place of a file; returns its path."""
    fresh, path = tmp_path / "localtime.ntpcluster", tmp_path / "localtime"

    def put():
        path.write_text("old")
        fresh.symlink_to("new")
        ntpcluster_files.replace(str(fresh), str(path))
        assert os.readlink(path) == "new" and not os.path.lexists(fresh)
        return str(path)

    return put


@pytest.mark.parametrize("enforcing", ["1", "0"], ids=["enforcing", "permissive"])
def test_with_selinux_a_file_gets_the_label_of_its_place(host, put, enforcing):
    host.switch.write_text(enforcing)
    assert host.labelled == [[put()]]


def test_without_selinux_no_program_is_started(host, put):
    host.switch.unlink()
    put()
    assert host.labelled == []


def test_without_restorecon_the_file_is_in_its_place(host, put, monkeypatch):
    monkeypatch.setattr(ntpcluster_files.salt.utils.path, "which", lambda name: None)
    put()
    assert host.labelled == []


def test_a_label_that_cannot_be_given_is_an_error_and_the_file_is_in_its_place(host, put, tmp_path):
    host.code = 255
    with pytest.raises(CommandExecutionError, match=r"localtime was written, but may have the wrong SELinux label: no"):
        put()
    assert os.readlink(tmp_path / "localtime") == "new"
