"""Drills 8 and 9: packages that are missing or incomplete; full disks; directories and files that are not writable.

The tests of this file run in order on one host, which is bare at first. Full and read-only directories are mounts in the host's
own mount namespace, made from outside, because nothing in a host may mount.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import time

import pytest

from tests.lab import drilling, solo
from tests.lab.cluster import INTERNET, Cluster, Role, changed, failed, wait_until
from tests.lab.drilling import belongings, daemons, follows, kill, processes, sources
from tests.lab.solo import set_pillar
from tests.lab.test_states import difference, system
from tests.lab.test_traps import CONFIG, SERVICE

REPOSITORY = {"el6": "/srv/yum", "modern": "/srv/apt"}
PACKAGES = {"el6": ["ntp", "ntpdate"], "modern": ["ntpsec", "ntpsec-ntpdate", "ntpsec-ntpdig"]}
STORE = "/var/lib/ntpcluster"


def pillar(maxpoll: int = 3, **more) -> dict:
    tier = {
        "match": "*",
        "sources": [{**one, "maxpoll": maxpoll} for one in sources(*INTERNET)],
        "addresses": ["10.0.0.60"],
        "serves": ["10.0.0.0/25"],
    }
    return {"tiers": {"server": tier}, "sync": {"timeout": 40}, "health": {"settle": 12}, **more}


@pytest.fixture(scope="module", params=["el6", "modern"])
def host(request, images):
    """A bare host, 20 s slow."""
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("server", "10.0.0.60", request.param), clock=-20.0, pillar=pillar())
        made.lab = lab
        made.run(["service", "salt-minion", "stop"])
        if request.param == "el6":
            # To rebuild its indexes, EL6's rpm renames the files; the newer rpm here renames their directory. An overlay
            # refuses that for a directory of the image, so this replaces it with a copy on the host's own layer.
            own = "cp -a /var/lib/rpm /var/lib/rpm.own; rm -r /var/lib/rpm; mv /var/lib/rpm.own /var/lib/rpm"
            made.run(["sh", "-ec", own]).check()
        made.bare = system(made)
        yield made


# -- 9: packages ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def without_repository(host):
    place = REPOSITORY[host.platform]
    host.run(["mv", place, f"{place}.away"]).check()
    try:
        yield
    finally:
        host.run(["mv", f"{place}.away", place]).check()


def red(states) -> dict[str, str]:
    return {s["__id__"]: s["comment"] for s in states if s["result"] is False}


def nothing_has_changed(host) -> None:
    """Except for what the tree remembers about the host."""
    left = difference(host.bare, system(host))
    left.pop("ntp", None)
    new = [name for name, _ in left.pop("files", {}).get("new", [])]
    assert [name for name in new if not name.startswith("var/lib/ntpcluster")] == []
    assert left == {}
    assert host.clock_error() == pytest.approx(-20, abs=0.1)


def test_a_bare_host_without_a_repository_stays_as_it_is_and_says_why(host):
    with without_repository(host):
        done = solo.apply(host)
    print(f"{host.platform}: {red(done)}")
    assert "ntp-is-installed" in red(done)
    nothing_has_changed(host)


def as_files(host, spoil: bool) -> list[dict]:
    """The pillar's `package:sources`: the repository's packages as files of the tree, with one wrong checksum or none."""
    found, place = [], REPOSITORY[host.platform]
    host.run(["mkdir", "-p", "/srv/instead/ntp/packages"]).check()
    for name in PACKAGES[host.platform]:
        listed = host.run(
            ["sh", "-c", f"ls {place}*/{name}[-_][0-9]* {place}*/*/{name}[-_][0-9]* 2>/dev/null"]
        ).out.split()
        path = listed[0]
        host.run(["cp", path, "/srv/instead/ntp/packages/"]).check()
        file = path.rpartition("/")[2]
        total = host.run(["sha256sum", path]).check().out.split()[0]
        if spoil and name == PACKAGES[host.platform][-1]:
            total = hashlib.sha256(b"another file").hexdigest()
        found.append({"name": name, "source": f"salt://ntp/packages/{file}", "source_hash": f"sha256={total}"})
    return found


def test_a_package_with_a_wrong_checksum_prevents_the_installation_of_all(host):
    set_pillar(host, pillar(package={"sources": as_files(host, spoil=True)}))
    with without_repository(host):
        done = solo.apply(host)
    assert (
        "the pillar says" in red(done)["ntp-is-installed"] and "nothing is installed" in red(done)["ntp-is-installed"]
    )
    nothing_has_changed(host)


def test_packages_as_files_need_no_repository(host):
    set_pillar(host, pillar(package={"sources": as_files(host, spoil=False)}))
    with without_repository(host):
        done = solo.apply(host)
    assert failed(done) == []
    assert wait_until(lambda: follows(host), 30)
    assert drilling.wrong_clock(host) == [] and drilling.stopped(host) == []


@pytest.mark.parametrize("ending", ["package manager killed", "power cut"])
def test_half_a_transaction_is_made_whole_by_the_next_apply(host, ending):
    set_pillar(host, pillar())
    assert failed(solo.apply(host)) == []
    remove = ["rpm", "-e"] if host.platform == "el6" else ["dpkg", "--purge", "--force-depends"]
    host.run([*remove, *PACKAGES[host.platform]]).check()
    run = subprocess.Popen(
        [*host.enter(), "salt-call", "--local", "state.apply", "ntp"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    # yum does everything itself; the first of its files on the disk shows that it has begun. apt runs dpkg for it.
    half = "/usr/sbin/ntpd" if host.platform == "el6" else "/usr/sbin/ntpd.dpkg-new"
    until = time.monotonic() + 60
    upper = host.folder / "upper"
    while not (upper / half.lstrip("/")).is_file() and time.monotonic() < until and run.poll() is None:
        time.sleep(0.002)
    assert run.poll() is None, "too late"
    if ending == "power cut":
        host.reboot(clean=False)
        host.run(["service", "salt-minion", "stop"])
    else:
        kill(
            *processes(host, "yum"),
            *processes(host, "dpkg"),
            *processes(host, "apt-get"),
            *processes(host, "salt-call"),
        )
    run.wait()
    listed = ["rpm", "-q", *PACKAGES["el6"]] if host.platform == "el6" else ["sh", "-c", "dpkg -l | grep ntpsec"]
    print(f"{host.platform}, {ending}: {host.run(listed).out.split(chr(10))}")
    done = solo.apply(host)
    assert failed(done) == []
    assert wait_until(lambda: follows(host), 30)
    assert drilling.wrong_clock(host) == [] and drilling.stopped(host) == []
    check = ["rpm", "-V", *PACKAGES["el6"]] if host.platform == "el6" else ["dpkg", "--audit"]
    assert [line for line in host.run(check).out.splitlines() if " c /" not in line] == []


#: The package manager at its worst moment, and the minion killed with it: what an installation leaves if all is killed when a
#: package is recorded and its name is not (rpm: only `rpm -qa` finds it, no dependency does), or unpacked and not configured.
#: Both are made by hand, because no kill hits that moment reliably.
KILLED = {
    "el6": """#!/bin/sh
