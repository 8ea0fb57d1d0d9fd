"""Labs for the tests. Each test module says by its fixtures which hosts it needs; a module's lab is shared by its tests."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.lab.cluster import CAST, Cluster, Role, ready

# A test run that is told to end cleans up like one that fails.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@pytest.fixture(scope="session")
def images():
    """The root file systems, built if need be."""
    ready()


@pytest.fixture(scope="module")
def lab(images):
    """An empty lab without a master: `lab.add(...)` brings hosts up, `salt-call --local` drives them."""
    with Cluster(master=False) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def el6(lab):
    """One el6 host, its clock right."""
    return lab.add(Role("face", "10.0.0.6", "el6"))


@pytest.fixture(scope="module")
def modern(lab):
    """One modern host, its clock right."""
    return lab.add(Role("modern", "10.0.0.12", "modern"))


@pytest.fixture(scope="module")
def cluster(images):
    """The whole cast with its master, every clock wrong, nothing applied yet."""
    from tests.lab.demo import WRONG

    with Cluster() as running:
        for role in CAST:
            running.add(role, clock=WRONG[role.name])
        running.wait_for_minions()
        yield running
