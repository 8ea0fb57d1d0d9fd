"""The package of one daemon replaces that of another, as on Debian. With real packages: tests/lab/test_migration.py."""

import pytest
from salt.exceptions import CommandExecutionError

from _modules import ntpcluster_origin, ntpcluster_package
from _states import ntpcluster_deploy
from tests.loaded import FUNCTIONS

ON = {"running": True, "enabled": True}
NEW, GONE = {"old": "", "new": "4.3"}, {"old": "1.2", "new": ""}
PLATFORM = {
    "daemon": "chrony", "service": "chrony", "conf": "/etc/chrony/chrony.conf", "package_starts_service": True,
    "package_enables_service": True,
    "package_mend": {"when": "dpkg --configure", "folder": "/nowhere", "run": [["dpkg", "--configure"]]},
}  # fmt: skip


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host with ntpsec whose plan says chrony. `fails` is the error of the package manager; `did` lists what was done."""

    class Host:
        test, fails, did, kept, services = False, [], [], {}, {"ntpsec": dict(ON)}
        packages, left, half, silent = {"ntpsec": "1.2"}, {}, {}, False
        asked = []  # how much had been done when the servers were asked

    def install(pkgs, refresh, check_update):
        assert (pkgs, refresh, check_update) == (["chrony"], True, False)
        Host.did.append("install")
        if Host.fails:
            raise CommandExecutionError(Host.fails.pop(0))
        if Host.silent:
            return {}
        gone = {one: GONE for one in Host.packages if one == "ntpsec"}
        Host.services, Host.packages = {"chrony": dict(ON)}, {"chrony": "4.3"}
        return {"chrony": NEW, **gone}

    def mend(name, package, argv, timeout):
        Host.did.append("mend")
        Host.packages = dict(Host.packages, **Host.half)
        return {"retcode": 0}

    def switch(service, on):
        Host.did.append(f"{'enable' if on else 'disable'} {service}")
        Host.services[service]["enabled"] = on
        return True

    def remember(key, value):
        Host.kept[key] = sorted({*Host.kept.get(key, []), *value}) if isinstance(value, list) else value

    functions = {
        "ntpcluster_plan.plan": lambda: {
            "platform": PLATFORM, "conflicts": ["ntpsec", "othertimed"], "method": "daemon",
            "package": {"names": ["chrony"], "version": None, "sources": None},
        },
        "ntpcluster_origin.origin": lambda: Host.kept,
        "ntpcluster_origin.remember": remember,
        "ntpcluster_drift.carry": lambda platform: Host.did.append("drift") or "starts with the drift",
        **{name: one for name, one in FUNCTIONS.items() if name.startswith("ntpcluster_package.")},
        "ntpcluster_origin.store": ntpcluster_origin.store,
        "ntpcluster_origin.stored": ntpcluster_origin.stored,
        "ntpcluster_origin.drop": ntpcluster_origin.drop,
        "ntpcluster_process.using": lambda folder: [],
        "ntpcluster_program.refuse_people": FUNCTIONS["ntpcluster_program.refuse_people"],
        "ntpcluster_program.monotonic": FUNCTIONS["ntpcluster_program.monotonic"],
        "ntpcluster_program.run": mend,
        "ntpcluster_service.packages": lambda service: [service],
        "ntpcluster_step.ask_ahead": lambda: Host.asked.append(len(Host.did)),
        "pkg.install": install,
        "ntpcluster_package.missing": lambda plan: [one for one in plan["package"]["names"] if one not in Host.packages],
        "pkg.version": lambda package: Host.packages.get(package, ""),
        "pkg.list_pkgs": lambda removed=False: Host.left if removed else Host.packages,
        "service.available": lambda service: service in Host.services,
        "service.status": lambda service: Host.services.get(service, {}).get("running", False),
        "ntpcluster_process.there": lambda service: service in Host.services,
        "ntpcluster_process.enabled": lambda service: Host.services.get(service, {}).get("enabled", False),
        "service.enable": lambda service: switch(service, True),
        "service.disable": lambda service: switch(service, False),
    }  # fmt: skip
    monkeypatch.setattr(ntpcluster_deploy, "__salt__", functions, raising=False)
    monkeypatch.setattr(ntpcluster_package, "__salt__", functions)
    monkeypatch.setattr(ntpcluster_package, "__context__", {}, raising=False)
    monkeypatch.setattr(ntpcluster_origin, "STORE", str(tmp_path / "store"))
    monkeypatch.setattr(ntpcluster_deploy, "__env__", "base", raising=False)
    options = type("Options", (), {"__getitem__": lambda self, key: Host.test})()
    monkeypatch.setattr(ntpcluster_deploy, "__opts__", options, raising=False)
    return Host


def test_drift_and_boot_come_first_and_removed_packages_are_predicted_and_recorded(host):
    host.test = True
    said = ntpcluster_deploy.installed("ntp-is-installed")
    new = dict(NEW, new="installed")  # only the package manager knows the version
    assert (said["result"], said["changes"], host.did, host.kept) == (None, {"chrony": new, "ntpsec": GONE}, [], {})
    assert host.asked == []
    host.test = False
    done = ntpcluster_deploy.installed("ntp-is-installed")
    assert (done["result"], done["changes"]) == (True, {"chrony": NEW, "ntpsec": GONE})
    assert (host.asked, host.did) == ([0], ["drift", "disable ntpsec", "install"])
    assert host.kept == {"packages": ["chrony"], "removed": ["ntpsec"], "service ntpsec": ON}


def test_packages_of_this_tree_and_packages_that_they_replaced_are_recorded(host):
    host.kept.update(packages=["ntpsec"], removed=["chrony"])
    assert ntpcluster_deploy.installed("ntp-is-installed")["result"] is True
    assert (host.kept["packages"], host.kept["removed"]) == (["ntpsec"], ["chrony"])


@pytest.mark.parametrize("said", ["no repository", None])
def test_an_installation_that_fails_leaves_the_old_daemon_on_at_boot(host, said):
    host.fails, host.silent = [said] if said else [], not said
    done = ntpcluster_deploy.installed("ntp-is-installed")
    assert done["result"] is False and (said or "reported no error") in done["comment"]
    assert host.did == ["drift", "disable ntpsec", "install", "enable ntpsec"]


def test_a_package_manager_that_was_killed_is_repaired_once(host):
    host.fails.append("run dpkg --configure -a")
    assert ntpcluster_deploy.installed("ntp-is-installed")["result"] is True
    assert host.did == ["drift", "disable ntpsec", "install", "mend", "install"]


REPAIRED = {"package manager": {"old": "killed during a run", "new": "repaired"}}


@pytest.mark.parametrize("there", [True, False])
def test_the_remains_of_a_killed_run_are_repaired_first_as_predicted(host, there):
    host.packages, host.services = {"chrony": "4.3"} if there else {}, {}
    ntpcluster_origin.store("installing.json", {"doing": "pkg.install"})
    host.test = True
    said = ntpcluster_deploy.installed("ntp-is-installed")
    new = {} if there else {"chrony": dict(NEW, new="installed")}
    assert (said["result"], said["changes"], host.did) == (None, {**REPAIRED, **new}, [])
    host.test = False
    done = ntpcluster_deploy.installed("ntp-is-installed")
    assert (done["result"], set(done["changes"])) == (True, set(said["changes"]))
    assert host.did == ["drift", "mend"] + ["install"] * (not there)
    assert ntpcluster_deploy.installed("ntp-is-installed")["changes"] == {}


def test_packages_completed_by_the_repair_are_reported_and_not_installed_again(host):
    host.packages, host.services, host.half = {}, {}, {"chrony": "4.3"}
    ntpcluster_origin.store("installing.json", {"doing": "pkg.install"})
    done = ntpcluster_deploy.installed("ntp-is-installed")
    assert (done["result"], done["changes"]) == (True, {**REPAIRED, "chrony": NEW})
    assert (host.did, host.kept["packages"]) == (["drift", "mend"], ["chrony"])


def test_a_rival_that_is_removed_with_its_package_is_reported_once(host):
    host.test = True
    assert ntpcluster_deploy.alone("no-other-time-daemon")["changes"] == {}
    host.packages["chrony"] = "4.3"
    assert ntpcluster_deploy.alone("no-other-time-daemon")["changes"] == {
        "ntpsec": {"old": ON, "new": {"running": False, "enabled": False}}
    }
