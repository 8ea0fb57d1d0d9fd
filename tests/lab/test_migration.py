"""A host whose daemon changes: by the pillar in both directions, and by an in-place upgrade of its system.

The hosts whose daemon changes by the pillar run Debian, where the packages of the two daemons conflict. The lab has no platform
on which both can be installed together (RHEL 7).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import Cluster, Role, changed, failed, ready, wait_until
from tests.lab.solo import PILLAR, apply, call, codes, set_pillar

KINDS = ("modern", "debian13")
SERVICE = {"ntpd": "ntpsec", "chrony": "chrony"}
DRIFT = {"ntpd": "/var/lib/ntpsec/ntp.drift", "chrony": "/var/lib/chrony/chrony.drift"}
OTHER = {"ntpd": "chrony", "chrony": "ntpd"}

#: How much a clock's error may grow while its daemon changes, in seconds.
WORSE_S = 0.005

#: The maximum error of the frequency: chronyd measures it again from its first packets on.
NEAR_PPM = 10.0


def pillar(daemon: str) -> dict:
    return {**PILLAR, "daemon": daemon}


def add(lab: Cluster, kind: str):
    host = solo.add(lab, Role("node1", "10.0.0.71", kind), pillar=pillar("ntpd"))
    if kind == "debian13":
        host.settle()
    return host


@pytest.fixture(scope="module", params=KINDS)
def host(request):
    """A host with ntpd deployed by this tree."""
    ready(kinds=KINDS)
    with Cluster(master=False) as lab:
        made = add(lab, request.param)
        assert failed(apply(made)) == []
        yield made


def fast(host, daemon: str, ppm: float) -> None:
    """Make the clock's oscillator too fast by this much, and let the daemon know it, as after days of running."""
    host.run(["service", SERVICE[daemon], "stop"]).check()
    host.time.oscillator(ppm)
    host.set_clock(0.0)
    host.write(DRIFT[daemon], f"{ppm:.3f} 0.100\n" if daemon == "chrony" else f"-{ppm:.3f}\n")
    host.run(["service", SERVICE[daemon], "start"]).check()
    wait_until(lambda: call(host, "ntpcluster.status")["synchronized"], 60)


def alone(host, daemon: str) -> None:
    """Assert that exactly one time daemon runs and starts at boot."""
    names = host.run(["ps", "-eo", "comm="]).out.split()
    assert set(names) & {"ntpd", "chronyd"} == {"ntpd" if daemon == "ntpd" else "chronyd"}
    links = host.run(["sh", "-c", "ls /etc/rc[2-5].d/S* /etc/systemd/system/*.wants/*"]).out
    there = [name for name, service in SERVICE.items() if re.search(rf"/(S\d\d)?{service}(\.service)?$", links, re.M)]
    assert there == [daemon]


class First(drilling.Beside):
    """The first frequency that the new daemon reports, in ppm too fast; polls it until the block ends."""

    ASK = {"ntpd": ["ntpq", "-c", "rv 0 frequency", "127.0.0.1"], "chrony": ["chronyc", "-n", "tracking"]}

    def __init__(self, host, daemon: str) -> None:
        super().__init__()
        self.host, self.daemon, self.ppm = host, daemon, None

    def look(self) -> None:
        while self.ppm is None and not self.over.wait(0.2):
            said = self.host.run(self.ASK[self.daemon]).out
            if found := re.search(r"frequency=(\S+)", said):
                self.ppm = -float(found.group(1))
            elif found := re.search(r"Frequency +: (\S+) ppm (fast|slow)", said):
                self.ppm = float(found.group(1)) * (1 if found.group(2) == "fast" else -1)


def predicted(states: list[dict]) -> list[tuple]:
    """Assert that test=True and the real run report the same changes of the same states; only one of them shows the diff of a
    new file."""
    return [(one["__id__"], sorted(one["changes"]) if "file" not in one["state"] else None) for one in states
            if one["changes"]]  # fmt: skip


