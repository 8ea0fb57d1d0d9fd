"""A first deployment: four hosts with wrong clocks, one master, one `state.apply ntp`.

The tests of this file use one cluster and depend on their order.
"""

from __future__ import annotations

import hashlib
import time

import pytest

from tests.lab.cluster import PILLAR, changed, failed, wait_until
from tests.lab.demo import WRONG
from tests.loaded import FACE

#: Written by Salt, or by rpm, yum and apt even when they only query.
NOT_OURS = ("var/cache/", "var/log/", "var/run/", "etc/salt/pki/", "root/", "tmp/", "var/lib/dnf/", "var/lib/apt/lists/",
            "var/lib/rpm/.dbenv.lock", "var/lib/rpm/__db")  # fmt: skip


def disk(host) -> dict[str, str]:
    """The files on a host's disk that are not in its image: a digest for each, without caches and logs."""
    upper = host.folder / "upper"
    found = {}
    for path in upper.rglob("*"):
        name = str(path.relative_to(upper))
        if name.startswith(NOT_OURS) or path.is_dir():
            continue
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "special"
    return found


@pytest.fixture(scope="module")
def predicted(cluster):
    """What test=True returns before the first apply, and the state of the disks before and after."""
    before = {name: disk(host) for name, host in cluster.hosts.items()}
    applied = cluster.apply("*", "test=True")
    after = {name: disk(host) for name, host in cluster.hosts.items()}
    return before, applied, after


@pytest.fixture(scope="module")
def first(cluster, predicted):
    """The first real apply, and the seconds that it took."""
    start = time.monotonic()
    applied = cluster.apply()
    print(f"state.apply to the last host's sync: {time.monotonic() - start:.1f} s")
    return applied


def test_clocks_are_wrong_and_the_minions_answer_nevertheless(cluster):
    for name, host in cluster.hosts.items():
        assert host.clock_error() == pytest.approx(WRONG[name], abs=1)
    assert cluster.master.salt("*", "test.ping") == dict.fromkeys(cluster.hosts, True)


def test_both_platforms_are_what_they_claim_to_be(cluster):
    grains = cluster.master.salt("*", "grains.item", "osfinger", "saltversion", "pythonversion")
    for name in ("ntp189", "node148"):
        assert grains[name]["osfinger"] == "CentOS-6"
        assert grains[name]["saltversion"] == "3000.9"
        assert grains[name]["pythonversion"][:2] == [2, 7]
    for name in ("ntp180", "node149"):
        assert grains[name]["osfinger"] == "Debian-12"
        assert grains[name]["pythonversion"][0] == 3


def test_a_dry_run_on_fresh_minions_fails_nothing_and_changes_nothing(cluster, predicted):
    before, applied, after = predicted
    assert {name: failed(states) for name, states in applied.items()} == {name: [] for name in cluster.hosts}
    assert {name: set(before[name].items()) ^ set(after[name].items()) for name in before} == dict.fromkeys(
        before, set()
    )
    for name, host in cluster.hosts.items():
        assert host.clock_error() == pytest.approx(WRONG[name], abs=1)
        assert host.time.counters["steps"] == 0


def test_one_apply_corrects_every_host(cluster, first):
    assert {name: failed(states) for name, states in first.items()} == {name: [] for name in cluster.hosts}
    for name, host in cluster.hosts.items():
        assert abs(host.clock_error()) < 0.1, name
        assert abs(host.rtc_error()) < 2, name
        assert host.time.counters["steps"] == 1, name
        # A write that missed its second is repeated.
        assert 1 <= host.time.counters["rtc_sets"] <= 3, name


def test_the_dry_run_had_named_exactly_the_states_that_changed(predicted, first):
    for name, states in predicted[1].items():
        would = {state["__id__"] for state in states if state["result"] is None}
        assert would == set(changed(first[name])), name


def test_every_host_follows_its_own_tier(cluster, first):
    status = cluster.master.salt("*", "ntpcluster.status")
    servers = PILLAR["tiers"]["server"]
    for name, seen in status.items():
        tier = "server" if name.startswith("ntp") else "client"
        assert (seen["tier"], seen["health"], seen["synchronized"]) == (tier, "ok", True), seen["problems"]
        assert seen["source"] in (servers["sources"] if tier == "server" else servers["addresses"])
        assert seen["stratum"] == seen["expected_stratum"] == (2 if tier == "server" else 3)
        assert len(seen["peers"]) == 2
    for name, line in cluster.master.salt("*", "ntpcluster.summary").items():
        assert line.startswith(f"ok, follows {status[name]['source']}, stratum {status[name]['stratum']}, offset "), (
            line
        )


def test_a_second_apply_changes_nothing(cluster, first):
    again = cluster.apply()
    assert {name: (changed(s), failed(s)) for name, s in again.items()} == {name: ([], []) for name in cluster.hosts}
    for host in cluster.hosts.values():
        assert host.time.counters["steps"] == 1


def test_only_clients_get_through_the_firewall(cluster, first):
    rules = cluster.hosts["ntp189"].run(["iptables-save", "-t", "filter"]).check().out
    ours = [line.strip() for line in rules.splitlines() if "--dport 123" in line]
    assert len(ours) == 1 and ours[0].startswith("-A INPUT -s 10.0.0.0/24 -p udp")
    assert rules.index("--dport 123") < rules.index("-j REJECT")
    assert "--dport 123" in cluster.hosts["ntp189"].read("/etc/sysconfig/iptables")
    assert "--dport 123" not in cluster.hosts["node148"].run(["iptables-save"]).check().out


def test_a_minion_cannot_read_the_pillar_of_others_through_the_file_server(cluster):
    for name in ("node148", "node149"):
        listed = cluster.master.salt(name, "cp.list_master")[name]
        assert "ntp/init.sls" in listed
        assert not [path for path in listed if "pillar" in path]
        for path in (
            "salt://pillar/ntp/init.sls",
            "salt://../pillar/ntp/init.sls",
            "salt://_modules/../../pillar/top.sls",
        ):
            assert cluster.master.salt(name, "cp.get_file_str", path)[name] in (False, "", None), path


def test_every_minion_has_exactly_the_public_functions(cluster, first):
    for name, functions in cluster.master.salt("*", "sys.list_functions", "ntpcluster").items():
        assert functions == [f"ntpcluster.{function}" for function in FACE], name


def test_nobody_can_run_a_program_through_an_internal_function(cluster, first):
    """Users who may call `ntpcluster.*` on a master that reads this as a regular expression may call these as well."""
    words = ("sh", "x", "['-c', 'touch /made']")
    for name, said in cluster.master.salt("*", "ntpcluster_program.run", *words).items():
        assert "ntpcluster_program.run is internal to ntpcluster" in str(said), name
    for name, host in cluster.hosts.items():
        done = host.run(["salt-call", "ntpcluster_program.run", *words], timeout=120)
        assert "is internal to ntpcluster" in done.out + done.err, name
        assert host.run(["test", "-e", "/made"]).rc != 0, name


def test_an_el6_server_is_right_again_by_itself_after_a_power_cut(cluster, first):
    host = cluster.hosts["ntp189"]
    host.reboot(clean=False)
    wait_until(lambda: "is running" in host.run(["service", "ntpd", "status"]).out, 20)
    seen = host.run(["salt-call", "--out=json", "ntpcluster.synchronized", "timeout=60"], timeout=120).check()
    assert '"synchronized": true' in seen.out
    assert abs(host.clock_error()) < 0.1
    assert "--dport 123" in host.run(["iptables-save"]).check().out
