"""Virtual machines for the tests. By default only the smoke scenario runs; `make e2e` sets E2E=1 and runs all."""

from __future__ import annotations

import os
import shutil
import signal
import sys

import pytest

from tests.lab.cluster import require_root

# A test run that is terminated cleans up like one that fails.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

NEEDED = ("qemu-system-x86_64", "qemu-img", "mkfs.ext4")


def pytest_collection_modifyitems(config, items):
    if os.environ.get("E2E"):
        return
    long = [
        item for item in items if item.path.parent == config.rootpath / "tests" / "e2e" and "smoke" not in item.name
    ]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)


@pytest.fixture(scope="session")
def machines():
    """The golden machines, built if necessary."""
    missing = [program for program in NEEDED if not shutil.which(program)]
    if missing:
        leave = pytest.fail if os.environ.get("E2E") else pytest.skip
        leave(
            f"no virtual machines here: {', '.join(missing)} not found (Debian: qemu-system-x86, qemu-utils, e2fsprogs)"
        )
    require_root()
    from tests.e2e import images

    images.ensure()
