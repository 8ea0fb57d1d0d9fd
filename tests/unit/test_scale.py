"""
The cost of 50,000 hosts, calculated from the cost of each additional host: memory, bytes and function calls. All three are the
same on a busy machine; `python -m tests.bench.scale` measures seconds.
"""

import sys
import tracemalloc

import msgpack
import pytest
import salt.client

from _runners import ntpcluster, ntpcluster_ask, ntpcluster_report
from tests.bench import scale
from tests.unit.runners import TABLE
from tests.unit.test_report import PARTS

HOSTS = 50000
#: From this size on a cluster counts as large in these tests, so that they need fewer hosts.
LARGE = 250
#: The part of 500 MB that the process uses without any hosts: Python and Salt.
BEFORE = 120e6


class Client:
    """A stand-in for Salt's client, like that of the benchmark, which makes returns on demand."""

    def __init__(self, hosts):
        self.hosts = hosts

    def run_job(self, tgt, fun, *_, **__):
        everyone = [named(name) for name, _ in scale.cluster(self.hosts)] if tgt == "*" else tgt
        return {"jid": fun, "minions": everyone}

    def get_iter_returns(self, jid, minions, **_):
        if jid == "ntpcluster_served.served":
            # Few hosts of a large cluster, and as many of one twice as large.
            assert len(minions) <= 3 * (scale.RELAYS + 1)
            yield from ({name: {"ret": scale.served(name)}} for name in minions)
            return
        for name, said in scale.cluster(self.hosts):
            if said is not None:
                # As from the event bus, each with its own copies of the texts.
                yield {named(name): {"ret": msgpack.unpackb(msgpack.packb(said))}}

    def destroy(self):
        pass


def named(name):
    """As long as typical host names."""
    return f"{name}.rack7.example.org"


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Call one of the runners on a cluster of this many hosts; returns the path of the file that it wrote."""
    monkeypatch.setattr(ntpcluster_report, "ROWS", LARGE)
    monkeypatch.setattr(ntpcluster_ask, "__opts__", {"conf_file": None})
    monkeypatch.setattr(ntpcluster_report, "__salt__", {**TABLE, "ntpcluster_page.parts": lambda saltenv: PARTS})

    def function(name, hosts):
        monkeypatch.setattr(salt.client, "get_local_client", lambda conf: Client(hosts))
        path = tmp_path / scale.FILES[name]
        if name == "tree":
            path.write_text(ntpcluster.tree()["data"])
        else:
            assert ntpcluster.__dict__[name](str(path))["hosts"] == hosts
        return path

    return function


def each_more(figure, few, many):
    """How much one additional host adds to a figure, and the figure for all hosts."""
    one, other = figure(few), figure(many)
    slope = (other - one) / (many - few)
    return slope, one + (HOSTS - few) * slope


@pytest.mark.parametrize("name", scale.FILES)
def test_memory(name, call):
    def peak(hosts):
        tracemalloc.start()
        try:
            call(name, hosts)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    call(name, 100)
    slope, whole = each_more(peak, 500, 1500)
    print(f"{slope:.0f} bytes of memory for each host, {(BEFORE + whole) / 1e6:.0f} MB for all")
    assert BEFORE + whole < 500e6


def test_bytes_of_the_page(call):
    slope, whole = each_more(lambda hosts: call("report", hosts).stat().st_size, 500, 1500)
    print(f"{slope:.0f} bytes of the page for each host, {whole / 1e6:.1f} MB for all")
    assert whole < 8e6


@pytest.mark.parametrize("name", scale.FILES)
def test_calls(name, call):
    """The work is linear in the number of hosts, and small for each host."""

    def calls(hosts):
        found = 0

        def count(_frame, event, _what):
            nonlocal found
            found += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            call(name, hosts)
        finally:
            sys.setprofile(None)
        return found

    calls(100)
    slope, _ = each_more(calls, 300, 600)
    later, _ = each_more(calls, 600, 1200)
    print(f"{slope:.0f} calls for each host, then {later:.0f}")
    assert later < 1.2 * slope
    # At 0.1 microseconds for each, 50,000 hosts are then 6 s.
    assert later < 1200
