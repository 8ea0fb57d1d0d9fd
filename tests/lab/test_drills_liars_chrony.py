"""The drills of `test_drills_liars.py` with clients whose daemon is chronyd; a file of its own, to run beside the others."""

from __future__ import annotations

import pytest

from tests.lab.test_drills_liars import *  # noqa: F403


@pytest.fixture(scope="module")
def kind():
    return "el9"
