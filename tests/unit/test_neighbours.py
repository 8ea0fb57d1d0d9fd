"""Servers that list each other: an island, and a tier with `peers`. Their plan, refused pillars, and the judgement."""

import copy

import pytest

from _modules import ntpcluster_build, ntpcluster_misfits
from tests.loaded import FUNCTIONS, MODULES
from tests.unit.pillars import DEFAULTS, PLATFORMS, judge
from tests.unit.test_judge import codes, row
from tests.unit.test_judge import judge as judged
from tests.unit.test_plan import host

FIRST, SECOND, THIRD = SERVERS = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
#: The servers' ids are numbers; any other host is a client.
ISLAND = {
    "tiers": {
        "server": {"match": "s*", "island": True, "addresses": SERVERS, "serves": ["10.0.0.0/24"]},
        "client": {"match": "*", "follows": "server"},
    }
}
PEERS = {
    "orphan": 8,
    "tiers": {
        "server": {**ISLAND["tiers"]["server"], "island": False, "peers": True, "sources": ["192.0.2.1", "192.0.2.2"]},
        "client": ISLAND["tiers"]["client"],
    },
}


def plan(name, address, pillar=ISLAND, platform="RedHat-6"):
    entry = dict(PLATFORMS[platform], name=platform)
    return ntpcluster_build.build(pillar, DEFAULTS, entry, host(name, address, pillar=pillar))


def changed(pillar, tier="server", **keys):
    pillar = copy.deepcopy(pillar)
    pillar["tiers"][tier].update(keys)
    return pillar


# ---------------------------------------------------------------------------------------------------------
# The plan


@pytest.mark.parametrize(
    ("name", "address", "others", "step_by", "local", "orphan"),
    [
        ("s1", FIRST, [SECOND, THIRD], [], 4, None),
        ("s2", SECOND, [FIRST, THIRD], [FIRST], None, 6),
        ("s3", THIRD, [FIRST, SECOND], [FIRST, SECOND], None, 8),
    ],
)
def test_the_first_server_of_an_island_leads_and_the_others_step_by_earlier_ones(
    name, address, others, step_by, local, orphan
):
    made = plan(name, address)
    assert (made["neighbours"], made["step_by"], made["local"], made["orphan"]) == (others, step_by, local, orphan)
    assert [source["line"] for source in made["sources"]] == [f"server {other} iburst" for other in others]
    assert (made["reference"], made["minsane"]) == ("island", 1)


def test_a_follower_of_an_island_has_its_time_but_does_not_belong_to_it():
    made = plan("node", "10.0.0.9")
    assert (made["reference"], made["neighbours"], made["local"], made["orphan"]) == ("island", [], None, None)
    assert made["step_by"] == SERVERS and made["minsane"] == 2


def test_minsane_for_all_hosts_does_not_apply_to_an_island():
    pillar = dict(ISLAND, options={"tos": {"minsane": 2}})
    assert [plan("s1", FIRST, pillar)["minsane"], plan("node", "10.0.0.9", pillar)["minsane"]] == [1, 2]


def test_a_server_with_peers_queries_sources_and_neighbours_but_steps_by_sources_only():
    made = plan("s2", SECOND, PEERS)
    assert [source["address"] for source in made["sources"]] == ["192.0.2.1", "192.0.2.2", FIRST, THIRD]
    assert made["step_by"] == ["192.0.2.1", "192.0.2.2"] and made["neighbours"] == [FIRST, THIRD]
    assert made["reference"] == "utc" and made["local"] is None
    assert [plan(f"s{n}", address, PEERS)["orphan"] for n, address in enumerate(SERVERS, 1)] == [8, 10, 12]
    assert plan("s3", THIRD, dict(PEERS, orphan=14))["orphan"] == 15


@pytest.mark.parametrize(("others", "minsane"), [(0, 2), (1, 1), (2, 2)])
def test_neighbours_suffice_if_no_sources_are_left(others, minsane):
    pillar = changed(PEERS, sources=["192.0.2.1", "192.0.2.2", "192.0.2.3"], addresses=SERVERS[: others + 1])
    assert plan("s1", FIRST, pillar)["minsane"] == minsane


def test_a_neighbour_that_is_a_source_already_is_listed_once():
    made = plan("s1", FIRST, changed(PEERS, sources=["192.0.2.1", SECOND]))
    assert [source["address"] for source in made["sources"]] == ["192.0.2.1", SECOND, THIRD]


# ---------------------------------------------------------------------------------------------------------
# The pillar


def test_both_pillars_are_valid():
    assert [one for pillar in (ISLAND, PEERS) for one in judge(pillar) if one["level"] == "error"] == []


