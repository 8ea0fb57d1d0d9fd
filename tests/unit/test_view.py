"""The cluster's view: from arbitrary returns of minions to the problems of the cluster."""

import copy
import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from salt.scripts import _handle_signals

from _runners import ntpcluster, ntpcluster_problems, ntpcluster_rollout, ntpcluster_tree, ntpcluster_view
from tests.unit import runners

ROOT = Path(__file__).resolve().parents[2]
#: What four hosts of a lab returned: two servers, two clients, one EL6 and one Debian 12 host in each tier.
RECORDED = json.loads((ROOT / "tests/corpus/standing/four-hosts.json").read_text())
NOW = 1795341952.0
MISSING = "'ntpcluster_standing.standing' is not available."


def returns(**changes):
    """The recorded returns, with these keys of some hosts replaced: ``node148={"stratum": 4}``."""
    found = copy.deepcopy(RECORDED)
    for name, change in changes.items():
        found[name].update(change)
    return found


def build(found=None, expected=None):
    return ntpcluster_view.build(found if found is not None else returns(), expected, NOW, 1.25)


def codes(view):
    return [problem["code"] for problem in view["problems"]]


def peer(found, host, number, **change):
    """Change one row of a host's table of sources."""
    found[host]["peers"][number].update(change)
    return found


def test_a_healthy_cluster_has_no_problem():
    view = build()
    assert codes(view) == []
    assert view["summary"]["healthy"]
    assert (view["summary"]["hosts"], view["summary"]["synchronized"]) == (4, 4)
    assert view["time_utc"] == "2026-11-22 10:05:52 UTC"


def test_tiers_are_listed_top_first_with_their_hosts():
    assert [(tier["name"], tier["level"], tier["hosts"]) for tier in build()["tiers"]] == [
        ("server", 0, ["ntp180", "ntp189"]),
        ("client", 1, ["node148", "node149"]),
    ]


def test_sources_become_hosts_by_their_addresses():
    hosts = build()["hosts"]
    for name in ("node148", "node149"):
        assert hosts[name]["source_host"] in ("ntp180", "ntp189")
        assert {row["host"] for row in hosts[name]["peers"]} == {"ntp180", "ntp189"}
    assert hosts["ntp189"]["source_host"] is None
    assert hosts["ntp180"]["followers"] + hosts["ntp189"]["followers"] == 2


def test_the_error_of_a_client_includes_that_of_its_server_and_has_an_uncertainty():
    found = returns(node148={"offset_ms": 3.0, "source": "10.0.0.189"}, ntp189={"offset_ms": -1.0})
    found["node148"].update(root_delay_ms=4.0, root_dispersion_ms=10.0)
    host = build(found)["hosts"]["node148"]
    assert host["error_ms"] == pytest.approx(2.0)
    assert host["uncertainty_ms"] == pytest.approx(12.0)


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        False,
        True,
        0,
        "",
        MISSING,
        [],
        [1, 2],
        {},
        {"health": "splendid", "synchronized": True},
        {"health": ["ok"], "synchronized": True},
        {"health": "ok", "synchronized": "yes"},
        "The minion function caused an exception: Traceback (most recent call last):\n  File x\nValueError: no\n",
    ],
)
def test_a_return_that_is_not_a_status_is_a_row_that_says_so(garbage):
    found = returns()
    found["node148"] = garbage
    view = build(found)
    assert view["hosts"]["node148"]["health"] == "unreadable"
    assert view["hosts"]["node148"]["why"]
    assert codes(view) == ["unreadable"]
    assert view["hosts"]["node149"]["health"] == "ok"


def test_the_last_line_of_a_traceback_and_missing_modules_are_reported_as_the_reason():
    found = returns()
    found["node148"], found["node149"] = "Traceback (most recent call last):\n  x\nValueError: no time", MISSING
    hosts = build(found)["hosts"]
    assert hosts["node148"]["why"] == "ValueError: no time"
    assert hosts["node149"]["why"] == "it does not have the modules of this release of ntpcluster"


def test_a_host_that_does_not_answer_is_silent_and_named():
    found = returns()
    del found["node149"]
    view = build(found, expected=["node148", "node149", "ntp180", "ntp189"])
    assert view["hosts"]["node149"]["health"] == "silent"
    unknown = {"bound_ms": None, "apart_ms": None, "unbounded": 1}
    assert view["tiers"][-1] == {"name": None, "level": None, "hosts": ["node149"], **unknown}
    assert [(p["code"], p["hosts"]) for p in view["problems"]] == [("silent", ["node149"])]


