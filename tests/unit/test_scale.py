"""
What 50,000 hosts cost, reckoned from what each host more costs: memory, bytes and calls of functions. All three are the
same on a busy machine; seconds are what `python -m tests.bench.scale` is for.
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
#: From here on a cluster counts as large in these tests, so that they need no more hosts.
LARGE = 250
#: Of 500 MB, what the process has before any host is known: Python and Salt.
BEFORE = 120e6


class Client:
    """Stands for Salt's client, as that of the bench does, with returns made when they are asked for."""

    def __init__(self, hosts):
        self.hosts = hosts

    def run_job(self, tgt, fun, *_, **__):
        everyone = [named(name) for name, _ in scale.cluster(self.hosts)] if tgt == "*" else tgt
        return {"jid": fun, "minions": everyone}

    def get_iter_returns(self, jid, minions, **_):
        if jid == "ntpcluster_served.served":
            # Few of many, and as many of a cluster twice as large.
            assert len(minions) <= 3 * (scale.RELAYS + 1)
            yield from ({name: {"ret": scale.served(name)}} for name in minions)
            return
        for name, said in scale.cluster(self.hosts):
            if said is not None:
                # As from the bus, each with texts of its own.
                yield {named(name): {"ret": msgpack.unpackb(msgpack.packb(said))}}

    def destroy(self):
        pass


def named(name):
    """As long as names of hosts are."""
    return f"{name}.rack7.example.org"


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Call one of the runners on a cluster of so many hosts; returns the path of the file that it wrote."""
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
    """What one host more adds to a figure, and what it would be with all hosts."""
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
    """Nothing is done for each pair of hosts, and not much for each host."""

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
