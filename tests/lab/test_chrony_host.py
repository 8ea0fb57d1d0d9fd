"""A host whose daemon is chronyd: deployed, judged and stepped as one with ntpd."""

from __future__ import annotations

import time

import pytest

from tests.lab import solo
from tests.lab.cluster import Cluster, Role, changed, failed, ready
from tests.lab.solo import PILLAR, apply, call


@pytest.fixture(scope="module")
def host():
    ready(kinds=("el9",))
    with Cluster(master=False) as lab:
        yield solo.add(
            lab, Role("node9", "10.0.0.39", "el9"), clock=-1000.0, pillar={**PILLAR, "timezone": "Asia/Shanghai"}
        )


def test_one_apply_puts_a_wrong_clock_right_and_a_second_one_changes_nothing(host):
    began = time.monotonic()
    states = apply(host)
    print(f"applied in {time.monotonic() - began:.1f} s, clock error {host.clock_error() * 1000:+.3f} ms")
    assert failed(states) == []
    assert abs(host.clock_error()) < 0.01
    seen = call(host, "ntpcluster.status")
    assert (seen["health"], seen["problems"]) == ("ok", [])
    again = apply(host)
    assert (failed(again), changed(again)) == ([], [])
