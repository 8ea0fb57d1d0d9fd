"""The maximum length of a file and of a function without its docstring; and no repeated lines."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES, TEST_LINES, FUNCTION_LINES, SAME_LINES = 500, 600, 50, 6
KINDS = ("beacons", "modules", "runners", "states")
FILES = sorted(path for kind in KINDS for path in ROOT.glob(f"_{kind}/*.py"))


def functions(text):
    """{name: lines without the docstring} of every function of a file, those inside others and in classes too."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            told = node.body[0] if ast.get_docstring(node) is not None else None
            docstring = told.end_lineno - told.lineno + 1 if told else 0
            found[f"{node.name}, line {node.lineno}"] = node.end_lineno - node.lineno + 1 - docstring
    return found


def test_no_file_of_the_tests_is_too_long():
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in ROOT.glob("tests/**/*.py")}
    assert {path: number for path, number in lines.items() if number > TEST_LINES} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_file_and_no_function_is_too_long(path):
    text = path.read_text()
    assert len(text.splitlines()) <= FILE_LINES
    assert {name: lines for name, lines in functions(text).items() if lines > FUNCTION_LINES} == {}


def repeated(texts):
    """The places, as name and line number, where lines begin that also occur elsewhere; blank lines do not count."""
    places = {}
    for name, text in texts.items():
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        for first in range(len(lines) - SAME_LINES + 1):
            run = lines[first : first + SAME_LINES]
            places.setdefault(tuple(line for _, line in run), []).append(f"{name}:{run[0][0]}")
    return [found for found in places.values() if len(found) > 1]


def test_no_six_lines_are_repeated():
    assert repeated({f"{path.parent.name}/{path.name}": path.read_text() for path in FILES}) == []


def test_duplicated_lines_are_found_across_blank_lines_and_at_any_indent():
    lines = [f"line {number}" for number in range(6)]
    texts = {"a": "\n".join(lines), "b": "\n".join(["other", "", *(f"  {line}\n" for line in lines)])}
    assert repeated(texts) == [["a:1", "b:3"]]
    assert repeated({**texts, "b": texts["b"].replace("line 3", "another")}) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_two_functions_of_one_place_have_one_name(path):
    """Python silently keeps the later one of two."""
    tree = ast.parse(path.read_text())
    for place in [tree] + [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        names = [node.name for node in place.body if isinstance(node, ast.FunctionDef)]
        assert sorted(set(names)) == sorted(names)


def test_a_docstring_does_not_count_and_a_function_inside_does():
    text = 'def outer():\n    """\n    Says.\n    """\n    def inner():\n        return 1\n    return inner\n'
    assert functions(text) == {"outer, line 1": 4, "inner, line 5": 2}
