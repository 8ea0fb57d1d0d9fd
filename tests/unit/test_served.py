"""Servers proven by a packet: when a host queries, which hosts do it, and the view of the answers."""

import copy
import json
from pathlib import Path

import pytest

from _modules import ntpcluster_served as minion
from _runners import ntpcluster, ntpcluster_metrics, ntpcluster_rollout, ntpcluster_served, ntpcluster_tree
from tests.unit.runners import FILES, TABLE
from tests.unit.test_report import PARTS

ROOT = Path(__file__).resolve().parents[2]
RECORDED = json.loads((ROOT / "tests/corpus/standing/four-hosts.json").read_text())
CLIENTS, SERVERS = ["node148", "node149"], {"ntp189": "10.0.0.189", "ntp180": "10.0.0.180"}
MISSING = "'ntpcluster_served.served' is not available."


# ---------------------------------------------------------------------------------------------------------
# On the minion: when it queries


def row(when, poll=64, **more):
    return {"when_s": when, "poll_s": poll, "answers": True, **more}


@pytest.mark.parametrize(
    ("rows", "seconds"),
    [
        ([], 0),
        ([row(30)], 0),
        # It polled a moment ago, or will poll soon.
        ([row(1)], 3),
        ([row(62)], 6),
        # A poll that was not answered: the timer continues.
        ([row(64 + 62)], 6),
        ([row(30), row(62)], 6),
        # After 3 s the second poll is due, after 9 s neither.
        ([row(1), row(59)], 9),
        # A server that does not answer does not count the daemon's packets, and without any knowledge there is nothing to wait
        # for.
        ([row(62, answers=False)], 0),
        ([row(None), row(3, None)], 0),
        # Polls this short leave no gap.
        ([row(1, 6)], 0),
    ],
)
def test_a_packet_of_ours_keeps_away_from_those_of_the_daemon(rows, seconds):
    assert minion.wait(rows) == seconds


@pytest.mark.parametrize(
    ("uptime", "slept"),
    [
        (100.0, [3]),
        (None, [3]),  # it does not run, or this is unknown
        (24.0, [3]),
        (0.0, [24.0, 0]),
        # As recorded: ntpd started at 0, sent its first packets from 2 to 12, and its next ones at 20 and 36.
        (8.0, [16.0, 0]),
        (23.0, [1.0, 0]),
    ],
)
def test_the_servers_of_the_plan_are_asked_after_that_wait(monkeypatch, uptime, slept):
    done = []
    statuses = [
        {"peers": [row(1)], "daemon": {"uptime_s": uptime}},
        {"peers": [row(4, 16)], "daemon": {"uptime_s": 24.0}},
    ]
    table = {
        "ntpcluster_status.status": lambda: statuses.pop(0),
        "ntpcluster_query.query": lambda: done.append("asked") or {"servers": []},
    }
    monkeypatch.setattr(minion, "__salt__", table)
    monkeypatch.setattr(minion.time, "sleep", done.append)
    assert minion.served() == {"servers": []} and done == [*slept, "asked"]


# ---------------------------------------------------------------------------------------------------------
# On the master: a stand-in for the master's client returns the minions' results at once, in the order of their names.


def answer(**reached):
    """What `ntpcluster_served.served` returns: `ntp189=True` is an answer of that server."""
    return {"servers": [{"name": SERVERS[n], "address": SERVERS[n], "reachable": got} for n, got in reached.items()]}


class Minions:
    """`ntpcluster_ask.minions` with these returns: a list has one return for each time that the host is asked."""

    def __init__(self, says, standing=RECORDED):
        self.says, self.standing, self.rounds = copy.deepcopy(says), copy.deepcopy(standing), []

    def ask(self, fun, tgt="*", kept=None, enough=None, **_):
        if fun == "ntpcluster_standing.standing":
            return {
                "returns": {n: kept(n, said) for n, said in self.standing.items()},
                "expected": sorted(self.standing),
            }
        assert fun == "ntpcluster_served.served"
        self.rounds.append(list(tgt))
        returns = {}
        for name in tgt:
            said = self.says.get(name)
            said = said.pop(0) if isinstance(said, list) else said
            if said is not None:
                returns[name] = said
                if enough and enough(returns):
                    break
        return {"returns": returns, "expected": list(tgt)}


