"""The drift that one daemon has measured is handed to its successor. With real daemons: tests/lab/test_migration.py."""

import os

import pytest

from _modules import ntpcluster_drift as drift
from tests.loaded import FUNCTIONS


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host upgraded from el6 to el9: its own daemon's drift file, and the paths of the others."""
    own = {"daemon": "chrony", "drift": str(tmp_path / "chrony/drift")}
    other = {"daemon": "ntpd", "drift": str(tmp_path / "ntp/drift")}
    (tmp_path / "ntp").mkdir()
    platforms = {"RedHat-6": {"daemons": {"ntpd": other}}, "RedHat-9": {"daemons": {"chrony": own}}}
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_facts.platforms", lambda: platforms)
    return own, other


def leave(place, text, age=0):
    """The drift file as its daemon left it this many seconds ago."""
    os.makedirs(os.path.dirname(place["drift"]), exist_ok=True)
    with open(place["drift"], "w") as target:
        target.write(text)
    os.utime(place["drift"], (1e9 - age, 1e9 - age))


def text(place):
    return open(place["drift"]).read().split() if os.path.exists(place["drift"]) else None


def test_drift_files_of_ntpd_and_chronyd_have_opposite_signs(host):
    chrony, ntpd = host
    leave(ntpd, "-50.125\n")
    assert ntpd["drift"] in drift.carry(chrony)
    assert text(chrony) == ["50.125000", "1.000000"]
    leave(chrony, "           -12.500000             0.031\n")
    os.utime(chrony["drift"], (2e9, 2e9))
    drift.carry(ntpd)
    assert text(ntpd) == ["12.500000"]


def test_drift_is_carried_over_once_and_a_newer_measurement_is_kept(host):
    chrony, ntpd = host
    leave(ntpd, "-50.125\n", age=60)
    assert drift.carry(chrony) and not drift.carry(chrony)
    leave(chrony, "51.0 0.1\n", age=59)
    assert drift.carry(chrony) == "" and text(chrony) == ["51.0", "0.1"]
    leave(chrony, "51.0 0.1\n", age=61)
    assert drift.carry(chrony) and text(chrony) == ["50.125000", "1.000000"]


@pytest.mark.parametrize("said", ["", "nonsense\n", "nan\n", "inf\n", "-500.001\n"])
def test_an_invalid_drift_is_not_carried_over(host, said):
    chrony, ntpd = host
    leave(ntpd, said)
    assert drift.carry(chrony) == "" and text(chrony) is None


@pytest.mark.parametrize("said", ["0.000000 1000000.000000\n", "12.5\n", "12.5 0.1 7\n", "12.5 nan\n"])
def test_a_chronyd_without_a_measurement_gives_no_drift(host, said):
    chrony, ntpd = host
    leave(chrony, said)
    assert drift.carry(ntpd) == "" and text(ntpd) is None


def test_a_host_without_any_drift_has_none_afterwards(host):
    assert drift.carry(host[0]) == "" and text(host[0]) is None


def test_the_daemon_of_the_folder_owns_the_file(host):
    chrony, ntpd = host
    leave(ntpd, "1.0\n")
    os.mkdir(os.path.dirname(chrony["drift"]))
    os.chown(os.path.dirname(chrony["drift"]), 38, 39)
    drift.carry(chrony)
    found = os.stat(chrony["drift"])
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (38, 39, 0o644)
    assert os.listdir(os.path.dirname(chrony["drift"])) == ["drift"]
