"""The drills of `test_drills_kill.py` on a host with chronyd; in a separate file, so that they run in parallel."""

from __future__ import annotations

import pytest

from tests.lab.test_drills_kill import *  # noqa: F403


@pytest.fixture(scope="module")
def kind():
    return "el9"