def test_the_status_alone_of_older_modules_is_enough_for_a_view():
    found = returns()
    for said in found.values():
        for key in ("version", "addresses", "level", "follows", "method", "planned", "max_offset_ms"):
            del said[key]
    view = build(found)
    assert [tier["name"] for tier in view["tiers"]] == ["server", "client"]
    assert codes(view) == []
    assert view["summary"]["healthy"]


def test_older_modules_and_returns_that_lack_keys_are_reported():
    found = returns(node148={"version": "0.0.9"})
    del found["node149"]["peers"]
    problems = [p for p in build(found)["problems"] if p["code"] == "outdated"]
    assert [p["hosts"] for p in problems] == [["node148"], ["node149"]]
    assert "peers" in problems[1]["message"]


def test_version_ten_is_newer_than_version_nine():
    view = build(returns(node148={"version": "0.10.0"}, node149={"version": "0.9.0"}))
    assert [p["hosts"] for p in view["problems"]] == [["node149", "ntp180", "ntp189"]]


def test_within_one_release_the_majoritys_code_counts():
    view = build(
        returns(
            node148={"version": "0.1.0+99999999"},
            **{n: {"version": "0.1.0+aaaaaaaa"} for n in ("node149", "ntp180", "ntp189")},
        )
    )
    [problem] = [p for p in view["problems"] if p["code"] == "outdated"]
    assert problem["hosts"] == ["node148"] and "0.1.0+aaaaaaaa" in problem["message"]


def test_invalid_numbers_are_unknown():
    found = returns(
        node148={
            "root_delay_ms": float("nan"),
            "stratum": True,
            "jitter_ms": "0.1",
            "frequency_ppm": float("inf"),
        }
    )
    host = build(found)["hosts"]["node148"]
    assert (host["root_delay_ms"], host["stratum"], host["jitter_ms"], host["frequency_ppm"]) == (None,) * 4


def test_two_servers_that_disagree_are_found_by_a_client_of_both():
    found = returns()
    peer(found, "node148", 0, offset_ms=300.0, delay_ms=2.0)
    peer(found, "node148", 1, offset_ms=-20.0, delay_ms=4.0)
    found["node149"]["peers"] = []
    ahead = next(row["host"] for row in build(found)["hosts"]["node148"]["peers"] if row["offset_ms"] == 300.0)
    [problem] = [p for p in build(found)["problems"] if p["code"] == "disagreement"]
    assert problem["hosts"] == ["ntp180", "ntp189"]
    assert problem["message"].startswith(f"{ahead} is 320.000 ms ahead of")
    assert "known to within 3.000 ms" in problem["message"]


def test_a_difference_that_the_round_trips_can_explain_is_not_a_disagreement():
    found = returns()
    for name in ("node148", "node149"):
        peer(found, name, 0, offset_ms=150.0, delay_ms=150.0)
        peer(found, name, 1, offset_ms=-20.0, delay_ms=50.0)
    assert "disagreement" not in codes(build(found))


def test_a_source_that_was_not_heard_recently_is_not_compared():
    found = returns()
    for name in ("node148", "node149"):
        peer(found, name, 0, offset_ms=5000.0, reach=0xF0)
    assert "disagreement" not in codes(build(found))


def test_a_client_that_follows_another_client_is_outside_its_tier():
    view = build(returns(node148={"source": "10.0.0.149"}))
    [problem] = [p for p in view["problems"] if p["code"] == "outside-tier"]
    assert problem["hosts"] == ["node148"]
    assert "node149 of tier client" in problem["message"]


def test_a_client_that_follows_the_outside_world_is_outside_its_tier():
    view = build(returns(node148={"source": "192.0.2.99"}))
    assert [(p["code"], p["hosts"]) for p in view["problems"]] == [("outside-tier", ["node148"])]


def test_a_server_that_follows_a_host_of_its_own_cluster_is_outside_its_tier():
    view = build(returns(ntp180={"source": "10.0.0.189"}))
    assert [(p["code"], p["hosts"]) for p in view["problems"]] == [("outside-tier", ["ntp180"])]


def test_a_source_given_by_name_is_not_an_unplanned_address():
    view = build(returns(ntp180={"planned": ["0.pool.example"], "source": "192.0.2.99"}))
    assert codes(view) == []


