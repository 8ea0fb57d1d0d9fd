"""From the output of chronyc to `status`: the codes that an expert would give after reading the capture.

The captures are real (corpus/INDEX.tsv). The plan names the sources by their addresses, and the process is a stand-in: the
daemon's age was not captured, so it counts as old, and `reach-gaps` is left out.
"""

import os

import pytest
from salt.exceptions import CommandExecutionError

from _modules import ntpcluster, ntpcluster_chrony, ntpcluster_judge, ntpcluster_ntpd
from tests.loaded import FUNCTIONS
from tests.unit import py2_chrony, py2_corpus
from tests.unit.py2_chrony import ntpcluster_chrony_look, ntpcluster_chronyc, ntpcluster_chronyc_tables
from tests.unit.test_plan import PILLAR
from tests.unit.test_plan import plan as planned

CAPTURES = py2_corpus.captures("chronyc")
EXPECTED = py2_corpus.expected("chronyc")
SHARED = os.path.join(os.path.dirname(py2_corpus.ROOT), "shared", "corpus", "chronyc")

#: Sources of several captures by code: the last number of the address.
MANY = ["denied 7", "denied 8", "upstream-unsynchronized 6", "unreachable 5", "falseticker 4", "orphan 9"]
#: The same without root: the reasons are unknown.
UNSEEN = ["unreachable 5", "unreachable 6", "unreachable 7", "unreachable 8", "falseticker 4"]
#: Their clock GPS is not in the plan, and has no signal.
CLOCK = ["not-listed", "unreachable GPS"]
SIX = ["upstream-unsynchronized 6", "unreachable 5", "falseticker 4"]
SILENT = ["unreachable GPS", *(f"unreachable {number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, "9abc"))]

#: For each capture: the health, the selected source, and the codes.
TOLD = {
    "c40": ("degraded", 2, SIX),
    "c40-client-csv": ("degraded", 1, MANY + CLOCK),
    "c40-csv": ("degraded", 2, SIX),
    "c43-client461-csv": ("degraded", 1, ["unreachable 5", "unreachable 6", "falseticker 4"]),
    "c43-dead": ("unsynchronized", None, ["daemon-silent"]),
    "c43-dead-source-csv": (
        "unsynchronized",
        None,
        ["unreachable 1", "unsynchronized", "root-distance", "few-sources"],
    ),
    "c43-disagree-csv": ("unsynchronized", None, ["falseticker 1", "falseticker 2", "unsynchronized", "few-sources"]),
    "c43-dying-csv": ("degraded", 1, ["root-distance"]),
    "c43-half": ("unsynchronized", None, ["unsynchronized", "incomplete"]),
    "c43-half3-csv": ("unsynchronized", None, ["unsynchronized", "incomplete"]),
    "c43-half6-csv": ("degraded", 1, ["incomplete"]),
    "c43-keys": ("ok", 60, []),
    "c43-keys-md5-csv": ("ok", 60, []),
    "c43-keys-sha1-csv": ("ok", 60, []),
    "c43-leap": ("unsynchronized", None, ["unsynchronized", "few-sources", "incomplete"]),
    "c43-leap-csv": ("ok", 1, []),
    "c43-local-csv": ("unsynchronized", None, ["not-listed", "orphan", "unsynchronized", "few-sources"]),
    "c43-loop-csv": ("degraded", 1, ["loop 60"]),
    "c43-lost-time-csv": ("degraded", 1, ["upstream-unsynchronized 1"]),
    "c43-lost-time-long-csv": ("unsynchronized", None, ["upstream-unsynchronized 1", "unsynchronized", "few-sources"]),
    "c43-many": ("degraded", 1, MANY + CLOCK),
    "c43-many-csv": ("degraded", 1, MANY + CLOCK),
    "c43-maxchange-csv": ("unsynchronized", 1, ["unsynchronized", "offset-high"]),
    "c43-minsources-csv": ("unsynchronized", None, ["unreachable 2", "unreachable 3", "unsynchronized", "few-sources"]),
    "c43-no-key-csv": (
        "unsynchronized",
        None,
        ["authentication 60", "authentication 61", "authentication 62", "unsynchronized", "few-sources"],
    ),
    "c43-none": ("unsynchronized", None, ["not-listed", "unsynchronized", "few-sources"]),
    "c43-none-csv": ("unsynchronized", None, ["not-listed", "unsynchronized", "few-sources"]),
    "c43-prefer-csv": ("ok", 1, []),
    "c43-slewing": ("unsynchronized", 1, ["offset-high"]),
    "c43-slewing-csv": ("unsynchronized", 1, ["offset-high"]),
    "c43-start": ("unsynchronized", None, ["not-listed", *SILENT, "unsynchronized", "few-sources"]),
    "c43-start-csv": ("unsynchronized", None, ["not-listed", *SILENT, "unsynchronized", "few-sources"]),
    "c43-stopped-csv": ("unsynchronized", None, ["daemon-silent"]),
    "c43-unknown-command-csv": ("unsynchronized", None, ["unsynchronized", "few-sources", "incomplete"]),
    "c43-user": ("degraded", 1, UNSEEN + CLOCK),
    "c43-user-csv": ("degraded", 1, UNSEEN + CLOCK),
    # The second server is chronyd, which does not answer packets signed with another key.
    "c43-wrong-key-csv": (
        "unsynchronized",
        None,
        ["authentication 62", "unreachable 60", "unsynchronized", "few-sources"],
    ),
    "c461": ("degraded", 1, SIX),
    "c461-client-csv": ("degraded", 1, UNSEEN + CLOCK),
    "c461-csv": ("degraded", 1, SIX),
}
#: No look uses these forms: with legends, with names, or for sources that have no address yet.
OTHERWISE = {"c43-many-all-csv", "c43-many-names", "c43-many-v"}

#: Samples of a single command, stored outside the project: a table alone says nothing about the system, `tracking` alone
#: nothing about the sources.
SAMPLES = {
    "c43-sync-csv-sources": (
        ["sources"],
        "2",
        ["unreachable 5", "unreachable 20", "falseticker 4", "falseticker 9", "falseticker 13"],
    ),
    "c43-startup-sources": (["sources"], None, ["unreachable 2", "unreachable 5", "unreachable 13", "unreachable 20"]),
    "fx-ntpmon-05aae847": (["sources"], "58", []),
    "web-insights-old-header": (["sources"], "95", []),
}


def judged(look):
    """The verdict on a host with this look, whose plan has the sources in it."""
    sources = [row["address"] for row in look["peers"] if row["address"]] or ["10.77.1.1"]
    pillar = dict(PILLAR, tiers={"client": {"match": "*", "sources": sources}})
    process = {"name": "chronyd", "running": True, "enabled": True, "pid": 321, "uptime_s": 90000.0}
    return ntpcluster_judge.judge(planned("node148", "10.0.0.50", pillar=pillar), process, look)


def last(address):
    """The last number of an address, or a name."""
    return address and address.replace(":", ".").split(".")[-1]


def told(verdict):
    """Its codes, each with its source."""
    named = [f"{one['code']} {last(one['evidence'].get('peer', ''))}".strip() for one in verdict["problems"]]
    return sorted(one for one in named if not one.startswith("reach-gaps"))


def look_of(name):
    read = py2_chrony.read(name, EXPECTED[name]["commands"], CAPTURES[name])
    return ntpcluster_chrony_look.look(read, EXPECTED[name]["now"])


def test_every_capture_of_a_look_is_judged():
    assert set(TOLD) == set(CAPTURES) - OTHERWISE


@pytest.mark.parametrize("name", sorted(TOLD))
def test_every_capture_gets_the_expected_codes(name):
    verdict = judged(look_of(name))
    health, source, codes = TOLD[name]
    assert told(verdict) == sorted(codes)
    gaps = any(one["code"] == "reach-gaps" for one in verdict["problems"])
    assert (verdict["health"], last(verdict["source"])) == (
        "degraded" if gaps and health == "ok" else health,
        source and str(source),
    )


@pytest.mark.skipif(
    not os.path.isdir(SHARED), reason="the samples that may not be published are not beside the project"
)
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_sources_of_a_shared_sample_get_the_expected_codes(name):
    commands, source, codes = SAMPLES[name]
    with open(os.path.join(SHARED, name + ".txt"), encoding="utf-8", newline="") as sample:
        text = sample.read()
    form = ntpcluster_chronyc if text[1:2] == "," else ntpcluster_chronyc_tables
    verdict = judged(ntpcluster_chrony_look.look(form.parse(commands, text)))
    of_sources = [one for one in told(verdict) if " " in one]
    assert (last(verdict["source"]), of_sources) == (source, sorted(codes))


def answered(monkeypatch, stdout):
    """Every program prints this."""
    said = {"retcode": 0, "stdout": stdout, "stderr": "", "timed_out": False, "seconds": 0.0}
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.run", lambda *_, **__: said)


def shapes(value, place="status"):
    """Every path in a value with the types found there; None is allowed everywhere and left out."""
    found = {}
    inner = (
        value.items() if isinstance(value, dict) else [("", one) for one in value] if isinstance(value, list) else []
    )
    for key, one in inner:
        for where, types in shapes(one, f"{place}.{key}").items():
            found.setdefault(where, set()).update(types)
    found.setdefault(place, set()).update([] if value is None else [type(value).__name__.replace("unicode", "str")])
    return found


@pytest.mark.parametrize("kind", ["el6", "modern"])
def test_a_status_has_the_same_keys_and_types_whatever_daemon_runs(monkeypatch, kind):
    """Both looks are made by the functions that query the daemon, from real output."""
    answered(monkeypatch, py2_corpus.read(f"status/{kind}.txt"))
    by_ntpd = ntpcluster_ntpd.look(3)
    answered(monkeypatch, CAPTURES["c43-leap-csv"][0])
    by_chrony = ntpcluster_chrony.look(2)
    classic, chrony = (judged(look) for look in (by_ntpd, by_chrony))
    assert classic["source"] and chrony["source"] and classic["peers"] and chrony["peers"]
    one, other = shapes(classic), shapes(chrony)
    # A healthy host has no problems, and one whose reach register is not full yet has some: the judge alone decides their
    # content.
    inside = {place for place in {*one, *other} if place.startswith("status.problems.")}
    assert set(one) - inside == set(other) - inside
    both = [place for place in one if place in other and one[place] and other[place]]
    assert {place: one[place] for place in both} == {place: other[place] for place in both}


def test_people_are_shown_the_sources_of_the_daemon_that_runs(monkeypatch):
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_plan.plan", lambda: {"platform": {"daemon": "chrony"}})
    answered(monkeypatch, CAPTURES["c43-leap-csv"][0])
    assert [row["address"] for row in ntpcluster.peers()] == ["10.77.1.1", "10.77.1.2"]
    with pytest.raises(CommandExecutionError, match="no variables of ntpq"):
        ntpcluster.variables()
    answered(monkeypatch, CAPTURES["c43-dead"][0])
    with pytest.raises(CommandExecutionError, match=r"cannot be queried \(no-answer\): 506 Cannot talk to daemon"):
        ntpcluster.peers()
