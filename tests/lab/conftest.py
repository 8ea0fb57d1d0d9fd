"""Labs for the tests. A test module's fixtures say which hosts it needs; the tests of a module share one lab."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from tests.lab import bounds
from tests.lab.cluster import CAST, Cluster, Role, failed, ready, wait_until
from tests.lab.operating import Listener, run, view

# A test run that is terminated cleans up like one that fails.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def pytest_configure(config):
    config.addinivalue_line("markers", "beyond_the_bound(why): this drill breaks what a bound rests on")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """
    With BOUNDS_EVERY=1 all hosts of every drill are checked every second: no clock may be further off than its bound. Drills
    that violate the assumptions of the bound are excepted.
    """
    watched = bounds.WATCHED and item.path.name.startswith("test_drills_")
    if not watched or item.get_closest_marker("beyond_the_bound"):
        return (yield)
    with bounds.kept(item):
        return (yield)


def pytest_terminal_summary(terminalreporter):
    """Report the bounds observed in all drills."""
    reports = [report for each in terminalreporter.stats.values() for report in each]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    figures = [figures for report in calls for name, figures in report.user_properties if name == "bounds"]
    if figures:
        terminalreporter.write_line(f"bounds in {len(figures)} drills: {bounds.in_words(bounds.together(figures))}")


@pytest.fixture(scope="session")
def images():
    """The root file systems, built if necessary."""
    ready()


@pytest.fixture(scope="module", params=["el6", "modern"])
def kind(request):
    """The kind of host that a module's tests are about; a module for another daemon overrides this fixture."""
    return request.param


@pytest.fixture(scope="module")
def lab(images):
    """An empty lab without a master: `lab.add(...)` starts hosts, and `salt-call --local` controls them."""
    with Cluster(master=False) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def el6(lab):
    """One el6 host with a correct clock."""
    return lab.add(Role("face", "10.0.0.6", "el6"))


@pytest.fixture(scope="module")
def modern(lab):
    """One modern host with a correct clock."""
    return lab.add(Role("modern", "10.0.0.12", "modern"))


@pytest.fixture(scope="module")
def cluster(request, images):
    """The default cluster and its master with the module's MASTER_OPTIONS; every clock is wrong, nothing is applied yet."""
    from tests.lab.demo import WRONG

    with Cluster(master_options=getattr(request.module, "MASTER_OPTIONS", None)) as running:
        for role in CAST:
            running.add(role, clock=WRONG[role.name])
        running.wait_for_minions()
        yield running


@pytest.fixture(scope="module")
def first(cluster):
    """The states of the first apply on all hosts; prints how long it took."""
    began = time.monotonic()
    applied = cluster.apply()
    kinds = ", ".join(f"{name} {host.platform}" for name, host in cluster.hosts.items())
    print(f"{kinds}: first apply {time.monotonic() - began:.1f} s")
    return applied


@pytest.fixture(scope="module")
def runners(cluster):
    """The master has the runners, synced as at a site."""
    run(cluster, "saltutil.sync_runners")
    return cluster


@pytest.fixture(scope="module")
def deployed(runners):
    """The cluster after its first apply, once every client can choose between both servers."""
    assert {name: failed(states) for name, states in runners.apply().items()} == {name: [] for name in runners.hosts}
    wait_until(lambda: view(runners)["summary"]["healthy"], 180, 2)
    return runners


@pytest.fixture
def hosts(deployed):
    """The hosts, all ok before and after the test."""

    def well():
        return all(host["synchronized"] for host in view(deployed)["hosts"].values())

    wait_until(well, 90, 2)
    yield deployed.hosts
    wait_until(well, 180, 2)


@pytest.fixture(scope="module")
def listener(deployed):
    """All hosts with their beacon, which checks every two seconds."""
    # Salt on Python 2.7 times its loops by the system clock: after a backward step they pause for the length of the step.
    deployed.hosts["ntp189"].run(["service", "salt-minion", "restart"])
    deployed.wait_for_minions()
    heard = Listener(deployed.master)
    try:
        applied = deployed.master.salt(
            "*", "state.apply", "ntp.beacon", 'pillar={"ntp_beacon": {"interval": 2, "grace": 3}}'
        )
        for name, states in applied.items():
            assert all(state["result"] for state in states.values()), (name, states)
        yield heard
    finally:
        heard.process.terminate()
        heard.process.wait(20)
