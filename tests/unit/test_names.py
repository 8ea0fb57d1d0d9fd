"""Every function that a docstring, a comment or a page names exists, in the file that the name says."""

import ast
import re
from pathlib import Path

from tests.loaded import FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"(?<![\w/.-])ntpcluster\w*\.[a-z_]+(?![\w/])")
#: A name with one of these endings is a file.
ENDINGS = ("py", "sls", "conf", "json", "prom", "html", "lock")


def public(folder: str) -> set[str]:
    """The functions that Salt's loader offers from the files of a directory."""
    found = set()
    for path in (ROOT / folder).glob("ntpcluster*.py"):
        body = ast.parse(path.read_text()).body
        load = [
            ast.literal_eval(one.value)
            for one in body
            if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "__load__"
        ]
        names = {one.name for one in body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")}
        found |= {f"{path.stem}.{name}" for name in (names & set(load[0]) if load else names)}
    return found


STATES, RUNNERS = public("_states"), public("_runners")


def prose(path: Path) -> str:
    """The text of a file for people: in Python the docstrings, sentences, comments and names in double backquotes."""
    text = path.read_text()
    if path.suffix != ".py":
        return text
    strings = [one.value for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Constant)]
    told = [one for one in strings if isinstance(one, str) and " " in one]
    return "\n".join([*told, *re.findall(r"#.*|``.*?``", text)])


def pages() -> list[Path]:
    globs = ("_*/ntpcluster*.py", "README.md", "docs/*.md", "etc/*", "contrib/**/*.*", "pillar/**/*.*")
    found = [path for glob in globs for path in ROOT.glob(glob) if path.is_file()]
    return found + [path for path in (ROOT / "salt").glob("[no]*/**/*.*") if path.suffix in (".sls", ".jinja", ".yaml")]


def test_every_function_that_is_named_exists():
    seen, unknown = 0, []
    for path in pages():
        for name in NAME.findall(prose(path)):
            seen += 1
            if name.rpartition(".")[2] not in ENDINGS and name not in {*FUNCTIONS, *STATES, *RUNNERS}:
                unknown.append(f"{path.relative_to(ROOT)}: {name}")
    assert unknown == []
    assert seen > 200


def test_every_state_of_an_example_is_one():
    """`ntpcluster.firewall` is a function of the modules; the state that opens a firewall has another name."""
    named = []
    for path in [*ROOT.glob("_states/*.py"), *ROOT.glob("salt/ntp/*.sls")]:
        named += re.findall(r"^ +(ntpcluster\w*\.\w+)(?::.*)?$", prose(path), re.M)
    assert len(named) > 20
    assert set(named) - STATES == set()
