"""Undoing a deployment on a host where something cannot be undone. With real services and packages: tests/lab/test_fresh.py."""

import pytest
from salt.exceptions import CommandExecutionError

from _states import ntpcluster_clean

FILE, RIVAL = "/etc/ntp.conf", "service chronyd"
GIVEN_BACK = {"old": "written by ntpcluster", "new": "as it was before"}
RAN, STOPPED = {"running": True, "enabled": True}, {"running": False, "enabled": True}


@pytest.fixture
def host(monkeypatch):
    """A host whose chronyd ran before and was stopped, with a file and a package of ours. `fails` names the operations that
    fail."""

    class Host:
        fails, packages, forgot, kept = (
            (),
            ["ntp"],
            0,
            {"service chronyd": RAN, "files": {FILE: {}}, "packages": ["ntp"]},
        )
        left, owners, repair, mended = [], {}, {}, []

    def act(what, result=True):
        if what in Host.fails:
            raise CommandExecutionError(f"{what} fails")
        return result

    def forget():
        Host.forgot += 1

    def purge(pkgs):
        Host.packages = [package for package in Host.packages if package not in pkgs or "stays" in Host.fails]
        return act("purge")

    def install(pkgs):
        Host.packages = Host.packages + pkgs * ("gone for good" not in Host.fails)
        return act("install")

    functions = {
        "ntpcluster_origin.origin": lambda: Host.kept,
        "ntpcluster_origin.forget": forget,
        "ntpcluster_origin.differs": lambda path: True,
        "ntpcluster_origin.give_back": lambda path: act("give back"),
        "service.available": lambda service: "gone" not in Host.fails,
        "service.enable": lambda service: True,
        "service.stop": lambda service: act("stop"),
        "service.start": lambda service: "start" not in Host.fails,
        "pkg.version": lambda package: "4.2.6" if package in Host.packages else "",
        "pkg.list_pkgs": lambda removed=False: dict.fromkeys(Host.left if removed else Host.packages, "4.2.6"),
        "ntpcluster_facts.platform": lambda: {"package_mend": {}},
        "ntpcluster_package.repair": lambda platform: dict(Host.repair),
        "ntpcluster_package.mend": lambda platform, names: Host.mended.append(names),
        "ntpcluster_package.transact": lambda doing, how: functions[doing](**how),
        "pkg.install": install,
        "pkg.purge": purge,
        "ntpcluster_service.packages": lambda service: Host.owners.get(service, []),
    }
    monkeypatch.setattr(ntpcluster_clean, "__salt__", functions, raising=False)
    monkeypatch.setattr(ntpcluster_clean, "__opts__", {"test": False}, raising=False)
    return Host


def test_a_service_that_ran_before_runs_again(host):
    done = ntpcluster_clean.cleaned("deployment-is-gone")
    assert done["result"] is True and host.forgot == 1
    assert done["changes"] == {
        FILE: GIVEN_BACK,
        RIVAL: {"old": "by ntpcluster", "new": RAN},
        "package ntp": {"old": "4.2.6", "new": ""},
    }


def test_a_package_manager_that_was_killed_is_repaired_first(host, monkeypatch):
    host.repair = {"package manager": {"old": "killed", "new": "repaired"}}
    monkeypatch.setitem(ntpcluster_clean.__opts__, "test", True)
    said = ntpcluster_clean.cleaned("deployment-is-gone")
    assert host.repair.items() <= said["changes"].items() and host.mended == []
    monkeypatch.setitem(ntpcluster_clean.__opts__, "test", False)
    done = ntpcluster_clean.cleaned("deployment-is-gone")
    assert (done["result"], done["changes"], host.mended) == (True, said["changes"], [["ntp"]])


def test_a_service_that_cannot_be_started_fails_and_is_tried_again_by_the_next_run(host):
    host.fails = ("start",)
    done = ntpcluster_clean.cleaned("deployment-is-gone")
    assert (done["result"], done["comment"]) == (False, "ran before, and cannot be started: chronyd")
    assert host.forgot == 0
    assert done["changes"][RIVAL] == {"old": "by ntpcluster", "new": STOPPED}


