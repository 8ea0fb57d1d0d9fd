"""The execution modules as Salt's loader would offer them to each other, for tests without a loader.

Each module gets the real functions of the others as its `__salt__`. Differences from the loader: a module is imported once for
all tests, and has no `__opts__`, `__grains__`, `__pillar__`, `__context__` and none of Salt's own modules, unless a test
provides them.
"""

import importlib
import inspect
from pathlib import Path

#: All functions that people and scripts call, in Salt's order.
FACE = [
    "bound", "diagnose", "firewall", "hwclock", "move", "new_key", "peers", "plan", "query", "status", "step", "summary",
    "synchronized", "systohc", "validate", "variables", "version",
]  # fmt: skip

MODULES = {
    path.stem: importlib.import_module(f"_modules.{path.stem}")
    for path in sorted(Path(__file__).resolve().parents[1].glob("_modules/ntpcluster*.py"))
}


def offered(module) -> dict:
    """The functions that the loader would take from this module: {name: function}."""
    found = {
        name: one for name, one in vars(module).items() if inspect.isfunction(one) and one.__module__ == module.__name__
    }
    return {name: found[name] for name in getattr(module, "__load__", found) if not name.startswith("_")}


FUNCTIONS = {
    f"{stem}.{name}": function for stem, module in MODULES.items() for name, function in offered(module).items()
}

for module in MODULES.values():
    module.__salt__ = FUNCTIONS
