"""One step of the clock of a host with chronyd, by hand, by crontab and at boot: every refusal and failure really happens.

Clocks are read from outside. Steps are counted by the clock library, not taken from any program's output.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, SYSTEMD, Cluster, Role, changed, failed, ready, wait_until
from tests.lab.drilling import processes
from tests.lab.solo import call, refused, set_pillar

ADDRESS = {"el9": "10.0.0.49", "debian13": "10.0.0.43"}
PILLAR = {**solo.PILLAR, "daemon": "chrony"}
LIMITED = {**PILLAR, "step": {"limit": 3600}}
CRON = {**PILLAR, "method": "cron", "cron": {"minute": "*", "hour": "*"}}
CRONTAB = "/etc/cron.d/ntpcluster"


@pytest.fixture(scope="module")
def lab():
    ready(kinds=SYSTEMD)
    with Cluster(master=False) as lab:
        yield lab


@pytest.fixture(scope="module", params=SYSTEMD)
def host(request, lab):
    """A client that follows its sources, after its first apply."""
    made = solo.add(lab, Role(request.param, ADDRESS[request.param], request.param), pillar=PILLAR)
    made.settle()
    made.lab = lab
    made.asked = call(made, "ntpcluster.query")
    made.had = made.run(["sh", "-c", "command -v chronyd"]).rc == 0
    assert failed(solo.apply(made)) == []
    return made


@pytest.fixture(autouse=True)
def chronyd_runs_again(host):
    """After every test the daemon must be running again by itself; then all servers are made honest again."""
    # In its first three updates it would step a clock that a test has just set.
    wait_until(lambda: seconds(host) > 12, 40)
    yield
    if host.run(["test", "-e", CRONTAB]).rc == 0:  # a test of the other method did not finish
        set_pillar(host, PILLAR)
        solo.apply(host)
    assert wait_until(lambda: daemon(host), 40), "chronyd was left stopped"
    host.lab.internet.behave()
    # The lab's internet has no rate limit, so the next test need not wait because of the queries of this one.
    host.run(["rm", "-f", "/var/run/ntpcluster.asked"])
    set_pillar(host, PILLAR)
    host.set_clock(0)


def daemon(host) -> int | None:
    """The pid of the service's process, while the service runs."""
    unit = "chronyd" if host.platform == "el9" else "chrony"
    shown = host.run(["systemctl", "show", "-p", "ActiveState", "-p", "MainPID", "--value", unit]).check().out.split()
    return int(shown[0]) if shown[1] == "active" else None


def seconds(host) -> int:
    """How long the daemon has run; 0 if it does not."""
    pid = daemon(host)
    return int(host.run(["ps", "-o", "etimes=", "-p", f"{pid}"]).out or 0) if pid else 0


def steps(host) -> int:
    return host.time.counters["steps"]


def stepping(host) -> subprocess.Popen:
    """A step in progress: the servers have been queried, and the daemon is stopped."""
    words = [*host.enter(), "salt-call", "--local", "-l", "error", "ntpcluster.step", "force=True"]
    step = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_until(lambda: not daemon(host), 60, 0.05)
    return step


def kill(host) -> None:
    calls = processes(host, "salt-call", "ntpcluster.step")
    assert calls
    for pid in calls:
        os.kill(pid, signal.SIGKILL)


def test_a_host_without_a_daemon_yet_queries_its_servers(host):
    assert not host.had
    servers = host.asked["servers"]
    assert [(one["address"], one["reachable"], one["stratum"]) for one in servers] == [
        (one, True, 1) for one in INTERNET
    ]
    assert all(abs(one["offset_s"]) < 0.1 for one in servers)


def test_a_clock_that_is_off_is_stepped_with_its_hardware_clock(host):
    host.set_clock(-500)
    host.set_rtc(300)
    began = time.monotonic()
    done = call(host, "ntpcluster.step", "force=True")
    print(f"{host.platform}: a step took {time.monotonic() - began:.1f} s")
    assert (done["stepped"], done["daemon_restarted"], done["passes"]) == (True, True, 1)
    # The step itself sends no packet: one query, and the daemon's four.
    account = float(host.read("/var/run/ntpcluster.asked").split()[1])
    assert 6 * 5 - (time.monotonic() - began) - 2 < account <= 6 * 5, account
    assert done["moved_s"] == pytest.approx(500, abs=0.1)
    assert abs(host.clock_error()) < 0.1
    assert abs(host.rtc_error()) < 2 and done["hwclock"]["written"]


def test_a_clock_that_is_followed_and_one_that_is_nearly_right_are_not_stepped(host):
    wait_until(lambda: call(host, "ntpcluster.status")["synchronized"], 40, 1)
    before, pid = steps(host), daemon(host)
    assert "never stepped" in call(host, "ntpcluster.step")["comment"]
    host.run(["systemctl", "kill", "--signal=STOP", "chronyd" if host.platform == "el9" else "chrony"]).check()
    host.set_clock(0.05)
    done = call(host, "ntpcluster.step")
    host.run(["systemctl", "kill", "--signal=CONT", "chronyd" if host.platform == "el9" else "chrony"]).check()
    assert not done["stepped"] and "left to the daemon" in done["comment"]
    assert (steps(host), daemon(host)) == (before, pid)


