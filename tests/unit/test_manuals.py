"""The pages of docs/ that list parts of the code or the data: nothing is missing, and nothing is outdated."""

import re
from pathlib import Path

import pytest
import yaml

from _beacons import ntpcluster as ntpcluster_beacon
from tests.loaded import FACE, FUNCTIONS, MODULES
from tests.unit.pillars import PLATFORMS, judge
from tests.unit.runners import FILES

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = yaml.safe_load((ROOT / "salt/ntp/defaults.yaml").read_text())
RULES = FUNCTIONS["ntpcluster_rules.allowed"]()
CODES = [code for code, _ in MODULES["ntpcluster_problems"].REMEDIES]
CLUSTER = list(FILES["ntpcluster_problems"].PROBLEMS)
KEY = {"type": "SHA1", "secret": "0a" * 20}
PAGES = sorted((ROOT / "docs").glob("*.md"))


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def rows(text: str, first: str) -> dict[str, list[str]]:
    """The table with this first heading: the name in the first column, and the other cells."""
    table = text.split(f"| {first} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    return {first.strip("`"): rest for first, *rest in cells}


def flat(settings: dict) -> dict:
    """The keys with their sections, as on the page, and their defaults."""
    found = {}
    for key, value in settings.items():
        found |= (
            {f"{key}:{inner}": one for inner, one in value.items()}
            if isinstance(value, dict) and value
            else {key: value}
        )
    return found


def test_every_setting_is_on_the_page_with_its_default():
    told = {key: yaml.safe_load(cells[2].strip("`")) for key, cells in rows(page("pillar.md"), "key").items()}
    assert told == flat(DEFAULTS)


@pytest.mark.parametrize(("first", "rules"), [("key of a tier", "tier_keys"), ("key of a source", "source_keys")])
def test_every_key_of_a_tier_and_of_a_source_is_on_the_page(first, rules):
    assert sorted(rows(page("pillar.md"), first)) == sorted(RULES[rules])


def test_every_key_has_a_meaning_a_form_and_an_example():
    for first in ("key", "key of a tier", "key of a source"):
        for key, cells in rows(page("pillar.md"), first).items():
            meaning, form, example = cells[0], cells[1], cells[-1]
            assert meaning and form and re.match(r"`.+`$", example), key


def test_every_directive_is_on_the_page():
    text = page("pillar.md").split("### Directives in `options`")[1].split("```")[0]
    assert set(re.findall(r"`(\w+)`", text)) - {"options"} == set(RULES["options"])


def examples() -> list:
    """The page's own examples, and the example of each setting."""
    text = page("pillar.md")
    found = [yaml.safe_load(block)["ntp"] for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    for key, cells in rows(text, "key").items():
        words = (
            cells[-1].strip("`").replace("sha256=...", "sha256=" + "0" * 64).replace("40 hexadecimal digits", "0a" * 20)
        )
        name, _, inner = key.partition(":")
        value = yaml.safe_load(words)
        found.append({name: {inner: value} if inner else value})
    return found


@pytest.mark.parametrize("example", examples(), ids=str)
def test_every_example_of_a_setting_is_valid(example):
    site = {"tiers": {"server": {"match": "*", "sources": ["10.0.0.1", "10.0.0.2"]}}, **example}
    # A key that no tier uses causes a warning, not an error.
    found = MODULES["ntpcluster_validate"].problems(site, DEFAULTS)
    assert [one for one in found if one["level"] == "error"] == []


@pytest.mark.parametrize(("first", "place"), [("key of a tier", ()), ("key of a source", ("sources", 0))])
def test_every_example_of_a_tiers_key_is_valid(first, place):
    for key, cells in rows(page("pillar.md"), first).items():
        tier = {"match": "*", "sources": [{"address": "10.0.0.1"}]}
        where = tier["sources"][0] if place else tier
        where[key] = yaml.safe_load(cells[-1].strip("`"))
        if key == "follows":
            del tier["sources"]
        found = MODULES["ntpcluster_validate"].problems({"tiers": {"one": tier}, "keys": {7: KEY}}, DEFAULTS)
        assert [one["key"] for one in found if one["level"] == "error" and one["key"].endswith(key)] == [], key


SAMPLE = yaml.safe_load((ROOT / "pillar.example").read_text())


@pytest.mark.parametrize("platform", [None, *sorted(PLATFORMS)])
def test_the_sample_pillar_is_valid_on_every_platform(platform):
    # `cron` is only shown: it has no effect with `method: daemon`.
    assert {(one["key"], one["level"]) for one in judge(SAMPLE["ntp"], PLATFORMS.get(platform))} == {
        ("ntp:cron", "warning")
    }
    assert ntpcluster_beacon.validate([SAMPLE["ntp_beacon"]])[0]


def test_the_sample_pillar_has_every_key():
    sample = SAMPLE["ntp"]
    assert set(flat(DEFAULTS)) - {"keys", "options"} <= set(flat(sample))
    assert {"keys", "options"} <= set(sample)
    tiers = sample["tiers"].values()
    sources = [source for tier in tiers for source in tier.get("sources", []) if isinstance(source, dict)]
    # `island` replaces `sources`: it is in a comment.
    assert {key for tier in tiers for key in tier} == set(RULES["tier_keys"]) - {"island"}
    # `nts` cannot be combined with `key`, and ntpd does not support it: it is in a comment.
    assert {key for source in sources for key in source} == set(RULES["source_keys"]) - {"nts"}


def test_the_metadata_are_those_of_the_tree():
    formula = yaml.safe_load((ROOT / "FORMULA").read_text())
    known = {name for entry in PLATFORMS.values() for name in entry["os"]}
    assert set(formula["os"].split(", ")) == known
    assert formula["version"] == MODULES["ntpcluster_code"].VERSION
    assert (ROOT / formula["top_level_dir"] / "init.sls").exists()


def sections(name: str, part: str) -> dict[str, str]:
    """The sections of the third level in one of the second."""
    text = page(name).split(f"\n## {part}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"(?ms)^### (\S+)\n(.*?)(?=^### |\Z)", text))


def test_every_problem_of_a_host_is_on_the_page_in_its_order():
    assert list(sections("troubleshooting.md", "Problems of a host")) == CODES


def test_every_problem_of_the_cluster_is_on_the_page():
    # A loop is the same problem as seen by one of its hosts.
    told = sections("troubleshooting.md", "Problems of the cluster")
    assert [*told, "loop"] == [code for code in CLUSTER if code != "loop"] + ["loop"]


@pytest.mark.parametrize("part", ["Problems of a host", "Problems of the cluster"])
def test_each_problem_says_what_it_means_how_to_confirm_it_and_how_to_fix_it(part):
    for code, text in sections("troubleshooting.md", part).items():
        assert re.findall(r"(?m)^\*\*(\w+)\.\*\* \S", text) == ["Meaning", "Confirm", "Fix"], code


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_function_state_and_page_that_is_named_exists(path):
    """The commands and links on a page."""
    text = path.read_text()
    runners = set(re.findall(r"^def ([a-z]\w+)", (ROOT / "_runners/ntpcluster.py").read_text(), re.MULTILINE))
    for name in re.findall(r"\bntpcluster\.([a-z_]+)\b(?!\.)", text):
        assert name in {*FACE, *runners, "git", "prom", "conf", "json", "py"}, name
    for name in re.findall(r"state\.apply ntp\.([a-z]+)", text):
        assert (ROOT / f"salt/ntp/{name}.sls").exists(), name
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (path.parent / target).exists(), target


def test_the_states_of_the_page_are_those_of_the_tree():
    told = re.findall(r"`([a-z]+(?:-[a-z]+)+)`", page("troubleshooting.md").split("## An apply fails")[1])
    tree = "".join(path.read_text() for path in (ROOT / "salt/ntp").glob("*.sls"))
    assert told and all(f"\n{name}:\n" in tree for name in told), told


def test_the_directives_on_the_security_page_are_in_the_configuration():
    """The directives that keep strangers out of both daemons."""
    ntp, chrony = [(ROOT / f"salt/ntp/files/{name}.conf.jinja").read_text() for name in ("ntp", "chrony")]
    lines = (ROOT / "_modules/ntpcluster_ntpd_conf.py").read_text()
    assert "limited" in lines and "kod" in lines and "restrict" in ntp
    assert "ratelimit" in (ROOT / "_modules/ntpcluster_chrony_conf.py").read_text() and "cmdallow" not in chrony
    for entry in yaml.safe_load((ROOT / "salt/ntp/platforms.yaml").read_text()).values():
        grammar = entry["daemons"].get("ntpd", {}).get("grammar")
        assert grammar is None or {"noquery", "nomodify"} <= set(grammar["refuse"].split())


def test_the_names_on_the_upgrading_page_exist():
    text = page("upgrading.md")
    for path in ("CHANGELOG.md", "salt/ntp/modules.sha256"):
        assert path in text and (ROOT / path).exists()
    kept = MODULES["ntpcluster_origin"]
    assert kept.STORE in text and kept.PROVEN in text
