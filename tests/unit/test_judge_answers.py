"""A host without a daemon is judged like one with a daemon: by the majority of its servers, and with the same codes."""

import struct

import pytest

from _modules import ntpcluster_answers, ntpcluster_diagnose, ntpcluster_query
from tests.loaded import FUNCTIONS
from tests.unit.test_query import made, packet, read
from tests.unit.test_status import codes, consistent, host, plan  # noqa: F401  (host is a fixture)

NOW = 1795000000.0
A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def dated(reference):
    """A present answer of a server whose clock was set then."""
    seconds = struct.pack("!II", int(reference) + ntpcluster_query.NTP_EPOCH, 0)
    answer = packet(NOW, NOW)
    return answer[:16] + seconds + answer[24:]


def says(address, offset, delay=0.001, stratum=2, **more):
    """What ``query`` returns for a server that answers."""
    return {
        "name": address, "address": address, "reachable": True, "stratum": stratum, "leap": "none", "refid": "192.0.2.1",
        "kiss": None, "offset_s": offset, "delay_s": delay, "reference_age_s": 30.0, **more,
    }  # fmt: skip


def silent(name, **more):
    return {**dict.fromkeys(says(name, None)), "name": name, "address": name, "reachable": False, **more}


def timeless(address, **more):
    return says(address, None, stratum=16, leap="alarm", refid="INIT", delay_s=None, reference_age_s=None, **more)


@pytest.fixture
def status(host):  # noqa: F811
    """`status` of a host with `method: cron` whose servers answer like this."""

    def ask(*answers, **changes):
        host.plan = plan(method="cron", **changes)
        host.process.update(running=False, pid=None, uptime_s=None)
        host.answers = list(answers)
        seen = host.status()
        consistent(seen)
        return seen

    return ask


def test_servers_that_agree_with_the_clock_make_it_ok(status):
    seen = status(says(A, 0.001), says(B, 0.002, stratum=3), says(C, -0.001, stratum=3))
    assert (seen["health"], seen["source"], seen["offset_ms"], codes(seen)) == ("ok", A, 1.0, [])


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        # Two of three say that the clock is 5 s off; the nearest server does not.
        ([says(A, 0.001, 0.0001), says(B, 5.0), says(C, 5.001)], ["falseticker", "offset-high"]),
        ([says(A, 0.001), says(B, 5.0)], ["falseticker", "falseticker"]),
        # The same by less than the second that a step tolerates.
        ([says(A, 0.001, 0.0001), says(B, 0.6), says(C, 0.601)], ["offset-high"]),
        ([says(A, 0.001, 0.0001), says(B, -0.6)], ["offset-high"]),
        ([says(A, 2000.0), says(B, 2000.1)], ["panic"]),
        ([says(A, 0.0, refid="127.127.1.0"), says(B, 0.0, refid="127.127.7.1")], ["orphan", "orphan"]),
        ([says(A, 0.0, refid="LOCL", stratum=1), says(B, 0.0, refid="127.0.0.1")], ["orphan", "orphan"]),
        ([says(A, 0.0, stratum=10), says(B, 0.0, stratum=12)], ["orphan", "orphan"]),
        ([silent(A), silent(B)], ["unreachable", "unreachable"]),
        ([timeless(A), timeless(B)], ["upstream-unsynchronized", "upstream-unsynchronized"]),
        ([timeless(A, kiss="DENY"), silent("time.example", address=None)], ["unresolvable", "denied"]),
        ([], []),
    ],
)
def test_a_clock_that_no_majority_confirms_is_not_right(status, answers, found):
    seen = status(*answers)
    assert (seen["synchronized"], seen["health"]) == (False, "unsynchronized")
    assert [code for code in codes(seen) if code != "few-sources"] == found
    assert found or codes(seen) == ["few-sources"]


@pytest.mark.parametrize(
    ("third", "found"),
    [
        (says(C, 5.0, 0.0001, stratum=1), "falseticker"),
        (says(C, 0.0, refid="127.127.1.1", stratum=9), "orphan"),
        (timeless(C), "upstream-unsynchronized"),
        (says(C, 0.0, reference_age_s=99999.0), "upstream-unsynchronized"),
        (timeless(C, kiss="RATE"), "denied"),
        (silent(C), "unreachable"),
        (silent("time.example", address=None), "unresolvable"),
    ],
)
def test_one_bad_server_is_named_and_the_clock_is_still_right(status, third, found):
    seen = status(says(A, 0.001), says(B, 0.002), third)
    assert (seen["synchronized"], seen["health"], codes(seen), seen["source"]) == (True, "degraded", [found], A)


def test_the_servers_wanted_are_counted_as_for_a_daemon(status):
    seen = status(says(A, 0.001), silent(B), health=dict(plan()["health"], survivors=2))
    assert codes(seen) == ["unreachable", "few-sources"]


def test_the_servers_answers_replace_the_daemons_view(host, monkeypatch):  # noqa: F811
    """The daemon knows a name by its address or not at all; this host has only one clock."""
    host.answers = [says(A, 2000.0), timeless(B), silent("time.example", address=None)]
    known = [
        {"code": code, "message": code, "evidence": evidence}
        for code, evidence in [
            ("panic", {"offset_ms": 2e6}),
            ("unreachable", {"peer": B}),
            ("unresolvable", {"names": ["time.example"]}),
            ("unreachable", {"peer": C}),
            ("settling", {}),
        ]
    ]
    found = ntpcluster_diagnose._asked(plan(), known, [])
    assert [one["code"] for one in found] == ["upstream-unsynchronized", "unresolvable", "panic"]
    assert [(one["code"], one["evidence"]) for one in known] == [("unreachable", {"peer": C}), ("settling", {})]