@pytest.mark.parametrize(("daemon", "ppm"), [("chrony", 50.0), ("ntpd", 30.0), ("chrony", 80.0)])
def test_the_other_daemon_takes_over_the_drift_without_disturbing_the_clock(host, daemon, ppm):
    fast(host, OTHER[daemon], ppm)
    set_pillar(host, pillar(daemon))
    before = host.run(["sh", "-c", "ps -eo pid,comm | grep -E 'ntpd|chronyd'; md5sum /etc/*/*ntp*.conf"]).out
    said = apply(host, "test=True")
    assert host.run(["sh", "-c", "ps -eo pid,comm | grep -E 'ntpd|chronyd'; md5sum /etc/*/*ntp*.conf"]).out == before
    steps = host.time.counters["steps"]
    with drilling.Watch(host) as watch, First(host, daemon) as first:
        began = abs(host.clock_error())
        done = apply(host)
    worst = max(map(abs, watch.errors[host.name]))
    print(
        f"{host.platform} to {daemon}: clock {began * 1000:.2f} ms off before, {worst * 1000:.2f} ms at most in "
        f"{len(watch.errors[host.name]) / 10:.0f} s; oscillator {ppm:+.0f} ppm, the daemon's first word {first.ppm}"
    )
    assert failed(done) == []
    assert predicted(said) == predicted(done)
    assert worst < began + WORSE_S and host.time.counters["steps"] == steps
    assert abs(first.ppm - ppm) < NEAR_PPM
    assert f"{DRIFT[daemon]} starts with the drift of {DRIFT[OTHER[daemon]]}" in str(done)
    # The same sign for both.
    assert abs(call(host, "ntpcluster.status")["frequency_ppm"] + ppm) < NEAR_PPM
    alone(host, daemon)
    again = apply(host)
    assert (failed(again), changed(again)) == ([], [])
    # For a while ntpd may reject its sources because their first offsets differ too much.
    wait_until(lambda: call(host, "ntpcluster.status")["health"] == "ok", 60)


def test_without_a_repository_the_old_daemon_continues_and_still_starts_at_boot(host):
    now = "ntpd" if host.run(["pgrep", "-x", "ntpd"]).rc == 0 else "chrony"
    set_pillar(host, pillar(OTHER[now]))
    host.run(["mv", "/srv/apt", "/srv/apt.away"]).check()
    before = host.run(["pgrep", "-x", "ntpd|chronyd"]).out
    try:
        red = [one["__id__"] for one in apply(host) if one["result"] is False]
    finally:
        host.run(["mv", "/srv/apt.away", "/srv/apt"]).check()
    assert red[0] == "ntp-is-installed" and "no-other-time-daemon" in red
    assert host.run(["pgrep", "-x", "ntpd|chronyd"]).out == before
    alone(host, now)
    assert failed(apply(host)) == []
    alone(host, OTHER[now])


def test_the_step_waits_for_a_daemon_that_ends_slowly(host):
    """
    Debian's init script for chrony does not wait for the end of the daemon, and starts none while the old one still runs. The
    script here is a stand-in whose daemon ends two seconds later; systemd, on debian13, waits.
    """
    if host.platform != "modern":
        pytest.skip("systemd waits for the end of the old daemon")
    set_pillar(host, pillar("chrony"))
    assert failed(apply(host)) == []
    script, stop = host.read("/etc/init.d/chrony"), "start-stop-daemon --stop "
    slow = script.replace(stop, f"setsid sh -c 'sleep 2; exec \"$@\"' late {stop}")
    slow = re.sub(r"( late .*)", r"\1 &", slow)
    assert slow.count(" late ") == 1
    host.write("/etc/init.d/chrony", slow, 0o755)
    set_pillar(host, {**pillar("chrony"), "options": {"maxslewrate": 1000}})
    states = apply(host)
    assert (failed(states), "/etc/chrony/chrony.conf" in changed(states)) == ([], True)
    alone(host, "chrony")
    host.set_clock(50.0)
    assert abs(call(host, "ntpcluster.step", "force=True")["moved_s"] + 50) < 0.1
    set_pillar(host, {**pillar("chrony"), "method": "cron"})
    assert failed(apply(host)) == []
    assert host.run(["pgrep", "-x", "chronyd"]).rc == 1
    host.write("/etc/init.d/chrony", script, 0o755)
    set_pillar(host, pillar("chrony"))
    assert failed(apply(host)) == []
    alone(host, "chrony")


