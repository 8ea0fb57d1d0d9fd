"""The master's runners with 50,000 hosts: seconds of CPU and megabytes for the tree, the figures and the page.

Only the minions are stand-ins: each returns one recorded status, modified for each host and packed as Salt's own client gets
it. Salt's transport and its event bus are not measured.

`python -m tests.bench.scale [hosts] [runs]`
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import salt.client
import salt.config
import salt.loader

from tests.functional.browser import chromium

ROOT = Path(__file__).resolve().parents[2]
RECORDED = json.loads((ROOT / "tests/corpus/standing/four-hosts.json").read_text())

#: Hosts of the two tiers above the clients, and how many of them each client queries.
TOP, RELAYS, SOURCES = 4, 40, 4
RUNS = 5
#: The functions, and what each one writes.
FILES = {"tree": "tree.txt", "metrics": "figures.prom", "report": "page.html"}


def cluster(hosts: int) -> Iterator[tuple[str, Any]]:
    """(minion, what it returns): three tiers; one client in a hundred is wrong, one in a thousand does not answer (None), and
    one in a thousand returns nonsense."""
    for number in range(hosts):
        if number < TOP:
            yield f"ntp{number}", _host(number, "server", None)
        elif number < TOP + RELAYS:
            yield f"relay{number}", _host(number, "relay", "server")
        elif number % 1000 == 999:
            yield f"node{number}", None if number % 2000 == 999 else "Traceback (most recent call last):\nOSError: no"
        else:
            said = _host(number, "client", "relay")
            if number % 100 == 0:
                trouble = {"code": "offset-high", "message": f"{number} us off", "remedy": "salt HOST state.apply ntp"}
                said.update(health="unsynchronized", synchronized=False, offset_ms=150 + number / 1e3)
                said["problems"] = [trouble]
            yield f"node{number}", said


def _address(number: int) -> str:
    return f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"


def sources(number: int) -> list[str]:
    """The sources of a host: each client queries four of the relays, and not all the same ones."""
    if number < TOP:
        return [f"192.0.2.{each}" for each in range(SOURCES)]
    if number < TOP + RELAYS:
        return [_address(each) for each in range(TOP)]
    first = TOP + number % (RELAYS - SOURCES)
    return [_address(first + each) for each in range(SOURCES)]


def served(minion: str) -> dict[str, Any]:
    """What a minion returns when it queries its servers: all of them answer."""
    number = int("".join(filter(str.isdigit, minion.partition(".")[0])))
    return {"servers": [{"name": each, "address": each, "reachable": True} for each in sources(number)]}


def _host(number: int, tier: str, follows: str | None) -> dict[str, Any]:
    """The recorded client in this tier, with its sources, the first of which it follows."""
    level = ("server", "relay", "client").index(tier)
    row = dict(RECORDED["node148"]["peers"][1], stratum=level + 1)
    peers = [
        dict(row, remote=source, address=source, offset_ms=(number * 7 + rank) % 997 / 1e3, delay_ms=0.1 + rank / 8)
        for rank, source in enumerate(sources(number))
    ]
    peers[0].update(condition="system_peer", tally="*", last_event="sys_peer")
    said = dict(RECORDED["node148"], tier=tier, level=level, follows=follows, source=peers[0]["address"])
    said.update(
        refid=said["source"], stratum=level + 2, expected_stratum=level + 2, planned=sources(number), peers=peers
    )
    said.update(addresses=[_address(number), f"fe80::{number:x}"], offset_ms=(number % 1999 - 999) / 997)
    said.update(jitter_ms=number % 97 / 997, root_delay_ms=number % 499 / 997, frequency_ppm=number % 331 / 7)
    return said


class Client:
    """
    A stand-in for Salt's client, `salt.client.get_local_client`: the returns are read from a file, one after the other, packed
    as on Salt's event bus. It does not wait, and reads no bus.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run_job(self, tgt: Any, fun: str, *words: Any, **how: Any) -> dict[str, Any]:
        everyone = (self.folder / "minions").read_text().split() if tgt == "*" else tgt
        return {"jid": fun, "minions": everyone}

    def get_iter_returns(self, jid: str, minions: list[str], **how: Any) -> Iterator[dict[str, Any]]:
        if jid == "ntpcluster_served.served":
            yield from ({name: {"ret": served(name)}} for name in minions)
            return
        with (self.folder / "returns").open("rb") as stream:
            for name, said in msgpack.Unpacker(stream):
                if said is not None:
                    yield {name: {"ret": said}}

    def destroy(self) -> None:
        pass


