"""The cluster as a whole: rolled out in order, looked at from the master, and telling of itself.

The tests of this file follow one cluster through its life and run in the order in which they stand.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
import time
import urllib.request

import pytest
import yaml

from tests.lab.cluster import PILLAR, wait_until
from tests.lab.demo import WRONG
from tests.lab.images import PROJECT
from tests.lab.monitoring import tool

ORDER = ["server 1 of 2", "server 2 of 2", "client 1 of 2", "client 2 of 2"]


def run(cluster, *words, timeout=600):
    """`salt-run ...`: what it returned, as JSON, and its exit code."""
    done = cluster.master.run("salt-run", "--out=json", "-l", "error", *words, timeout=timeout)
    try:
        return json.loads(done.stdout), done.returncode
    except ValueError:
        raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}") from None


def view(cluster, *words):
    return run(cluster, "ntpcluster.view", *words)[0]


def rollout(cluster, *words, **settings):
    """`salt-run state.orchestrate orch.ntp`: {id: state}, exit code, seconds."""
    began = time.monotonic()
    answer, code = run(cluster, "state.orchestrate", "orch.ntp", "pillar=" + json.dumps({"rollout": settings}), *words)
    states = next(iter(answer["data"].values()))
    assert isinstance(states, dict), states
    return {state["__id__"]: state for state in states.values()}, code, time.monotonic() - began


def steps(cluster):
    return {name: host.time.counters["steps"] for name, host in cluster.hosts.items()}


def services(host, action):
    host.run(["service", "ntpd" if host.platform == "el6" else "ntpsec", action]).check()


def codes(cluster, *words):
    return {problem["code"]: problem for problem in view(cluster, *words)["problems"]}


@pytest.fixture(scope="module")
def runners(cluster):
    """The master has the runners, as a site brings them there."""
    run(cluster, "saltutil.sync_runners")
    return cluster


@pytest.fixture(scope="module")
def rolled_out(runners):
    """The cluster after a rollout from four wrong clocks."""
    states, code, seconds = rollout(runners)
    print(f"rollout from four wrong clocks: {seconds:.1f} s")
    for name in ORDER:
        print(f"  {name}: {states[name]['duration'] / 1000:.1f} s")
    assert code == 0, {name: state["comment"] for name, state in states.items()}
    return runners


# -- rollout ----------------------------------------------------------------------------------------------------


def test_hosts_without_the_modules_are_shown_as_such_and_the_check_is_critical(runners):
    seen, code = run(runners, "ntpcluster.tree")
    assert {host["health"] for host in seen["hosts"].values()} == {"unreadable"}
    done = runners.master.run("salt-run", "-l", "error", "ntpcluster.check")
    assert done.returncode == 2
    assert done.stdout.startswith("NTP CRITICAL: 0 of 4 hosts synchronized") and done.stdout.count("\n") == 1


def test_a_dry_run_shows_the_order_and_touches_no_clock(runners):
    plan, _ = run(runners, "ntpcluster.rollout")
    assert [batch["name"] for batch in plan["batches"]] == ORDER
    assert [batch["hosts"] for batch in plan["batches"]] == [["ntp180"], ["ntp189"], ["node148"], ["node149"]]
    states, code, _ = rollout(runners, "test=True")
    assert code == 0
    assert {states[name]["result"] for name in ORDER} == {None}
    for name, host in runners.hosts.items():
        assert host.clock_error() == pytest.approx(WRONG[name], abs=1)


def test_a_pillar_with_a_mistake_stops_everything_before_the_first_host(runners):
    broken = {**PILLAR, "tiers": {**PILLAR["tiers"], "client": {"match": "*", "follows": "servers"}}}
    runners.master.write_pillar(broken)
    try:
        runners.master.salt("*", "saltutil.refresh_pillar", "wait=True")
        states, code, _ = rollout(runners)
    finally:
        runners.master.write_pillar(PILLAR)
        runners.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    assert code == 1
    assert set(states) == {"rollout-can-begin"}
    assert "did you mean `server`" in states["rollout-can-begin"]["name"]
    assert not any(steps(runners).values())


def test_a_server_without_time_stops_the_rollout_before_any_client_is_touched(runners):
    runners.internet.behave(silent=True)
    short = {**PILLAR, "sync": {"timeout": 15}}
    runners.master.write_pillar(short)
    try:
        runners.master.salt("*", "saltutil.refresh_pillar", "wait=True")
        states, code, seconds = rollout(runners)
    finally:
        runners.internet.behave()
        runners.master.write_pillar(PILLAR)
        runners.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    print(f"rollout stopped by a faulty server: {seconds:.1f} s")
    assert code == 1
    assert [states[name]["result"] for name in ORDER] == [False] * 4
    assert "ntp180" in states[ORDER[0]]["comment"]
    assert all("requisite failed" in states[name]["comment"] for name in ORDER[1:])
    why = states["why-it-stopped"]["changes"]["return"]["Error"]
    assert why.startswith("stopped at server 1 of 2") and "\nntp180: " in why
    for name in ("node148", "node149"):
        host = runners.hosts[name]
        assert host.time.counters["steps"] == 0
        assert host.run(["ntpq", "-pn"]).rc != 0, name


def test_a_rollout_puts_four_wrong_clocks_right_in_the_order_of_the_tiers(rolled_out):
    for name, host in rolled_out.hosts.items():
        assert abs(host.clock_error()) < 0.1, name
        assert abs(host.rtc_error()) < 2, name
    seen = view(rolled_out)
    assert seen["summary"]["healthy"], seen["problems"]
    assert seen["summary"]["spread_ms"] < 5


def test_going_on_leaves_out_the_hosts_that_need_nothing(rolled_out):
    services(rolled_out.hosts["node149"], "stop")
    plan, _ = run(rolled_out, "ntpcluster.rollout", "resume=True")
    assert plan["skipped"] == ["node148", "ntp180", "ntp189"]
    states, code, seconds = rollout(rolled_out, resume=True)
    print(f"rollout that goes on with the one host left: {seconds:.1f} s")
    assert code == 0
    assert [name for name in states if name in ("client 1 of 1", *ORDER)] == ["client 1 of 1"]
    assert view(rolled_out)["hosts"]["node149"]["synchronized"]


# -- quiet ---------------------------------------------------------------------------------------------------------


class Listener:
    """What the master's event bus says of the beacons."""

    def __init__(self, master):
        self.events = []
        argv = master._argv("salt-run", "-l", "error", "state.event", "salt/beacon/*", "count=-1")
        self.process = subprocess.Popen(
            argv,
            cwd=master.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            tag, _, data = line.strip().partition("\t")
            with contextlib.suppress(ValueError):
                self.events.append((tag, json.loads(data)))

    def wait(self, name, what, new, timeout=60):
        """The first event of this kind from this host, as soon as there is one."""

        def look():
            tag = f"salt/beacon/{name}/ntpcluster/{what}"
            return next((data for seen, data in self.events if seen == tag and data["new"] == new), None)

        return wait_until(look, timeout)


@pytest.fixture(scope="module")
def listener(rolled_out):
    """All hosts with their beacon, looking every two seconds."""
    # Salt on Python 2.7 times its loops by the system clock: after a step backwards they stand still for as long.
    rolled_out.hosts["ntp189"].run(["service", "salt-minion", "restart"])
    rolled_out.wait_for_minions()
    heard = Listener(rolled_out.master)
    try:
        applied = rolled_out.master.salt(
            "*", "state.apply", "ntp.beacon", 'pillar={"ntp_beacon": {"interval": 2, "grace": 3}}'
        )
        for name, states in applied.items():
            assert all(state["result"] for state in states.values()), (name, states)
        yield heard
    finally:
        heard.process.terminate()
        heard.process.wait(20)


def test_a_quiet_cluster_tells_nothing(listener):
    time.sleep(30)
    assert listener.events == []


# -- tree, check, watch -----------------------------------------------------------------------------------------


def test_the_tree_shows_each_client_below_its_server_and_the_check_is_ok(rolled_out):
    done = rolled_out.master.run("salt-run", "-l", "error", "ntpcluster.tree")
    print(done.stdout)
    rows = {
        line.split()[1] if line[0] in "├└│" else line.split()[0]: line for line in done.stdout.splitlines()[3:] if line
    }
    assert set(rows) == set(rolled_out.hosts)
    assert all(line[0] in "├└" for name, line in rows.items() if name.startswith("node"))
    done = rolled_out.master.run("salt-run", "-l", "error", "ntpcluster.check")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("NTP OK: 4 of 4 hosts synchronized")


def test_watch_draws_as_often_as_it_is_told(rolled_out):
    done = rolled_out.master.run("salt-run", "-l", "error", "ntpcluster.watch", "interval=1", "count=2")
    assert done.stdout.count("4 of 4 hosts synchronized") == 2


def test_a_host_that_is_cut_off_is_silent_in_the_view(rolled_out):
    rolled_out.hosts["node149"].cut()
    try:
        found = codes(rolled_out, "timeout=5")
    finally:
        rolled_out.hosts["node149"].cut(mend=True)
    assert found["silent"]["hosts"] == ["node149"]
    rolled_out.wait_for_minions()


# -- what only the whole cluster shows ----------------------------------------------------------------------------


@contextlib.contextmanager
def following(host, *servers, clock=None):
    """A host whose daemon has these servers alone, polls them often and answers everybody, until the block ends."""
    path = "/etc/ntp.conf" if host.platform == "el6" else "/etc/ntpsec/ntp.conf"
    before = host.read(path)
    lines = [line for line in before.splitlines() if not line.startswith(("server", "restrict 10."))]
    lines += ["restrict 10.0.0.0 mask 255.255.255.0 nomodify notrap nopeer noquery"]
    lines += [f"server {server} iburst minpoll 4 maxpoll 4" for server in servers]
    host.write(path, "\n".join([*lines, ""]))
    if clock is not None:
        host.set_clock(clock)
    services(host, "restart")
    try:
        yield
    finally:
        host.write(path, before)
        if clock is not None:
            host.set_clock(0.0)
        services(host, "restart")


def found(cluster, code, timeout=90):
    """The cluster's problem of this code, as soon as there is one."""
    return wait_until(lambda: codes(cluster).get(code), timeout, 2)


@pytest.fixture
def hosts(rolled_out):
    """The hosts, all well before and after."""

    def well():
        return all(host["synchronized"] for host in view(rolled_out)["hosts"].values())

    wait_until(well, 90, 2)
    yield rolled_out.hosts
    wait_until(well, 180, 2)


def test_a_client_that_follows_another_client_is_found(rolled_out, hosts):
    with following(hosts["node149"], "10.0.0.180"), following(hosts["node148"], "10.0.0.149"):
        problem = found(rolled_out, "outside-tier")
    assert problem["hosts"] == ["node148"]
    assert problem["message"] == "node148 follows node149 of tier client, not tier server"


def test_hosts_that_follow_each_other_in_a_circle_are_found(rolled_out, hosts):
    """Three of them: a daemon refuses one that follows itself, but sees no farther than that."""
    with (
        following(hosts["ntp189"], "10.0.0.1", "10.0.0.180 prefer"),
        following(hosts["node149"], "10.0.0.189"),
        following(hosts["ntp180"], "10.0.0.149"),
    ):
        problem = found(rolled_out, "loop", 120)
    assert problem["hosts"] == ["node149", "ntp180", "ntp189"]


def test_two_servers_that_disagree_are_found_with_the_difference(rolled_out, hosts):
    rolled_out.internet.behave("10.0.0.1", offset=0.5)
    try:
        with following(hosts["ntp180"], "10.0.0.1", clock=0.5), following(hosts["ntp189"], "10.0.0.2"):
            for name in ("node148", "node149"):
                services(hosts[name], "restart")
            problem = found(rolled_out, "disagreement")
    finally:
        rolled_out.internet.behave()
        for name in ("node148", "node149"):
            hosts[name].set_clock(0.0)
            services(hosts[name], "restart")
    assert problem["hosts"] == ["ntp180", "ntp189"]
    ahead = re.match(r"ntp180 is ([0-9.]+) ms ahead of ntp189 \(known to within ([0-9.]+) ms", problem["message"])
    assert float(ahead[1]) == pytest.approx(500, abs=20)
    assert float(ahead[2]) < 20


def test_clocks_that_drift_apart_are_found_though_each_is_within_its_bound(rolled_out, hosts):
    with following(hosts["node148"], "10.0.0.189"), following(hosts["node149"], "10.0.0.189"):
        wait_until(lambda: view(rolled_out)["summary"]["synchronized"] == 4, 60, 2)
        hosts["node148"].set_clock(0.07)
        hosts["node149"].set_clock(-0.07)
        problem = found(rolled_out, "spread")
        seen = view(rolled_out)
        hosts["node148"].set_clock(0.0)
        hosts["node149"].set_clock(0.0)
    assert problem["hosts"] == ["node148", "node149"]
    assert seen["summary"]["spread_ms"] == pytest.approx(140, abs=20)
    assert seen["summary"]["spread_uncertainty_ms"] > 0


def test_a_tier_that_hangs_on_one_server_and_hosts_that_nobody_serves_are_found(rolled_out, hosts):
    rolled_out.master.write_pillar({**PILLAR, "health": {"settle": 5}})
    rolled_out.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    clients = ["node148", "node149"]
    try:
        services(hosts["ntp189"], "stop")
        for name in clients:
            services(hosts[name], "restart")
        single = wait_until(
            lambda: (p := codes(rolled_out).get("single-server")) and p["hosts"] == clients and p, 60, 2
        )
        services(hosts["ntp180"], "stop")
        for name in clients:
            services(hosts[name], "restart")
        nobody = found(rolled_out, "unserved")
    finally:
        rolled_out.master.write_pillar(PILLAR)
        rolled_out.master.salt("*", "saltutil.refresh_pillar", "wait=True")
        for name in ("ntp180", "ntp189", *clients):
            services(hosts[name], "restart")
    assert "ntp180" in single["message"]
    assert nobody["hosts"] == clients
    assert "ntp180 is stopped" in nobody["message"] and "ntp189 is stopped" in nobody["message"]


# -- figures ------------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def monitor(rolled_out, tmp_path_factory):
    """A real node exporter and a real Prometheus on the loopback; the alerts' waits are cut to a second."""
    folder = tmp_path_factory.mktemp("monitor")
    ports = free_port(), free_port()
    rules = (PROJECT / "contrib/prometheus/rules.yml").read_text()
    (folder / "rules.yml").write_text(re.sub(r"for: \d+m", "for: 1s", rules))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{ports[0]}"]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    programs = (
        [tool("prometheus-node-exporter"), "--collector.disable-defaults", "--collector.textfile",
         f"--collector.textfile.directory={folder}", f"--web.listen-address=127.0.0.1:{ports[0]}"],
        [tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
         f"--web.listen-address=127.0.0.1:{ports[1]}"],
    )  # fmt: skip
    running = []
    try:
        for number, argv in enumerate(programs):
            log = open(folder / f"log{number}", "wb")  # noqa: SIM115
            running.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

        def alerts():
            run(rolled_out, "ntpcluster.metrics", f"path={folder}/ntpcluster.prom")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/api/v1/alerts", timeout=5) as answer:
                    firing = json.load(answer)["data"]["alerts"]
            except OSError:
                return None
            return {(a["labels"]["alertname"], a["labels"].get("host")) for a in firing if a["state"] == "firing"}

        wait_until(lambda: alerts() is not None, 30)
        yield alerts
    finally:
        for process in running:
            process.terminate()
            process.wait(20)


