"""The whole path from the output of ntpq to `status`: the modules are real, and so is the text.

Stand-ins: `program` returns the text of a file instead of running ntpq (real output of a healthy host of the lab, with each
kind of ntpd), and `daemon` returns a running process; neither has time limits or missing programs.
"""

import random
import re

import pytest

from _modules import ntpcluster_status
from _runners import ntpcluster_heal
from tests.loaded import FUNCTIONS
from tests.unit import py2_corpus
from tests.unit.test_plan import PILLAR
from tests.unit.test_plan import plan as planned

INTERNET = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
KINDS = ("el6", "modern")
MUTATIONS = 5000  # for each kind


def plan(sources=None, **changes):
    """The plan of a host with these sources."""
    pillar = dict(PILLAR, orphan=10, tiers={"client": {"match": "*", "sources": sources or INTERNET}})
    return dict(planned("node148", "10.0.0.50", pillar=pillar), **changes)


def healthy(kind):
    return py2_corpus.read(f"status/{kind}.txt")


class Host:
    """A host whose daemon prints the text given by the test."""

    def __init__(self, monkeypatch):
        self.plan, self.stdout, self.stderr, self.more, self.answers = plan(), "", "", "", []
        self.process = {"name": "ntpd", "running": True, "enabled": True, "pid": 321, "uptime_s": 90000.0}
        self.deployed = True
        self.services, self.rivals, self.at_boot = ["crond", "cron"], [], []
        stand_ins = {
            "ntpcluster_facts.foreign": lambda: None,
            "ntpcluster_applied.judged_by": lambda plan: "the pillar",
            "ntpcluster_origin.deployed": lambda: self.deployed,
            "ntpcluster_plan.plan": lambda: self.plan,
            "ntpcluster_query.query": self._query,
            "ntpcluster_program.run": self._program,
            "ntpcluster_process.named": lambda names: [],
            "ntpcluster_process.daemon": lambda platform, living: dict(self.process),
            "ntpcluster_process.rivals": lambda own, living: self.rivals,
            "ntpcluster_process.at_boot": lambda services: [one for one in services if one in self.at_boot],
            "service.status": lambda service: service in self.services,
        }
        for name, stand_in in stand_ins.items():
            monkeypatch.setitem(FUNCTIONS, name, stand_in)
        monkeypatch.setattr(ntpcluster_status, "__context__", {}, raising=False)

    def _program(self, name, package, argv, timeout=10):
        stdout = self.stdout if "lpeers" in argv else self.more
        return {"retcode": 0, "stdout": stdout, "stderr": self.stderr, "timed_out": False, "seconds": 0.0}

    def _query(self, servers=None):
        """The answers given by the test; no packet is sent."""
        usable = [server for server in self.answers if server["offset_s"] is not None]
        best = min(usable, key=lambda server: (server["stratum"], server["delay_s"])) if usable else None
        return {"servers": self.answers, "best": best}

    def status(self, stdout=None):
        self.stdout = self.stdout if stdout is None else stdout
        return ntpcluster_status.status()


@pytest.fixture
def host(monkeypatch):
    return Host(monkeypatch)


def codes(seen):
    return [problem["code"] for problem in seen["problems"]]


def consistent(seen):
    """What must be true of every result, whatever the daemon prints."""
    if not seen["synchronized"]:
        assert seen["problems"], "not synchronized, and nobody knows why"
    assert seen["health"] != "ok" or (seen["synchronized"] and not seen["problems"])
    assert seen["health"] not in ("ok", "degraded") or seen["synchronized"]
    if seen["synchronized"]:
        assert seen["leap"] in ("none", "add", "del") and (not seen["daemon"]["running"] or 0 <= seen["stratum"] < 16)
        assert abs(seen["offset_ms"]) <= 100 and seen["source"] in INTERNET


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_host_is_ok(host, kind):
    seen = host.status(healthy(kind))
    assert (seen["health"], seen["source"], codes(seen)) == ("ok", "10.0.0.3", [])


