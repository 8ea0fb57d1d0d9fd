"""Which file may call which: the picture in docs/architecture.md, compared with every call in the product."""

import ast
import re
from pathlib import Path

import pytest

from tests.loaded import FACE, FUNCTIONS, MODULES

ROOT = Path(__file__).resolve().parents[2]
CALL = re.compile(r"""__salt__\[\s*["'](ntpcluster\w*)\.\w+["']""")


def layers() -> list[list[str]]:
    """The layers of the picture, top first, as file names without `ntpcluster_`."""
    picture = (ROOT / "docs/architecture.md").read_text().split("```")[1]
    rows = []
    for line in picture.strip("\n").splitlines():
        name, words = line[:12].strip(), re.sub(r"\([^)]*\)", "", line[12:]).split()
        if name:
            rows.append([])
        rows[-1] += words
    return rows


def calls() -> dict[str, set[str]]:
    """For each file, the modules that it calls, by their names in the picture."""
    found = {}
    for folder in ("_modules", "_states", "_beacons"):
        for path in (ROOT / folder).glob("ntpcluster*.py"):
            name = path.stem.removeprefix("ntpcluster_") if folder == "_modules" else f"{folder}/{path.stem}"
            targets = {target.removeprefix("ntpcluster_") for target in CALL.findall(path.read_text())}
            found[name] = targets - {name}
    return found


def faults(calls, layers) -> list[str]:
    """Every call that the picture does not allow, every cycle, and every file that is not in the picture."""
    level = {name: number for number, row in enumerate(layers) for name in row}
    for name in calls:
        if "/" in name:
            level[name] = level[name.split("/")[0] + "/*"]
    said = [f"{name} is not in the picture" for name in calls if name not in level]
    said += [f"{name} of the picture does not exist" for name in level if name not in calls and not name.endswith("/*")]
    for name, targets in calls.items():
        said += [f"{name} calls {target}, upwards" for target in targets if level.get(target, 99) < level.get(name, 0)]
        said += [f"{name} calls {target}, which is in no layer" for target in targets if target not in level]

    def walk(way):
        for target in calls.get(way[-1], ()):
            if target in way:
                said.append("a circle: " + " > ".join([*way[way.index(target) :], target]))
            else:
                walk([*way, target])

    for name in calls:
        walk([name])
    return sorted(set(said))


def test_no_call_goes_upwards_or_in_a_cycle():
    assert len(calls()) > 30 and sum(len(targets) for targets in calls().values()) > 60
    assert faults(calls(), layers()) == []


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("program", "status", "program calls status, upwards"),
        ("process", "status", "a circle: process > status > process"),
        ("judge", "_states/ntpcluster", "judge calls _states/ntpcluster, upwards"),
        ("judge", "nobody", "judge calls nobody, which is in no layer"),
    ],
)
def test_a_call_that_is_not_allowed_is_detected(name, target, said):
    made = calls()
    made[name] = made[name] | {target}
    assert said in faults(made, layers())


def test_a_file_that_is_not_in_the_picture_is_detected():
    assert "openntpd is not in the picture" in faults({**calls(), "openntpd": set()}, layers())


#: What a pure file may import: nothing that reads a clock, a file, a process or random numbers.
PURE = [
    "__future__", "binascii", "collections", "copy", "datetime", "difflib", "ipaddress", "json", "math", "numbers", "re",
    "calendar", "socket", "zlib", "salt.exceptions", "salt._compat", "salt.utils.data", "salt.utils.stringutils",
]  # fmt: skip
#: What it may use from modules that are not pure.
SOME = {"socket": r"inet_\w+|AF_\w+|error", "datetime": r"datetime|timedelta"}


def impure(text: str) -> list[str]:
    """What makes a file impure."""
    tree, found = ast.parse(text), []
    for one in ast.walk(tree):
        if isinstance(one, ast.Import):
            found += [alias.name for alias in one.names if alias.name not in PURE]
        elif isinstance(one, ast.ImportFrom) and one.module not in PURE:
            found.append(one.module)
        elif isinstance(one, ast.Name) and one.id in ("open", "__opts__", "__grains__", "__pillar__", "__context__"):
            found.append(one.id)
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id in SOME:
            found += [] if re.fullmatch(SOME[one.value.id], one.attr) else [ast.unparse(one)]
        elif isinstance(one, ast.Attribute) and one.attr in ("now", "utcnow", "today"):
            found.append(ast.unparse(one))
    return found + re.findall(r"""__salt__\[\s*["'](?!ntpcluster)[\w.]+""", text)


@pytest.mark.parametrize("name", layers()[-1])
def test_a_pure_file_computes_from_its_arguments_alone(name):
    assert impure((ROOT / f"_modules/ntpcluster_{name}.py").read_text()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os", "os"),
        ("from salt.utils.files import fopen", "salt.utils.files"),
        ("open('/etc/ntp.conf')", "open"),
        ("__grains__['id']", "__grains__"),
        ("socket.gethostbyname(name)", "socket.gethostbyname"),
        ("datetime.datetime.utcnow()", "datetime.datetime.utcnow"),
        ("__salt__['cmd.run']('date')", "__salt__['cmd.run"),
    ],
)
def test_a_file_that_is_not_pure_is_detected(text, said):
    assert impure(text) == [said]


