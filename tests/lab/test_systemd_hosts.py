"""The hosts that boot with systemd, el9 and debian13: their properties, and that they do not affect the machine."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import cgroups, solo
from tests.lab.cluster import SYSTEMD, Cluster, Role, down, ready, wait_until
from tests.lab.host import dangerous_rights
from tests.lab.images import CACHE, PROJECT
from tests.lab.machine import clock_shift, machine
from tests.lab.network import namespaces

ADDRESS = {"el9": "10.0.0.39", "debian13": "10.0.0.33"}
GRAINS = {
    "el9": {
        "os": "Rocky",
        "os_family": "RedHat",
        "osfinger": "Rocky Linux-9",
        "osmajorrelease": 9,
        "init": "systemd",
    },
    "debian13": {
        "os": "Debian",
        "os_family": "Debian",
        "osfinger": "Debian-13",
        "osmajorrelease": 13,
        "init": "systemd",
    },
}
#: The units of the daemons in each kind's repository, and chrony's configuration file.
DAEMONS = {"el9": {"chrony": "chronyd"}, "debian13": {"ntpsec": "ntpsec", "chrony": "chrony"}}
CHRONY_CONF = {"el9": "/etc/chrony.conf", "debian13": "/etc/chrony/chrony.conf"}
SOURCES = "server 10.0.0.1 iburst\nserver 10.0.0.2 iburst\n"
ONE_STEP = ["chronyd", "-q", "-t", "10", "server 10.0.0.1 iburst maxsamples 1"]


@pytest.fixture(scope="module")
def lab():
    """Both kinds and a master; the first test checks and times their boot."""
    ready(kinds=SYSTEMD)
    with Cluster() as cluster:
        for kind in SYSTEMD:
            began = time.monotonic()
            cluster.add(Role(kind, ADDRESS[kind], kind))
            print(f"{kind}: systemd answers after {time.monotonic() - began:.2f} s")
        yield cluster


@pytest.fixture(params=SYSTEMD)
def host(request, lab):
    return lab.hosts[request.param]


def active(host, unit: str) -> str:
    return host.run(["systemctl", "is-active", unit]).out.strip()


def chrony(host) -> str:
    """The unit of chrony, with the lab's internet as its sources; installs chrony if necessary."""
    unit = DAEMONS[host.name]["chrony"]
    if host.run(["test", "-e", CHRONY_CONF[host.name]]).rc != 0:
        solo.call(host, "pkg.install", "chrony")
        host.write(CHRONY_CONF[host.name], f"{SOURCES}makestep 1 3\n")
        host.run(["systemctl", "restart", unit]).check()
    return unit


def test_it_boots_in_seconds_and_nothing_fails(lab, host):
    began = time.monotonic()
    assert host.settle() == ("running", [])
    print(f"{host.name}: everything is started {time.monotonic() - began:.2f} s later")
    assert host.run(["ps", "-p", "1", "-o", "comm="]).out.strip() == "systemd"
    # It logs what it had to skip; there are no other errors.
    said = host.run(["journalctl", "-b", "-p", "warning", "-o", "cat", "--no-pager"]).check().out.splitlines()
    expected = (
        "ProtectHostname=yes is configured, but UTS namespace setup is prohibited",
        "Failed to set fd limit",
        "rm_rf(/tmp): Directory not empty",  # if this project is in /tmp, a part of it appears there as well
    )
    assert [line for line in said if not any(words in line for words in expected)] == []


def test_its_minion_answers_with_the_grains_of_its_system(lab):
    lab.wait_for_minions()
    for kind in SYSTEMD:
        assert lab.master.salt(kind, "grains.item", *GRAINS[kind])[kind] == GRAINS[kind]


def test_no_process_has_a_dangerous_right_not_even_systemd(host):
    assert host.pid in host.pids()
    for pid in host.pids():
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            assert dangerous_rights(pid) == []
    for argv in (
        ["mount", "-t", "tmpfs", "x", "/mnt"],
        ["mount", "-o", "remount,rw", "/sys"],
        ["mknod", "/x", "b", "8", "0"],
        ["systemd-run", "--wait", "-q", "mount", "-t", "tmpfs", "x", "/mnt"],
        ["sysctl", "-w", "kernel.hostname=x"],
    ):
        assert host.run(argv).rc != 0, argv


def test_its_services_and_programs_started_from_outside_are_in_its_control_group(host):
    """Otherwise systemd could not find a service's processes, and could not move a process of ours into a scope when Salt
    requests it."""
    assert host.read("/proc/self/cgroup").splitlines()[-1] == "0::/visitors"
    scope = host.run(["systemd-run", "--scope", "-q", "cat", "/proc/self/cgroup"]).check().out.splitlines()[-1]
    assert re.fullmatch(r"0::/system\.slice/run-[\w-]+\.scope", scope)
    assert host.read("/proc/1/cgroup").splitlines()[-1] == "0::/init.scope"
    outside = Path(f"/proc/{host.pid}/cgroup").read_text().splitlines()[-1]
    assert outside == f"0::/{host.group.name}/init.scope" and host.group.parent == cgroups.root()