@pytest.mark.parametrize(
    ("pillar", "key", "words"),
    [
        (changed(ISLAND, sources=["192.0.2.1"]), "server:sources", "cannot stand beside `island`"),
        (changed(ISLAND, tier="client", island=True), "client:follows", "cannot stand beside `island`"),
        (changed(ISLAND, peers=True), "server:peers", "cannot stand beside `island`"),
        (changed(ISLAND, addresses=None), "server:addresses", "is needed beside `island`"),
        (changed(PEERS, addresses=None), "server:addresses", "is needed beside `peers`"),
        (changed(ISLAND, island="yes"), "server:island", "must be true or false"),
        (changed(ISLAND, island=False), "server", "or `island: true` (no sources)"),
        (changed(ISLAND, serves=["10.1.0.0/24"]), "server:addresses:0", "must be in one of the tier's `serves`"),
        (changed(ISLAND, addresses=[f"10.0.0.{n}" for n in range(1, 7)]), "server:addresses", "must have 5 at most"),
        (changed(PEERS, tier="client", peers=True), "client:peers", "is for a tier with `sources`"),
        (changed(ISLAND, method="cron"), "server:method", "must be daemon"),
        (dict(ISLAND, orphan=10), None, "cannot be combined with `island` (tier server)"),
    ],
)
def test_an_inconsistency_is_reported_at_its_key(pillar, key, words):
    found = [one for one in judge(pillar) if one["level"] == "error"]
    wanted = f"ntp:tiers:{key}" if key else "ntp:orphan"
    assert [one["message"] for one in found if one["key"] == wanted and words in one["message"]], found


def doubts(name, address, pillar=ISLAND):
    known = host(name, address, pillar=pillar)
    found = ntpcluster_misfits.doubts(pillar, DEFAULTS, dict(PLATFORMS["RedHat-6"], name="RedHat-6"), known)
    return [(one["key"], one["level"]) for one in found if one["level"] == "error"]


def test_a_host_matched_by_mistake_is_not_a_server_of_the_island():
    assert doubts("s1", FIRST) == [] and doubts("node", "10.0.0.9") == []
    assert doubts("stray", "10.0.0.9") == [("ntp:tiers:server:addresses", "error")]
    # And a server that no matcher finds does not become a client.
    assert doubts("lost", FIRST) == [("ntp:tiers:server:addresses", "error")]


def test_an_island_may_have_one_server():
    alone = changed(ISLAND, addresses=[FIRST])
    assert doubts("s1", FIRST, alone) == [] and plan("s1", FIRST, alone)["sources"] == []


# ---------------------------------------------------------------------------------------------------------
# The verdict

LOCAL = dict(refid=".LOCL.", stratum=3, type="l")


def seen(made, *rows, **claims):
    """The judgement on a server of the island whose daemon lists these rows and reports these system variables."""

    def change(_, look):
        look["peers"] = list(rows)
        look["system"].update({"stratum": 4, "refid": "LOCAL(0)", "offset_ms": 0.0}, **claims)

    return judged(made, change)


def follower(address, **changes):
    return row(address, "reject", **{"refid": FIRST, "stratum": 5, "flash": 0x800, **changes})


@pytest.mark.parametrize("name", ["127.127.1.0", "LOCAL(0)"])
def test_the_leader_follows_its_own_clock_and_is_ok(name):
    verdict = seen(plan("s1", FIRST), follower(SECOND), follower(THIRD), row(name, "system_peer", **LOCAL))
    assert (verdict["synchronized"], verdict["health"], codes(verdict)) == (True, "ok", [])
    assert (verdict["reference"], verdict["source"], verdict["stratum"]) == ("island", None, 4)


def test_the_same_with_chrony_which_does_not_list_its_own_clock():
    verdict = seen(plan("s1", FIRST, platform="RedHat-9"), follower(SECOND), follower(THIRD), refid="7F7F0101")
    assert (verdict["health"], codes(verdict)) == ("ok", [])


def test_a_server_that_has_lost_the_others_continues_and_names_them():
    dead = {"reach": 0, "when_s": 900}
    verdict = seen(plan("s2", SECOND), row(FIRST, "reject", **dead), row(THIRD, "reject", **dead), refid="127.0.0.1")
    assert (verdict["synchronized"], verdict["health"], codes(verdict)) == (True, "degraded", ["unreachable"] * 2)


def test_a_follower_that_stops_answering_is_reported_although_chronyd_never_used_it():
    """chronyd keeps the last packet, which was part of a loop, and no other time."""
    silent = dict(reach=0, when_s=None, answers=None)
    verdict = seen(
        plan("s1", FIRST, platform="RedHat-9"), follower(SECOND, **silent), follower(THIRD), refid="7F7F0101"
    )
    assert (verdict["health"], codes(verdict)) == ("degraded", ["unreachable"])