def test_a_rival_is_reported_while_it_runs_or_is_enabled_until_the_next_apply(host):
    """The rival is a stand-in: a valid init service whose process has a daemon's name and does not touch the clock."""
    set_pillar(host, {**pillar("chrony"), "conflicts": ["othertimed"]})
    assert failed(apply(host)) == []
    host.write("/etc/init.d/othertimed", RIVAL, 0o755)
    host.run(["cp", "/bin/sleep", "/usr/local/bin/ntpd"]).check()
    host.run(["sh", "-c", "! command -v systemctl || systemctl daemon-reload"])
    host.run(["update-rc.d", "othertimed", "defaults"]).check()
    seen = call(host, "ntpcluster.status")
    assert (seen["health"], codes(seen["problems"])) == ("degraded", ["rival-daemon"])
    assert "othertimed starts at boot" in seen["problems"][0]["message"]
    host.run(["service", "othertimed", "start"]).check()
    seen = call(host, "ntpcluster.status")
    assert (seen["health"], codes(seen["problems"])) == ("degraded", ["rival-daemon"])
    assert re.match(r"ntpd \(pid \d+\) runs", seen["problems"][0]["message"])
    done = apply(host)
    assert (failed(done), changed(done)) == ([], ["no-other-time-daemon"])
    assert call(host, "ntpcluster.status")["problems"] == []
    host.run(["update-rc.d", "-f", "othertimed", "remove"])
    host.run(["rm", "/etc/init.d/othertimed"])


RIVAL = """#!/bin/sh
### BEGIN INIT INFO
# Provides: othertimed
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop:
### END INIT INFO
file=/run/othertimed.pid
case $1 in
start) start-stop-daemon --start --background --make-pidfile --pidfile $file --exec /usr/local/bin/ntpd -- 600 ;;
stop) start-stop-daemon --stop --oknodo --pidfile $file; rm -f $file ;;
status) start-stop-daemon --status --pidfile $file ;;
esac
"""


def test_a_system_upgraded_in_place_keeps_its_drift_and_can_be_cleaned():
    """EL 6 with ntpd becomes EL 9 with chronyd.

    Real: the files that the tree wrote and stored on EL 6 (Salt 3000.9), and the apply of EL 9's minion after that. Not real:
    the upgrade itself. The files of one host are copied to the other; the packages and services of EL 6 are gone as after an
    upgrade, and nothing else of EL 6 exists there.
    """
    ready(kinds=("el6", "el9"))
    with Cluster(prefix=f"ntplab{os.getpid()}m", master=False) as lab:
        old = solo.add(lab, Role("old", "10.0.0.72", "el6"))
        new = solo.add(lab, Role("new", "10.0.0.73", "el9"))
        new.settle()
        assert failed(apply(old)) == []
        kept = json.loads(old.read("/var/lib/ntpcluster/origin.json"))
        copies = {path: facts["copy"] for path, facts in kept["files"].items() if facts["existed"]}
        assert "/etc/ntp.conf" in copies and {"ntp", "ntpdate"} <= set(kept["packages"])
        old.write("/var/lib/ntp/drift", "-50.000\n")
        for path in ["/var/lib/ntpcluster", "/var/lib/ntp", *kept["files"]]:
            source, target = (Path(f"/proc/{one.pid}/root{path}") for one in (old, new))
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy2(source, target)
        new.time.oscillator(50.0)
        said = apply(new, "test=True")
        done = apply(new)
        assert failed(done) == []
        assert predicted(said) == predicted(done)
        assert "/var/lib/chrony/drift starts with the drift of /var/lib/ntp/drift" in str(done)
        assert abs(call(new, "ntpcluster.status")["frequency_ppm"] + 50.0) < NEAR_PPM
        again = apply(new)
        assert (failed(again), changed(again)) == ([], [])
        assert call(new, "ntpcluster.status")["health"] == "ok"
        original = {path: new.read(f"/var/lib/ntpcluster/{copy}") for path, copy in copies.items()}
        cleaned = apply(new, sls="ntp.clean")
        assert failed(cleaned) == []
        assert {path: new.read(path) for path in copies} == original