def test_a_host_with_a_second_time_daemon_is_not_ok_whether_it_runs_or_starts_at_boot(host):
    text = healthy(KINDS[0])
    host.plan["conflicts"], host.at_boot = ["ntpsec", "openntpd"], ["openntpd"]
    seen = host.status(text)
    assert (seen["health"], codes(seen)) == ("degraded", ["rival-daemon"]) and "openntpd starts at boot" in str(seen)
    ntpcluster_status.__context__.clear()
    host.rivals = [("chronyd", 77)]
    seen = host.status(text)
    assert (seen["health"], codes(seen)) == ("degraded", ["rival-daemon"]) and "chronyd (pid 77)" in str(seen)


@pytest.mark.parametrize("uptime, pauses", [(2.0, [4.8, 1]), (6.5, [1, 1]), (90000.0, [1, 1]), (None, [1, 1])])
def test_a_daemon_is_not_queried_before_it_can_follow_a_source(host, monkeypatch, uptime, pauses):
    """The stand-in of the clock moves only while the function sleeps, and the daemon's uptime with it."""
    slept = waits(host, monkeypatch, [None if uptime is None else lambda passed: uptime + passed] * 3)
    assert slept == pytest.approx(pauses)


def waits(host, monkeypatch, uptimes, looked=None):
    """
    The pauses of a wait that ends with its last look; each look gives the daemon's uptime after so many seconds. `looked`: how old
    the first report is.
    """
    slept, host.plan["platform"]["first_sync"] = [], 6.8
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.monotonic", lambda: 100.0 + sum(slept))
    monkeypatch.setattr(ntpcluster_status.time, "sleep", slept.append)
    left = list(uptimes)

    def status(age):
        moment = 100.0 + sum(slept) - (looked or 0 if len(left) == len(uptimes) else 0)
        ntpcluster_status.__context__["ntpcluster.seen"] = (moment, None)
        uptime = left.pop(0)
        daemon = {"running": bool(uptime), "uptime_s": uptime(moment - 100.0) if uptime else None}
        return {"synchronized": not left, "daemon": daemon}

    monkeypatch.setattr(ntpcluster_status, "status", status)
    assert ntpcluster_status.synchronized(timeout=30)["synchronized"]
    return slept


def test_the_first_report_may_be_old(host, monkeypatch):
    assert waits(host, monkeypatch, [lambda passed: 2.4 + passed] * 3, looked=1.9) == pytest.approx([4.4, 1])


def test_a_container_that_shows_a_daemon_as_just_started_for_ever_delays_nothing_for_long(host, monkeypatch):
    assert waits(host, monkeypatch, [lambda passed: 0.0] * 4) == pytest.approx([6.8, 1, 1])


def test_the_leader_of_an_island_is_not_waited_for(host, monkeypatch):
    host.plan["local"] = 10
    assert waits(host, monkeypatch, [lambda passed: 1.0 + passed] * 3) == pytest.approx([1, 1])