case " $* " in *" install "*) ;; *) exec /usr/bin/yum "$@" ;; esac
cp /var/lib/rpm/Name /run/Name.before
/usr/bin/yum "$@"
rm -f /var/lib/rpm/__db.*
cp /run/Name.before /var/lib/rpm/Name
kill -9 $PPID
""",
    "modern": """#!/bin/sh
case " $* " in *" install "*) ;; *) exec /usr/bin/apt-get "$@" ;; esac
/usr/bin/apt-get "$@" --download-only
dpkg --unpack $(find /srv/apt /var/cache/apt/archives -name 'ntpsec*.deb')
kill -9 $PPID
""",
}
MANAGER = {"el6": "/usr/local/sbin/yum", "modern": "/usr/local/sbin/apt-get"}


def unknown_packages(host) -> list[str]:
    """Packages of ours that the package manager does not find by their names, or that are not configured."""
    names = PACKAGES[host.platform]
    if host.platform == "el6":
        return [name for name in names if host.run(["rpm", "-q", name]).rc != 0]
    shown = host.run(["dpkg-query", "-W", "-f", "${Package} ${Status}\n", *names]).out.splitlines()
    return [name for name in names if f"{name} install ok installed" not in shown]


def test_a_package_database_in_disorder_is_repaired_as_a_dry_run_says(host):
    set_pillar(host, pillar())
    assert failed(solo.apply(host)) == []
    remove = ["rpm", "-e"] if host.platform == "el6" else ["dpkg", "--purge", "--force-depends"]
    host.run([*remove, *PACKAGES[host.platform]]).check()
    host.write(MANAGER[host.platform], KILLED[host.platform], 0o755)
    run = host.run(["salt-call", "--local", "state.apply", "ntp"])
    host.run(["rm", MANAGER[host.platform]]).check()
    assert run.rc != 0 and unknown_packages(host) == PACKAGES[host.platform], run.out
    before = system(host)
    dry = solo.apply(host, "test=True")
    assert failed(dry) == [] and difference(before, system(host)) == {}
    done = solo.apply(host)
    assert failed(done) == []
    assert unknown_packages(host) == []
    assert sorted(changed(dry)) == sorted(changed(done))
    would, did = ({s["__id__"]: s["changes"] for s in states}["ntp-is-installed"] for states in (dry, done))
    assert sorted(would) == sorted(did) and "package manager" in did
    assert changed(solo.apply(host)) == []


# -- 8: disks ---------------------------------------------------------------------------------------------------------


#: Mounts in the mount namespace of a process: the host lacks both the right and the program. `umount` is lazy (2, MNT_DETACH).
MOUNT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid, what, folder = sys.argv[1], sys.argv[2], sys.argv[3].encode()
space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
RDONLY, REMOUNT, BIND = 1, 32, 4096
steps = {
    "full": [lambda: libc.mount(b"tmpfs", folder, b"tmpfs", 0, b"size=64m,mode=755")],
    "read-only": [lambda: libc.mount(folder, folder, None, BIND, None),
                  lambda: libc.mount(None, folder, None, REMOUNT | BIND | RDONLY, None)],
    "gone": [lambda: libc.umount2(folder, 2)],
}
for step in [lambda: libc.setns(space, 0), *steps[what]]:
    if step() != 0:
        sys.exit(f"{what} {folder}: {os.strerror(ctypes.get_errno())}")
"""