def test_a_name_that_looks_like_an_address_is_a_name():
    """Every letter of `cafe` and `ad.be` is a hexadecimal digit."""
    for name in ("cafe", "ad.be"):
        view = build(returns(ntp180={"planned": [name], "source": "192.0.2.99"}))
        assert codes(view) == []
        assert (view["hosts"]["ntp180"]["planned"], view["hosts"]["ntp180"]["planned_addresses"]) == ([name], [])


def test_hosts_that_follow_each_other_are_one_loop():
    found = returns(ntp180={"source": "10.0.0.189"}, ntp189={"source": "10.0.0.180"})
    view = build(found)
    [problem] = [p for p in view["problems"] if p["code"] == "loop"]
    assert problem["hosts"] == ["ntp180", "ntp189"]
    assert all(host["error_ms"] is None for host in view["hosts"].values())


def test_a_host_that_no_source_serves_is_reported_with_the_state_of_its_sources():
    found = returns(node148={"source": None, "synchronized": False, "health": "unsynchronized"})
    for number in (0, 1):
        peer(found, "node148", number, condition="reject", reach=0)
    found["ntp189"].update(health="stopped", synchronized=False, peers=[], source=None)
    del found["ntp180"]
    view = build(found, expected=list(RECORDED))
    [problem] = [p for p in view["problems"] if p["code"] == "unserved"]
    assert problem["hosts"] == ["node148"]
    assert "ntp189 is stopped" in problem["message"]


def test_a_server_whose_sources_another_one_follows_is_sent_to_its_own_network():
    found = returns()
    found["ntp189"].update(health="unsynchronized", synchronized=False, source=None)
    for row in found["ntp189"]["peers"]:
        row.update(reach=0, condition="reject")
    [problem] = [one for one in build(found)["problems"] if one["code"] == "unserved"]
    source = found["ntp180"]["source"]
    assert f"{source} is not a host of this cluster and gives no time, though ntp180 follows it" in problem["message"]
    assert "its own network and firewall" in problem["remedy"]
    found["ntp180"].update(found["ntp189"], id="ntp180")
    for problem in build(found)["problems"]:
        assert "though" not in problem["message"] and "firewall" not in problem["remedy"]


def test_a_source_that_stopped_answering_is_unreachable_whatever_the_daemon_calls_it():
    found = returns()
    found["node148"].update(health="unsynchronized", synchronized=False)
    for row in found["node148"]["peers"]:
        row.update(reach=0o60, condition="system_peer")
    [problem] = [one for one in build(found)["problems"] if one["code"] == "unserved"]
    assert "ntp189 is ok but cannot be reached, though node149 follows it" in problem["message"]


def test_the_sources_of_a_daemon_that_does_not_answer_are_unknown_and_not_absent():
    found = returns()
    silence = {"code": "daemon-silent", "message": "timed out", "remedy": ""}
    found["node148"].update(health="unsynchronized", synchronized=False, source=None, peers=[], problems=[silence])
    assert "unserved" not in [one["code"] for one in build(found)["problems"]]


def test_a_message_of_several_lines_is_one_line():
    problem = {"code": "invalid-pillar", "message": "The pillar:\n  ntp:a: is wrong\n  ntp:b: too", "remedy": "x"}
    view = build(returns(node148={"problems": [problem]}))
    assert view["hosts"]["node148"]["problems"][0]["message"] == "The pillar: ntp:a: is wrong ntp:b: too"


def test_a_host_that_no_tier_matches_is_unserved():
    view = build(returns(node148={"tier": None, "level": None, "health": "unsynchronized", "synchronized": False}))
    assert [(p["code"], p["hosts"]) for p in view["problems"]] == [("unserved", ["node148"])]


def test_a_tier_that_depends_on_one_server_is_reported_even_if_each_host_lists_two():
    found = returns()
    for name in ("node148", "node149"):
        for row in found[name]["peers"]:
            if row["address"] == "10.0.0.180":
                row.update(reach=0, condition="reject")
    [problem] = build(found)["problems"]
    assert (problem["code"], problem["hosts"]) == ("single-server", ["node148", "node149"])
    assert "ntp189" in problem["message"]


def test_clocks_that_are_too_far_apart_are_reported_with_the_uncertainty():
    found = returns(node148={"offset_ms": 90.0}, node149={"offset_ms": -90.0})
    [problem] = [p for p in build(found)["problems"] if p["code"] == "spread"]
    assert problem["hosts"] == ["node148", "node149"]
    assert "known to within" in problem["message"]