@pytest.fixture
def cluster(monkeypatch):
    """Makes the cluster's view from the minions' returns: (view, rounds of queries)."""

    def take(says, standing=RECORDED, **how):
        minions = Minions(says, standing)
        for file in FILES.values():
            monkeypatch.setattr(file, "__salt__", {**TABLE, "ntpcluster_ask.minions": minions.ask})
        return FILES["ntpcluster_view"].take(**{"served": True, **how}), minions.rounds

    return take


def codes(view):
    return [problem["code"] for problem in view["problems"]]


def test_servers_that_answer_are_open_and_the_cluster_is_ok(cluster):
    view, rounds = cluster({name: answer(ntp189=True, ntp180=True) for name in CLIENTS})
    assert codes(view) == [] and view["summary"]["healthy"]
    assert [view["hosts"][name]["open"] for name in ("ntp189", "ntp180", "node148")] == [True, True, None]
    assert rounds == [CLIENTS]
    json.dumps(view)


def test_the_first_answers_that_prove_everything_are_enough(cluster):
    view, _ = cluster({"node148": answer(ntp189=True, ntp180=True)})
    assert {server["host"]: (server["asked"], server["answered"]) for server in view["served"]} == {
        "ntp189": (["node148"], ["node148"]),
        "ntp180": (["node148"], ["node148"]),
    }


def test_a_server_that_no_host_reaches_is_reported_with_the_hosts_that_queried(cluster):
    view, rounds = cluster({name: answer(ntp189=True, ntp180=False) for name in CLIENTS})
    [problem] = view["problems"]
    assert (problem["code"], problem["severity"], problem["hosts"]) == ("unreachable-from", 2, ["ntp180"])
    assert (
        problem["message"]
        == "ntp180 (10.0.0.180) answered none of the hosts of tier client that queried it: node148, node149"
    )
    assert view["summary"]["severity"] == 2 and view["hosts"]["ntp180"]["open"] is False
    assert rounds == [CLIENTS, CLIENTS]
    assert "unreachable-from: ntp180 (10.0.0.180) answered none" in ntpcluster_tree.verdict(view)
    assert "unreachable-from: ntp180 (10.0.0.180) answered none" in ntpcluster_tree.draw(view)
    figures = b"".join(ntpcluster_metrics.parts(view)).decode()
    assert 'ntpcluster_problem_hosts{code="unreachable-from"} 1.0' in figures
    assert 'ntpcluster_host_open{host="ntp180",tier="server"} 0.0' in figures
    assert 'ntpcluster_host_open{host="ntp189",tier="server"} 1.0' in figures
    page = FILES["ntpcluster_report"].render(view, FILES["ntpcluster_picture"].geometry(view), PARTS)
    assert "answered none of the hosts of tier client" in page
    assert (page.count("which get answers"), page.count("which get no answer")) == (1, 1)


def test_one_lost_packet_closes_nothing(cluster):
    says = [answer(ntp189=True, ntp180=False), answer(ntp189=True, ntp180=True)]
    view, rounds = cluster({"node148": says})
    assert codes(view) == [] and len(rounds) == 2


def test_one_follower_that_gets_an_answer_is_enough(cluster):
    view, rounds = cluster({"node148": answer(ntp189=False, ntp180=False), "node149": answer(ntp189=True, ntp180=True)})
    assert codes(view) == [] and len(rounds) == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "no answer within the time limit"),
        (MISSING, "its modules are too old to ask"),
        ("Traceback: no", "it could not ask"),
        ({"servers": "none"}, "it could not ask"),
        ({"servers": [{"name": 3, "reachable": True}, None]}, "it could not ask"),
        ({"servers": [{"name": "10.0.0.180", "address": None, "reachable": False}]}, "it could not ask"),
    ],
)
def test_a_server_that_no_host_could_query_is_unknown_and_not_ok(cluster, said, why):
    view, _ = cluster(dict.fromkeys(CLIENTS, said))
    [problem] = view["problems"]
    assert (problem["code"], problem["severity"], problem["hosts"]) == ("unproven", 1, CLIENTS)
    assert problem["message"] == (
        "it is unknown whether ntp180 (10.0.0.180), ntp189 (10.0.0.189) answer tier client: node148, node149: " + why
    )
    assert view["hosts"]["ntp180"]["open"] is None and view["summary"]["severity"] == 1
    assert b"ntpcluster_host_open{" not in b"".join(ntpcluster_metrics.parts(view))


def test_another_host_compensates_for_one_old_minion(cluster):
    view, _ = cluster({"node148": MISSING, "node149": answer(ntp189=True, ntp180=False)})
    [problem] = view["problems"]
    assert problem["code"] == "unreachable-from" and problem["message"].endswith("that queried it: node149")