@pytest.mark.parametrize(("kind", "package"), [(kind, package) for kind in SYSTEMD for package in DAEMONS[kind]])
def test_a_daemon_is_installed_and_sets_the_clock_of_its_host_alone(lab, kind, package):
    host, unit = lab.hosts[kind], DAEMONS[kind][package]
    shift, start = clock_shift(), time.monotonic()
    installed = solo.call(host, "pkg.install", package)
    assert package in installed, installed
    # A Debian package starts its daemon; an EL9 package only enables it.
    assert active(host, unit) == ("active" if kind == "debian13" else "inactive")
    assert host.run(["systemctl", "is-enabled", unit]).check().out == "enabled\n"
    host.run(["systemctl", "stop", unit]).check()
    assert active(host, unit) == "inactive"
    if package == "chrony":
        host.write(CHRONY_CONF[kind], f"{SOURCES}makestep 1 3\n")
    else:
        host.write("/etc/ntpsec/ntp.conf", SOURCES)
    host.set_clock(-500.0)
    steps, began = host.time.counters["steps"], time.monotonic()
    assert solo.call(host, "service.start", unit) and active(host, unit) == "active"
    wait_until(lambda: abs(host.clock_error()) < 0.1, 60, 0.1)
    print(
        f"{kind}: {unit} has put a clock right that was 500 s slow, {time.monotonic() - began:.1f} s after it was asked for"
    )
    assert host.time.counters["steps"] == steps + 1
    drift = abs(clock_shift() - shift)
    assert drift < 0.001 + 0.0005 * (time.monotonic() - start), "the machine's clock has moved"


def test_one_step_by_chronyd_is_of_the_size_that_the_clock_was_wrong_by(host):
    unit = chrony(host)
    host.run(["systemctl", "stop", unit]).check()
    host.set_clock(123.25)
    steps = host.time.counters["steps"]
    done = host.run(ONE_STEP).check()
    found = re.search(r"System clock wrong by (-?[0-9.]+) seconds \(step\)", done.err)
    assert found and float(found.group(1)) == pytest.approx(-123.25, abs=0.01), done.err
    assert abs(host.clock_error()) < 0.01
    assert host.time.counters["steps"] == steps + 1
    print(f"{host.name}: chronyd -q took {done.seconds:.2f} s")
    host.run(["systemctl", "start", unit]).check()


def test_el9_has_the_layout_of_el9_and_a_package_that_verifies(lab):
    host = lab.hosts["el9"]
    chrony(host)
    assert host.run(["rpm", "-V", "chrony"]).out.split() == ["S.5....T.", "c", "/etc/chrony.conf"]
    owners = host.run(["stat", "-c", "%n %a %U:%G", "/etc/chrony.keys", "/var/lib/chrony", "/run/chrony"]).check().out
    assert owners.splitlines() == [
        "/etc/chrony.keys 640 root:chrony",
        "/var/lib/chrony 750 chrony:chrony",
        "/run/chrony 750 chrony:chrony",
    ]
    words = host.run(["ps", "-C", "chronyd", "-o", "user=,args="]).check().out.split()
    assert words[:2] == ["chrony", "/usr/sbin/chronyd"] and words[-2:] == ["-F", "2"]
    # timedatectl shows it as the active NTP service.
    assert host.run(["timedatectl", "show", "-p", "NTP", "-p", "CanNTP"]).check().out == "CanNTP=yes\nNTP=yes\n"
    # The commands that chronyd accepts only on its socket.
    assert "Remote address" in host.run(["chronyc", "-n", "ntpdata"]).check().out
    assert solo.call(host, "pkg.version", "firewalld") == "1.3.3-1.el9.lab"
    assert active(host, "crond") == "active" and host.run(["pidof", "crond"]).rc == 0
    for path in ("/etc/timezone", "/etc/debian_version", "/etc/apt", "/etc/init.d"):
        assert host.run(["test", "-e", path]).rc != 0, path


def test_firewalld_guards_el9_and_forgets_what_is_not_permanent(lab):
    host = lab.hosts["el9"]
    assert active(host, "firewalld") == "active"
    assert "table inet firewalld" in host.run(["nft", "list", "tables"]).check().out
    host.run(["firewall-cmd", "-q", "--add-service=ntp"]).check()
    host.run(["firewall-cmd", "-q", "--permanent", "--add-port=4460/tcp"]).check()
    assert "udp dport 123 accept" in host.run(["nft", "list", "ruleset"]).out
    host.reboot(clean=False)
    wait_until(lambda: host.run(["firewall-cmd", "--state"]).rc == 0, 20, 0.2)
    rules = host.run(["nft", "list", "ruleset"]).out
    assert "udp dport 123 accept" not in rules and "tcp dport 4460 accept" in rules


