"""What a host's time is worth: a healthy host, and one change at a time that must be named, and nothing else with it."""

import copy
import inspect
import re

import pytest

from _modules import ntpcluster_judge
from tests.unit.test_plan import DEFAULTS, PILLAR, PLATFORMS, host, ntpcluster_plan

SERVERS = ["10.0.0.189", "10.0.0.180"]


@pytest.fixture
def plan():
    platform = dict(PLATFORMS["RedHat-6"], name="RedHat-6")
    return ntpcluster_plan.build(PILLAR, DEFAULTS, platform, host("node148"))


def row(address, condition, **changes):
    """A source as ``ntpcluster.peers`` gives it, healthy."""
    tally = {"system_peer": "*", "candidate": "+", "falseticker": "x", "reject": " "}[condition]
    return {
        "remote": address, "address": address, "assid": 4711, "refid": "192.0.2.1", "refid_kind": "address", "stratum": 2,
        "type": "u", "when_s": 12, "poll_s": 64, "reach": 255, "delay_ms": 0.2, "offset_ms": 0.1, "jitter_ms": 0.02,
        "tally": tally, "condition": condition, "inexact": [], "last_event": "reachable", "configured": True,
        "authenticated": None, "flash": 0, "heard": True, "reference_age_s": 30.0, **changes,
    }  # fmt: skip


def judge(plan, change=lambda process, table: None, problems=None):
    """The judgement on a healthy host after `change` was done to its process and its table."""
    process = {"name": "ntpd", "running": True, "enabled": True, "pid": 321, "uptime_s": 90000.0}
    table = {
        "error": None,
        "message": "",
        "complete": True,
        "variables": {
            "leap": "none",
            "stratum": 3,
            "refid": SERVERS[0],
            "offset": 0.1,
            "sys_jitter": 0.02,
            "rootdelay": 0.6,
            "rootdisp": 20.0,
            "frequency": 12.5,
            "version": "ntpd 4.2.6p5",
        },  # fmt: skip
        "peers": [row(SERVERS[0], "system_peer"), row(SERVERS[1], "candidate")],
        "unparsed": [],
    }
    change(process, table)
    return ntpcluster_judge.judge(plan, process, table, problems)


def codes(judgement):
    return [problem["code"] for problem in judgement["problems"]]


def alter(index=0, **changes):
    """One source is different."""

    def change(_, table):
        table["peers"][index].update(changes)

    return change


def system(**changes):
    """The daemon says something else of itself."""

    def change(_, table):
        table["variables"].update(changes)

    return change


def unselected(**changes):
    """No source is selected, and all of them are different."""

    def change(_, table):
        for peer in table["peers"]:
            peer.update({"condition": "reject", "tally": " ", **changes})

    return change


def test_a_healthy_host_has_no_problem(plan):
    seen = judge(plan)
    assert (seen["synchronized"], seen["health"], codes(seen)) == (True, "ok", [])
    assert (seen["source"], seen["stratum"], seen["expected_stratum"], seen["offset_ms"]) == (SERVERS[0], 3, 3, 0.1)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(alter(1, reach=0o360), ["unreachable"], id="the second server has died"),
        pytest.param(alter(1, reach=0o375), ["reach-gaps"], id="a packet is lost"),
        pytest.param(alter(1, condition="falseticker", tally="x"), ["falseticker"], id="a liar"),
        pytest.param(alter(1, last_event="access_denied"), ["denied"], id="denied"),
        pytest.param(alter(1, last_event="rate_exceeded"), ["denied"], id="asked too often"),
        pytest.param(alter(1, refid=".RATE.", refid_kind="kiss", reach=0), ["denied"], id="a kiss code as refid"),
        pytest.param(alter(1, flash=0x0008, reach=0), ["denied"], id="access denied as a failed test"),
        pytest.param(alter(1, flash=0x0010, reach=0), ["authentication"], id="wrong key"),
        pytest.param(alter(1, flash=0x0800, condition="reject", tally=" "), ["loop"], id="it follows us"),
        pytest.param(alter(1, refid=".DNS.", reach=0), ["unresolvable"], id="a name without an address"),
        pytest.param(
            alter(1, reach=0, stratum=16, flash=0x0020, condition="reject", tally=" "),
            ["upstream-unsynchronized"],
            id="stratum 16",
        ),
        pytest.param(
            alter(0, reference_age_s=10241.0), ["upstream-unsynchronized"], id="our server has lost its sources"
        ),
        pytest.param(alter(1, reach=0, heard=False), ["unreachable"], id="never heard"),
        pytest.param(system(frequency=-495.0), ["frequency-limit"], id="frequency at its limit"),
        pytest.param(system(rootdisp=1500.0), ["root-distance"], id="too uncertain"),
    ],
)
def test_a_fault_beside_a_good_source_is_named_and_the_host_stays_synchronized(plan, change, found):
    seen = judge(plan, change)
    assert (seen["synchronized"], seen["health"], codes(seen)) == (True, "degraded", found)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(alter(0, reach=0o360), ["unreachable"], id="the source has died, the daemon does not say so"),
        pytest.param(system(offset=-250.0), ["offset-high"], id="behind"),
        pytest.param(alter(0, offset_ms=250.0), ["offset-high"], id="the clock was moved since the last update"),
        pytest.param(alter(0, offset_ms=1500000.0), ["panic"], id="beyond what ntpd corrects"),
        pytest.param(alter(0, refid="127.0.0.1"), ["orphan"], id="the source is an orphan"),
        pytest.param(alter(0, refid="LOCAL(0)", refid_kind="local"), ["orphan"], id="the source follows its own clock"),
        pytest.param(
            alter(0, remote="127.127.1.0", address="127.127.1.0", refid=".LOCL."),
            ["not-listed", "orphan"],
            id="the local clock in place of the first server",
        ),
        pytest.param(system(leap="alarm"), ["unsynchronized"], id="the daemon itself says that it has no time yet"),
        pytest.param(
            unselected(reach=0, stratum=16, flash=0x0020),
            ["upstream-unsynchronized", "upstream-unsynchronized", "unsynchronized", "few-sources"],
            id="all servers at stratum 16",
        ),
        pytest.param(
            unselected(reach=0, heard=False),
            ["unreachable", "unreachable", "unsynchronized", "few-sources"],
            id="silence",
        ),
    ],
)
def test_a_host_without_a_source_to_trust_is_unsynchronized(plan, change, found):
    seen = judge(plan, change)
    assert (seen["synchronized"], seen["health"]) == (False, "unsynchronized")
    assert [code for code in codes(seen) if code != "few-sources" or code in found] == found