def test_a_tier_without_any_plan_is_unknown(cluster):
    standing = {
        name: dict(said, planned=None if name in CLIENTS else said["planned"]) for name, said in RECORDED.items()
    }
    view, rounds = cluster({}, standing)
    assert codes(view) == ["unproven"] and rounds == []
    assert view["problems"][0]["message"].startswith("it is unknown whether its servers answer tier client: node148,")


def test_a_stopped_server_is_reported_with_the_reason(cluster):
    standing = dict(RECORDED, ntp180=dict(RECORDED["ntp180"], health="stopped", synchronized=False))
    view, _ = cluster({name: answer(ntp189=True, ntp180=False) for name in CLIENTS}, standing)
    [problem] = [p for p in view["problems"] if p["code"] == "unreachable-from"]
    assert problem["message"].endswith("node149; it is stopped")


@pytest.fixture
def two_stacks(cluster):
    """A cluster whose ntp180 has two addresses; what each of the clients gets there, as often as it asks."""

    def take(*reached):
        planned = [*SERVERS.values(), "FD00::180"]
        standing = {n: dict(s, planned=planned if n in CLIENTS else []) for n, s in RECORDED.items()}
        standing["ntp180"]["addresses"] = ["10.0.0.180", "fd00::180"]
        says = {}
        for name, (first, second) in zip(CLIENTS, reached, strict=True):
            says[name] = answer(ntp189=True, ntp180=first)
            says[name]["servers"].append({"name": "FD00::180", "address": "FD00::180", "reachable": second})
        return cluster(says, standing)

    return take


def test_a_server_is_open_when_each_of_its_addresses_has_answered_somebody(two_stacks):
    view, rounds = two_stacks((True, False), (False, True))
    assert (codes(view), view["hosts"]["ntp180"]["open"], len(rounds)) == ([], True, 1)
    assert [(server["addresses"], server["closed"]) for server in view["served"] if server["host"] == "ntp180"] == [
        (["10.0.0.180", "FD00::180"], [])
    ]


@pytest.mark.parametrize(("reached", "closed"), [((True, False), "FD00::180"), ((False, True), "10.0.0.180")])
def test_an_address_that_answers_nobody_is_told_though_the_server_answers_at_another(two_stacks, reached, closed):
    view, rounds = two_stacks(reached, reached)
    [problem] = view["problems"]
    assert (problem["code"], problem["hosts"], len(rounds)) == ("unreachable-from", ["ntp180"], 2)
    assert problem["message"] == (
        f"ntp180 ({closed}) answered none of the hosts of tier client that queried it: node148, node149; "
        "it answers at its other addresses"
    )
    [server] = [server for server in view["served"] if server["host"] == "ntp180"]
    assert (server["closed"], server["open"], server["answered"]) == ([closed], False, CLIENTS)
    assert view["hosts"]["ntp180"]["open"] is False
    assert list(ntpcluster_rollout.proven(["ntp180"])) == ["Error"]


def test_an_address_of_no_minion_counts_by_itself_and_is_reported_with_its_followers(cluster):
    view, _ = cluster(
        {n: answer(ntp189=True, ntp180=False) for n in CLIENTS}, {n: RECORDED[n] for n in (*CLIENTS, "ntp189")}
    )
    [problem] = [p for p in view["problems"] if p["code"] == "unreachable-from"]
    assert problem["hosts"] == CLIENTS
    assert (
        problem["message"] == "10.0.0.180 answered none of the hosts of tier client that queried it: node148, node149"
    )
    FILES["ntpcluster_report"].render(view, FILES["ntpcluster_picture"].geometry(view), PARTS)


def test_a_source_that_is_a_name_is_the_host_that_has_its_address(cluster):
    standing = {n: dict(s, planned=["time-a.example"] if n in CLIENTS else []) for n, s in RECORDED.items()}
    said = {"servers": [{"name": "time-a.example", "address": "10.0.0.180", "reachable": False}]}
    view, _ = cluster(dict.fromkeys(CLIENTS, said), standing)
    [problem] = [p for p in view["problems"] if p["code"] == "unreachable-from"]
    assert problem["message"].startswith("time-a.example answered none of the hosts of tier client")


def test_no_host_queries_if_the_target_has_no_follower(cluster):
    view, rounds = cluster({}, {name: RECORDED[name] for name in SERVERS})
    assert (codes(view), rounds, view["served"]) == ([], [], [])


