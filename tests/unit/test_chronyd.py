"""The output of `chronyd -p` is read correctly."""

import pytest

from tests.unit import py2_chrony, py2_corpus
from tests.unit.py2_chrony import ntpcluster_chronyd as chronyd

CAPTURES = py2_corpus.captures("chronyd")
EXPECTED = py2_corpus.expected("chronyd")


def test_every_capture_has_its_expectation():
    assert set(CAPTURES) == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(CAPTURES))
def test_every_capture_is_read_as_expected(name):
    assert py2_corpus.same(py2_chrony.ran(name, EXPECTED[name], CAPTURES[name]), EXPECTED[name])


@pytest.mark.parametrize("said", ["Could not get user/group ID of _chrony", "Not superuser", "No such luck"])
def test_an_error_that_does_not_concern_the_file_proves_nothing(said):
    got = chronyd.proof("", "Fatal error : " + said + "\n", 1)
    assert (got["good"], got["message"]) == (None, said)


def test_a_chronyd_without_the_option_p_proves_nothing():
    """Neither refused nor accepted: there is no such option before 4.0."""
    got = chronyd.proof("Usage: chronyd ...", "chronyd: invalid option -- 'p'\n", 1)
    assert (got["good"], got["line"], got["text"]) == (None, None, None)
    assert "invalid option" in got["message"]


@pytest.mark.parametrize("retcode", [127, 137, -9])
def test_a_proof_that_did_not_run_proves_nothing(retcode):
    assert chronyd.proof("", "", retcode)["good"] is None


def test_an_accepted_file_is_good():
    assert chronyd.proof("server 10.77.1.1 iburst\n", "", 0)["good"] is True


def test_an_error_message_outweighs_the_exit_code():
    """If a release exits with 0 but prints an error, the file is not good."""
    assert chronyd.proof("x\n", "Fatal error : Invalid directive at line 1 in file f\n", 0)["good"] is False