def test_a_clock_that_is_ahead_fires_the_alert_and_others_do_not(rolled_out, hosts, monitor):
    with following(hosts["node148"], "10.0.0.189", "10.0.0.180"):
        wait_until(lambda: view(rolled_out)["summary"]["synchronized"] == 4, 60, 2)
        hosts["node148"].set_clock(0.12)
        wait_until(lambda: ("NtpOffsetHigh", "node148") in monitor(), 90, 2)
        firing = monitor()
        hosts["node148"].set_clock(0.0)
    assert {host for name, host in firing if name == "NtpOffsetHigh"} == {"node148"}
    assert not {name for name, _ in firing} & {"NtpHostSilent", "NtpFiguresStale", "NtpClusterProblem"}


def test_a_stopped_daemon_fires_the_alert_and_the_alert_ends_with_the_fault(rolled_out, hosts, monitor):
    services(hosts["node149"], "stop")
    wait_until(lambda: ("NtpNotSynchronized", "node149") in monitor(), 60, 1)
    services(hosts["node149"], "start")
    wait_until(lambda: ("NtpNotSynchronized", "node149") not in monitor(), 60, 1)


# -- events -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ntp189", "ntp180"])
def test_a_daemon_that_stops_and_comes_back_is_told_by_both_kinds_of_host(rolled_out, hosts, listener, name):
    listener.events.clear()
    services(hosts[name], "stop")
    event = listener.wait(name, "health", "stopped")
    assert event["codes"] == ["daemon-stopped"]
    services(hosts[name], "start")
    listener.wait(name, "health", "ok")


