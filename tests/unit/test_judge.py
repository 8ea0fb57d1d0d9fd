"""The judgement of a host's time: a healthy host, and one change at a time that must be reported, and nothing else."""

import copy
import inspect
import random
import re

import pytest

from _modules import ntpcluster, ntpcluster_build, ntpcluster_judge, ntpcluster_parse_table, ntpcluster_problems
from tests.unit.test_plan import DEFAULTS, PILLAR, PLATFORMS, host

SERVERS = ["10.0.0.189", "10.0.0.180"]


@pytest.fixture
def plan():
    platform = dict(PLATFORMS["RedHat-6"], name="RedHat-6")
    return ntpcluster_build.build(dict(PILLAR, orphan=10), DEFAULTS, platform, host("node148"))


def row(address, condition, **changes):
    """A healthy source, as ``ntpcluster.peers`` returns it."""
    tally = {"system_peer": "*", "candidate": "+", "falseticker": "x", "reject": " "}[condition]
    return {
        "remote": address, "address": address, "assid": 4711, "refid": "192.0.2.1", "stratum": 2,
        "type": "u", "when_s": 12, "poll_s": 64, "reach": 255, "delay_ms": 0.2, "offset_ms": 0.1, "jitter_ms": 0.02,
        "tally": tally, "condition": condition, "inexact": [], "error_ms": None, "last_event": "reachable", "configured": True,
        "authenticated": None, "flash": 0, "heard": True, "reference_age_s": 30.0, "selection": None, **changes,
    }  # fmt: skip


def judge(plan, change=lambda process, look: None, problems=None):
    """The judgement on a healthy host after `change` was applied to its process and its look."""
    process = {"name": "ntpd", "running": True, "enabled": True, "pid": 321, "uptime_s": 90000.0}
    look = {
        "error": None,
        "message": "",
        "complete": True,
        "system": {
            "leap": "none",
            "stratum": 3,
            "refid": SERVERS[0],
            "offset_ms": 0.1,
            "jitter_ms": 0.02,
            "root_delay_ms": 0.6,
            "root_dispersion_ms": 20.0,
            "frequency_ppm": 12.5,
            "version": "ntpd 4.2.6p5",
        },  # fmt: skip
        "peers": [row(SERVERS[0], "system_peer"), row(SERVERS[1], "candidate")],
    }
    change(process, look)
    for one in look["peers"]:
        one.setdefault("answers", one["when_s"] is not None and one["when_s"] <= 4 * (one["poll_s"] or 64))
        one["refid_kind"] = ntpcluster_parse_table.refid_kind(one["refid"], one["stratum"])
    return ntpcluster_judge.judge(plan, process, look, problems)


def codes(judgement):
    return [problem["code"] for problem in judgement["problems"]]


def alter(index=0, **changes):
    """One source is different."""

    def change(_, look):
        look["peers"][index].update(changes)

    return change


def system(**changes):
    """The daemon reports other system variables."""

    def change(_, look):
        look["system"].update(changes)

    return change


def extra(address, **changes):
    """The daemon has an additional source."""

    def change(_, look):
        look["peers"].append(row(address, "candidate", **changes))

    return change