def test_two_times_on_one_island_are_a_problem():
    """The second server continues alone, although the first one gives the time."""
    verdict = seen(plan("s2", SECOND), row(FIRST, "reject", stratum=4), follower(THIRD), refid="127.0.0.1")
    assert not verdict["synchronized"] and "orphan" in codes(verdict)


def test_a_server_that_is_not_synchronised_yet_does_not_lead():
    verdict = seen(plan("s1", FIRST), follower(SECOND), follower(THIRD), leap="alarm", stratum=16, refid="INIT")
    assert not verdict["synchronized"]


def test_a_daemon_with_other_sources_than_planned_does_not_lead():
    verdict = seen(plan("s1", FIRST), follower(SECOND))
    assert not verdict["synchronized"] and "not-listed" in codes(verdict)


def test_a_client_that_follows_its_own_clock_is_an_orphan_on_an_island_too():
    verdict = seen(
        plan("node", "10.0.0.9"), *(row(one, "candidate") for one in SERVERS), row("127.127.1.0", "system_peer")
    )
    assert not verdict["synchronized"] and "orphan" in codes(verdict)


def test_a_client_of_an_island_is_ok_although_its_server_follows_its_own_clock():
    verdict = seen(
        plan("node", "10.0.0.9"),
        row(FIRST, "system_peer", refid="127.127.1.0", stratum=4), row(SECOND, "candidate"), row(THIRD, "candidate"),
        stratum=5, refid=FIRST,
    )  # fmt: skip
    assert (verdict["health"], codes(verdict), verdict["reference"]) == ("ok", [], "island")


def test_a_neighbour_that_follows_this_host_is_not_a_loop_but_any_other_source_is():
    made = plan("s2", SECOND, PEERS)
    rows = [row("192.0.2.1", "system_peer"), row("192.0.2.2", "candidate"), row(FIRST, "candidate")]
    loop = row(THIRD, "reject", flash=0x800, refid=SECOND)
    assert codes(seen(made, *rows, loop, refid="192.0.2.1", stratum=3)) == []
    rows[1] = row("192.0.2.2", "reject", flash=0x800, refid=SECOND)
    assert codes(seen(made, *rows, loop, refid="192.0.2.1", stratum=3)) == ["loop"]


#: The leader of an island (ntpd 4.2.8p15), 2 s after its neighbour's first answer since it follows this host: ntpd is still in the
#: burst, and `flash` describes the time before. Captured in the lab; 6 s later the row said `(loop)` and `flash` 800.
BURST = """\
     remote           refid      st t when poll reach   delay   offset  jitter
==============================================================================
 10.0.0.180      10.0.0.189       5 u    1   64    1    0.091   +0.016   0.000
*127.127.1.0     .LOCL.           3 l    1    8  377    0.000   +0.000   0.000

ind assid status  conf reach auth condition  last_event cnt
===========================================================
  1 52350  9014   yes   yes  none    reject   reachable  1
  2 52351  961a   yes   yes  none  sys.peer    sys_peer  1

associd=52350 status=9014 conf, reach, sel_reject, 1 event, reachable,
srcadr=10.0.0.180, srcport=123, dstadr=10.0.0.189, dstport=123, leap=00,
stratum=5, precision=-22, rootdelay=0.046, rootdisp=385.468,
refid=10.0.0.189,
reftime=eeb30dbd.39804a62  Thu, Nov 26 2026 14:57:49.224,
rec=eeb30dd0.e6f744fa  Thu, Nov 26 2026 14:58:08.902, reach=001,
unreach=2, hmode=3, pmode=4, hpoll=6, ppoll=6, headway=62,
flash=1600 peer_stratum, peer_dist, peer_unreach, keyid=0, offset=+0.016,
delay=0.091, dispersion=7937.500, jitter=0.000, xleave=0.077,
filtdelay=     0.09    0.00    0.00    0.00    0.00    0.00    0.00    0.00,
filtoffset=   +0.02   +0.00   +0.00   +0.00   +0.00   +0.00   +0.00   +0.00,
filtdisp=      0.00 16000.0 16000.0 16000.0 16000.0 16000.0 16000.0 16000.0

associd=52351 status=961a conf, reach, sel_sys.peer, 1 event, sys_peer,
srcadr=127.127.1.0, srcport=123, dstadr=127.0.0.1, dstport=123, leap=00,
stratum=3, precision=-22, rootdelay=0.000, rootdisp=10.000, refid=LOCL,
reftime=(no time), rec=eeb30dd0.e6eb9858  Thu, Nov 26 2026 14:58:08.902,
reach=377, unreach=0, hmode=3, pmode=4, hpoll=3, ppoll=3, headway=0,
flash=00 ok, keyid=0, ttl=0, offset=+0.000, delay=0.000,
dispersion=0.116, jitter=0.000,
filtdelay=     0.00    0.00    0.00    0.00    0.00    0.00    0.00    0.00,
filtoffset=   +0.00   +0.00   +0.00   +0.00   +0.00   +0.00   +0.00   +0.00,
filtdisp=      0.00    0.12    0.24    0.36    0.48    0.60    0.72    0.84
"""