def test_the_negative_offset_counts_like_the_positive_one():
    low = build(returns(node148={"offset_ms": -140.0}))["summary"]["spread_ms"]
    high = build(returns(node148={"offset_ms": 140.0}))["summary"]["spread_ms"]
    assert low == pytest.approx(high, abs=1.0)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(host=st.sampled_from(sorted(RECORDED)), key=st.sampled_from(sorted(RECORDED["node148"])), junk=JUNK)
def test_no_junk_in_any_key_breaks_the_view_or_the_tree(host, key, junk):
    view = build(returns(**{host: {key: junk}}))
    json.dumps(view)
    ntpcluster_tree.draw(view)
    ntpcluster_tree.verdict(view)


@settings(max_examples=200)
@given(junk=st.dictionaries(st.text(max_size=8), JUNK, max_size=5))
def test_no_junk_from_any_minion_breaks_the_view_or_the_tree(junk):
    view = build(junk)
    assert set(view["hosts"]) == set(map(ntpcluster_view.printable, junk))
    ntpcluster_tree.draw(view)
    ntpcluster_tree.verdict(view)


def test_finding_the_newest_modules_takes_few_comparisons_per_host():
    class Version(str):
        """A separate object for each host, as from the event bus."""

        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other):
            Version.compared += 1
            return str.__eq__(self, other)

    view = build({f"node{number}": RECORDED["node148"] for number in range(100)})
    for host in view["hosts"].values():
        host["version"] = Version("0.1.0")
    ntpcluster_problems.of_cluster(view["hosts"], view["tiers"], {"ends": None})
    assert 0 < Version.compared <= 5 * 100


# ---------------------------------------------------------------------------------------------------------
# The tree and the check


@pytest.mark.parametrize("handler", [signal.default_int_handler, functools.partial(_handle_signals, None)])
def test_ctrl_c_ends_the_watch_quietly(monkeypatch, handler):
    """With Python's handler and with that of `salt-run`; a real signal is sent during the query."""
    monkeypatch.setitem(runners.TABLE, "ntpcluster_view.take", lambda **_: signal.raise_signal(signal.SIGINT))
    previous = signal.signal(signal.SIGINT, handler)
    try:
        assert ntpcluster.watch(interval=600) == {"data": {}, "outputter": "txt"}
    finally:
        signal.signal(signal.SIGINT, previous)


def test_the_tree_shows_every_host_once_below_what_it_follows():
    text = ntpcluster_tree.draw(build(returns(node148={"source": "10.0.0.189"}, node149={"source": "10.0.0.189"})))
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[3:7]] == ["ntp180", "ntp189", "├─", "└─"]
    assert "\033" not in text


def test_hosts_in_a_loop_are_shown_once_each():
    view = build(returns(ntp180={"source": "10.0.0.189"}, ntp189={"source": "10.0.0.180"}))
    shown = [line.lstrip("├─└│ ").split()[0] for line in ntpcluster_tree.draw(view).split("\n\n")[1].splitlines()[1:]]
    assert sorted(shown) == sorted(RECORDED)


def test_only_hosts_that_are_not_well_are_coloured():
    text = ntpcluster_tree.draw(build(returns(node148={"health": "stopped", "synchronized": False})), coloured=True)
    assert [line.count("\033[31m") for line in text.splitlines() if "node148  " in line or "ntp189  " in line].count(
        1
    ) == 1


def test_text_from_a_minion_cannot_control_the_terminal():
    found = returns(node148={"refid": "\033[2J", "source": "10.0.0.1\033[31m\n"})
    found["evil\033]0;x\007"] = "\033[2Jgone\033"
    text = ntpcluster_tree.draw(build(found))
    assert "\033" not in text and "\007" not in text
    assert "\\x1b[2Jgone" in text
    assert "\033" not in ntpcluster_tree.verdict(build(found))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 0),
        ({"health": "degraded", "problems": [{"code": "few-sources", "message": "m", "remedy": "r"}]}, 1),
        ({"health": "settling", "synchronized": False}, 1),
        ({"health": "unsynchronized", "synchronized": False}, 2),
        ({"health": "stopped", "synchronized": False}, 2),
        ({"source": "10.0.0.149"}, 2),
        ({"health": "nonsense"}, 2),
    ],
)
def test_the_check_is_as_bad_as_the_worst_host(change, code):
    view = build(returns(node148=change))
    line = ntpcluster_tree.verdict(view)
    assert view["summary"]["severity"] == code
    assert "\n" not in line
    assert code == 0 or "node148" in line