@pytest.mark.parametrize(
    ("fails", "comment", "changed"),
    [
        ("stop", "stop fails", []),
        ("give back", "give back fails", [RIVAL]),
        ("purge", "purge fails", [FILE, "package ntp", RIVAL]),
        ("stays", "cannot be removed: ntp", [FILE, RIVAL]),
    ],
)
def test_the_changes_made_before_a_failure_are_reported(host, fails, comment, changed):
    host.fails = (fails,)
    done = ntpcluster_clean.cleaned("deployment-is-gone")
    assert (done["result"], done["comment"], host.forgot) == (False, comment, 0)
    assert sorted(done["changes"]) == changed
    if RIVAL in changed:
        assert done["changes"][RIVAL] == {"old": "by ntpcluster", "new": STOPPED}


def test_a_missing_service_is_not_reported_as_stopped(host):
    host.fails = ("gone", "give back")
    assert ntpcluster_clean.cleaned("deployment-is-gone")["changes"] == {}


def test_a_replaced_package_is_purged_with_its_service_if_it_was_ours(host):
    host.left, host.owners = ["chrony"], {"chronyd": ["chrony"]}
    host.kept = {**host.kept, "packages": ["chrony", "ntp"]}
    done = ntpcluster_clean.cleaned("deployment-is-gone")
    assert done["result"] is True and done["changes"] == {
        FILE: GIVEN_BACK,
        RIVAL: {"old": "by ntpcluster", "new": "removed with its package"},
        "package chrony": {"old": "4.2.6", "new": ""},
        "package ntp": {"old": "4.2.6", "new": ""},
    }


def test_a_replaced_package_is_reinstalled_before_anything_else_changes(host):
    host.kept = {**host.kept, "removed": ["chrony"]}
    host.fails = ("gone for good",)
    done = ntpcluster_clean.cleaned("deployment-is-gone")
    assert (done["result"], done["changes"], host.forgot) == (False, {}, 0)
    assert done["comment"] == "was installed before, and cannot be reinstalled: chrony"
    host.fails = ()
    done = ntpcluster_clean.cleaned("deployment-is-gone")
    assert done["result"] is True and host.packages == ["chrony"]
    assert done["changes"]["package chrony"] == {"old": "", "new": "reinstalled"}


@pytest.fixture
def beacons(monkeypatch, tmp_path):
    """A minion with a running beacon; its saved beacons cannot be written, or differ from the running ones."""
    live = {"ntpcluster": [{"interval": 60}]}
    saved = {"ntpcluster": [{"interval": 60}], "load": []}
    functions = {"beacons.delete": lambda name: live.pop(name, None)}
    monkeypatch.setattr(ntpcluster_clean, "__salt__", functions, raising=False)
    monkeypatch.setattr(ntpcluster_clean, "__opts__", {"test": False}, raising=False)
    monkeypatch.setattr(ntpcluster_clean, "_beacons_file", lambda: str(tmp_path / "none" / "beacons.conf"))
    monkeypatch.setattr(ntpcluster_clean, "_live_beacons", lambda: dict(live))
    monkeypatch.setattr(ntpcluster_clean, "_saved_beacons", lambda path: dict(saved))
    return functions, tmp_path


def test_a_beacon_that_is_off_but_still_saved_is_reported_as_incomplete(beacons):
    done = ntpcluster_clean.beacon_absent("no-more-events-are-sent")
    assert (done["result"], done["changes"]) == (False, {"beacon": {"old": "on", "new": "off"}})


def test_a_beacon_that_stays_on_is_reported_as_incomplete(beacons):
    functions, folder = beacons
    functions["beacons.delete"] = lambda name: None
    (folder / "none").mkdir()
    done = ntpcluster_clean.beacon_absent("no-more-events-are-sent")
    path = str(folder / "none" / "beacons.conf")
    assert (done["result"], done["changes"]) == (False, {path: {"old": "with the beacon", "new": "without it"}})