def test_a_view_without_served_makes_no_host_query(cluster):
    view, rounds = cluster({}, served=False)
    assert rounds == [] and view["served"] is None and codes(view) == []


def test_three_of_thousands_of_followers_query_and_three_more_if_a_server_is_silent(cluster):
    many = {f"node{number:04}": RECORDED["node148"] for number in range(2000)}
    many.update({name: RECORDED[name] for name in SERVERS})
    for name in list(many)[:1000]:
        many[name] = dict(many[name], synchronized=False, health="unsynchronized")
    says = dict.fromkeys(many, answer(ntp189=True, ntp180=False))
    view, rounds = cluster(says, many)
    assert [len(names) for names in rounds] == [3, 3] and not set(rounds[0]) & set(rounds[1])
    assert all(many[name]["synchronized"] for names in rounds for name in names)
    assert cluster(says, many)[1] == rounds
    [problem] = [p for p in view["problems"] if p["code"] == "unreachable-from"]
    assert all(name in problem["message"] or "more" in problem["message"] for name in rounds[0])


def test_a_server_does_not_query_itself(cluster):
    """A host of the tier below whose address is among the servers."""
    standing = {n: dict(s, planned=["10.0.0.148"] if n in CLIENTS else s["planned"]) for n, s in RECORDED.items()}
    said = {"servers": [{"name": "10.0.0.148", "address": "10.0.0.148", "reachable": True}]}
    view, _ = cluster({"node148": said}, standing)
    assert [(s["host"], s["asked"], s["open"]) for s in view["served"]] == [("node148", [], None)]


# ---------------------------------------------------------------------------------------------------------
# The check and the rollout


@pytest.mark.parametrize(("ntp180", "code"), [(True, 0), (False, 2), (None, 1)])
def test_the_check_is_ok_only_with_a_proof(cluster, ntp180, code):
    answers = {"ntp189": True} if ntp180 is None else {"ntp189": True, "ntp180": ntp180}
    cluster({name: answer(**answers) for name in CLIENTS})
    assert ntpcluster.check()["data"]["retcode"] == code


@pytest.mark.parametrize(
    ("says", "deployed", "told"),
    [
        (answer(ntp189=True, ntp180=True), ["ntp180", "ntp189", "node148"], None),
        (answer(ntp189=True, ntp180=False), ["ntp180", "ntp189", "node148"], "unreachable-from: ntp180 (10.0.0.180)"),
        # The blocked server was left out of the rollout.
        (answer(ntp189=True, ntp180=False), ["ntp189", "node148"], None),
        (MISSING, ["ntp189"], "unproven: it is unknown whether ntp180"),
        (MISSING, ["node148"], None),
    ],
)
def test_a_rollout_succeeds_if_the_servers_it_deployed_answer(cluster, says, deployed, told):
    cluster(dict.fromkeys(CLIENTS, says))
    done = ntpcluster_rollout.proven(deployed)
    if told:
        assert list(done) == ["Error"] and done["Error"].startswith(told)
    else:
        assert list(done) == ["servers"] and set(done["servers"]) <= set(deployed)


def test_hosts_without_a_plan_are_not_chosen_as_followers():
    hosts = {n: {"planned": [] if n == "a" else ["x"], "synchronized": True, "answered": True} for n in "ab"}
    found = {"client": {"x": {"addresses": ["x"], "asked": {}, "at": {}, "tried": set()}}}
    assert ntpcluster_served.choose(hosts, [{"name": "client", "hosts": ["a", "b"]}], found) == {"b": "client"}


def test_if_hosts_of_a_tier_have_different_servers_each_server_is_queried(cluster):
    standing = {name: RECORDED[name] for name in SERVERS}
    standing.update({f"a{number}": dict(RECORDED["node148"], planned=["10.0.0.189"]) for number in range(20)})
    standing.update({f"b{number}": dict(RECORDED["node148"], planned=["10.0.0.180"]) for number in range(20)})
    says = {name: answer(ntp189=True) if name.startswith("a") else answer(ntp180=False) for name in standing}
    view, rounds = cluster(says, standing)
    assert [sorted(name[0] for name in names) for names in rounds] == [["a"] * 3 + ["b"] * 3, ["b"] * 3]
    asked = {server["host"]: server["asked"] for server in view["served"]}
    assert {name[0] for name in asked["ntp189"]} == {"a"} and len(asked["ntp180"]) == 6
    assert all(server["unknown"] == [] or server["host"] == "ntp189" for server in view["served"])
