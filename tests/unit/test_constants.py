"""Constants that are repeated, because Salt's modules cannot import one another, have the same value everywhere; a name has one
meaning."""

import ast
import collections
import importlib
import os
import re
from pathlib import Path

import pytest
import yaml

from _beacons import ntpcluster as ntpcluster_beacon
from _modules import ntpcluster_applied, ntpcluster_origin, ntpcluster_step
from _runners import ntpcluster_problems
from tests.loaded import FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for kind in ("modules", "states", "beacons", "runners") for path in ROOT.glob(f"_{kind}/*.py"))

#: Names of constants that have a different meaning in every file.
OTHER_MEANING = {
    "AGAIN_S", "FOLDER", "KINDS", "MAX_TEXT", "MEANT", "OPTIONS", "REFUSALS", "REMEDIES", "SOURCES", "WORDS",
}  # fmt: skip


def constants():
    """{name: {file: the value}} of the constants of all files."""
    found = collections.defaultdict(dict)
    for path in FILES:
        if path.stem.startswith("ntpcluster_chron"):  # the keywords of another daemon
            continue
        module = importlib.import_module(f"{path.parent.name}.{path.stem}")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
                found[node.targets[0].id][f"{path.parent.name}/{path.name}"] = getattr(module, node.targets[0].id)
    return found


def test_a_constant_of_one_name_has_one_value_everywhere():
    for name, values in constants().items():
        if name == "HEALTH":  # the values of a status, with a file's own data for each
            values = {path: list(value) for path, value in values.items()}
        assert len({str(value) for value in values.values()}) == 1 or name in OTHER_MEANING, f"{name}: {values}"


def test_the_offset_that_is_allowed_without_a_plan_is_the_default():
    defaults = yaml.safe_load((ROOT / "salt/ntp/defaults.yaml").read_text())
    assert defaults["sync"]["max_offset"] * 1000.0 == ntpcluster_problems.MAX_OFFSET_MS


@pytest.mark.parametrize(
    ("offset_ms", "code"), [(1000001.0, "panic"), (-1000001.0, "panic"), (999999.0, "offset-high")]
)
def test_the_limit_of_a_panic_is_that_of_its_remedy(offset_ms, code):
    found = FUNCTIONS["ntpcluster_problems.too_far"](offset_ms, "10.0.0.1", 100.0)
    (told,) = FUNCTIONS["ntpcluster_problems.in_order"]([found], {"service": "ntpd"})
    assert told["code"] == code and ("more than 1000 s" in told["remedy"]) == (code == "panic")


def test_the_daemons_pid_file_is_one():
    platforms = yaml.safe_load((ROOT / "salt/ntp/platforms.yaml").read_text())
    ntpd = platforms["RedHat-6"]["daemons"]["ntpd"]
    (options,) = ntpd["sysconfig"]["values"]
    assert f"-p {ntpd['pid_file']} " in options["value"]


def test_the_applied_plan_and_the_earlier_state_are_in_one_directory():
    assert os.path.dirname(ntpcluster_applied.KEPT) == ntpcluster_origin.STORE


def test_the_crontab_holds_the_lock_of_a_step():
    template = (ROOT / "salt/ntp/files/cron.jinja").read_text()
    assert "flock -n {{ salt['ntpcluster_step.lock']() }} " in template
    assert FUNCTIONS["ntpcluster_step.lock"]() == ntpcluster_step.LOCK


def offered():
    """{(kind, name in Salt): files} of all functions that the loader offers."""
    found = collections.defaultdict(list)
    for path in FILES:
        tree = ast.parse(path.read_text())
        given = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("__virtualname__", "__load__")
        }
        for name in (node.name for node in tree.body if isinstance(node, ast.FunctionDef)):
            if not name.startswith("_") and name in given.get("__load__", [name]):
                found[path.parent.name, f"{given.get('__virtualname__', path.stem)}.{name}"].append(path.name)
    return found


def test_no_two_functions_have_one_name():
    """If two files have the same virtual name, the loader silently uses the functions of either."""
    found = offered()
    assert ("_modules", "ntpcluster.status") in found and ("_states", "ntpcluster.valid") in found
    assert ("_runners", "ntpcluster.tree") in found and ("_beacons", "ntpcluster.beacon") in found
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_no_file_defines_a_name_twice():
    """If a file defines a function twice, the later one silently counts."""
    for path in FILES:
        names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert len(names) == len(set(names)), path


def test_the_settings_of_the_beacon_that_the_pillar_may_have_are_those_of_the_beacon():
    (known,) = re.findall(r"known = .*\[([^]]*)\] %}", (ROOT / "salt/ntp/beacon.sls").read_text())
    assert sorted(re.findall(r"'(\w+)'", known)) == sorted([*ntpcluster_beacon.DEFAULTS, "interval"])