@pytest.mark.parametrize("clean", [True, False], ids=["reboot", "power cut"])
def test_it_comes_back_with_its_disk_and_its_services_and_without_the_rest(host, clean):
    unit = chrony(host)
    boots = len(host.run(["journalctl", "--list-boots", "--no-pager", "-q"]).out.splitlines())
    first = host.read("/proc/sys/kernel/random/boot_id")
    host.write("/etc/kept", f"{clean}\n")
    host.write("/run/lost", "yes\n")
    host.set_rtc(-20.0)
    began = time.monotonic()
    host.reboot(clean=clean)
    print(
        f"{host.name}: {'reboot' if clean else 'power cut'}, and systemd answers {time.monotonic() - began:.1f} s later"
    )
    assert host.clock_error() == pytest.approx(-20, abs=0.5), "a booting host takes its time from the hardware clock"
    assert host.settle() == ("running", [])
    assert host.read("/etc/kept") == f"{clean}\n"
    assert host.run(["cat", "/run/lost"]).rc != 0
    assert active(host, unit) == "active"
    assert host.read("/proc/sys/kernel/random/boot_id") != first
    if host.name == "debian13":  # EL9 does not keep the journal across boots
        assert len(host.run(["journalctl", "--list-boots", "--no-pager", "-q"]).out.splitlines()) == boots + 1


def test_the_machine_is_untouched_while_such_hosts_live_and_after():
    ready(kinds=SYSTEMD)
    before, shift, start = machine(), clock_shift(), time.monotonic()
    with Cluster(prefix=f"ntplab{os.getpid()}x", master=False) as lab:
        for kind in SYSTEMD:
            host = lab.add(Role(kind, ADDRESS[kind], kind), minion={"master_type": "disable", "file_client": "local"})
            host.settle()
            host.run(["date", "-s", "2019-01-02 03:04:05"]).check()
            host.run(["hwclock", "--systohc", "--utc"]).check()
            host.run(["hostnamectl", "set-hostname", "elsewhere"])
            host.run(["ln", "-sf", "/usr/share/zoneinfo/Asia/Tokyo", "/etc/localtime"]).check()
            host.reboot()
            assert host.clock_error() < -1e8
        groups = [lab.hosts[kind].group for kind in SYSTEMD]
        assert cgroups.named(lab.prefix) == sorted(groups)
        during = machine()
        drift = abs(clock_shift() - shift)
        assert drift < 0.001 + 0.0005 * (time.monotonic() - start), "the machine's clock has moved"
        assert during == before
        inside = [pid for kind in SYSTEMD for pid in lab.hosts[kind].pids()]
    assert machine() == before
    assert namespaces(lab.prefix) == [] and cgroups.named(lab.prefix) == [] and not lab.folder.exists()
    assert [pid for pid in inside if Path(f"/proc/{pid}").exists()] == []


def test_what_a_killed_owner_left_is_removed_by_lab_down():
    ready(kinds=SYSTEMD)
    script = (
        "import time\nfrom tests.lab.cluster import Cluster, Role\nwith Cluster(master=False) as lab:\n"
        "    lab.add(Role('el9', '10.0.0.39', 'el9')).settle()\n    print('up', flush=True)\n    time.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE)
    prefix = f"ntplab{owner.pid}"
    assert owner.stdout.readline() == b"up\n"
    owner.kill()
    owner.wait()
    assert cgroups.named(prefix), "a killed owner cannot clean up"
    assert prefix in down()
    assert cgroups.named(prefix) == [] and namespaces(prefix) == [] and not (CACHE / "run" / prefix).exists()


def test_without_a_cgroup2_the_lab_says_what_is_missing():
    ask = "from tests.lab import cgroups\nprint(cgroups.make('ntplabx'))"
    where = cgroups.root()
    hidden = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'umount "$0" && exec "$@"', str(where)]
    done = subprocess.run([*hidden, sys.executable, "-c", ask], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode != 0
    said = "no cgroup2 is mounted on this machine, and a host cannot boot with systemd without one"
    assert done.stderr.splitlines()[-1] == f"RuntimeError: {said}"
    fixed = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -o remount,bind,ro "$0" && exec "$@"']
    done = subprocess.run([*fixed, str(where), sys.executable, "-c", ask], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith(f"RuntimeError: no group can be made in {where}, ")
    assert not (where / "ntplabx").exists()
