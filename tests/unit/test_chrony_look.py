"""chronyc's answers in the neutral form: facts about the clock and the sources, independent of the daemon."""

import copy

import pytest

from tests.unit import py2_chrony, py2_corpus
from tests.unit.py2_chrony import ntpcluster_chrony_look, ntpcluster_chronyc

CAPTURES = py2_corpus.captures("chronyc")
EXPECTED = py2_corpus.expected("chronyc")
#: How far each clock really was ahead at the time of the capture, in ms, read from outside by the lab.
REALLY_AHEAD_MS = {"c43-slewing-csv": -1615.985, "c43-maxchange-csv": 50000.0, "c43-many-csv": 0.066, "c40-csv": 0.056}


def read(name):
    return py2_chrony.read(name, EXPECTED[name]["commands"], CAPTURES[name])


def look(name):
    return ntpcluster_chrony_look.look(read(name), EXPECTED[name]["now"])


def peer(name, address):
    [row] = [row for row in look(name)["peers"] if row["remote"] == address]
    return row


@pytest.mark.parametrize("name", sorted(REALLY_AHEAD_MS))
def test_offsets_are_those_of_the_clock(name):
    """Also while chronyd slews: its own table then shows offsets near zero, with the clock 1.6 s off."""
    selected = next(row for row in look(name)["peers"] if row["condition"] == "system_peer")
    assert abs(selected["offset_ms"] + REALLY_AHEAD_MS[name]) < 1.0


def test_what_is_slewed_is_the_systems_offset():
    assert abs(look("c43-slewing-csv")["system"]["offset_ms"] - 1616) < 1


def test_known_traps_are_flagged():
    found = {row["remote"]: row for row in look("c43-many-csv")["peers"]}
    wanted = {
        "10.77.1.1": ("system_peer", 0, "clock", True, True),
        "10.77.1.2": ("candidate", 0, "address", True, True),
        "10.77.1.4": ("falseticker", 0, "address", True, True),
        "10.77.1.5": ("reject", 0, None, False, False),  # silent
        "10.77.1.6": ("reject", 0x20, None, True, True),  # stratum 16
        "10.77.1.7": ("reject", 0x20, "kiss", True, True),  # RATE
        "10.77.1.8": ("reject", 0x28, "kiss", True, True),  # DENY
        "10.77.1.9": ("candidate", 0, "local", True, True),  # its own clock
    }
    keys = ("condition", "flash", "refid_kind", "heard", "answers")
    assert {name: tuple(found[name][key] for key in keys) for name in wanted} == wanted
    assert (found["10.77.1.6"]["stratum"], found["10.77.1.5"]["stratum"], found["10.77.1.9"]["stratum"]) == (16, 16, 11)


@pytest.mark.parametrize(
    ("refid", "kind"),
    [("127.127.7.1", "local"), ("LOCL", "local"), ("127.0.0.1", "orphan"), ("127.127.8.0", "clock"), ("NTSN", "kiss")],
)
def test_a_refid_means_what_it_means_to_ntpd(refid, kind):
    got = read("c43-many-csv")
    [packet] = [row for row in got["answers"]["ntpdata"] if row["address"] == "10.77.1.9"]
    packet["refid"] = refid
    [row] = [row for row in ntpcluster_chrony_look.look(got)["peers"] if row["remote"] == "10.77.1.9"]
    assert row["refid_kind"] == kind


def test_a_loop_and_keys():
    assert peer("c43-loop-csv", "10.77.1.60")["flash"] == 0x800
    # ntpd answers with a crypto-NAK; chronyd does not answer packets that are not signed with its key.
    assert peer("c43-wrong-key-csv", "10.77.1.62")["flash"] == 0x10
    assert peer("c43-wrong-key-csv", "10.77.1.60")["heard"] is False
    # This host lacks the key: it sends no packets.
    assert {row["flash"] for row in look("c43-no-key-csv")["peers"][:3]} == {0x10}
    assert [row["authenticated"] for row in look("c43-keys-sha1-csv")["peers"]] == [True, True]
    assert peer("c43-no-key-csv", "10.77.1.1")["authenticated"] is None


def test_a_source_that_lost_its_time_still_answers():
    """80 s after its last sample: chronyd's packets, all answered, show that the source works but is not synchronised."""
    row = peer("c43-lost-time-long-csv", "10.77.1.1")
    assert (row["reach"], row["when_s"], row["flash"], row["answers"], row["stratum"]) == (0, 84, 0x20, True, 16)


