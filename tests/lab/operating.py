"""Shared code of the tests of a whole cluster through its master: runners, events, and injected faults."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time

from tests.lab.cluster import wait_until


def run(cluster, *words, timeout=600):
    """`salt-run ...`: what it returned, as JSON, and its exit code."""
    done = cluster.master.run("salt-run", "--out=json", "-l", "error", *words, timeout=timeout)
    try:
        return json.loads(done.stdout), done.returncode
    except ValueError:
        raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}") from None


def view(cluster, *words):
    """The view without the queries to servers: with a check every second, they would reach the servers' rate limit."""
    return run(cluster, "ntpcluster_view.take", *words)[0]


def check(cluster):
    """`salt-run ntpcluster.check`: its exit code and its line."""
    done = cluster.master.run("salt-run", "-l", "error", "ntpcluster.check")
    return done.returncode, done.stdout.strip()


@contextlib.contextmanager
def closed_on_the_way(cluster, address):
    """The lab's switch drops this server's answers until the block ends: no state on any host can see that."""
    nft = ["ip", "netns", "exec", cluster.network.switch, "nft"]
    rule = f"ip saddr {address} udp sport 123 drop"
    chain = f"table bridge shut {{ chain way {{ type filter hook forward priority 0; {rule}; }}; }}"
    subprocess.run([*nft, "-f", "-"], input=chain, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run([*nft, "delete", "table", "bridge", "shut"], check=True)


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


@contextlib.contextmanager
def following(host, *servers, clock=None):
    """Until the block ends, the host's daemon has only these servers, polls them often and answers everybody."""
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


def found(cluster, code, timeout=180):
    """The cluster's problem of this code, as soon as there is one."""
    return wait_until(lambda: codes(cluster).get(code), timeout, 2)


class Listener:
    """Reads the events of the beacons, or other events, from the master's event bus."""

    def __init__(self, master, tags="salt/beacon/*"):
        self.events = []
        argv = master._argv("salt-run", "-l", "error", "state.event", tags, "count=-1")
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
