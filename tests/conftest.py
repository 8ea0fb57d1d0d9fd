"""How the tests share the machine: each lab is one group, and groups run side by side."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one file run in their order on one lab; a file that is run on both kinds of host has two."""
    for item in items:
        kind = getattr(item, "callspec", None) and item.callspec.params.get("host")
        group = f"{item.path.stem}-{kind}" if kind else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))