def test_every_call_names_its_function():
    """This test would not see a call through a variable; the functions of a daemon are the exception and have their own
    test."""
    for folder in ("_modules", "_states", "_beacons", "_runners"):
        for path in (ROOT / folder).glob("ntpcluster*.py"):
            other = re.findall(
                r"""(?<!in )__salt__(?!\[\s*["']|\[doing\]).*|__salt__\[[^]]*\belse ["']ntpcluster.*""",
                path.read_text(),
            )
            assert other == [], path


@pytest.mark.parametrize("daemon", ["chrony", "ntpd"])
@pytest.mark.parametrize("what", ["configuration", "foreign", "files", "frequency", "drift", "look", "jump", "crontab"])
def test_every_daemon_does_what_is_asked_of_one(daemon, what):
    name = FUNCTIONS["ntpcluster_daemon.doing"]({"daemon": daemon}, what)
    assert daemon in name and name in FUNCTIONS
    # And no other file depends on which daemon it is.
    for path in (ROOT / "_modules").glob("ntpcluster*.py"):
        words = "\n".join(line for line in path.read_text().splitlines() if "method" not in line)
        if path.stem not in ("ntpcluster_daemon", "ntpcluster_rules", "ntpcluster_status"):
            assert not re.search(r"""["'](ntpd|chrony)["']\s*(==|in\b)|(==|\bin)\s*["'](ntpd|chrony)["']""", words), (
                path
            )


@pytest.mark.parametrize(("what", "does", "lacks"), [("fault", "chrony", "ntpd"), ("variables", "ntpd", "chrony")])
def test_a_function_that_a_daemon_lacks_does_not_load_all_modules_of_salt(what, does, lacks):
    doing = FUNCTIONS["ntpcluster_daemon.doing"]
    assert doing({"daemon": does}, what) in FUNCTIONS
    assert doing({"daemon": lacks}, what) is None
    assert f"ntpcluster_{lacks}.{what}" not in FUNCTIONS
    # If the loader is asked for a missing name, it loads all of Salt's modules. So a state module asks for an existing one.
    for path in (ROOT / "_modules").glob("ntpcluster*.py"):
        assert not re.search(r"\bin __salt__\b(?!\[)", path.read_text()), path


def test_every_template_finds_its_function():
    named = []
    for path in (ROOT / "salt").glob("[no]*/**/*.*"):
        if path.suffix in (".sls", ".jinja"):
            named += re.findall(r"""salt\[\s*["'](ntpcluster[\w.]*)["']|salt\.(ntpcluster\w*\.\w+)""", path.read_text())
    assert len(named) > 5
    assert {first or second for first, second in named} - set(FUNCTIONS) == set()


def test_the_runners_do_not_call_each_other_in_a_cycle():
    made = {
        path.stem: set(CALL.findall(path.read_text())) - {path.stem} for path in ROOT.glob("_runners/ntpcluster*.py")
    }
    assert sum(map(len, made.values())) > 8
    assert faults(made, [["ntpcluster"], [name for name in made if name != "ntpcluster"]]) == []


def test_no_file_imports_another_one_of_the_tree():
    """On a minion that has just got new code, an import can find the old file."""
    for folder in ("_modules", "_states", "_beacons"):
        for path in (ROOT / folder).glob("*.py"):
            assert not re.search(r"^\s*(from|import)\s+\.?_?(ntpcluster|modules|states)", path.read_text(), re.M), path


def test_every_call_finds_a_function():
    for folder in ("_modules", "_states", "_beacons"):
        for path in (ROOT / folder).glob("*.py"):
            for name in re.findall(r"""__salt__\[\s*["'](ntpcluster[\w.]*)["']""", path.read_text()):
                assert name in FUNCTIONS, f"{path.name}: {name}"


def test_every_file_states_its_own_name_and_the_public_one_its_functions():
    """Otherwise a minion that has loaded the code of 0.1.0 keeps using the name that all files had there."""
    for stem, module in MODULES.items():
        assert module.__virtualname__ == stem
    for path in (ROOT / "_states").glob("ntpcluster*.py"):
        assert f'\n__virtualname__ = "{path.stem}"\n' in path.read_text(), path
    assert MODULES["ntpcluster"].__load__ == FACE


def asks_for_a_daemon(path):
    """Lines that compare something with a daemon's name, or build a function's name from one."""
    names = {"ntpd", "chrony"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            constants = [part for part in ast.walk(node) if isinstance(part, ast.Constant)]
            if any(part.value in names for part in constants):
                yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            text = node.func.value
            words = [part for argument in node.args for part in ast.walk(argument) if isinstance(part, ast.Constant)]
            of_module = isinstance(text, ast.Constant) and str(text.value).startswith("ntpcluster_{")
            if of_module and any(word.value == "daemon" for word in words):
                yield node.lineno


def test_one_place_chooses_between_the_daemons():
    files = [path for kind in ("modules", "states", "beacons", "runners") for path in (ROOT / f"_{kind}").glob("*.py")]
    found = {path.name: list(asks_for_a_daemon(path)) for path in files}
    assert {name for name, lines in found.items() if lines} == {"ntpcluster_daemon.py"}


@pytest.mark.parametrize(
    "line", ['x = plan["daemon"] == "chrony"', 'x = "ntpcluster_{0}.look".format(platform["daemon"])']
)
def test_a_second_place_would_be_found(tmp_path, line):
    path = tmp_path / "other.py"
    path.write_text(line)
    assert list(asks_for_a_daemon(path)) == [1]
