"""Stepping a clock: every refusal and every failure really happens; afterwards ntpd runs as before.

Clocks are read from outside. Steps are counted by the clock library, not taken from any program's output.
"""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, failed, wait_until
from tests.lab.drilling import processes
from tests.lab.solo import PILLAR, call, refused, set_pillar
from tests.lab.test_traps import CONFIG, SERVICE

#: A replacement for ntpdate; each test says what it stands for.
DOUBLE = solo.SLOW


@pytest.fixture(scope="module", params=["el6", "modern"])
def host(request, images):
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("client", "10.0.0.50", request.param))
        made.lab = lab
        assert failed(solo.apply(made)) == []
        made.right_config = made.read(CONFIG[made.platform])
        yield made


@pytest.fixture(autouse=True)
def ntpd_runs_again(host):
    """After every test the daemon must run, and its configuration must be unchanged."""
    if not running(host):  # Debian's script waits three minutes to start a daemon that runs
        host.run(["service", SERVICE[host.platform], "start"]).check()
    yield
    assert wait_until(lambda: running(host), 40), "ntpd was left stopped"
    assert host.read(CONFIG[host.platform]) == host.right_config
    host.lab.internet.behave()
    host.time.allow_set(True)
    host.time.rtc(True)
    host.time.rtc_fault(None)
    # The lab's internet has no rate limit, so the next test need not wait because of the queries of this one.
    host.run(["rm", "-f", DOUBLE, "/var/run/ntpcluster.asked"])
    set_pillar(host, PILLAR)


def running(host) -> bool:
    return host.run(["service", SERVICE[host.platform], "status"]).rc == 0


def steps(host) -> int:
    return host.time.counters["steps"]


def test_a_clock_that_is_off_is_stepped_with_its_hardware_clock(host):
    host.set_clock(-90)
    host.set_rtc(300)
    # Until its next poll the daemon does not know that its clock was changed.
    done = call(host, "ntpcluster.step", "force=True")
    assert done["stepped"] and done["daemon_restarted"] and done["passes"] == 1
    assert done["offset_before_s"] == pytest.approx(90, abs=0.1)
    assert done["moved_s"] == pytest.approx(90, abs=0.1)
    assert abs(done["offset_after_s"]) < 0.1
    assert abs(host.clock_error()) < 0.1
    assert abs(host.rtc_error()) < 2 and done["hwclock"]["written"]


def test_the_next_process_knows_how_much_a_server_with_a_rate_limit_accepts(host):
    began = time.monotonic()
    call(host, "ntpcluster.step", "force=True")
    # A query, ntpdate and the daemon's packets. The counter was zero before; a server accepts up to 55 s, and every second lowers
    # the counter by one.
    account = float(host.read("/var/run/ntpcluster.asked").split()[1])
    sent = 6 * (2 + {"el6": 8, "modern": 6}[host.platform])
    assert sent - (time.monotonic() - began) - 2 < account <= sent
    began = time.monotonic()
    call(host, "ntpcluster.query")
    print(f"{host.platform}: a query right after a step took {time.monotonic() - began:.1f} s")


def test_a_clock_that_follows_its_source_is_not_stepped(host):
    wait_until(lambda: call(host, "ntpcluster.status")["synchronized"], 40, 1)
    before = steps(host)
    pid = host.run(["pidof", "ntpd"]).out
    done = call(host, "ntpcluster.step")
    assert not done["stepped"] and "never stepped" in done["comment"]
    assert (steps(host), host.run(["pidof", "ntpd"]).out) == (before, pid)


def test_a_small_offset_is_left_to_slewing(host):
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    host.set_clock(0.05)
    before = steps(host)
    done = call(host, "ntpcluster.step")
    assert not done["stepped"] and "left to the daemon" in done["comment"]
    assert steps(host) == before
    host.run(["service", SERVICE[host.platform], "start"]).check()


def test_without_an_answer_nothing_is_touched(host):
    host.set_clock(50)
    host.lab.internet.behave(silent=True)
    before = steps(host)
    message = refused(host, "ntpcluster.step", "force=True")
    assert "no server gives the time" in message and "no answer" in message
    assert steps(host) == before


