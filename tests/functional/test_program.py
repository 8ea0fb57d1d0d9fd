"""The modules start the system's own programs, which must not use the Python and the libraries of Salt's packages."""

from __future__ import annotations

import pytest

import tests.loaded  # noqa: F401  (the modules find each other's functions)
from _modules import ntpcluster_service


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """
    A directory as in a package with its own Python, and the environment in which that runs. Instead of other versions it has
    files that cannot be loaded: every program that reads the directory fails.
    """
    (tmp_path / "libc.so.6").write_text("no library\n")
    (tmp_path / "json.py").write_text("raise SystemExit('no module')\n")
    for name in ("LD_LIBRARY_PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, str(tmp_path))
    return str(tmp_path)


def test_a_program_does_not_inherit_what_salts_own_python_needs(loaders, foreign):
    done = loaders.modules.ntpcluster_program.run("env", "coreutils", [])
    assert (done["retcode"], done["stderr"]) == (0, "")
    # The rest is unchanged, for example PATH.
    assert foreign not in done["stdout"] and "\nPATH=" in done["stdout"]


def test_a_python_program_of_the_system_finds_its_own_modules(loaders, foreign):
    done = loaders.modules.ntpcluster_program.run("python3", "python3", ["-c", "import json; print(json.dumps([]))"])
    assert (done["retcode"], done["stdout"]) == (0, "[]"), done["stderr"]


def test_a_program_prints_english_and_the_time_in_the_given_zone(loaders, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    done = loaders.modules.ntpcluster_program.run("date", "coreutils", ["-d@0", "+%A %H"], zone="Asia/Shanghai")
    assert done["stdout"] == "Thursday 08"


def test_the_guard_that_starts_the_daemon_again_does_not_inherit_it_either(foreign, tmp_path, monkeypatch):
    """A script that writes its environment is the stand-in for the guard's command."""
    shown = tmp_path / "shown"
    for name, value in (
        ("GUARD", f"export -p > {shown}"),
        ("GUARD_PID", str(tmp_path / "guard.pid")),
        ("_start", lambda service: ["true"]),
    ):
        monkeypatch.setattr(ntpcluster_service, name, value)
    monkeypatch.setattr(ntpcluster_service, "__context__", {}, raising=False)
    ntpcluster_service.guard({"service": "ntpd", "process": "ntpd", "pid_file": str(tmp_path / "ntpd.pid")})
    assert ntpcluster_service.__context__["ntpcluster_service.guard"].wait(timeout=20) == 0
    assert foreign not in shown.read_text() and "PATH=" in shown.read_text()
