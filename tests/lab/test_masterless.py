"""A checkout without a master: `salt-call` from its root, with only the Saltfile."""

from __future__ import annotations

import json

import pytest

from tests.lab.cluster import Cluster, Role, failed, in_order
from tests.lab.images import PROJECT
from tests.loaded import FACE


@pytest.fixture(scope="module", params=["el6", "modern"])
def host(request, images):
    """A host that may read the project's directory and has no other configuration for it."""
    with Cluster(master=False) as lab:
        yield lab.add(Role("ntp1", "10.0.0.40", request.param), minion={"master_type": "disable"}, show=(PROJECT,))


def from_the_root(host, *words):
    return host.run(["sh", "-c", 'cd "$0" && exec salt-call --out=json "$@"', str(PROJECT), *words], timeout=120)


def test_a_dry_run_from_the_checkout_needs_no_other_flag(host):
    done = from_the_root(host, "--local", "state.apply", "ntp", "test=True")
    states = in_order("ntp1", json.loads(done.out)["local"])
    # The project's own pillar names servers on the internet, which a host of the lab cannot resolve.
    assert failed(states) == []
    assert len([state for state in states if state["result"] is None]) >= 5
    assert host.run(["sh", "-c", "ls /etc/ntp.conf /etc/ntpsec 2>/dev/null"]).out == ""


def test_the_functions_are_available_without_a_sync(host):
    done = from_the_root(host, "ntpcluster.plan")
    plan = json.loads(done.out)["local"]
    assert (plan["tier"], plan["sources"][0]["address"]) == ("server", "0.cn.pool.ntp.org")


def test_the_manual_is_complete(host):
    """Every public function has a description and a CLI example."""
    manual = json.loads(from_the_root(host, "sys.doc", "ntpcluster").out)["local"]
    assert sorted(manual) == sorted(f"ntpcluster.{function}" for function in FACE)
    for function, text in manual.items():
        assert "CLI Example" in text, function
    for function in ("status", "peers", "query", "step", "hwclock", "systohc", "diagnose", "plan", "validate"):
        assert "Returns" in manual[f"ntpcluster.{function}"], function


def test_the_checkout_is_not_changed(host):
    assert not (PROJECT / "etc" / "minion_id").exists()
