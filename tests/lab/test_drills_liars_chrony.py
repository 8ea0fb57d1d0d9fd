"""The drills of `test_drills_liars.py` with chronyd on the clients; in a separate file, so that they run in parallel."""

from __future__ import annotations

import pytest

from tests.lab.test_drills_liars import *  # noqa: F403


@pytest.fixture(scope="module")
def kind():
    return "el9"
