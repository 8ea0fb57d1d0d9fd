"""A pillar that did not render or has no `ntp`, and other files that hide the tree's, are reported by name."""

import json
import logging
import re

import pytest
import salt.config
import salt.pillar

from _modules import ntpcluster_delivery
from tests.loaded import FUNCTIONS

SECRET = "hunter2hunter2"
KEYS = f"  keys:\n    1: {{type: M, secret: {SECRET}}}\n"

# (content of the file, line number if Salt gives one; libyaml's scanner gives none)
UNREADABLE = {
    "a tab": (f"ntp:\n{KEYS}\ttimezone: UTC\n", None),
    "a wrong indentation": (f"ntp:\n{KEYS}   tiers:\n      server: {{}}\n", 4),
    "a star without quotes": (f"ntp:\n{KEYS}  tiers:\n    client:\n      match: *\n", None),
    "an alias that is a secret": (f"ntp:\n  keys:\n    1: {{type: M, secret: *{SECRET}}}\n", 3),
    "a tag that is a secret": (f"ntp:\n  keys:\n    1: {{type: M, secret: !{SECRET} x}}\n", 3),
    "no mapping": (f"ntp\n{SECRET}\n", None),
    "Jinja that does not end": (f"ntp:\n{KEYS}{{% if %}}\n", 4),
    "an unknown variable": (f"ntp:\n{KEYS}  orphan: {{{{ nothing.there }}}}\n", 4),
}


@pytest.fixture
def compile_pillar(tmp_path):
    """Salt's own pillar compiler, with a directory of these files."""

    def compile_it(text, **options):
        (tmp_path / "top.sls").write_text("base:\n  '*':\n    - ntp\n    - other\n")
        (tmp_path / "ntp.sls").write_text(text)
        (tmp_path / "other.sls").write_text("other: 1\n")
        opts = salt.config.minion_config(None)
        opts.update(options, id="ntp1", file_client="local", cachedir=str(tmp_path / "cache"), pillarenv=None)
        opts["pillar_roots"] = {"base": [str(tmp_path)]}
        opts["file_roots"] = {"base": []}
        logging.disable(logging.CRITICAL)
        try:
            return salt.pillar.Pillar(opts, {"id": "ntp1"}, "ntp1", "base").compile_pillar()
        finally:
            logging.disable(logging.NOTSET)

    return compile_it


@pytest.fixture
def judge(monkeypatch, tmp_path):
    """`problems` of a minion with this pillar; a directory is the stand-in for Salt's file server."""

    def judge_it(pillar, files=None):
        files = files or {"ntp/init.sls": "include:\n  - ntp.valid\n"}
        for name, text in files.items():
            path = tmp_path / "served" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

        def served(url, saltenv):
            path = tmp_path / "served" / url.replace("salt://", "")
            return str(path) if path.exists() else ""

        functions = {**FUNCTIONS, "cp.cache_file": served, "cp.hash_file": served}
        functions["ntpcluster_applied.compiled"] = lambda: pillar
        functions["ntpcluster_applied.environments"] = lambda: ["base"]
        for name, value in (
            ("__salt__", functions), ("__pillar__", pillar), ("__grains__", {"id": "ntp1"}), ("__opts__", {}),
            ("__context__", {}),
        ):  # fmt: skip
            monkeypatch.setattr(ntpcluster_delivery, name, value, raising=False)
        return ntpcluster_delivery.problems()

    return judge_it


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_pillar_that_does_not_render_is_reported_with_salts_error_and_without_secrets(
    kind, safe, compile_pillar, judge
):
    text, line = UNREADABLE[kind]
    pillar = compile_pillar(text, pillar_safe_render_error=safe)
    (problem,) = judge(pillar)
    assert problem["level"] == "error" and problem["key"] == "ntp"
    assert "the pillar failed to render: " in problem["message"] and "SLS 'ntp'" in problem["message"]
    assert SECRET not in json.dumps(problem) and "\n" not in problem["message"]
    assert re.findall("line ([0-9]+)", problem["message"]) == ([] if safe or line is None else [str(line)])
    # Salt quotes in full whatever does not render to a mapping, whether it is secret or not.
    assert ("`salt-run pillar.show_pillar ntp1` shows more" in problem["message"]) == (safe and kind != "no mapping")


def test_an_error_in_another_file_is_not_an_error_of_this_tree(compile_pillar, judge):
    pillar = compile_pillar("ntp: {}\n")
    assert judge(pillar) == []
    pillar["_errors"] = compile_pillar("ntp: [\n")["_errors"]
    (problem,) = judge(pillar)
    assert problem["level"] == "warning" and "SLS 'ntp' failed" in problem["message"]


def test_a_pillar_without_our_key_asks_for_the_top_file(judge):
    (problem,) = judge({"other": 1})
    assert problem["level"] == "error"
    assert "your pillar has no key `ntp` for this minion: does its top file list it?" in problem["message"]


@pytest.mark.parametrize(
    ("files", "key"),
    [
        ({"ntp.sls": "ntp:\n  pkg.installed: []\n", "ntp/init.sls": "include:\n  - ntp.valid\n"}, "salt://ntp.sls"),
        ({"ntp/init.sls": "ntp:\n  pkg.installed: []\n"}, "salt://ntp/init.sls"),
    ],
)
def test_a_file_that_hides_the_trees_states_is_named(files, key, judge):
    (problem,) = judge({"ntp": {}}, files)
    assert (problem["level"], problem["key"]) == ("error", key)
    assert re.search("hides it|which it hides", problem["message"])


def test_a_file_around_the_trees_states_is_not_a_problem(judge):
    assert judge({"ntp": {}}, {"ntp/init.sls": "include:\n  - ntp.sync\nown:\n  test.nop: []\n"}) == []
