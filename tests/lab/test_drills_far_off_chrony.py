"""The drills of `test_drills_far_off.py` on a host whose daemon is chronyd; a file of its own, to run beside the others."""

from __future__ import annotations

import pytest

from tests.lab.test_drills_far_off import *  # noqa: F403


@pytest.fixture(scope="module")
def kind():
    return "el9"