def unselected(**changes):
    """No source is selected, and all of them are different."""

    def change(_, look):
        for peer in look["peers"]:
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
        pytest.param(alter(1, last_event="access_denied", reach=0o20), ["denied"], id="denied"),
        pytest.param(alter(1, last_event="rate_exceeded", reach=0), ["denied"], id="asked too often"),
        pytest.param(alter(1, refid=".RATE.", reach=0), ["denied"], id="a kiss code as refid"),
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
        pytest.param(alter(1, flash=0x0020, reach=0o376), ["upstream-unsynchronized"], id="it has just lost its time"),
        pytest.param(
            alter(0, flash=0x0020, reach=0o374), ["upstream-unsynchronized"], id="our source has lost its time"
        ),
        pytest.param(
            alter(0, refid=".INIT.", stratum=16, when_s=7, poll_s=8, reach=0o14, flash=0x0020),
            ["upstream-unsynchronized"],
            id="our source was restarted and has no time yet",
        ),
        pytest.param(
            alter(0, stratum=16, reach=0o14, flash=None), ["upstream-unsynchronized"], id="stratum 16, by the row alone"
        ),
        pytest.param(alter(1, flash=0x0020, reach=0, when_s=9999), ["unreachable"], id="stratum 16 once, silent since"),
        pytest.param(
            alter(1, last_event="rate_exceeded", reach=0o375), ["reach-gaps"], id="one RATE among good answers"
        ),
        pytest.param(alter(1, reach=0, when_s=10), ["denied"], id="it answers, and nothing of it is of use"),
        pytest.param(alter(1, refid=".LOCL."), ["orphan"], id="a candidate on its own clock"),
        pytest.param(alter(1, refid="127.127.7.1"), ["orphan"], id="a candidate that is an old router"),
        pytest.param(extra("192.0.2.99"), ["not-listed"], id="a source that nobody planned"),
        pytest.param(
            extra("127.127.1.0", refid=".LOCL.", reach=0, heard=False), ["not-listed", "unreachable"], id="a spare"
        ),
        pytest.param(
            alter(1, reference_age_s=10241.0, condition="reject", flash=0x400),
            ["upstream-unsynchronized"],
            id="too uncertain to be selected, as it has lost its own sources",
        ),
        pytest.param(system(root_dispersion_ms=None), ["incomplete"], id="an unknown root dispersion"),
        pytest.param(system(frequency_ppm=None), ["incomplete"], id="an unknown frequency"),
        pytest.param(system(frequency_ppm=-495.0), ["frequency-limit"], id="frequency at its limit"),
        pytest.param(system(root_dispersion_ms=1500.0), ["root-distance"], id="too uncertain"),
    ],
)
def test_a_fault_with_a_good_source_is_reported_and_the_host_stays_synchronized(plan, change, found):
    seen = judge(plan, change)
    assert (seen["synchronized"], seen["health"], codes(seen)) == (True, "degraded", found)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(alter(0, reach=0o360), ["unreachable"], id="the source has died, the daemon does not say so"),
        pytest.param(system(offset_ms=-250.0), ["offset-high"], id="behind"),
        pytest.param(alter(0, offset_ms=250.0), ["offset-high"], id="the clock was moved since the last update"),
        pytest.param(alter(0, offset_ms=1500000.0), ["panic"], id="beyond what ntpd corrects"),
        pytest.param(alter(0, refid="127.0.0.1"), ["orphan"], id="the source is an orphan"),
        pytest.param(alter(0, refid="LOCAL(0)"), ["orphan"], id="the source follows its own clock"),
        pytest.param(
            alter(0, remote="127.127.1.0", address="127.127.1.0", refid=".LOCL."),
            ["not-listed", "orphan"],
            id="the local clock in place of the first server",
        ),
        pytest.param(alter(0, refid="127.127.1.1"), ["orphan"], id="the source is an island of chrony or Windows"),
        pytest.param(alter(0, refid="127.127.7.1"), ["orphan"], id="the source is an old router's own clock"),
        pytest.param(alter(0, refid="CHU_AUDIO(1)"), ["orphan"], id="the same as classic ntpq prints it"),
        pytest.param(
            alter(0, refid=".LOCL.", stratum=1), ["orphan"], id="the source follows a local clock of stratum 0"
        ),
        pytest.param(alter(0, stratum=10), ["orphan"], id="the source is an orphan, by its stratum"),
        pytest.param(alter(0, stratum=11), ["orphan"], id="the source is below an orphan"),
        pytest.param(
            alter(0, remote="192.0.2.99", address="192.0.2.99"),
            ["not-listed"],
            id="a source outside the tier is followed",
        ),
        pytest.param(
            alter(0, remote="SHM(0)", address=None, refid=".GPS.", stratum=0), ["not-listed"], id="a reference clock"
        ),
        pytest.param(system(stratum=None), ["incomplete"], id="no stratum"),
        pytest.param(system(leap=None), ["incomplete"], id="an odd leap"),
        pytest.param(system(offset_ms=None), ["incomplete"], id="no offset"),
        pytest.param(alter(0, offset_ms=None), ["incomplete"], id="an offset that was cut short"),
        pytest.param(
            alter(0, flash=0x0020, reach=0o360),
            ["upstream-unsynchronized"],
            id="our source lost its time four polls ago",
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
    seen = judge(plan, lambda process, look: process.update(running=False, pid=None, uptime_s=None))
    assert (seen["synchronized"], seen["health"], codes(seen)) == (False, "stopped", ["daemon-stopped"])


def test_a_silent_daemon(plan):
    def change(_, look):
        look.update(error="timeout", message="no answer", complete=False, system={}, peers=[])

    seen = judge(plan, change)
    assert (seen["synchronized"], seen["health"], codes(seen)) == (False, "unsynchronized", ["daemon-silent"])


def test_an_incomplete_look_is_reported_and_its_gaps_are_not_faults(plan):
    def change(_, look):
        look.update(complete=False, error="incomplete", message="cut")
        del look["peers"][1]

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
    seen = judge(plan, lambda process, look: look["peers"].pop())
    assert (seen["health"], codes(seen)) == ("degraded", ["unresolvable"])
    assert seen["problems"][0]["evidence"]["names"] == ["time2.example"]


def test_more_rows_than_names_are_reported_and_a_clock_is_never_a_name(plan):
    plan["sources"] = [dict(plan["sources"][0]), dict(plan["sources"][1], address="time2.example")]
    assert codes(judge(plan, extra("192.0.2.99"))) == ["not-listed"]
    seen = judge(plan, alter(1, remote="127.127.28.0", address="127.127.28.0", refid=".SHM."))
    assert [one["evidence"]["extra"] for one in seen["problems"]] == [["127.127.28.0"]]


@pytest.mark.parametrize(("uptime", "health"), [(30.0, "settling"), (90000.0, "unsynchronized")])
def test_names_that_all_have_no_address_are_unresolvable(plan, uptime, health):
    plan["sources"] = [dict(source, address=f"time{n}.example") for n, source in enumerate(plan["sources"])]

    def change(process, look):
        process["uptime_s"] = uptime
        look["peers"].clear()
        look["system"].update(leap="alarm", stratum=16, refid="INIT")

    seen = judge(plan, change)
    assert (seen["health"], codes(seen)[0]) == (health, "unresolvable")
    assert "not-listed" not in codes(seen)


def test_a_host_below_a_source_at_stratum_15_is_unsynchronized(plan):
    plan["orphan_stratum"] = None

    def change(_, look):
        look["peers"][0]["stratum"] = 15
        look["system"]["stratum"] = 16

    seen = judge(plan, change)
    assert (seen["synchronized"], codes(seen)) == (False, ["unsynchronized"])
    assert "stratum 15" in seen["problems"][0]["message"]


@pytest.mark.parametrize("kind", ["POOL", "BCST", "MCST", "ACST"])
def test_rows_for_pools_and_broadcasts_are_not_sources(plan, kind):
    made = extra("192.0.2.255", refid=f".{kind}.", stratum=16, reach=0, when_s=None, heard=False)
    seen = judge(plan, made)
    assert (seen["health"], len(seen["peers"])) == ("ok", 2)


@pytest.mark.parametrize(
    ("unreach", "when", "found"),
    [(0, None, ["unsynchronized"]), (1, 9, ["unsynchronized"]), (2, None, ["unreachable", "unreachable"])],
)
def test_a_source_has_time_for_a_poll_after_the_daemon_has_stepped(plan, unreach, when, found):
    """As 4.2.8p15 and ntpsec print it: `when` has any value, and ntpsec has an old `heard`."""
    gone = {"refid": ".STEP.", "stratum": 16, "reach": 0, "unreach": unreach, "when_s": when}

    def change(process, look):
        unselected(**gone, heard=True, flash=0x1402)(process, look)
        look["system"].update(leap="alarm", stratum=16, refid="STEP")

    assert [code for code in codes(judge(plan, change)) if code != "few-sources"][: len(found)] == found


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"refid": ".DENY.", "last_event": "mobilize"}, "DENY"),
        ({"refid": ".RSTR.", "last_event": "sys_peer"}, "RSTR"),
        ({"last_event": "rate_exceeded"}, "rate_exceeded"),
        ({"flash": 0x0008, "last_event": "unreachable"}, "access denied"),
    ],
)
def test_the_code_of_a_refusal_is_the_kiss_code(plan, changes, word):
    seen = judge(plan, alter(1, reach=0, **changes))
    assert seen["problems"][0]["message"] == f"{SERVERS[1]} refuses this host: {word}"


