"""The first source after a daemon's start: one of three servers is wrong by 3 s, as the first, the second or the last of the
list, while a daemon starts, after a restart and after a boot. It must not move a correct clock. Hosts with ntpd, ntpsec and
chrony.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import INTERNET, Cluster, Role, failed, ready, wait_until
from tests.lab.drilling import Watch, follows, sources
from tests.lab.solo import PILLAR
from tests.lab.upstream import Upstream

LIAR = "10.0.0.11"
HONEST = INTERNET[:2]
PLACES = {"first": [LIAR, *HONEST], "second": [HONEST[0], LIAR, HONEST[1]], "last": [*HONEST, LIAR]}
#: The accuracy of a clock that is set from the hardware clock at boot: that has whole seconds, and a busy machine reads it late
#: (0.99 s was seen). The false server would move it by 3 s.
BOOTED_S = 1.5


@pytest.fixture(scope="module", params=["el6", "modern", "el9"])
def lab(request):
    ready(kinds=(request.param,))
    with Cluster(master=False) as running:
        liar = Upstream(running.network, "liar", [LIAR], running.folder / "liar")
        running.closing.callback(liar.close)
        running.internet.behave(stratum=2, refid="10.9.9.9")
        for number, (place, asked) in enumerate(PLACES.items()):
            pillar = {**PILLAR, "tiers": {"client": {"match": "*", "sources": sources(*asked)}}}
            made = solo.add(running, Role(place, f"10.0.0.{20 + number}", request.param), pillar=pillar)
            drilling.no_firewall(made)
        with ThreadPoolExecutor(3) as pool:
            applied = list(pool.map(solo.apply, running.hosts.values()))
        assert [failed(states) for states in applied] == [[]] * 3
        liar.behave(offset=3.0, stratum=1)
        yield running


@pytest.mark.parametrize("how", ["restart", "boot"])
def test_a_false_server_moves_no_clock_at_any_position_in_the_list(lab, how):
    hosts = list(lab.hosts.values())
    for made in hosts:
        if how == "boot":
            made.set_rtc(0.0)
            made.reboot()
        else:
            drilling.service(made, "restart").check()
    steps = [made.time.counters["steps"] for made in hosts]
    with Watch(*hosts) as watch:
        for made in hosts:
            wait_until(lambda made=made: follows(made) in HONEST, 90, 1)
            wait_until(lambda made=made: drilling.table(made).get(LIAR, " ")[0] == "x", 90, 1)
    for made in hosts:
        worst = max(abs(error) for error in watch.errors[made.name])
        print(f"{made.platform}, {made.name} of three lies, {how}: at most {worst * 1000:.1f} ms off")
        assert worst < BOOTED_S, made.name
        assert how == "boot" or watch.moved(made) < drilling.STILL_S, made.name
    if how == "restart":
        assert [made.time.counters["steps"] for made in hosts] == steps
