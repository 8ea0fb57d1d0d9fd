"""The lab itself: it does not change the machine, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster, Role, down, wait_until
from tests.lab.host import dangerous_rights
from tests.lab.images import CACHE, PROJECT
from tests.lab.machine import clock_shift, machine
from tests.lab.network import namespaces


def test_the_machine_is_untouched_while_hosts_step_their_clocks_and_after(images):
    before, shift, start = machine(), clock_shift(), time.monotonic()
    with Cluster(master=False) as lab:
        hosts = [lab.add(Role("a", "10.0.0.21", "el6")), lab.add(Role("b", "10.0.0.22", "modern"))]
        for host in hosts:
            host.run(["date", "-s", "2019-01-02 03:04:05"]).check()
            host.run(["hwclock", "--systohc", "--utc"]).check()
            host.run(["iptables", "-I", "INPUT", "-p", "udp", "-j", "DROP"]).check()
            host.run(["ln", "-sf", "/usr/share/zoneinfo/Asia/Tokyo", "/etc/localtime"]).check()
            assert host.clock_error() < -1e8
            assert host.rtc_error() < -1e8
        during = machine()
        drift = abs(clock_shift() - shift)
        assert drift < 0.001 + 0.0005 * (time.monotonic() - start), "the machine's clock has moved"
        assert during == before
    assert machine() == before


def test_the_message_about_a_missing_lab_names_the_directory(tmp_path):
    def say(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", f"tests.lab.{program}"],
            cwd=PROJECT, env={**os.environ, "NTPLAB_CACHE": str(tmp_path)}, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout + done.stderr

    for program in ("enter", "down"):
        assert say(program).startswith(f"No lab is up in {tmp_path}/run (")
    (tmp_path / "run/ntplab").mkdir(parents=True)
    (tmp_path / "run/ntplab/hosts.json").write_text('{"node148": 1}')
    assert say("enter") == (
        "Usage: python -m tests.lab.enter HOST [PROGRAM ARGUMENT ...]; the hosts are master, node148.\n"
    )


def test_nothing_in_a_host_could_touch_the_machine(lab):
    host = lab.add(Role("c", "10.0.0.23", "el6"))
    # When the host counts as booted, init has not started anything yet.
    pids = wait_until(lambda: len(host.pids()) > 1 and host.pids(), 20)
    assert host.pid in pids
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            assert dangerous_rights(pid) == []
    assert dangerous_rights(host.pid) == []
    for argv in (
        ["mount", "-t", "tmpfs", "x", "/mnt"],
        ["mknod", "/x", "b", "8", "0"],
        ["sysctl", "-w", "kernel.hostname=x"],
    ):
        assert host.run(argv).rc != 0, argv
    # Without the clock library there is no clock to set: the machine's own refuses.
    host.run(["mv", "/etc/ld.so.preload", "/etc/ld.so.preload.off"]).check()
    refused = host.run(["date", "-s", "2019-01-01"])
    host.run(["mv", "/etc/ld.so.preload.off", "/etc/ld.so.preload"]).check()
    assert refused.rc != 0 and "not permitted" in refused.err


def test_a_host_comes_back_from_a_reboot_with_its_disk_and_without_the_rest(lab):
    host = lab.add(Role("d", "10.0.0.24", "el6"), clock=5.0, rtc=-20.0)
    assert host.clock_error() == pytest.approx(-20, abs=0.1), "a booting host takes its time from the hardware clock"
    host.write("/etc/kept", "yes\n")
    host.write("/run/lost", "yes\n")
    host.run(["iptables", "-I", "INPUT", "-p", "tcp", "--dport", "9999", "-j", "ACCEPT"]).check()
    host.reboot()
    assert host.read("/etc/kept") == "yes\n"
    assert host.run(["cat", "/run/lost"]).rc != 0
    wait_until(lambda: "dport 22" in host.run(["iptables-save"]).out, 10)
    assert "9999" not in host.run(["iptables-save"]).out


def test_a_cable_can_be_unplugged_and_plugged_in_again(lab):
    host = lab.add(Role("e", "10.0.0.25", "modern"))
    ask = ["python3", "-c", "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); "
           "s.sendto(b'\\x23' + bytes(47), ('10.0.0.1', 123)); print(len(s.recv(99)))"]  # fmt: skip
    assert host.run(ask).out == "48\n"
    host.cut()
    assert host.run(ask).rc != 0
    host.cut(mend=True)
    assert wait_until(lambda: host.run(ask).rc == 0, 20)


def test_two_labs_at_once_do_not_see_each_other(lab):
    with Cluster(prefix=f"{lab.prefix}x", master=False) as other:
        first = lab.add(Role("f", "10.0.0.26", "modern"), clock=100)
        second = other.add(Role("f", "10.0.0.26", "modern"), clock=-100)
        other.internet.behave(offset=7.0)
        assert first.clock_error() == pytest.approx(100, abs=0.1)
        assert second.clock_error() == pytest.approx(-100, abs=0.1)
        offset = ["python3", "-c", "import socket, struct, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                  "s.sendto(b'\\x23' + bytes(47), ('10.0.0.1', 123)); d = s.recv(99); "
                  "print(struct.unpack('!I', d[40:44])[0] - 2208988800 - time.time())"]  # fmt: skip
        assert float(first.run(offset).check().out) == pytest.approx(-100, abs=1.5)
        assert float(second.run(offset).check().out) == pytest.approx(107, abs=1.5)
    assert not namespaces(f"{lab.prefix}x")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_a_lab_that_is_interrupted_leaves_nothing_behind(images, ending):
    demo = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.demo"], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    prefix = f"ntplab{demo.pid}"
    wait_until(lambda: len(namespaces(prefix)) >= 5, 60, 0.1)
    demo.send_signal(ending)
    demo.communicate(timeout=60)
    assert demo.returncode != 0
    assert namespaces(prefix) == []
    assert not (CACHE / "run" / prefix).exists()
    assert str(CACHE / "run") not in Path("/proc/mounts").read_text()


def test_a_lab_whose_owner_was_killed_is_removed_by_lab_down(images):
    demo = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.demo"], cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    prefix = f"ntplab{demo.pid}"
    wait_until(lambda: len(namespaces(prefix)) >= 5, 60, 0.1)
    demo.kill()
    demo.wait()
    assert namespaces(prefix), "a killed owner cannot clean up"
    assert prefix in down()
    assert namespaces(prefix) == []
    assert not (CACHE / "run" / prefix).exists()