def test_there_is_no_majority_where_all_disagree(plan):
    seen = judge(plan, unselected(condition="falseticker", tally="x"))
    said = [one["message"] for one in seen["problems"] if one["code"] == "falseticker"]
    assert len(said) == 2 and all("no majority" in one for one in said)
    one = judge(plan, alter(1, condition="falseticker", tally="x"))
    assert "against the majority" in one["problems"][0]["message"]


def test_an_unknown_offset_is_none(plan):
    assert judge(plan, alter(0, offset_ms=None))["offset_ms"] is None
    assert judge(plan, unselected(reach=0))["offset_ms"] is None


WORDS = {
    "refid": [None, "192.0.2.1", ".INIT.", ".STEP.", ".DENY.", ".LOCL.", "LOCAL(0)", "127.127.7.1", ".DNS.", ".POOL."],
    "address": [*SERVERS, "192.0.2.99", "127.127.1.0", None],
    "stratum": [None, 0, 1, 2, 9, 10, 15, 16],
    "when_s": [None, 0, 7, 5000],
    "poll_s": [None, 8, 1024],
    "reach": [0, 1, 0o14, 0o20, 0o360, 0o377],
    "offset_ms": [None, 0.0, -99.0, 101.0, 2e6],
    "inexact": [[], ["address"], ["offset_ms"]],
    "last_event": [None, "mobilize", "rate_exceeded", "access_denied"],
    "flash": [None, 0, 0x8, 0x10, 0x20, 0x800, 0x1400],
    "heard": [True, False],
    "unreach": [None, 0, 7],
    "reference_age_s": [None, -1.0, 99999.0],
    "condition": ["system_peer", "candidate", "falseticker", "reject", "pps", "outlier"],
}
CLAIMS = {
    "leap": [None, "none", "alarm", "add"],
    "stratum": [None, 1, 3, 16],
    "refid": [None, "INIT", "STEP", "127.0.0.1", "10.0.0.189"],
    "offset_ms": [None, 0.0, 5000.0],
    "root_delay_ms": [None, 0.1],
    "root_dispersion_ms": [None, 9999.0],
    "frequency_ppm": [None, 0.0, 500.0],
}