def test_a_neighbour_that_has_just_begun_to_follow_the_leader_is_no_other_time(monkeypatch):
    """Otherwise the leader counts as an orphan, and the island as unsynchronized, until ntpd's burst is over."""
    done = {"stdout": BURST, "stderr": "", "retcode": 0, "timed_out": False, "seconds": 0.0}
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.run", lambda *_, **__: done)
    rows = FUNCTIONS["ntpcluster_ntpd.look"](2)["peers"]
    assert [(one["stratum"], one["reach"]) for one in rows] == [(5, 1), (3, 0o377)]
    servers = ["10.0.0.189", "10.0.0.180"]
    verdict = seen(plan("s1", servers[0], changed(ISLAND, addresses=servers)), *rows)
    assert (verdict["synchronized"], verdict["health"], codes(verdict)) == (True, "ok", [])


@pytest.mark.parametrize(
    ("refid", "dstadr", "loop"),
    [
        ("10.0.0.189", "10.0.0.189", True),
        ("10.0.0.180", "10.0.0.189", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("", "", False),
    ],
)
def test_only_the_address_that_the_source_is_queried_from_makes_a_loop(monkeypatch, refid, dstadr, loop):
    said = BURST.replace("dstadr=10.0.0.189", f"dstadr={dstadr}", 1).replace("refid=10.0.0.189", f"refid={refid}", 1)
    done = {"stdout": said, "stderr": "", "retcode": 0, "timed_out": False, "seconds": 0.0}
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.run", lambda *_, **__: done)
    assert bool(FUNCTIONS["ntpcluster_ntpd.look"](2)["peers"][0]["flash"] & 0x800) is loop


# ---------------------------------------------------------------------------------------------------------
# The step


@pytest.fixture
def asked(monkeypatch):
    """A host whose servers return `answers`; returns the servers that a step queries."""
    calls, answers = [], {}

    def query(servers):
        calls.append(list(servers))
        return {"servers": [server(one, answers.get(one)) for one in servers]}

    monkeypatch.setitem(FUNCTIONS, "ntpcluster_query.query", query)
    status = {"synchronized": False, "offset_ms": None, "source": None}
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_status.status", lambda: status)
    monkeypatch.setattr(MODULES["ntpcluster_step"], "__context__", {}, raising=False)
    return calls, answers, status


def server(address, offset):
    return {
        "name": address, "address": address, "reachable": offset is not None, "stratum": 4, "leap": "none", "kiss": None,
        "refid": "LOCL", "offset_s": offset, "delay_s": 0.001,
    }  # fmt: skip


def step(monkeypatch, made, **how):
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_plan.plan", lambda: made)
    return FUNCTIONS["ntpcluster_step.step"](test=True, **how)


def test_the_leader_queries_no_server_and_is_only_stepped_with_explicit_servers(monkeypatch, asked):
    calls, answers, _ = asked
    answers[SECOND] = 500.0
    done = step(monkeypatch, plan("s1", FIRST))
    assert (done["stepped"], done["needed"], calls) == (False, False, []) and "leads its island" in done["comment"]
    assert step(monkeypatch, plan("s1", FIRST), servers=[SECOND])["needed"] is True


def test_the_first_available_server_is_used_and_not_outvoted(monkeypatch, asked):
    calls, answers, _ = asked
    answers.update({FIRST: 7200.0, SECOND: 3.0})
    assert step(monkeypatch, plan("s3", THIRD))["server"] == FIRST
    del answers[FIRST]
    assert step(monkeypatch, plan("s3", THIRD))["server"] == SECOND
    assert calls == [[FIRST, SECOND]] * 2


def test_a_server_that_leads_temporarily_is_not_stepped(monkeypatch, asked):
    asked[2].update(synchronized=True)
    done = step(monkeypatch, plan("s2", SECOND))
    assert done["needed"] is False and "currently leads its island" in done["comment"]


def test_a_neighbour_does_not_confirm_a_step(monkeypatch, asked):
    calls, answers, _ = asked
    answers.update({"192.0.2.1": 9.0, "192.0.2.2": 9.0, FIRST: 0.0, THIRD: 0.0})
    assert step(monkeypatch, plan("s2", SECOND, PEERS))["offset_before_s"] == 9.0
    assert calls == [["192.0.2.1", "192.0.2.2"]]


def test_a_host_with_only_reference_clocks_is_not_stepped(monkeypatch, asked):
    done = step(monkeypatch, dict(plan("node", "10.0.0.9"), step_by=[]))
    assert (done["needed"], asked[0]) == (None, []) and "only reference clocks" in done["comment"]
