"""The output of chronyd when it runs once is read correctly."""

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


def test_the_sign_is_ours():
    """A clock 500 s fast, and one 3 s slow."""
    assert round(chronyd.once(*CAPTURES["c43-measure"])["offset_s"]) == -500
    assert round(chronyd.once(*CAPTURES["c43-measure-slow"])["offset_s"]) == 3


def test_a_step_is_not_a_measurement():
    assert chronyd.once(*CAPTURES["c43-step-step"])["stepped"] is True
    assert chronyd.once(*CAPTURES["c43-measure"])["stepped"] is False
    assert chronyd.once(*CAPTURES["c43-measure-silent"])["stepped"] is None


def test_a_warning_of_a_running_daemon_is_not_a_step():
    """The daemon logs `System clock wrong by` without the last word before it slews or steps."""
    got = chronyd.once("", "2026-11-26T02:57:14Z System clock wrong by -2.999940 seconds\n")
    assert (got["offset_s"], got["stepped"]) == (None, None)
    assert [error["code"] for error in got["errors"]] == ["unknown"]


@pytest.mark.parametrize("retcode", [1, 127, 137, -9])
def test_an_exit_without_output_is_an_error(retcode):
    [error] = chronyd.once("", "", retcode)["errors"]
    assert error["code"] == ("not-installed" if retcode == 127 else "unknown")


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