def test_a_host_that_is_not_synchronized_always_has_a_problem(plan):
    dice = random.Random(124)
    names = dict(plan, sources=[dict(source, address=f"t{n}.example") for n, source in enumerate(plan["sources"])])
    for _ in range(20000):
        rows = [
            {**row(SERVERS[0], "candidate"), **{key: dice.choice(WORDS[key]) for key in dice.sample(sorted(WORDS), 5)}}
            for _ in range(dice.randrange(4))
        ]
        said = {key: dice.choice(CLAIMS[key]) for key in dice.sample(sorted(CLAIMS), 3)}
        uptime = dice.choice([None, 3.0, 70.0, 90000.0])

        def change(process, look, rows=rows, said=said, uptime=uptime):
            process["uptime_s"] = uptime
            look["peers"] = rows
            look["system"].update(said)
            look["complete"] = dice.random() < 0.8

        seen = judge(dice.choice([plan, plan, names, None]), change)
        assert seen["synchronized"] or seen["problems"], (rows, said)
        assert (seen["health"] == "ok") == (seen["synchronized"] and not seen["problems"])


def test_few_sources_depends_on_the_pillar(plan):
    plan["health"] = dict(plan["health"], survivors=3)
    assert codes(judge(plan)) == ["few-sources"]


def test_one_refusal_among_good_answers_is_a_gap_and_not_a_lost_source(plan):
    """As chronyd 4.3 shows a server with a rate limit: the last packet, a kiss code, had no stratum and no time."""
    seen = judge(plan, alter(1, refid="RATE", stratum=16, flash=0x20, reach=0o376, answers=True))
    assert codes(seen) == ["reach-gaps"]
    assert seen["problems"][0]["message"].endswith("it refused one of them (RATE)")