def test_a_jump_beyond_the_limit_is_refused_before_the_daemon_is_touched(host):
    set_pillar(host, LIMITED)
    host.set_clock(5000)
    before, pid = steps(host), daemon(host)
    assert "step:limit allows 3600 s" in refused(host, "ntpcluster.step", "force=True")
    assert (steps(host), daemon(host)) == (before, pid)


def test_a_server_that_becomes_false_after_the_step_is_not_queried_again(host):
    host.set_clock(50)
    for address in INTERNET[1:]:
        host.lab.internet.behave(address, stratum=3)  # so the first one is queried for the step
    before, step = steps(host), stepping(host)
    wait_until(lambda: steps(host) > before, 60, 0.02)
    host.lab.internet.behave(INTERNET[0], offset=86400.0)
    said = step.communicate(timeout=120)[0]
    assert (step.returncode, steps(host)) == (0, before + 1), said
    assert abs(host.clock_error()) < 0.1


def test_a_step_that_is_killed_leaves_the_daemon_running(host):
    host.set_clock(50)
    step = stepping(host)
    killed = time.monotonic()
    kill(host)
    step.wait()
    assert wait_until(lambda: daemon(host), 40, 0.2)
    print(f"{host.platform}: chronyd runs again {time.monotonic() - killed:.1f} s after the kill")


def test_without_the_right_to_set_the_clock_no_step_is_reported(host):
    host.time.allow_set(False)
    host.set_clock(50)
    said, error = refused(host, "ntpcluster.step", "force=True"), host.clock_error()
    host.time.allow_set(True)
    # chronyd does not run without the right to set the clock.
    call(host, "service.start", "chronyd" if host.platform == "el9" else "chrony")
    assert "Operation not permitted" in said and error == pytest.approx(50, abs=0.2)


def test_a_host_without_the_program_service_needs_none(host):
    """Like an EL9 host without the package initscripts-service."""
    path = host.run(["sh", "-c", "command -v service"]).check().out.strip()
    host.run(["mv", path, f"{path}.away"]).check()
    host.set_clock(50)
    step = stepping(host)
    kill(host)
    step.wait()
    back = wait_until(lambda: daemon(host), 40, 0.2)
    host.run(["mv", f"{path}.away", path]).check()
    assert back


def test_a_hardware_clock_that_is_a_day_off_is_written_once(host):
    """
    The kernel of a real host also writes it, every 11 minutes, if `rtcsync` is set and the kernel knows that the clock is
    synchronised. The lab's kernel does not know the host's clock, so here only the state writes it.
    """
    assert (
        "rtcsync" in host.read("/etc/chrony.conf" if host.platform == "el9" else "/etc/chrony/chrony.conf").splitlines()
    )
    wait_until(lambda: call(host, "ntpcluster.status")["synchronized"], 40, 1)
    solo.written_once(host)


def test_a_host_that_boots_a_day_wrong_after_a_power_cut_is_right_in_seconds(host):
    set_pillar(host, {**PILLAR, "step": {"at_boot": True}})
    assert failed(solo.apply(host)) == []
    host.set_rtc(86400)
    before = steps(host)
    host.reboot(clean=False)
    began = time.monotonic()
    wait_until(lambda: abs(host.clock_error()) < 0.1, 60, 0.05)
    print(
        f"{host.platform}: the clock, a day fast, was right {time.monotonic() - began:.1f} s after systemd had answered"
    )
    host.settle()
    assert steps(host) - before == 1  # it was wrong at first, and was stepped once
    wait_until(lambda: call(host, "ntpcluster.status")["synchronized"], 40, 1)


def test_the_crontab_sets_the_clock_and_the_daemon_can_replace_it_again(host):
    set_pillar(host, CRON)
    dry = solo.apply(host, "test=True")
    done = solo.apply(host)
    assert (failed(done), changed(done)) == ([], changed(dry))
    assert CRONTAB in changed(done) and not daemon(host)
    unit = "chronyd" if host.platform == "el9" else "chrony"
    assert host.run(["systemctl", "is-enabled", unit]).out == "disabled\n"
    again = solo.apply(host)
    assert (failed(again), changed(again)) == ([], [])
    before = host.time.counters["rtc_sets"]
    # The server that is queried first gives a false time: two others agree.
    host.lab.internet.behave(INTERNET[2], offset=5000.0)
    host.set_rtc(300)
    host.set_clock(-300)
    began = time.monotonic()
    wait_until(lambda: abs(host.clock_error()) < 0.1, 130)
    print(f"{host.platform}: cron has set the clock {time.monotonic() - began:.0f} s after it was wrong")
    wait_until(lambda: host.time.counters["rtc_sets"] > before, 10)
    assert abs(host.rtc_error()) < 2
    host.lab.internet.behave()
    assert (
        "System clock wrong by" in host.run(["journalctl", "-t", "ntpcluster", "--no-pager", "-o", "cat"]).check().out
    )
    seen = call(host, "ntpcluster.status")
    assert (seen["health"], seen["problems"]) == ("ok", [])
    assert solo.codes(call(host, "ntpcluster.diagnose")) == []
    set_pillar(host, PILLAR)
    dry = solo.apply(host, "test=True")
    done = solo.apply(host)
    assert (failed(done), changed(done)) == ([], changed(dry))
    assert daemon(host) and host.run(["test", "-e", CRONTAB]).rc != 0
    assert call(host, "ntpcluster.status")["synchronized"]