def test_servers_without_time_are_not_believed(host):
    host.set_clock(50)
    host.lab.internet.behave(stratum=16, leap=3)
    before = steps(host)
    assert "not synchronized itself" in refused(host, "ntpcluster.step", "force=True")
    assert steps(host) == before


def test_when_two_servers_disagree_neither_is_believed(host):
    host.set_clock(50)
    host.lab.internet.behave(INTERNET[0], offset=5.0)
    before = steps(host)
    message = refused(host, "ntpcluster.step", f"servers=['{INTERNET[0]}', '{INTERNET[1]}']", "force=True")
    assert "disagree" in message and INTERNET[0] in message and INTERNET[1] in message
    assert steps(host) == before


def test_one_false_server_is_outvoted_by_two(host):
    host.set_clock(50)
    host.lab.internet.behave(INTERNET[0], offset=500.0)
    done = call(host, "ntpcluster.step", "force=True")
    assert done["stepped"] and done["server"] != INTERNET[0]
    assert abs(host.clock_error()) < 0.1


def test_a_jump_beyond_the_limit_is_refused_by_the_function_and_by_the_state(host):
    set_pillar(host, {**PILLAR, "step": {"limit": 10}})
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    host.set_clock(50)
    before = steps(host)
    assert "step:limit allows 10 s" in refused(host, "ntpcluster.step")
    state = call(host, "state.single", "ntpcluster.stepped", "clock")
    assert [s["result"] for s in state.values()] == [False]
    assert steps(host) == before
    host.set_clock(0)
    host.run(["service", SERVICE[host.platform], "start"]).check()


def test_servers_that_become_false_after_the_judgement_do_not_move_the_clock(host):
    host.set_clock(50)
    step = solo.step_that_waits(host, DOUBLE)
    host.lab.internet.behave(offset=86400.0)
    host.run(["touch", "/run/go"]).check()
    said = step.communicate(timeout=120)[0]
    assert step.returncode != 0 and "put back" in said, said
    assert host.clock_error() == pytest.approx(50, abs=0.5)


def test_a_dry_run_says_so_and_does_nothing(host):
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    host.set_clock(50)
    before = steps(host)
    state = list(call(host, "state.single", "ntpcluster.stepped", "clock", "test=True").values())[0]
    assert state["result"] is None and float(state["changes"]["clock"]["old"].split()[0]) == pytest.approx(50, abs=0.1)
    assert steps(host) == before and not running(host)
    host.set_clock(0)
    host.run(["service", SERVICE[host.platform], "start"]).check()


def test_without_the_right_to_set_the_clock_no_step_is_reported(host):
    host.set_clock(50)
    host.time.allow_set(False)
    assert "not permitted" in refused(host, "ntpcluster.step", "force=True").lower()
    assert host.clock_error() == pytest.approx(50, abs=0.1)


def test_a_step_that_a_program_claims_but_does_not_make_is_not_reported(host):
    # A stand-in for an ntpdate whose step is undone or never made, with exit code 0.
    line = "22 Nov 10:00:00 ntpdate[1]: step time server 10.0.0.1 offset -50.000000 sec"
    if host.platform == "modern":
        line = (
            "2026-11-22 10:00:00.0 (+0000) -50.000000 +/- 0.001 10.0.0.1 s1 no-leap\nCLOCK: time stepped by -50.000000"
        )
    host.write(DOUBLE, f"#!/bin/sh\nprintf '%s\\n' '{line}'\n", 0o755)
    host.set_clock(50)
    # Checked in the message: the restarted daemon may have stepped the clock itself by now.
    assert re.search(r"but the clock moved by [+-]0\.0", refused(host, "ntpcluster.step", "force=True"))