# ---------------------------------------------------------------------------------------------------------
# The rollout


def test_batches_go_from_the_top_down_and_never_take_a_third_of_a_tier_or_all_servers():
    found = {}
    for number in range(30):
        found[f"node{number:02}"] = copy.deepcopy(RECORDED["node148"])
    found.update(ntp189=RECORDED["ntp189"], ntp180=RECORDED["ntp180"])
    view = build(found)
    order = ntpcluster_rollout.batches(view, sorted(found))
    assert [batch["tier"] for batch in order] == ["server"] * 2 + ["client"] * 3
    assert [len(batch["hosts"]) for batch in order] == [1, 1, 10, 10, 10]
    assert sorted(name for batch in order for name in batch["hosts"]) == sorted(found)


def test_a_part_of_a_tier_is_measured_against_the_whole_tier():
    found = {f"node{number}": copy.deepcopy(RECORDED["node148"]) for number in range(9)}
    view = build(found)
    assert [len(b["hosts"]) for b in ntpcluster_rollout.batches(view, ["node0", "node1", "node2", "node3"])] == [3, 1]


def test_nothing_is_deployed_to_a_host_that_does_not_answer():
    found = returns()
    del found["node149"]
    problems, _ = ntpcluster_rollout.objections(build(found, expected=list(RECORDED)), sorted(RECORDED))
    assert len(problems) == 1 and problems[0].startswith("node149: no answer")


def test_clients_alone_are_not_deployed_when_no_server_has_the_time():
    down = {"health": "stopped", "synchronized": False}
    view = build(returns(ntp180=down, ntp189=down))
    problems, _ = ntpcluster_rollout.objections(view, ["node148", "node149"])
    assert problems == ["tier client has no server to follow in tier server: ntp180 is stopped, ntp189 is stopped"]
    assert ntpcluster_rollout.objections(view, sorted(RECORDED)) == ([], [])


def test_a_tier_above_without_a_minion_and_an_address_of_nobody_are_reported():
    found = returns()
    del found["ntp180"], found["ntp189"]
    assert ntpcluster_rollout.objections(build(found), sorted(found))[0] == [
        "tier client follows tier server, which has no minion"
    ]
    found = returns(node148={"planned": ["10.0.0.189", "10.0.0.181"]})
    assert ntpcluster_rollout.objections(build(found), sorted(found)) == (
        [],
        ["10.0.0.181, which tier client follows, is not an address of any minion of tier server"],
    )


def test_a_planned_name_is_not_taken_for_an_address_of_nobody():
    found = returns(node148={"planned": ["ntp1", "10.0.0.189"]}, node149={"planned": ["ntp1", "fd00::1"]})
    assert ntpcluster_rollout.objections(build(found), sorted(found)) == (
        [],
        ["fd00::1, which tier client follows, is not an address of any minion of tier server"],
    )


def test_a_host_without_modules_is_reported_with_the_environment_of_its_tree():
    lost = ["No matching sls found for 'ntp.modules' in env 'base'"]
    view = build(returns(node148={"saltenv": "prod"}, node149={"saltenv": "prod"}))
    assert ntpcluster_rollout.refusals(view, {"node149": lost, "node148": lost, "ntp189": {}}) == [
        "node148, node149: No matching sls found for 'ntp.modules' in env 'base'; name the tree's environment: saltenv=prod"
    ]
    assert ntpcluster_rollout.refusals(view, {"ntp189": lost})[0].endswith("saltenv=NAME")
    trace = "Traceback (most recent call last):\n  File x\nOSError: no space left"
    assert ntpcluster_rollout.refusals(view, {"ntp189": trace}) == ["ntp189: OSError: no space left"]


def test_an_invalid_pillar_is_reported_once_with_its_hosts():
    change = {"tier": None, "synchronized": False, "health": "stopped",
              "problems": [{"code": "invalid-pillar", "message": "ntp:tiers is missing", "remedy": ""}]}  # fmt: skip
    problems, _ = ntpcluster_rollout.objections(build(returns(node148=change, node149=change)), sorted(RECORDED))
    assert problems == ["node148, node149: ntp:tiers is missing"]


def test_a_host_on_an_unknown_platform_is_reported_before_anything_is_deployed():
    change = {"tier": None, "synchronized": False, "health": "unsynchronized",
              "problems": [{"code": "unknown-platform", "message": "ntpcluster does not know Arch", "remedy": ""}]}  # fmt: skip
    problems, _ = ntpcluster_rollout.objections(build(returns(node148=change)), sorted(RECORDED))
    assert problems == ["node148: ntpcluster does not know Arch"]


