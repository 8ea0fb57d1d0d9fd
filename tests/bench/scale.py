"""The master's runners with 50,000 hosts: seconds of CPU and megabytes for the tree, the figures and the page.

Only the minions are stood in for: what they return is one recorded status each, changed host by host and packed as
Salt's own client gets it. What carries it to the master, Salt's transport and its bus, is not measured.

`python -m tests.bench.scale [hosts] [runs]`
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack

ROOT = Path(__file__).resolve().parents[2]
RECORDED = json.loads((ROOT / "tests/corpus/standing/four-hosts.json").read_text())

#: Hosts of the two tiers above the clients, and how many of them each client asks.
TOP, RELAYS, SOURCES = 4, 40, 4
RUNS = 5
FUNCTIONS = ("tree", "metrics", "report")


def cluster(hosts: int) -> Iterator[tuple[str, Any]]:
    """(minion, what it returns): three tiers; in each hundred clients one is wrong, in each thousand one is silent,
    which is None here, and one says nonsense."""
    for number in range(hosts):
        if number < TOP:
            yield f"ntp{number}", _host(number, "server", None, [f"192.0.2.{each}" for each in range(SOURCES)])
        elif number < TOP + RELAYS:
            yield f"relay{number}", _host(number, "relay", "server", [_address(each) for each in range(TOP)])
        elif number % 1000 == 999:
            yield f"node{number}", None if number % 2000 == 999 else "Traceback (most recent call last):\nOSError: no"
        else:
            first = TOP + number % (RELAYS - SOURCES)
            said = _host(number, "client", "relay", [_address(first + each) for each in range(SOURCES)])
            if number % 100 == 0:
                trouble = {"code": "offset-high", "message": f"{number} us off", "remedy": "salt HOST state.apply ntp"}
                said.update(health="unsynchronized", synchronized=False, offset_ms=150 + number / 1e3)
                said["problems"] = [trouble]
            yield f"node{number}", said


def _address(number: int) -> str:
    return f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"


def _host(number: int, tier: str, follows: str | None, sources: list[str]) -> dict[str, Any]:
    """The recorded client in this tier, with these sources, the first of which it follows."""
    level = ("server", "relay", "client").index(tier)
    row = dict(RECORDED["node148"]["peers"][1], stratum=level + 1)
    peers = [
        dict(row, remote=source, address=source, offset_ms=(number * 7 + rank) % 997 / 1e3, delay_ms=0.1 + rank / 8)
        for rank, source in enumerate(sources)
    ]
    peers[0].update(condition="system_peer", tally="*", last_event="sys_peer")
    said = dict(RECORDED["node148"], tier=tier, level=level, follows=follows, source=sources[0], refid=sources[0])
    said.update(stratum=level + 2, expected_stratum=level + 2, planned=sources, peers=peers)
    said.update(addresses=[_address(number), f"fe80::{number:x}"], offset_ms=(number % 1999 - 999) / 997)
    said.update(jitter_ms=number % 97 / 997, root_delay_ms=number % 499 / 997, frequency_ppm=number % 331 / 7)
    return said


def write(path: Path, hosts: int) -> None:
    """A file of the returns, each packed by itself as on Salt's bus."""
    with path.open("wb") as stream:
        for each in cluster(hosts):
            stream.write(msgpack.packb(each))


#: One function of the runners in a process of its own, so that the memory measured is its alone.
ONE = """
import json, os, resource, sys
import msgpack, salt.client, salt.config, salt.loader

returns, function, path, runners, root = sys.argv[1:]

class Client:
    '''Salt's client with the minions' returns from a file instead of the bus.'''
    def run_job(self, *words, **how):
        with open(returns, "rb") as stream:
            return {"jid": "1", "minions": [name for name, _ in msgpack.Unpacker(stream)]}
    def get_iter_returns(self, jid, minions, **how):
        with open(returns, "rb") as stream:
            for name, said in msgpack.Unpacker(stream):
                if said is not None:
                    yield {name: {"ret": said}}
    def destroy(self):
        pass

salt.client.get_local_client = lambda conf: Client()
opts = salt.config.master_config(None)
opts.update(cachedir=path + ".cache", extension_modules=path + ".cache/none", runner_dirs=[runners])
opts.update(file_roots={"base": [root + "/salt"]})
call = salt.loader.runner(opts)["ntpcluster." + function]
def used():
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime
began = used()
if function == "tree":
    data = call()["data"].encode()
    with open(path, "wb") as stream:
        stream.write(data)
else:
    data = call(path=path)
# Not ru_maxrss: a process begins with the peak of the one that started it.
peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"seconds": used() - began, "mb": peak, "bytes": os.path.getsize(path)}))
"""


def run(returns: Path, function: str, path: Path) -> dict[str, float]:
    """Seconds of CPU, peak of memory in MB, and bytes of what it wrote."""
    words = [sys.executable, "-c", ONE, returns, function, path, ROOT / "_runners", ROOT]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def spread(figures: list[float], digits: int = 1) -> str:
    """Median and range."""
    middle, low, high = statistics.median(figures), min(figures), max(figures)
    return f"{middle:8.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def main(hosts: int = 50000, runs: int = RUNS) -> None:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write(folder / "returns", hosts)
        print(f"== the master's runners, {hosts:,} hosts with {SOURCES} sources each, {runs} runs: median (range)")
        found: dict[str, list[dict[str, float]]] = {function: [] for function in FUNCTIONS}
        for _ in range(runs):
            for function in FUNCTIONS:
                found[function].append(run(folder / "returns", function, folder / f"{function}.{ENDINGS[function]}"))
        for function, each in found.items():
            seconds, mb = (spread([one[key] for one in each]) for key in ("seconds", "mb"))
            print(f"{function:8}{seconds} s of CPU {mb} MB of memory {each[0]['bytes'] / 1e6:8.1f} MB written")


ENDINGS = {"tree": "txt", "metrics": "prom", "report": "html"}


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