def mount(host, what: str, folder: str) -> None:
    assert os.readlink(f"/proc/{host.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    subprocess.run([sys.executable, "-c", MOUNT, str(host.pid), what, folder], check=True)


@contextlib.contextmanager
def full(host, folder: str):
    """The directory on a separate disk that is completely full."""
    host.run(["sh", "-ec", f"mkdir -p {folder} /run/kept; cp -a {folder}/. /run/kept"]).check()
    mount(host, "full", folder)
    host.run(["sh", "-ec", f"cp -a /run/kept/. {folder}; rm -r /run/kept"]).check()
    assert host.run(["sh", "-c", f"cat /dev/zero > {folder}/.filler"]).rc != 0
    try:
        yield
    finally:
        mount(host, "gone", folder)


@contextlib.contextmanager
def read_only(host, folder: str):
    mount(host, "read-only", folder)
    try:
        yield
    finally:
        mount(host, "gone", folder)


@contextlib.contextmanager
def immutable(host, path: str):
    """`chattr +i`, set on the disk below the host."""
    file = str(host.folder / "upper" / path.lstrip("/"))
    assert os.path.isfile(file)
    done = subprocess.run(["chattr", "+i", file], capture_output=True, text=True)
    if any(words in done.stderr for words in ("not supported", "Inappropriate ioctl", "not permitted")):
        pytest.skip(f"no file can be made immutable where the labs' disks are: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", file], check=True)


FAULTS = {
    "etc is full": lambda host: full(host, "/etc"),
    "our folder is full": lambda host: full(host, STORE),
    "etc is read-only": lambda host: read_only(host, "/etc"),
    "the configuration is immutable": lambda host: immutable(host, CONFIG[host.platform]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_written_fails_the_state_and_stays_complete(host, fault):
    set_pillar(host, pillar())
    assert failed(solo.apply(host)) == []
    before, pid = belongings(host), daemons(host)
    wanted = pillar(maxpoll=4, keys={7: {"type": "SHA1", "secret": "0123456789abcdef0123456789abcdef01234567"}})
    wanted["tiers"]["server"]["serves"] = ["10.0.0.0/25", "10.0.1.0/24"]
    set_pillar(host, wanted)
    with FAULTS[fault](host):
        done = solo.apply(host)
        during = belongings(host)
        print(f"{host.platform}, {fault}: {red(done)}; changed {changed(done)}")
        assert red(done)
        assert drilling.stopped(host) == []
        assert follows(host) or wait_until(lambda: follows(host), 30)
        assert drilling.wrong_clock(host) == []
        if fault != "our folder is full":
            assert during[CONFIG[host.platform]] == before[CONFIG[host.platform]], "a file was left in half"
            assert daemons(host) == pid, "there was no reason to restart"
    now = solo.apply(host)
    assert failed(now) == []
    assert drilling.stopped(host) == []
    after = belongings(host)
    assert "maxpoll 4" in after[CONFIG[host.platform]][0]
    set_pillar(host, pillar())
    assert failed(solo.apply(host)) == []
    assert wait_until(lambda: follows(host), 30)
    at_the_end = {**before, drilling.KEYS[host.platform]: belongings(host)[drilling.KEYS[host.platform]]}
    drilling.whole(host, at_the_end)


def test_the_service_is_on_at_boot_after_all_of_that(host):
    host.reboot(clean=False)
    assert wait_until(lambda: follows(host), 60), SERVICE[host.platform]
    assert drilling.stopped(host) == [] and drilling.wrong_clock(host) == []
