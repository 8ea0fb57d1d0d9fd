"""A host's status in one line."""

import pytest

from _modules.ntpcluster_problems import REMEDIES, in_order, problem
from _modules.ntpcluster_summary import summary

WELL = {"health": "ok", "source": "10.0.0.189", "stratum": 3, "offset_ms": -0.0414, "bound_ms": 1.18237, "problems": []}
WELL["reference"] = "utc"
DEAD = {"health": "stopped", "source": None, "stratum": None, "offset_ms": None, "bound_ms": None, "reference": None}


def test_a_healthy_host_names_its_source_and_its_offset():
    assert summary(WELL) == "ok, follows 10.0.0.189, stratum 3, offset -0.041 ms, off by 1.182 ms at most"


def test_an_island_reports_that_it_is_not_traceable_to_utc_and_its_leader():
    well = dict(WELL, reference="island", synchronized=True, bound_ms=None)
    said = "an island: nothing ties it to UTC"
    assert summary(well) == "ok, follows 10.0.0.189, stratum 3, offset -0.041 ms, " + said
    leader = dict(well, source=None, offset_ms=None, stratum=4)
    assert summary(leader) == "ok, leads its island, stratum 4, " + said
    assert summary(dict(leader, health="settling", synchronized=False)).startswith("settling, follows nobody, ")


def test_unknown_values_are_left_out():
    assert summary(dict(DEAD, problems=[])) == "stopped, follows nobody"


@pytest.mark.parametrize("code", [code for code, _ in REMEDIES])
def test_the_line_ends_with_the_first_problem_and_the_number_of_others(code):
    first = in_order([problem(code, "something is seen")], {"service": "ntpd", "conf": "/etc/ntp.conf"})
    line = summary(dict(DEAD, problems=first))
    assert line == f"stopped, follows nobody | {code}: something is seen | {first[0]['remedy']}"
    assert summary(dict(DEAD, problems=first * 3)) == line + " (and 2 more)"


def test_it_is_always_one_line():
    found = in_order([problem("daemon-silent", "ntpq said:\n  timed out\r\n")], {})
    assert summary(dict(DEAD, problems=found)).splitlines() == [
        "stopped, follows nobody | daemon-silent: ntpq said: timed out | " + found[0]["remedy"]
    ]
