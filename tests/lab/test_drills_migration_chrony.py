"""An apply that changes the daemon is killed without warning, at points spread over its whole duration; the next one succeeds.

Each run changes the daemon in the opposite direction of the run before. Nothing repairs the host between the kill and the next
apply: a package manager that the dead minion had started may still be running.
"""

from __future__ import annotations

import threading
import time

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import Cluster, changed, failed, ready, wait_until
from tests.lab.test_drills_kill import begin, course, states
from tests.lab.test_migration import KINDS, OTHER, add, alone, pillar

RUNS = 10


@pytest.fixture(scope="module", params=KINDS)
def host(request):
    """A host whose daemon has changed in both directions once: from then on each change takes the same steps."""
    ready(kinds=KINDS)
    with Cluster(master=False) as lab:
        made = add(lab, request.param)
        made.run(["service", "salt-minion", "stop"])
        assert failed(solo.apply(made)) == []
        made.daemon, made.lasts = "ntpd", {}
        for _ in range(2):
            turn(made)
            parts = list(course(made))
            made.lasts[made.daemon] = sum(seconds for _, seconds in parts)
            print(
                f"{made.platform} to {made.daemon}: " + ", ".join(f"{name} {s:.1f} s" for name, s in parts if s > 0.1)
            )
        yield made


def turn(host) -> None:
    host.daemon = OTHER[host.daemon]
    solo.set_pillar(host, pillar(host.daemon))


def killed(host, delay: float) -> str | None:
    """Kill an apply this many seconds after its beginning; returns the state that it was in, or None if it had ended."""
    run, reached = begin(host), []
    reader = threading.Thread(target=lambda: [reached.append(name) for name in states(run)])
    reader.start()
    wait_until(lambda: reached, 60, 0.01)
    time.sleep(delay)
    found = reached[-1]
    drilling.kill(*drilling.processes(host, "salt-call", "state.apply"))
    reader.join()
    return found if run.wait() != 0 else None


@pytest.mark.parametrize("number", range(RUNS))
def test_after_a_kill_the_next_apply_succeeds_with_one_daemon(host, number):
    turn(host)
    delay = host.lasts[host.daemon] * (number + 0.5) / RUNS
    victim = killed(host, delay)
    if victim is None:  # faster than the measured one
        turn(host)
        assert failed(solo.apply(host)) == []
        turn(host)
        victim = killed(host, delay / 2)
    assert victim, "no apply was killed"
    began = time.monotonic()
    done = solo.apply(host)
    print(
        f"{host.platform} to {host.daemon}: killed {delay:.1f} s after the first state, in {victim}; the next apply "
        f"({time.monotonic() - began:.1f} s) changed {changed(done)}, clock {host.clock_error() * 1000:+.2f} ms off"
    )
    assert [(one["__id__"], one["comment"]) for one in done if one["result"] is not True] == []
    alone(host, host.daemon)
    assert drilling.wrong_clock(host, 0.01) == []
    again = solo.apply(host)
    assert (failed(again), changed(again)) == ([], [])