def test_the_reason_why_no_source_is_selected_is_in_the_daemons_own_words(plan):
    """chronyd has a term for each source; ntpd has none."""
    said = [one["message"] for one in judge(plan, unselected(selection="too much jitter"))["problems"]]
    assert said[0].endswith(f"; its own words: {SERVERS[0]}: too much jitter, {SERVERS[1]}: too much jitter")
    assert "words" not in judge(plan, unselected())["problems"][0]["message"]


@pytest.mark.parametrize(
    ("code", "platform", "named"),
    [
        ("daemon-stopped", "RedHat-9", "service chronyd start"),
        ("daemon-silent", "RedHat-9", "/etc/chrony.conf"),
        ("daemon-silent", "RedHat-6", "/etc/ntp.conf"),
        ("daemon-silent", "RedHat-6", "iptables -I INPUT -i lo -j ACCEPT"),
        ("unreachable", "RedHat-6", "this host's own firewall"),
        ("authentication", "RedHat-9", "/etc/chrony.keys"),
        ("authentication", "RedHat-6", "/etc/ntp/keys"),
        ("frequency-limit", "RedHat-9", "/var/lib/chrony/drift"),
        ("frequency-limit", "Debian-12", "/var/lib/ntpsec/ntp.drift"),
    ],
)
def test_a_remedy_names_the_files_and_the_service_of_the_hosts_daemon(code, platform, named):
    found = [ntpcluster_problems.problem(code, "...")]
    [told] = ntpcluster_problems.in_order(found, PLATFORMS[platform])
    assert named in told["remedy"]


def three(plan):
    """The plan of a host with three sources, two of which have to agree."""
    third = dict(plan["sources"][0], address="10.0.0.181", prefer=False)
    return dict(plan, sources=[*plan["sources"], third], minsane=2)


def one_left(process, look):
    """As 4.2.8p15 and ntpsec 1.2.2 show it with `tos minsane 2`: the last source is a candidate, and none is selected."""
    look["peers"] = [
        row(SERVERS[0], "candidate"),
        row(SERVERS[1], "reject", reach=0, when_s=1050),
        row("10.0.0.181", "reject", reach=0, when_s=1040),
    ]


def test_one_source_of_three_is_not_followed_and_the_reason_is_reported(plan):
    seen = judge(three(plan), one_left)
    assert (seen["synchronized"], seen["health"], seen["source"]) == (False, "unsynchronized", None)
    assert codes(seen) == ["unreachable", "unreachable", "unsynchronized", "few-sources"]
    few = seen["problems"][-1]
    assert few["message"] == (
        "1 of 3 sources answers (10.0.0.189), and the plan wants 2 to agree: the clock runs free until more return"
    )
    assert "restore the silent sources" in few["remedy"]


def test_one_source_of_three_is_named_as_too_few_while_the_daemon_is_young_but_not_at_once(plan):
    def aged(seconds):
        def change(process, look):
            one_left(process, look)
            process["uptime_s"] = seconds

        return change

    assert "few-sources" in codes(judge(three(plan), aged(40.0)))
    assert "few-sources" not in codes(judge(three(plan), aged(5.0)))


def test_the_last_source_is_not_a_problem_if_it_may_be_followed(plan):
    def followed(process, look):
        one_left(process, look)
        look["peers"][0] = row(SERVERS[0], "system_peer")

    assert codes(judge(dict(three(plan), minsane=1), followed)) == ["unreachable", "unreachable"]


def test_a_liar_is_not_counted_among_those_that_could_agree(plan):
    def change(process, look):
        one_left(process, look)
        look["peers"][1] = row(SERVERS[1], "falseticker", offset_ms=3000.0)

    assert codes(judge(three(plan), change))[-1] == "few-sources"


def unseen(process, _):
    """The minion has no right to see which process holds port 123."""
    process.update(running=None, pid=None, uptime_s=None)


def test_a_daemon_that_cannot_be_seen_but_answers_runs(plan):
    seen = judge(plan, unseen)
    assert (seen["daemon"]["running"], seen["health"], codes(seen)) == (True, "ok", [])


