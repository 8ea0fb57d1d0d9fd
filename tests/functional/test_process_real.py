"""
Which process is the daemon, on a real kernel: processes called ntpd in separate namespaces, some with port 123.

The processes are stand-ins: a Python program that sets its name, as /proc shows it, and binds the port. They have everything
that the kernel shows of the real ones: name, command line, sockets, pid file, namespaces.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

from _modules import ntpcluster_service
from tests.lab.images import PROJECT

NEEDED = ["unshare", "setpriv", "mount", "ip"]
MISSING = [program for program in NEEDED if not shutil.which(program)]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not in the PATH: {', '.join(MISSING)}"),
]

#: The code that runs in the namespaces: a process for each letter, then the functions under test.
SANDBOX = """
import json, os, socket, subprocess, sys, time
sys.path.insert(0, {project!r})
from _modules import ntpcluster_process as process

PLATFORM = {{"process": "ntpd", "pid_file": "/run/ntpd.pid"}}

def become(name="ntpd", port=None, user=None, end=False, pid_file=False, peer=None):
    '''Start a stand-in; returns its process id once it is ready.'''
    ready, done = os.pipe()
    pid = os.fork()
    if not pid:
        open("/proc/self/comm", "w").write(name)
        if port:
            held = socket.socket(socket.AF_INET6 if port == 6 else socket.AF_INET, socket.SOCK_DGRAM)
            held.bind(("::1" if port == 6 else "127.0.0.1", 123))
        if peer:
            asks = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            asks.connect(("127.0.0.1", 123))
        if pid_file:
            open(PLATFORM["pid_file"], "w").write(str(os.getpid()))
        if user:
            os.setgid(user)
            os.setuid(user)
        os.write(done, b".")
        if end:
            os._exit(0)
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    time.sleep(0.1)
    return pid

def seen():
    found = process.running(PLATFORM)
    return [found["running"], found["pid"]]

def titled(title):
    '''A process that names itself as OpenNTPD does, with the port.'''
    code = ("import socket,time; open('/proc/self/comm','w').write('ntpd'); s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
            "s.bind(('127.0.0.1',123)); print(1, flush=True); time.sleep(60)")
    child = subprocess.Popen([title, "-c", code], executable=sys.executable, stdout=subprocess.PIPE)
    child.stdout.read(1)
    return child.pid

def only_sets():
    '''What a chronyd is while it sets the clock once: the daemon's name and pid file, no port, and `-q` among its words.'''
    code = ("import os,time; open('/proc/self/comm','w').write('ntpd'); open(%r,'w').write(str(os.getpid()));"
            "print(1, flush=True); time.sleep(60)" % PLATFORM["pid_file"])
    child = subprocess.Popen([sys.executable, "-c", code, "-q", "server 10.0.0.1"], stdout=subprocess.PIPE)
    child.stdout.read(1)
    return child.pid
"""


def inside(code, *privileges):
    """Run code after SANDBOX in its own network, process and mount namespaces; returns what it assigns to `answer`."""
    script = SANDBOX.format(project=str(PROJECT)) + code + "\nprint(json.dumps(answer))\n"
    argv = [
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
    ]
    start = 'ip link set lo up && mount -t tmpfs tmpfs /run && exec "$@"'
    done = subprocess.run(
        [*argv, "setpriv", "--bounding-set=-sys_time,-sys_boot", "sh", "-c", start, "sh", *privileges,
         sys.executable, "-c", script],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_a_process_there_is_no_daemon():
    assert inside("answer = seen()") == [False, None]


@pytest.mark.parametrize("family", [4, 6])
def test_the_daemon_is_the_process_with_the_port_and_not_an_older_one_of_the_same_name(family):
    holder, found = inside(f"become(); holder = become(port={family}); become(); answer = [holder, seen()]")
    assert found == [True, holder]


def test_a_process_of_the_same_name_without_the_port_is_not_the_daemon():
    """The resolver child of ntpd 4.2.6: the daemon is dead, with or without its pid file."""
    assert inside("become(); answer = seen()") == [False, None]
    assert inside("become(); dead = become(end=True, pid_file=True); os.waitpid(dead, 0); answer = seen()") == [
        False,
        None,
    ]


def test_a_process_of_the_same_name_that_queries_a_server_does_not_hold_the_port():
    assert inside("become(peer=True); answer = [process.port_sockets(), seen()]") == [[], [False, None]]


def test_a_daemon_that_has_not_bound_its_port_yet_is_known_by_its_pid_file():
    pid, found = inside("become(); pid = become(pid_file=True); answer = [pid, seen()]")
    assert found == [True, pid]


def test_a_pid_file_that_names_another_program_is_ignored():
    assert inside("become(name='sleep', pid_file=True); become(); answer = seen()") == [False, None]


def test_a_process_that_only_sets_the_clock_is_not_the_daemon():
    assert inside("only_sets(); answer = seen()") == [False, None]


def test_a_zombie_is_dead():
    assert inside("become(end=True, pid_file=True); answer = seen()") == [False, None]


def test_ntpdate_with_the_port_is_not_the_daemon():
    held, found = inside("become(name='ntpdate', port=4); become(); answer = [len(process.port_sockets()), seen()]")
    assert (held, found) == (1, [False, None])


def test_openntpd_is_not_the_daemon_although_it_is_called_ntpd_and_holds_the_port():
    """As OpenNTPD 6.2p3: /proc/PID/stat says (ntpd), /proc/PID/cmdline `ntpd: ntp engine`."""
    found, titles = inside(
        "titled('ntpd: ntp engine'); answer = [seen(), [one['title'] for one in process.named(['ntpd'])]]"
    )
    assert found == [False, None]
    assert titles[0].startswith("ntpd: ntp engine")


def test_each_rival_is_named_once_and_those_of_containers_are_not():
    """OpenNTPD has three processes called ntpd: a parent that keeps its command line, and two that change it."""
    code = """