@pytest.mark.parametrize(
    ("key", "heard", "answer", "found"),
    [
        (7, False, says(A, 0.001), ["authentication"]),
        # Without a key, heard before, unknown, or silent to us as well: the key is not the reason.
        (None, False, says(A, 0.001), ["unreachable"]),
        (7, True, says(A, 0.001), ["unreachable"]),
        (7, None, says(A, 0.001), ["unreachable"]),
        (7, False, silent(A), ["unreachable"]),
        (7, False, timeless(A), ["upstream-unsynchronized"]),
    ],
)
def test_a_server_that_never_answers_signed_requests_does_not_accept_the_key(host, key, heard, answer, found):  # noqa: F811
    """chronyd as a server does not answer a packet with an unknown key."""
    host.answers = [answer]
    made = plan()
    made["sources"] = [dict(made["sources"][0], address=A, key=key)]
    known = [{"code": "unreachable", "message": "...", "evidence": {"peer": A}}]
    told = ntpcluster_diagnose._asked(made, known, [{"address": A, "heard": heard}])
    assert [one["code"] for one in told + known] == found


@pytest.mark.parametrize("code", ["authentication", "denied", "upstream-unsynchronized", "unreachable"])
def test_a_rate_limited_server_is_judged_by_what_the_daemon_knows(host, code):  # noqa: F811
    """A server with a rate limit does not answer a client that has just queried it."""
    host.answers = [silent(A)]
    known = [{"code": code, "message": "...", "evidence": {"peer": A}}]
    assert [one["code"] for one in ntpcluster_diagnose._asked(plan(), known, []) + known] == [code]


def test_a_host_without_a_daemon_queries_its_servers_once(status, host, monkeypatch):  # noqa: F811
    """A server with a rate limit refuses a client that queries again at once."""
    seen = status(says(A, 0.001), silent(B))
    asked = []
    stand_ins = {
        "ntpcluster_status.status": lambda: seen,
        "ntpcluster_query.query": lambda servers: asked.append(servers) or {"servers": host.answers},
        "ntpcluster_process.named": lambda names: [],
        "ntpcluster_process.rivals": lambda own, living: [],
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setitem(FUNCTIONS, name, stand_in)
    monkeypatch.setattr(ntpcluster_diagnose, "_rights", list)
    assert [one["code"] for one in ntpcluster_diagnose.diagnose()] == codes(seen) == ["unreachable"]
    assert asked == []


@pytest.mark.parametrize("word", ["INIT", "STEP"])
def test_a_server_that_is_not_synchronised_yet_is_not_reported_as_refusing(word):
    seen = read(made(kiss=word))
    assert (seen["kiss"], seen["offset_s"], seen["stratum"], seen["refid"]) == (None, None, 16, word)


def test_an_answer_says_how_long_ago_the_servers_own_clock_was_set():
    assert read(dated(NOW - 75))["reference_age_s"] == 75
    assert read(packet(NOW, NOW))["reference_age_s"] is None


def test_without_its_cron_daemon_a_correct_clock_is_not_ok(status, host):  # noqa: F811
    host.services = []
    seen = status(says(A, 0.001), says(B, 0.002), says(C, 0.0))
    assert (seen["synchronized"], seen["health"], codes(seen)) == (True, "degraded", ["cron-stopped"])


@pytest.mark.parametrize(
    "answers",
    [
        [says(A, 0.001, 0.0001), says(B, 0.6), says(C, 0.601)],
        [says(A, 0.001, stratum=1), says(B, 0.6), says(C, 0.601)],
        [says(A, -0.02), says(B, 0.01), says(C, 0.03, stratum=1)],
    ],
)
def test_a_step_uses_a_server_close_to_the_one_that_judges_the_clock(status, answers):
    seen = status(*answers)
    taken = ntpcluster_answers.trusted(answers)
    assert abs(taken["offset_s"] * 1000.0 - seen["offset_ms"]) <= 50.0
    assert taken["address"] == seen["source"]


@pytest.mark.parametrize("offsets", [(0.0, 0.8), (0.4, -0.4), (5.0, 5.6), (0.0, 0.01, 0.8, 0.81), (2.0, 2.3, 2.6, 2.9)])
def test_a_clock_that_was_stepped_needs_no_second_step_though_its_servers_disagree(status, offsets):
    def clock(ahead):
        """The servers' answers after a step."""
        return [says(f"10.0.0.{number}", offset - ahead) for number, offset in enumerate(offsets, 1)]

    stepped = ntpcluster_answers.trusted(clock(0.0))["offset_s"]
    assert abs(ntpcluster_answers.trusted(clock(stepped))["offset_s"]) < plan()["step"]["threshold"]
    # Half of them still say that the clock is wrong, and it is unknown which half is right.
    (told,) = [one for one in status(*clock(stepped))["problems"] if one["code"] == "offset-high"]
    assert told["message"].endswith("the servers disagree; a step cannot fix this")
