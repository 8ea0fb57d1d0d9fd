"""The traps of `test_traps.py` on a host whose daemon is chronyd: the same codes. A file of its own, to run beside the others."""

from __future__ import annotations

import pytest

from tests.lab.test_traps import *  # noqa: F403


@pytest.fixture(scope="module")
def kind():
    return "el9"
