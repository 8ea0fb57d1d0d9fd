"""Which packages are missing, by what rpm and dpkg-query print about them."""

import pytest

from _modules import ntpcluster_package
from tests.loaded import FUNCTIONS

#: As both print them in the lab: rpm for a package that it does not know, and dpkg after a removal that left configuration files.
PRINTED = {
    "rpm": "install ok installed ntp\npackage ntpdate is not installed\n",
    "dpkg": "hold ok installed ntp\ndeinstall ok config-files ntpdate\n",
}


@pytest.fixture
def asked(monkeypatch):
    """What the package manager was asked; `asked.prints` is what it answers."""

    class Asked(list):
        prints, run, versions = "", 1, {}

    seen = Asked()

    def run(program, package, argv, timeout):
        seen.append([program, *argv])
        return {"stdout": seen.prints, "retcode": 1}

    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.run", run)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_applied.in_run", lambda: seen.run)
    monkeypatch.setitem(FUNCTIONS, "pkg.version", lambda name: seen.versions.get(name, ""))
    monkeypatch.setattr(ntpcluster_package, "__context__", {}, raising=False)
    return seen


def missing(database, version=None):
    package = {"names": ["ntp", "ntpdate"], "version": version}
    return ntpcluster_package.missing({"package": package, "platform": {"package_list": database}})


@pytest.mark.parametrize("database", PRINTED)
def test_only_what_is_installed_is_there(asked, database):
    asked.prints = PRINTED[database]
    assert missing(database) == ["ntpdate"] and asked[0][-2:] == ["ntp", "ntpdate"]


@pytest.mark.parametrize("database", PRINTED)
def test_a_run_asks_once_and_again_after_the_package_manager_has_worked(asked, database, monkeypatch):
    for name in ("ntpcluster_origin.store", "ntpcluster_origin.drop", "pkg.install"):
        monkeypatch.setitem(FUNCTIONS, name, lambda *_, **__: {})
    both = ["ntp", "ntpdate"]
    assert missing(database) == both, "of a database that cannot be read, nothing is known to be there"
    assert [missing(database) for _ in range(3)] == [both] * 3 and len(asked) == 1
    asked.prints = "install ok installed ntp\ninstall ok installed ntpdate\n"
    ntpcluster_package.transact("pkg.install", {})
    assert [missing(database) for _ in range(3)] == [[], [], []] and len(asked) == 2
    asked.run = 2
    assert missing(database) == [] and len(asked) == 3
    asked.run = 0  # outside of a run nothing is remembered
    assert [missing(database), missing(database)] == [[], []] and len(asked) == 5


def test_a_version_is_compared_in_salts_words(asked):
    asked.versions = {"ntp": "1:4.2.6p5-15", "ntpdate": "4.2.6p5-15"}
    assert missing("rpm", "4.2.6p5-15") == ["ntp"] and asked == []