def test_a_stopped_daemon(plan):
    seen = judge(plan, lambda process, table: process.update(running=False, pid=None, uptime_s=None))
    assert (seen["synchronized"], seen["health"], codes(seen)) == (False, "stopped", ["daemon-stopped"])


def test_a_silent_daemon(plan):
    def change(_, table):
        table.update(error="timeout", message="no answer", complete=False, variables={}, peers=[])

    seen = judge(plan, change)
    assert (seen["synchronized"], seen["health"], codes(seen)) == (False, "unsynchronized", ["daemon-silent"])


def test_half_a_table_is_called_so_and_what_it_lacks_is_not_missed(plan):
    def change(_, table):
        table.update(complete=False, error="incomplete", message="cut")
        del table["peers"][1]

    assert codes(judge(plan, change)) == ["incomplete"]


def test_another_configuration_than_planned(plan):
    seen = judge(plan, alter(1, remote="192.0.2.99", address="192.0.2.99"))
    assert codes(seen) == ["not-listed"] and seen["problems"][0]["evidence"]["missing"] == [SERVERS[1]]


def test_a_source_outside_the_tier_does_not_count_as_followed(plan):
    seen = judge(plan, alter(0, remote="192.0.2.99", address="192.0.2.99"))
    assert not seen["synchronized"] and codes(seen) == ["not-listed"]


def test_a_name_that_the_daemon_has_no_row_for_is_unresolvable(plan):
    plan["sources"] = [dict(plan["sources"][0]), dict(plan["sources"][1], address="time2.example")]
    assert codes(judge(plan)) == []
    seen = judge(plan, lambda process, table: table["peers"].pop())
    assert (seen["health"], codes(seen)) == ("degraded", ["unresolvable"])
    assert seen["problems"][0]["evidence"]["names"] == ["time2.example"]


def test_few_sources_are_a_matter_of_the_pillar(plan):
    plan["health"] = dict(plan["health"], survivors=3)
    assert codes(judge(plan)) == ["few-sources"]


def three(plan):
    """The plan of a host with three sources, two of which have to agree."""
    third = dict(plan["sources"][0], address="10.0.0.181", prefer=False)
    return dict(plan, sources=[*plan["sources"], third], minsane=2)


def one_left(process, table):
    """As 4.2.8p15 and ntpsec 1.2.2 show it with `tos minsane 2`: the last one is a candidate, and nobody is followed."""
    table["peers"] = [
        row(SERVERS[0], "candidate"),
        row(SERVERS[1], "reject", reach=0, when_s=1050),
        row("10.0.0.181", "reject", reach=0, when_s=1040),
    ]


def test_one_source_of_three_is_not_followed_and_the_reason_is_told(plan):
    seen = judge(three(plan), one_left)
    assert (seen["synchronized"], seen["health"], seen["source"]) == (False, "unsynchronized", None)
    assert codes(seen) == ["unreachable", "unreachable", "unsynchronized", "few-sources"]
    few = seen["problems"][-1]
    assert few["message"] == (
        "1 of 3 sources answers (10.0.0.189), and `tos minsane 2` wants 2 to agree: the clock runs free until more return"
    )
    assert "restore the silent sources" in few["remedy"]


