"""The traps of `test_traps.py` on a host with chronyd: the same codes. In a separate file, so that they run in parallel."""

from __future__ import annotations

import pytest

from tests.lab.test_traps import *  # noqa: F403


@pytest.fixture(scope="module")
def kind():
    return "el9"