def test_the_wait_for_a_daemon_ends_with_its_time_limit(host, monkeypatch):
    slept, host.plan["platform"]["first_sync"] = [], 6.8
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.monotonic", lambda: 100.0 + sum(slept))
    monkeypatch.setattr(ntpcluster_status.time, "sleep", slept.append)
    seen = {"synchronized": False, "daemon": {"running": True, "uptime_s": 0.5}}
    monkeypatch.setattr(ntpcluster_status, "status", lambda age: seen)
    assert ntpcluster_status.synchronized(timeout=3)["synchronized"] is False
    assert sum(slept) == pytest.approx(3)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_ends_at_any_byte_is_judged(host, kind):
    text = healthy(kind)
    for end in range(len(text)):
        consistent(host.status(text[:end]))


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_mutations_are_judged_and_an_unsynchronized_host_says_why(host, kind):
    dice, text = random.Random(1265), healthy(kind)
    words = re.findall(r"[^\s=,]+", text)
    odd = ["nan", "20", "16", "0", ".INIT.", ".POOL.", ".STEP.", "11", "1e9", "", "x", *'*,="-\0\n']
    for _ in range(MUTATIONS):
        changed = text
        for _ in range(dice.randint(1, 4)):
            at, length = dice.randrange(len(changed) + 1), dice.choice((0, 1, 1, 2, 8, 90))
            if dice.random() < 0.5:  # a whole word becomes another one
                word = dice.choice(words)
                at, length = max(0, changed.find(word, at)), len(word)
            other = dice.choice((dice.choice(odd), dice.choice(words), chr(dice.randrange(1, 256))))
            changed = changed[:at] + other + changed[at + length :]
        host.more = changed[dice.randrange(len(changed) + 1) :]
        consistent(host.status(changed))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"\boffset=\S+,", "offset=-,"),
        (r"frequency=[^,]+", "frequency="),
        (r"\bstratum=2", "stratum="),
        (r"\bstratum=2", "stratum=99"),
        (r"rootdisp=[^,]+", "rootdisp=x"),
        (r"rootdelay=[^,]+", 'rootdelay="x"'),
        (r"leap=00", "leap=7"),
        (r"(?m)^(\*\S+ +\S+ +) 1 u", r"\g<1>20 u"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_is_not_a_number_is_unknown_and_never_raises(host, kind, old, new):
    text, count = re.subn(old, new, healthy(kind), count=1)
    assert count
    seen = host.status(text)
    consistent(seen)
    if old.startswith((r"\b", "leap")):
        assert not seen["synchronized"] and "incomplete" in codes(seen)


def test_two_rows_on_one_line_are_not_a_row(host):
    text = healthy("el6").replace("\n+10.0.0.2", "+10.0.0.2")
    seen = host.status(text)
    assert [row["address"] for row in seen["peers"]] == ["10.0.0.3"]
    assert "incomplete" in codes(seen)


# With a dead resolver, classic ntpd has no row at all, ntpsec one for each name.
LONG = "gps1.example.net"
NO_ROWS = "No association ID's returned\n\n"
NO_PLACES = "".join(f"***No associations found, `&{n}' unknown\n" for n in (1, 2, 3))


@pytest.mark.parametrize(("uptime", "health"), [(30.0, "settling"), (90000.0, "unsynchronized")])
def test_names_of_a_dead_resolver_are_unresolvable_and_nothing_to_be_healed(host, uptime, health):
    host.plan = plan(["time1.example", "time2.example"])
    host.process["uptime_s"], host.stderr = uptime, NO_PLACES
    head = re.sub("leap=00, stratum=2", "leap=11, stratum=16", healthy("el6").partition("     remote")[0])
    seen = host.status(re.sub("refid=[0-9.]+", "refid=INIT", head) + NO_ROWS * 5)
    assert (seen["health"], codes(seen)[0]) == (health, "unresolvable")
    assert "not-listed" not in codes(seen) and "incomplete" not in codes(seen)
    assert not set(codes(seen)) & set(ntpcluster_heal.CURABLE)


@pytest.mark.parametrize(("host_line", "named"), [(f"srchost={LONG}, ", LONG), ("", LONG[:15])])
def test_an_unresolved_name_is_named_and_not_its_missing_address(host, host_line, named):
    """ntpsec's row for it, constructed from its source code: no capture has the variables of a source with a truncated name."""
    host.plan = plan([*INTERNET[:2], LONG])
    text = healthy("modern").replace("*10.0.0.3        .LAB.            1", f" {LONG[:15]} .DNS.           16")
    text = text.replace(
        "17769  b61a   yes   yes  none  sys.peer    sys_peer", "17769  8011   yes    no  none    reject    mobilize"
    )
    text = text.replace("377   0.2875", "  0   0.0000").replace("srcadr=10.0.0.3, ", f"srcadr=0.0.0.0, {host_line}")
    found = [one for one in host.status(text)["problems"] if one["code"] == "unresolvable"]
    assert [one["message"] for one in found] == [f"{named} is not resolved yet"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_ends_before_the_table_says_nothing_about_the_sources(host, kind):
    seen = host.status(healthy(kind).split("     remote")[0])
    assert "incomplete" in codes(seen) and "not-listed" not in codes(seen), codes(seen)


@pytest.mark.parametrize("deployed", [True, False, None])
def test_a_stopped_daemon_has_another_remedy_if_the_tree_is_not_deployed(host, monkeypatch, deployed):
    host.process.update(running=False, pid=None, uptime_s=None)
    host.deployed = deployed
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_query.query", lambda servers: {"servers": [], "best": None})
    for problems in (host.status()["problems"], FUNCTIONS["ntpcluster_diagnose.diagnose"]()):
        remedy = next(one["remedy"] for one in problems if one["code"] == "daemon-stopped")
        assert ("ntp.clean has undone it" in remedy) == (deployed is False)
        assert ("service ntpd start" in remedy) == (deployed is not False)