def test_one_source_of_three_is_named_as_too_few_while_the_daemon_is_young_but_not_at_once(plan):
    def aged(seconds):
        def change(process, table):
            one_left(process, table)
            process["uptime_s"] = seconds

        return change

    assert "few-sources" in codes(judge(three(plan), aged(40.0)))
    assert "few-sources" not in codes(judge(three(plan), aged(5.0)))


def test_the_last_source_is_no_problem_of_its_own_where_it_may_be_followed(plan):
    def followed(process, table):
        one_left(process, table)
        table["peers"][0] = row(SERVERS[0], "system_peer")

    assert codes(judge(dict(three(plan), minsane=1), followed)) == ["unreachable", "unreachable"]


def test_a_liar_is_not_counted_among_those_that_could_agree(plan):
    def change(process, table):
        one_left(process, table)
        table["peers"][1] = row(SERVERS[1], "falseticker", offset_ms=3000.0)

    assert codes(judge(three(plan), change))[-1] == "few-sources"


def unseen(process, _):
    """The minion may not look whose port 123 is."""
    process.update(running=None, pid=None, uptime_s=None)


def test_a_daemon_that_cannot_be_seen_but_answers_runs(plan):
    seen = judge(plan, unseen)
    assert (seen["daemon"]["running"], seen["health"], codes(seen)) == (True, "ok", [])


def test_a_daemon_that_cannot_be_seen_and_is_silent_is_neither_stopped_nor_well(plan):
    def change(process, table):
        unseen(process, table)
        table.update(error="timeout", message="no answer", complete=False, variables={}, peers=[])

    seen = judge(plan, change)
    assert (seen["daemon"]["running"], seen["health"], codes(seen)) == (None, "unsynchronized", ["daemon-silent"])
    assert "cannot be seen" in seen["problems"][0]["message"]


def young(process, table):
    process["uptime_s"] = 70.0
    for peer in table["peers"]:
        peer.update(reach=1)


def test_polls_that_a_young_daemon_has_not_made_are_not_missing(plan):
    plan["health"] = dict(plan["health"], settle=60)
    assert codes(judge(plan, young)) == []


@pytest.mark.parametrize(
    ("hopeless", "health"), [(lambda table: None, "settling"), (lambda table: table["peers"].pop(), "unsynchronized")]
)
def test_a_start_is_settling_unless_no_waiting_will_help(plan, hopeless, health):
    def change(process, table):
        young(process, table)
        unselected(reach=0, heard=False)(process, table)
        hopeless(table)

    assert judge(plan, change)["health"] == health


@pytest.mark.parametrize(
    ("change", "found"),
    [(alter(0, offset_ms=-120.0), "offset-high"), (alter(0, reach=0o20), "unreachable")],
)
def test_what_goes_wrong_after_a_source_was_chosen_is_no_settling(plan, change, found):
    def both(process, table):
        young(process, table)
        change(process, table)

    seen = judge(plan, both)
    assert (seen["synchronized"], seen["health"], codes(seen)[0]) == (False, "unsynchronized", found)


def test_a_daemon_that_has_chosen_but_measures_its_frequency_is_settling(plan):
    def both(process, table):
        young(process, table)
        table["variables"]["leap"] = "alarm"

    assert judge(plan, both)["health"] == "settling"


def test_a_host_without_a_good_pillar_is_not_called_synchronized():
    known = [{"code": "invalid-pillar", "message": "what this host should follow is unknown", "evidence": {}}]
    seen = judge(None, problems=known)
    assert (seen["synchronized"], seen["health"], seen["tier"]) == (False, "unsynchronized", None)
    assert codes(seen)[0] == "invalid-pillar"


def test_every_code_has_a_remedy_and_is_documented():
    documented = re.findall(r"``([a-z-]+)``", inspect.getdoc(ntpcluster_judge.judge).partition("worst first:")[2])
    assert [code for code in documented if code in dict(ntpcluster_judge.REMEDIES)] == [
        code for code, _ in ntpcluster_judge.REMEDIES
    ]


def test_problems_come_worst_first_once_each_with_the_platforms_names(plan):
    problem = ntpcluster_judge.problem
    given = [problem("reach-gaps", "a"), problem("daemon-stopped", "b"), problem("reach-gaps", "a", reach=1)]
    ordered = ntpcluster_judge.in_order(copy.deepcopy(given), plan["platform"])
    assert [(one["code"], one["message"]) for one in ordered] == [("daemon-stopped", "b"), ("reach-gaps", "a")]
    assert ordered[0]["remedy"].startswith("start it: service ntpd start")