def test_advice_on_the_pillar_is_given_once():
    few = {"level": "warning", "text": "ntp:tiers:server:addresses: gives tier client two sources"}
    odd = {"level": "warning", "text": "ntp:tiers:server:serves: does not include this host, node149"}
    bad = {"level": "error", "text": "ntp:orphan: must be a whole number"}
    found = {"node148": [few], "node149": [few, odd], "ntp189": [bad, few], "node150": "a traceback"}
    assert ntpcluster_rollout.told(found, "warning") == [
        "node148, node149, ntp189: ntp:tiers:server:addresses: gives tier client two sources",
        "node149: ntp:tiers:server:serves: does not include this host, node149",
    ]
    del found["node150"]
    assert ntpcluster_rollout.told(found, "warning")[0].startswith("every host: ")
    assert ntpcluster_rollout.told({}, "warning") == []


@pytest.mark.parametrize(
    ("states", "done"),
    [
        ({"a": {"result": True, "changes": {}}}, True),
        ({"a": {"result": True}, "b": {"result": None}}, False),
        ({"a": {"result": False}}, False),
        ({}, False),
        (["Rendering SLS failed"], False),
        (None, False),
    ],
)
def test_only_a_host_that_would_not_change_is_left_out_when_going_on(states, done):
    assert ntpcluster_rollout.finished(build()["hosts"]["node148"], states) is done


def test_the_reason_for_a_stop_names_the_first_bad_batch_its_host_and_the_cause():
    trouble = {"code": "unreachable", "message": "10.0.0.1 is silent", "remedy": "open UDP 123"}
    view = build(returns(ntp189={"health": "unsynchronized", "synchronized": False, "problems": [trouble]}))
    text = ntpcluster_rollout.reason(view, ntpcluster_rollout.batches(view, sorted(RECORDED)))
    assert text.startswith("stopped at server 2 of 2;")
    assert "ntp189: unreachable: 10.0.0.1 is silent. Remedy: open UDP 123" in text


# ---------------------------------------------------------------------------------------------------------
# Five thousand hosts

MANY = """
import copy, json, sys, time
from _runners import ntpcluster_view, ntpcluster_tree, ntpcluster_metrics
import tests.unit.runners
recorded = json.load(open(sys.argv[1]))
returns = {name: recorded[name] for name in ("ntp180", "ntp189")}
for number in range(4998):
    said = json.loads(json.dumps(recorded["node148" if number % 2 else "node149"]))
    said["addresses"] = ["10.1.%d.%d" % divmod(number, 250)]
    said["offset_ms"] = number % 83 / 100.0
    returns["node%04d" % number] = said
del returns["node0007"]
returns["node0008"] = "Traceback: no"
expected = list(returns) + ["node0007"]
begin = time.process_time()
view = ntpcluster_view.build(returns, expected, 1795341952.0, 1.0)
text = ntpcluster_tree.draw(view)
line = ntpcluster_tree.verdict(view)
figures = b"".join(ntpcluster_metrics.parts(view))
print(json.dumps({
    "seconds": time.process_time() - begin,
    # Not ru_maxrss: a process begins with the peak of the one that started it.
    "mb": int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024,
    "hosts": view["summary"]["hosts"],
    "codes": [p["code"] for p in view["problems"]],
    "shown": text.count("node"),
    "bytes": len(figures),
}))
"""


def test_five_thousand_hosts_are_viewed_drawn_and_measured_in_three_seconds_and_300_mb():
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(ROOT / "tests/corpus/standing/four-hosts.json")],
        check=False, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert found["hosts"] == 5000
    assert found["codes"] == ["silent", "unreadable"]
    assert found["seconds"] < 3
    assert found["mb"] < 300


def test_what_a_host_itself_objects_to_stops_a_rollout():
    hidden = {"level": "error", "text": "salt://ntp.sls: is run by `state.apply ntp` instead of ntp/init.sls"}
    doubt = {"level": "warning", "text": "ntp:tiers:server:sources: is only one source"}
    found = {"ntp180": [hidden, doubt], "ntp189": [doubt], "node148": [hidden], "node149": "no answer"}
    assert ntpcluster_rollout.told(found, "error") == ["node148, ntp180: " + hidden["text"]]