def test_missing_sources_of_a_daemon_of_unknown_age_are_reported(plan):
    def gap(process, look):
        unseen(process, look)
        look["peers"][1]["reach"] = 0o375

    def few(process, look):
        one_left(process, look)
        unseen(process, look)

    assert codes(judge(plan, gap)) == ["reach-gaps"]
    assert "few-sources" in codes(judge(three(plan), few))


def test_a_daemon_that_cannot_be_seen_and_is_silent_is_neither_stopped_nor_well(plan):
    def change(process, look):
        unseen(process, look)
        look.update(error="timeout", message="no answer", complete=False, system={}, peers=[])

    seen = judge(plan, change)
    assert (seen["daemon"]["running"], seen["health"], codes(seen)) == (None, "unsynchronized", ["daemon-silent"])
    assert "it is unknown whether" in seen["problems"][0]["message"]


def young(process, look):
    process["uptime_s"] = 70.0
    for peer in look["peers"]:
        peer.update(reach=1)


def test_polls_that_a_young_daemon_has_not_made_are_not_missing(plan):
    plan["health"] = dict(plan["health"], settle=60)
    assert codes(judge(plan, young)) == []


@pytest.mark.parametrize(
    ("hopeless", "health"), [(lambda look: None, "settling"), (lambda look: look["peers"].pop(), "unsynchronized")]
)
def test_a_start_is_settling_unless_no_waiting_will_help(plan, hopeless, health):
    def change(process, look):
        young(process, look)
        unselected(reach=0, heard=False)(process, look)
        hopeless(look)

    assert judge(plan, change)["health"] == health


@pytest.mark.parametrize(
    ("change", "found"),
    [(alter(0, offset_ms=-120.0), "offset-high"), (alter(0, reach=0o20), "unreachable")],
)
def test_a_fault_after_a_source_was_selected_is_not_settling(plan, change, found):
    def both(process, look):
        young(process, look)
        change(process, look)

    seen = judge(plan, both)
    assert (seen["synchronized"], seen["health"], codes(seen)[0]) == (False, "unsynchronized", found)


def test_a_daemon_that_has_a_source_but_measures_its_frequency_is_settling(plan):
    def both(process, look):
        young(process, look)
        look["system"]["leap"] = "alarm"

    assert judge(plan, both)["health"] == "settling"


def test_a_host_without_a_good_pillar_is_not_called_synchronized():
    known = [{"code": "invalid-pillar", "message": "what this host should follow is unknown", "evidence": {}}]
    seen = judge(None, problems=known)
    assert (seen["synchronized"], seen["health"], seen["tier"]) == (False, "unsynchronized", None)
    assert codes(seen)[0] == "invalid-pillar"


@pytest.mark.parametrize(
    ("changes", "usable"),
    [
        ({}, True),
        ({"condition": "excess"}, True),
        ({"condition": "falseticker"}, False),
        ({"condition": "reject"}, False),
        ({"reach": 0o10}, True),
        ({"reach": 0o360}, False),
    ],
)
def test_a_source_is_usable_if_it_was_selected_and_answered_one_of_the_last_four_polls(plan, changes, usable):
    assert [peer["usable"] for peer in judge(plan, alter(1, **changes))["peers"]] == [True, usable]


def test_every_code_has_a_remedy_and_is_documented():
    documented = re.findall(r"``([a-z-]+)``", inspect.getdoc(ntpcluster.status).partition("worst first:")[2])
    assert [code for code in documented if code in dict(ntpcluster_problems.REMEDIES)] == [
        code for code, _ in ntpcluster_problems.REMEDIES
    ]


def test_problems_come_worst_first_once_each_with_the_platforms_names(plan):
    problem = ntpcluster_problems.problem
    given = [problem("reach-gaps", "a"), problem("daemon-stopped", "b"), problem("reach-gaps", "a", reach=1)]
    ordered = ntpcluster_problems.in_order(copy.deepcopy(given), plan["platform"])
    assert [(one["code"], one["message"]) for one in ordered] == [("daemon-stopped", "b"), ("reach-gaps", "a")]
    assert ordered[0]["remedy"].startswith("start it: service ntpd start")
