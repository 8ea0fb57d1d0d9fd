"""The cost on a host: an apply with nothing to do, and a status. Seconds and milliseconds are CPU time, never wall-clock time.

Each kind of host is listed twice: with this tree, and with ntp-formula, whose `ntp.ng` installs, writes one file and keeps the
service running: three states, which do not check whether the time is right. It is not in a package index: NTP_FORMULA names the
directory of a checkout, and without it that column is left out. The compared calls run alternately. An apply of one empty state
shows what Salt itself costs.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import yaml

from _modules.ntpcluster_chrony import ASKED, TIMEOUT_MS
from _modules.ntpcluster_ntpd import NTPQ_TIMEOUT_MS
from tests.bench.scale import spread
from tests.lab import solo
from tests.lab.cluster import INTERNET, Cluster, Role, changed, failed, ready
from tests.lab.host import NamespaceHost
from tests.lab.images import PROJECT
from tests.lab.master import SCRIPTS

#: The program that `ntpcluster.status` has to run in any case.
NTPQ = ["ntpq", "-n"]
for command in (
    f"timeout {NTPQ_TIMEOUT_MS}",
    "rv 0",
    "lpeers",
    "lassoc",
    *(f"rv &{n + 1}" for n in range(len(INTERNET))),
):
    NTPQ += ["-c", command]
NTPQ.append("127.0.0.1")
CHRONYC = ["chronyc", "-n", "-c", "-m", f"timeout {TIMEOUT_MS}", "retries 0", *ASKED]

#: For each kind: its Python, the program that queries its daemon, and the settings that ntp-formula needs for both.
KINDS = {
    "el6": ("python2.7", NTPQ, {"package": "ntp", "service": "ntpd", "ntp_conf": "/etc/ntp.conf"}),
    "modern": (
        f"{SCRIPTS}/python3",
        NTPQ,
        {"package": "ntpsec", "service": "ntpsec", "ntp_conf": "/etc/ntpsec/ntp.conf"},
    ),
    "el9": (
        f"{SCRIPTS}/python3",
        CHRONYC,
        {"package": "chrony", "service": "chronyd", "ntp_conf": "/etc/chrony.conf"},
    ),
}
#: The compared applies: in a new process for each, and in a process that has made them before.
APPLIES = ("salt-call state.apply ntp", "again in one process, ms")
PEERS = ("ntp-formula: salt-call", "ntp-formula: again, ms")
NOTHING = ("an empty state: salt-call", "an empty state: again, ms")
#: Calls of one process, whose mean is taken.
CALLS = 10
WARM = str(PROJECT / "tests/bench/warm.py")


#: The usual limit of open files in a shell. Python 2.7 closes every possible descriptor, and the lab's machine may allow many
#: more.
LIMITED = ["sh", "-c", 'ulimit -S -n 1024 && exec "$0" "$@"']


def spent(host: NamespaceHost, *words: str) -> float:
    """Seconds of CPU of a program in the host and of everything that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    host.run([*LIMITED, *words]).check()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def process(host: NamespaceHost, *words: str) -> Callable[[], float]:
    """A new process for the call: the cost of `salt-call`."""
    return lambda: spent(host, "salt-call", "--local", "-l", "quiet", *words)


def warm(host: NamespaceHost, python: str, *words: str) -> dict[str, float]:
    """See warm.py."""
    return json.loads(host.run([*LIMITED, python, "-W", "ignore", WARM, f"{CALLS}", *words]).check().out)


def as_synced(host: NamespaceHost) -> None:
    """Give the minion copies of the modules, as if from a master: without write access to their directory, each process would
    compile them again."""
    minion = yaml.safe_load(host.read("/etc/salt/minion"))
    del minion["module_dirs"]
    host.write("/etc/salt/minion", yaml.safe_dump(minion))
    solo.call(host, "saltutil.sync_all")


def ours(lab: Cluster, kind: str, address: str) -> NamespaceHost:
    """A client with this tree on which nothing is left to do."""
    host = solo.add(lab, Role(f"{kind}-ours", address, kind))
    as_synced(host)
    settle(host, "ntp")
    host.write("/srv/instead/nothing.sls", "nothing:\n  test.nop: []\n")
    return host