@pytest.mark.parametrize(("name", "clock", "side"), [("node148", 0.12, "ahead"), ("node149", -0.12, "behind")])
def test_an_offset_of_either_sign_is_told_and_its_end_as_well(rolled_out, hosts, listener, name, clock, side):
    listener.events.clear()
    with following(hosts[name], "10.0.0.189", "10.0.0.180"):
        wait_until(lambda: view(rolled_out)["hosts"][name]["synchronized"], 60, 2)
        hosts[name].set_clock(clock)
        event = listener.wait(name, "offset", side, 90)
        hosts[name].set_clock(0.0)
        listener.wait(name, "offset", "inside", 90)
    assert (event["offset_ms"] < 0) is (side == "ahead")


def test_a_worse_stratum_is_told(rolled_out, hosts, listener):
    listener.events.clear()
    rolled_out.internet.behave(stratum=4)
    try:
        with following(hosts["ntp180"], "10.0.0.1", "10.0.0.2"), following(hosts["ntp189"], "10.0.0.1", "10.0.0.2"):
            for name in ("ntp180", "ntp189"):
                assert listener.wait(name, "stratum", 5, 90)["old"] == 2
    finally:
        rolled_out.internet.behave()


def test_a_dead_source_is_told(rolled_out, hosts, listener):
    with following(hosts["node148"], "10.0.0.189"), following(hosts["node149"], "10.0.0.189"):
        wait_until(lambda: view(rolled_out)["summary"]["synchronized"] == 4, 60, 2)
        listener.events.clear()
        services(hosts["ntp189"], "stop")
        try:
            for name in ("node148", "node149"):
                assert listener.wait(name, "source", None, 240)["old"] == "10.0.0.189"
        finally:
            services(hosts["ntp189"], "start")


def test_the_sample_reactors_hand_heals_a_stopped_daemon_and_not_again_at_once(rolled_out, hosts):
    healthy, _ = run(rolled_out, "ntpcluster.heal", "node148", "codes=[daemon-stopped]")
    assert not healthy["applied"] and "does not say so itself" in healthy["comment"]
    services(hosts["node149"], "stop")
    healed, _ = run(rolled_out, "ntpcluster.heal", "node149", "codes=[daemon-stopped]")
    assert (healed["applied"], healed["synchronized"]) == (True, True)
    services(hosts["node149"], "stop")
    again, _ = run(rolled_out, "ntpcluster.heal", "node149", "codes=[daemon-stopped]")
    assert not again["applied"] and "healed" in again["comment"]
    services(hosts["node149"], "start")