def test_an_observed_step_counts_although_ntpdate_reports_an_error(host):
    # A stand-in for an ntpdate of 4.2.6p5 whose second sample was refused; the real program sets the clock.
    real = host.run(["sh", "-c", "PATH=/usr/sbin:/usr/bin command -v ntpdate"]).check().out.strip()
    line = "22 Nov 10:00:00 ntpdate[1]: 10.0.0.1 rate limit response from server."
    host.write(DOUBLE, f"#!/bin/sh\n{real} \"$@\"\necho '{line}' >&2\n", 0o755)
    host.set_clock(-90)
    host.set_rtc(300)
    done = call(host, "ntpcluster.step", "force=True")
    assert (done["stepped"], done["passes"], done["hwclock"]["written"]) == (True, 1, True), done
    assert abs(host.clock_error()) < 0.1 and abs(host.rtc_error()) < 2


def test_an_ntpdate_that_hangs_is_ended(host):
    # A stand-in for an ntpdate that waits for a resolver forever.
    host.write(DOUBLE, "#!/bin/sh\nexec sleep 1000\n", 0o755)
    host.set_clock(50)
    assert "did not end within 30 s" in refused(host, "ntpcluster.step", "force=True")


@pytest.mark.parametrize("fault", ["absent", "write", "hwclock hangs"])
def test_a_hardware_clock_that_fails_is_reported_and_does_not_undo_the_step(host, fault):
    host.set_clock(50)
    if fault == "write":
        host.time.rtc_fault(fault)
    else:
        host.time.rtc(False)
    if fault == "hwclock hangs":
        path = host.run(["sh", "-c", "command -v hwclock"], timeout=10).check().out.strip()
        host.run(["mv", path, f"{path}.real"]).check()
        host.write(path, "#!/bin/sh\nexec sleep 1000\n", 0o755)
    done = call(host, "ntpcluster.step", "force=True")
    if fault == "hwclock hangs":
        host.run(["mv", f"{path}.real", path]).check()
    assert done["stepped"] and not done["hwclock"]["written"] and done["hwclock"]["problem"]
    assert done["hwclock"]["present"] is {"absent": False, "write": True, "hwclock hangs": None}[fault]
    assert abs(host.clock_error()) < 0.1


def test_the_hardware_clock_is_written_by_the_kernel_where_hwclock_would_hang(host):
    """As that of EL 6.5 can on a busy machine: in the lab it waits for the turn of a second forever."""
    host.time.rtc_fault("hang")
    host.set_rtc(70)
    done = call(host, "ntpcluster.systohc")
    assert done["written"] and abs(done["error_s"]) <= 0.5, done
    assert abs(host.rtc_error() - host.clock_error()) < 0.5
    assert host.read("/etc/adjtime").split()[-1] == "UTC"


def test_another_program_on_port_123_is_named_as_the_reason(host):
    host.run(["service", SERVICE[host.platform], "stop"]).check()
    hold = (
        "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 123)); time.sleep(40)"
    )
    python = "python2.7" if host.platform == "el6" else "python3"
    holder = subprocess.Popen([*host.enter(), python, "-c", hold])
    time.sleep(1)
    host.set_clock(50)
    before = steps(host)
    assert "UDP port 123 is still in use" in refused(host, "ntpcluster.step", "force=True")
    assert steps(host) == before
    holder.kill()
    holder.wait()
    host.run(["pkill", "-f", "s.bind"])
    host.set_clock(0)
    host.run(["service", SERVICE[host.platform], "start"]).check()


def stopped_half_way(host):
    step = solo.step_under_way(host)
    assert not running(host)
    return step


def test_two_steps_at_once_are_one_step(host):
    host.set_clock(50)
    before, first = steps(host), solo.step_that_waits(host, DOUBLE)
    assert "another step of this clock is in progress" in refused(host, "ntpcluster.step", "force=True")
    host.run(["touch", "/run/go"]).check()
    said = first.communicate(timeout=120)[0]
    assert (first.returncode, steps(host)) == (0, before + 1), said


def test_a_step_that_is_killed_half_way_leaves_the_daemon_running(host):
    first = stopped_half_way(host)
    killed = time.monotonic()
    calls = processes(host, "salt-call", "ntpcluster.step")
    assert calls
    for pid in calls:
        subprocess.run(["kill", "-9", str(pid)])
    first.wait()
    wait_until(lambda: running(host), 40, 0.2)
    print(f"{host.platform}: ntpd runs again {time.monotonic() - killed:.1f} s after the kill")
    host.set_clock(0)