from _modules import ntpcluster_diagnose as diagnose, ntpcluster_problems as problems
diagnose.__salt__ = {
    "ntpcluster_process.named": process.named,
    "ntpcluster_process.rivals": process.rivals,
    "ntpcluster_problems.rival": problems.rival,
}
become()
become(name="chronyd")
titled("ntpd: ntp engine")
subprocess.Popen(["unshare", "--pid", "--fork", sys.executable, "-c",
                  "import time; open('/proc/self/comm','w').write('ptp4l'); print(1, flush=True); time.sleep(60)"],
                 stdout=subprocess.PIPE).stdout.read(1)
answer = [[one["code"], one["evidence"]["name"]] for one in diagnose._rivals("ntpd")]
"""
    assert inside(code) == [["rival-daemon", "chronyd"], ["rival-daemon", "openntpd"]]


def test_a_daemon_that_dropped_root_is_seen_by_root():
    holder, found = inside("become(); holder = become(port=4, user=65534); answer = [holder, seen()]")
    assert found == [True, holder]


def test_a_process_that_may_not_be_examined_is_unknown_unless_a_pid_file_names_it():
    """Root without CAP_SYS_PTRACE, as in many containers, cannot read the sockets of another user's process."""
    blind = ["setpriv", "--bounding-set=-sys_ptrace,-sys_time,-sys_boot", "--inh-caps=-all"]
    assert inside("become(port=4, user=65534); answer = seen()", *blind) == [None, None]
    pid, found = inside("pid = become(port=4, user=65534, pid_file=True); answer = [pid, seen()]", *blind)
    assert found == [True, pid]
    # If no process holds the port, the one with the same name does not hold it either.
    assert inside("become(user=65534); answer = seen()", *blind) == [False, None]


def test_the_holder_of_the_port_is_unknown_without_a_view_of_every_process():
    """A minion that is not root, on a host that hides the processes of others: it sees only the port."""
    code = """
subprocess.check_call(["mount", "-o", "remount,hidepid=2", "/proc"])
{holder}
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
answer = [process.named(["ntpd"]), seen()]
"""
    assert inside(code.format(holder="become(port=4)")) == [[], [None, None]]
    assert inside(code.format(holder="")) == [[], [False, None]]


def test_the_daemon_of_a_container_is_not_ours_even_on_our_network():
    """Our /proc shows processes in a child pid namespace: one with the port, and a rival."""
    code = """
for name, port in (("ntpd", 4), ("chronyd", None)):
    double = "import socket,time; open('/proc/self/comm','w').write(%r); s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)" % name
    double += "; s.bind(('127.0.0.1',123))" if port else ""
    subprocess.Popen(["unshare", "--pid", "--fork", sys.executable, "-c", double + "; print(1, flush=True); time.sleep(60)"],
                     stdout=subprocess.PIPE).stdout.read(1)
time.sleep(0.1)
names = [open("/proc/%s/comm" % pid).read().strip() for pid in os.listdir("/proc") if pid.isdigit()]
answer = [names.count("ntpd"), names.count("chronyd"), len(process.port_sockets()), seen(), process.named(["chronyd"])]
"""
    assert inside(code) == [1, 1, 1, [False, None], []]


def test_the_uptime_is_the_process_s_own():
    code = "become(port=4); time.sleep(1.5); become(); answer = process.running(PLATFORM)['uptime_s']"
    assert 1.4 <= inside(code) < 20


GUARDED = """
GUARD = {guard!r}
{before}
words = ["guard", PLATFORM["pid_file"], PLATFORM["process"], "touch", "/run/started"]
guard = subprocess.Popen(["sh", "-c", GUARD, *words], stdin=subprocess.PIPE)
began = time.monotonic()
guard.stdin.close()
{after}
guard.wait()
answer = [os.path.exists("/run/started"), time.monotonic() - began]
"""


@pytest.mark.parametrize(
    ("before", "after", "starts", "least"),
    [
        ("", "", True, 1.5),
        # The resolver child of a daemon that has been stopped.
        ("become()", "", True, 1.5),
        ("become(port=4)", "", False, 4),
        ("become(port=6)", "", False, 4),
        # It is starting, and has no port yet.
        ("become(pid_file=True)", "", False, 4),
        # The pid file of a dead process.
        ("become(); os.waitpid(become(end=True, pid_file=True), 0)", "", True, 1.5),
        ("become(end=True, pid_file=True)", "", True, 1.5),
        # ntpdate holds the port for longer than the guard watches a daemon, and then it ends.
        ("date = become(name='ntpdate', port=4)", "time.sleep(7); os.kill(date, 9); os.waitpid(date, 0)", True, 8),
        # So does a chronyd that only sets the clock: it has the daemon's name and pid file, and no port.
        (
            "date = only_sets()",
            "time.sleep(7); os.kill(date, 9); os.waitpid(date, 0)",
            True,
            8,
        ),
        # A client queries a server meanwhile: that is not our port.
        ("become(name='busybox', peer=True)", "", True, 1.5),
    ],
)  # fmt: skip
def test_the_guard_starts_a_dead_daemon_and_never_a_second_one(before, after, starts, least):
    code = GUARDED.format(guard=ntpcluster_service.GUARD, before=before, after=after)
    started, took = inside(code)
    assert started is starts
    # A guard that cannot find out gives up after 40 s.
    assert least <= took < 38
