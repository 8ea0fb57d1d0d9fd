"""The tree as Salt's own loader and file server see it."""

from __future__ import annotations

import re

from tests.lab.images import PROJECT


def test_the_code_is_served_and_the_pillar_is_not(loaders):
    served = loaders.modules.cp.list_master()
    assert "_modules/ntpcluster.py" in served and "_states/ntpcluster.py" in served
    assert not [path for path in served if "pillar" in path]


def test_every_state_file_renders(loaders):
    for path in sorted((PROJECT / "salt" / "ntp").glob("*.sls")):
        name = "ntp" if path.stem == "init" else f"ntp.{path.stem}"
        shown = loaders.modules.state.show_sls(name)
        # With the modules there already, nothing is left of the file that fetches them.
        assert isinstance(shown, dict) and (shown or name == "ntp.modules"), f"{name}: {shown}"


def test_the_states_stand_in_the_order_in_which_things_happen(loaders):
    shown = loaders.modules.state.show_low_sls("ntp")
    order = [low["__id__"] for low in sorted(shown, key=lambda low: low["order"])]
    told = ["pillar-is-valid", "ntp-is-installed", "timezone-is-set", "/etc/ntpsec/ntp.conf", "served-networks-may-ask"]
    told += ["clock-is-stepped", "ntp-is-running", "tier-is-followed"]
    assert [name for name in order if name in told] == told


def test_an_unknown_platform_is_refused_by_name(loaders, monkeypatch):
    loaders.opts["grains"]["osmajorrelease"] = 3
    try:
        shown = loaders.modules.state.show_sls("ntp.config")
        assert "Debian-3" in str(shown)
    finally:
        loaders.opts["grains"]["osmajorrelease"] = 12


def test_functions_of_several_files_are_one_module(loaders):
    for function in ("status", "parse_ntpq", "plan", "validate", "step", "query", "firewall", "diagnose", "origin"):
        assert f"ntpcluster.{function}" in loaders.modules


def test_the_plan_of_a_client_is_derived(loaders):
    plan = loaders.modules.ntpcluster.plan()
    assert (plan["tier"], [source["line"] for source in plan["sources"]]) == (
        "client",
        ["server 10.0.0.189 iburst prefer"],
    )


def test_the_version_of_the_modules_is_that_of_the_project():
    given = re.search(r'^VERSION = "([^"]+)"', (PROJECT / "_modules/ntpcluster.py").read_text(), re.MULTILINE).group(1)
    stated = re.search(r'^version = "([^"]+)"', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE).group(1)
    assert given == stated


def test_no_state_runs_a_shell():
    """cmd.run and its kin have no place here: what runs a program is a module's function, with an argument list."""
    for path in (PROJECT / "salt").rglob("*.sls"):
        assert not re.search(r"^\s*-?\s*(cmd|module)\.", path.read_text(), re.MULTILINE), path