def test_a_source_that_died_is_not_known_to_answer():
    row = peer("c43-dead-source-csv", "10.77.1.1")
    assert (row["reach"], row["flash"], row["answers"], row["condition"]) == (0, 0, None, "reject")
    # chronyd itself still reports that it is synchronised.
    assert look("c43-dead-source-csv")["system"]["leap"] == "none"


def test_not_synchronised_is_stratum_16():
    for name in ("c43-start-csv", "c43-disagree-csv", "c43-minsources-csv", "c43-maxchange-csv"):
        assert (look(name)["system"]["stratum"], look(name)["system"]["leap"]) == (16, "alarm")


def test_the_local_clock_has_the_refid_of_one():
    system = look("c43-local-csv")["system"]
    assert (system["refid"], system["stratum"], system["source"]) == ("127.127.1.1", 8, None)


def test_without_root_unknown_values_are_reported_as_unknown():
    seen = look("c43-user-csv")
    assert (seen["complete"], seen["error"], seen["missing"][0]) == (True, "not-permitted", "ntpdata")
    for row in seen["peers"]:
        assert (row["flash"], row["refid"], row["delay_ms"], row["selection"]) == (None, None, None, None)
    silent = [row for row in seen["peers"] if row["when_s"] is None]
    assert {(row["heard"], row["answers"]) for row in silent} == {(None, None)}


@pytest.mark.parametrize("name", ["c43-half3-csv", "c43-half6-csv", "c43-half", "c43-dead", "c43-stopped-csv"])
def test_a_daemon_that_stopped_answering_has_no_complete_answer(name):
    assert look(name)["complete"] is False


def test_without_an_answer_there_is_no_system():
    seen = look("c43-dead")
    assert (seen["system"], seen["peers"], seen["error"]) == ({}, [], "no-answer")


def test_the_look_of_a_daemon_without_sources_is_complete():
    assert (look("c43-none-csv")["complete"], look("c43-none-csv")["peers"]) == (True, [])


def test_a_list_that_changed_while_it_was_read_is_incomplete():
    got = read("c43-disagree-csv")
    doubled, moved = copy.deepcopy(got), copy.deepcopy(got)
    doubled["answers"]["sources"][1]["name"] = doubled["answers"]["sources"][0]["name"]
    moved["answers"]["sourcestats"].reverse()
    for spoilt in (doubled, moved):
        assert ntpcluster_chrony_look.look(spoilt)["complete"] is False


def test_rows_of_another_source_are_not_joined():
    got = read("c43-disagree-csv")
    got["answers"]["ntpdata"][1]["address"] = "10.77.1.99"
    rows = ntpcluster_chrony_look.look(got)["peers"]
    assert [row["flash"] for row in rows] == [0, None]
    assert rows[1]["delay_ms"] is None


def test_an_unnamed_row_of_4_0_belongs_to_its_place():
    assert peer("c40-csv", "10.77.1.5")["heard"] is False
    assert peer("c40-csv", "10.77.1.6")["flash"] == 0x20


def test_the_age_of_a_reference_is_measured_by_the_sources_own_clock():
    """The lab's servers report that their clock was set 8 s ago; one clock is 5 s behind, which must not add to the age."""
    ages = [row["reference_age_s"] for row in look("c43-many-csv")["peers"] if row["reach"]]
    assert len(ages) == 6
    assert all(7 < age < 9.1 for age in ages)
    got = read("c43-many-csv")
    assert {row["reference_age_s"] for row in ntpcluster_chrony_look.look(got)["peers"]} == {None}


def test_every_state_of_chronyc_has_its_condition():
    read_states = {"*", "+", "-", "x", "~", "?"}
    assert set(ntpcluster_chrony_look.STATES) == read_states
    for state in read_states:
        line = f"^,{state},10.0.0.1,1,6,377,11,0.1,0.1,0.1"
        [row] = ntpcluster_chronyc.parse(["sources"], line)["answers"]["sources"]
        assert row["state"] == state


def test_who_goes_on_by_its_own_clock_follows_nobody_whatever_the_list_marks():
    """Two servers of an island: the first follows the second, whose list still marks the first."""
    answers = read("c43-many-csv")
    followed = [row["remote"] for row in ntpcluster_chrony_look.look(answers, None)["peers"] if row["tally"] == "*"]
    answers["answers"]["tracking"].update(refid="127.127.1.1", name=None, stratum=6)
    seen = ntpcluster_chrony_look.look(answers, None)["peers"]
    assert followed and {row["remote"]: row["condition"] for row in seen}[followed[0]] == "reject"
    assert "system_peer" not in [row["condition"] for row in seen]
