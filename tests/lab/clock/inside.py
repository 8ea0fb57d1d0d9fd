"""Run programs as in a lab host: with its clock, but with the machine's own files and network.

This is enough to test the clock itself; the driver makes hosts with their own root and network.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time

import pytest

from .clock import LIBRARY

# No program may have the right to set the machine's clock: a gap in the library must end in EPERM.
POWERLESS = "setpriv --bounding-set=-sys_time --inh-caps=-all"


def build():
    """Build the library, or say what is missing."""
    if os.geteuid() != 0:
        pytest.fail("the lab needs root: it mounts and makes namespaces", pytrace=False)
    for tool in ("gcc", "make", "readelf", "unshare", "setpriv"):
        if not shutil.which(tool):
            pytest.fail(f"{tool} is missing: apt-get install gcc make libc6-dev binutils util-linux", pytrace=False)
    subprocess.run(["flock", str(LIBRARY.parent / "Makefile"), "make", "-s", "-C", str(LIBRARY.parent)], check=True)


@contextlib.contextmanager
def machine_clock_unmoved():
    """Assert that the machine's clock is not changed meanwhile."""

    def ahead():
        return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC_RAW)

    start, before = time.monotonic(), ahead()
    yield
    # The machine's own NTP may be slewing it, by 500 ppm at most.
    assert abs(ahead() - before) < 0.001 + (time.monotonic() - start) * 500e-6


def in_host(state, *argv):
    """The command line that runs a program in a host with this state file, or (None) without one."""
    bind = f": > /run/labclock && mount --bind '{state}' /run/labclock && " if state else ""
    script = f'mount -t tmpfs lab /run && {bind}exec {POWERLESS} env LD_PRELOAD="$0" LC_ALL=C TZ=UTC "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(LIBRARY), *argv]


def run(state, *argv):
    return subprocess.run(in_host(state, *argv), check=False, capture_output=True, text=True, timeout=30)


def program(text):
    """A Python program for a host, with the calls of libc.py at hand; it leaves its answer in `result`."""
    head = f"import json, os, random, signal, socket, sys, time; sys.path.insert(0, {str(LIBRARY.parent)!r})\n"
    body = "from libc import *\nresult = None\n" + textwrap.dedent(text) + "\nprint(json.dumps(result))"
    return [sys.executable, "-S", "-c", head + body]  # -S: sites are slow to load, and none is needed


def python(state, text):
    """What such a program answers."""
    done = run(state, *program(text))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