def peer(lab: Cluster, kind: str, address: str) -> NamespaceHost | None:
    """The same with ntp-formula; None if it is not available."""
    folder = os.environ.get("NTP_FORMULA")
    if not folder:
        return None
    host = solo.add(lab, Role(f"{kind}-peer", address, kind), show=(Path(folder),))
    as_synced(host)
    minion = yaml.safe_load(host.read("/etc/salt/minion"))
    minion["file_roots"]["base"] = [folder]
    host.write("/etc/salt/minion", yaml.safe_dump(minion))
    conf: dict = {"server": [f"{address} iburst" for address in INTERNET]}
    if kind == "el9":
        conf["restrict"] = []  # chronyd rejects the formula's own
        conf["driftfile"] = ["/var/lib/chrony/drift"]
    solo.set_pillar(host, {"ng": {"lookup": KINDS[kind][2], "settings": {"ntpd": True, "ntp_conf": conf}}})
    settle(host, "ntp.ng")
    return host


def settle(host: NamespaceHost, sls: str) -> None:
    """Apply until nothing changes."""
    for _ in range(3):
        states = solo.apply(host, sls=sls)
        for line in failed(states):
            raise SystemExit(f"{host.name}: {line}")
        if not changed(states):
            return
    raise SystemExit(f"{host.name}: {sls} changes something in every run: {changed(states)}")


def measure(kind: str, mine: NamespaceHost, theirs: NamespaceHost | None, runs: int) -> None:
    """Print one kind's figures."""
    python, bare, _ = KINDS[kind]
    takes = {
        "salt-call test.ping": process(mine, "test.ping"),
        APPLIES[0]: process(mine, "state.apply", "ntp"),
        APPLIES[1]: lambda: warm(mine, python, "state.apply", "ntp")["call"],
        NOTHING[0]: process(mine, "state.apply", "nothing"),
        NOTHING[1]: lambda: warm(mine, python, "state.apply", "nothing")["call"],
    }
    if theirs:
        takes[PEERS[0]] = process(theirs, "state.apply", "ntp.ng")
        takes[PEERS[1]] = lambda: warm(theirs, python, "state.apply", "ntp.ng")["call"]
    figures: dict[str, list[float]] = {name: [] for name in takes}
    status: dict[str, list[float]] = {"call": [], "bare": []}
    for _ in range(runs):
        for name, take in takes.items():
            figures[name].append(take())
        for name, value in warm(mine, python, "ntpcluster.status", "--", *bare).items():
            status[name].append(value)
    print(f"== {kind}: an apply with nothing to do, {runs} runs: median (range), CPU")
    ping = figures["salt-call test.ping"]
    for name, each in figures.items():
        digits = 1 if name.endswith("ms") else 3
        beyond = [one - other for one, other in zip(each, ping, strict=True)]
        more = f"   beyond test.ping{spread(beyond, 3)} s" if digits == 3 and each is not ping else ""
        print(f"{name:28}{spread(each, digits)} {'ms' if digits == 1 else 's'}{more}")
    for one, other in zip(APPLIES, PEERS, strict=True) if theirs else ():
        ratios = [mine / theirs for mine, theirs in zip(figures[one], figures[other], strict=True)]
        print(f"{one} / {other}: {spread(ratios, 2)}")
    ratios = [one / other for one, other in zip(status["call"], status["bare"], strict=True)]
    print(f"ntpcluster.status, again in one process {spread(status['call'])} ms", end="")
    print(f"   {bare[0]} alone {spread(status['bare'])} ms   times {spread(ratios, 2)}")
    print(f"programs of the apply: {', '.join(solo.programs(mine, 'state.apply', 'ntp'))}")
    print(f"programs of a status:  {', '.join(solo.programs(mine, 'ntpcluster.status'))}", flush=True)


def main(runs: int) -> None:
    ready(kinds=KINDS)
    if not os.environ.get("NTP_FORMULA"):
        print("ntp-formula is not here (it is in no package index; NTP_FORMULA=FOLDER names a checkout)")
    for number, kind in enumerate(KINDS):
        with Cluster(master=False) as lab:
            mine, theirs = ours(lab, kind, f"10.0.0.{30 + number}"), peer(lab, kind, f"10.0.0.{40 + number}")
            measure(kind, mine, theirs, runs)