def write(folder: Path, hosts: int) -> None:
    """Write the file that `Client` reads."""
    names = []
    with (folder / "returns").open("wb") as stream:
        for name, said in cluster(hosts):
            names.append(name)
            stream.write(msgpack.packb((name, said)))
    (folder / "minions").write_text("\n".join(names))


def used() -> float:
    """Seconds of CPU of this process: other processes on the machine hardly affect them."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def alone(folder: str, function: str, path: str) -> None:
    """Run one function, in a process that does nothing else, and print the figures as JSON."""
    salt.client.get_local_client = lambda conf: Client(Path(folder))
    opts = salt.config.master_config(None)
    opts.update(cachedir=folder, extension_modules=f"{folder}/none", runner_dirs=[str(ROOT / "_runners")])
    opts.update(file_roots={"base": [str(ROOT / "salt")]})
    call = salt.loader.runner(opts)[f"ntpcluster.{function}"]
    began = used()
    if function == "tree":
        Path(path).write_text(call()["data"])
    else:
        assert call(path=path)["bytes"]
    # Not ru_maxrss: a process begins with the peak of the one that started it.
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"seconds": used() - began, "mb": peak, "bytes": Path(path).stat().st_size}))


def run(folder: Path, function: str, path: Path) -> dict[str, float]:
    """Seconds of CPU, peak memory in MB, and the number of bytes that one function wrote."""
    words = [sys.executable, "-c", "import sys; from tests.bench.scale import alone; alone(*sys.argv[1:])"]
    done = subprocess.run([*words, folder, function, path], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


#: What a reader does with the table: each column both ways, and some words, from those of all hosts to those of none.
CLICKS = [
    f"document.querySelectorAll('#table thead button')[{column}].click()" for column in range(9) for _ in range(2)
]
FIND = "(e => {{ e.value = '{}'; e.dispatchEvent(new Event('input')) }})(document.getElementById('text'))"
WORDS = [FIND.format(words) for words in ("node", "node4", "relay7 node49", "unsynchronized", "no such host", "")]


def page(path: Path) -> dict[str, float]:
    """Milliseconds of CPU of the page's own thread in Chromium: to open it, and the most that a sort and a search took."""
    with chromium() as browser:
        browser.screen(1200, 900)
        browser.ask("Performance.enable", timeDomain="threadTicks")

        def spent() -> float:
            metrics = browser.ask("Performance.getMetrics")["metrics"]
            return 1000 * next(each["value"] for each in metrics if each["name"] == "TaskDuration")

        def took(action: str) -> float:
            before = spent()
            # Reading a height forces the layout of the page.
            browser.run(f"{action}; document.body.offsetHeight")
            return spent() - before

        browser.open(path)
        return {"open": spent(), "sort": max(map(took, CLICKS)), "find": max(map(took, WORDS))}


def spread(figures: list[float], digits: int = 1) -> str:
    """Median and range."""
    middle, low, high = statistics.median(figures), min(figures), max(figures)
    return f"{middle:8,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def main(hosts: int = 50000, runs: int = RUNS) -> None:
    print(f"== the master's runners, {hosts:,} hosts with {SOURCES} sources each, {runs} runs: median (range)")
    figures: dict[str, list[dict[str, float]]] = {function: [] for function in (*FILES, "page")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, hosts)
        for _ in range(runs):
            for function, file in FILES.items():
                figures[function].append(run(folder, function, folder / file))
            figures["page"].append(page(folder / FILES["report"]))
    opened = figures.pop("page")
    for function, each in figures.items():
        seconds, mb = (spread([one[key] for one in each]) for key in ("seconds", "mb"))
        print(f"{function:8}{seconds} s of CPU {mb} MB of memory {each[0]['bytes'] / 1e6:8.1f} MB written")
    print("page    ", *(f"{does} {spread([one[does] for one in opened], 0)} ms of CPU " for does in opened[0]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
