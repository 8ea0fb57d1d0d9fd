"""The cluster seen from its master: the tree, the check, the report, and faults that no single host can detect."""

from __future__ import annotations

import re

import pytest

from tests.lab.cluster import PILLAR, wait_until
from tests.lab.operating import codes, following, found, run, services, view


def test_the_tree_shows_each_client_below_its_server_and_the_check_is_ok(deployed):
    done = deployed.master.run("salt-run", "-l", "error", "ntpcluster.tree")
    print(done.stdout)
    rows = {
        line.split()[1] if line[0] in "├└│" else line.split()[0]: line for line in done.stdout.splitlines()[3:] if line
    }
    assert set(rows) == set(deployed.hosts)
    assert all(line[0] in "├└" for name, line in rows.items() if name.startswith("node"))
    done = deployed.master.run("salt-run", "-l", "error", "ntpcluster.check")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("NTP OK: 4 of 4 hosts synchronized")


def test_watch_draws_as_often_as_requested(deployed):
    done = deployed.master.run("salt-run", "-l", "error", "ntpcluster.watch", "interval=1", "count=2")
    assert done.stdout.count("4 of 4 hosts synchronized") == 2


def test_a_host_that_is_cut_off_is_silent_in_the_view(deployed):
    deployed.hosts["node149"].cut()
    try:
        found = codes(deployed, "timeout=5")
    finally:
        deployed.hosts["node149"].cut(mend=True)
    assert found["silent"]["hosts"] == ["node149"]
    deployed.wait_for_minions()


def test_the_report_is_written_by_its_runner_with_every_host_in_it(deployed, tmp_path):
    written, code = run(deployed, "ntpcluster.report", f"path={tmp_path}/ntp.html")
    page = (tmp_path / "ntp.html").read_text(encoding="utf-8")
    assert code == 0 and written["hosts"] == 4 and written["bytes"] == len(page.encode())
    assert all(name in page for name in deployed.hosts)


def test_a_client_that_follows_another_client_is_found(deployed, hosts):
    with following(hosts["node149"], "10.0.0.180"), following(hosts["node148"], "10.0.0.149"):
        problem = found(deployed, "outside-tier")
    assert problem["hosts"] == ["node148"]
    assert problem["message"] == "node148 follows node149 of tier client, not tier server"


def test_hosts_that_follow_each_other_in_a_loop_are_found(deployed, hosts):
    """Three hosts: a daemon refuses a server that follows it directly, but cannot detect a longer loop."""
    with (
        following(hosts["ntp189"], "10.0.0.1", "10.0.0.180 prefer"),
        following(hosts["node149"], "10.0.0.189"),
        following(hosts["ntp180"], "10.0.0.149"),
    ):
        problem = found(deployed, "loop", 300)
    assert problem["hosts"] == ["node149", "ntp180", "ntp189"]


def test_two_servers_that_disagree_are_found_with_the_difference(deployed, hosts):
    deployed.internet.behave("10.0.0.1", offset=0.5)
    try:
        with following(hosts["ntp180"], "10.0.0.1", clock=0.5), following(hosts["ntp189"], "10.0.0.2"):
            for name in ("node148", "node149"):
                services(hosts[name], "restart")
            problem = found(deployed, "disagreement")
    finally:
        deployed.internet.behave()
        for name in ("node148", "node149"):
            hosts[name].set_clock(0.0)
            services(hosts[name], "restart")
    assert problem["hosts"] == ["ntp180", "ntp189"]
    ahead = re.match(r"ntp180 is ([0-9.]+) ms ahead of ntp189 \(known to within ([0-9.]+) ms", problem["message"])
    assert float(ahead[1]) == pytest.approx(500, abs=20)
    assert float(ahead[2]) < 20


def test_clocks_that_drift_apart_are_found_though_each_is_within_its_bound(deployed, hosts):
    with following(hosts["node148"], "10.0.0.189"), following(hosts["node149"], "10.0.0.189"):
        wait_until(lambda: view(deployed)["summary"]["synchronized"] == 4, 60, 2)
        hosts["node148"].set_clock(0.07)
        hosts["node149"].set_clock(-0.07)
        problem = found(deployed, "spread")
        seen = view(deployed)
        hosts["node148"].set_clock(0.0)
        hosts["node149"].set_clock(0.0)
    assert problem["hosts"] == ["node148", "node149"]
    assert seen["summary"]["spread_ms"] == pytest.approx(140, abs=20)
    assert seen["summary"]["spread_uncertainty_ms"] > 0


def test_a_tier_that_depends_on_one_server_and_unserved_hosts_are_found(deployed, hosts):
    deployed.master.write_pillar({**PILLAR, "health": {"settle": 5}})
    deployed.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    clients = ["node148", "node149"]

    def of_all(code):
        """The problem, once both clients have it."""
        return wait_until(lambda: (p := codes(deployed).get(code)) and p["hosts"] == clients and p, 120, 2)

    try:
        services(hosts["ntp189"], "stop")
        for name in clients:
            services(hosts[name], "restart")
        single = of_all("single-server")
        services(hosts["ntp180"], "stop")
        for name in clients:
            services(hosts[name], "restart")
        nobody = of_all("unserved")
    finally:
        deployed.master.write_pillar(PILLAR)
        deployed.master.salt("*", "saltutil.refresh_pillar", "wait=True")
        for name in ("ntp180", "ntp189", *clients):
            services(hosts[name], "restart")
    assert "ntp180" in single["message"]
    assert "ntp180 is stopped" in nobody["message"] and "ntp189 is stopped" in nobody["message"]
