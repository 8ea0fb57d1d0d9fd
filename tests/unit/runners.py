"""
The runners for the unit tests, wired as Salt's loader wires them: a call names the file and the function.

A stand-in for `salt.loader.runner`, which the functional tests use. Differences: `__opts__` is empty, and every function of a
file is accessible.
"""

from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "_runners"
FILES = {path.stem: import_module(f"_runners.{path.stem}") for path in sorted(FOLDER.glob("ntpcluster*.py"))}
TABLE = {
    f"{name}.{function}": getattr(file, function)
    for name, file in FILES.items()
    for function in getattr(file, "__load__", ())
}
for file in FILES.values():
    file.__salt__, file.__opts__ = TABLE, {}
