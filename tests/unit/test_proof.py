"""A daemon that shows half of its table, once: it is neither proven nor restarted for what nobody could read."""

import pytest

from _states import ntpcluster_deploy
from tests.loaded import FUNCTIONS
from tests.unit.test_status import healthy, host, plan  # noqa: F401  (host is a fixture)

WHOLE = healthy("el6")
#: Two rows glued into one, which is no row: what a cut or a mixed answer looks like.
HALF = WHOLE.replace("\n+10.0.0.2", "+10.0.0.2")


@pytest.fixture
def running(host, monkeypatch):  # noqa: F811
    """The state of a host whose files are as they were, by what ntpq prints at each look; and what was done to its daemon."""
    answers, done = [], []

    def status(age=0):
        return host.status(answers.pop(0) if len(answers) > 1 else answers[0])

    stand_ins = {
        "ntpcluster_status.status": status,
        "ntpcluster_service.config_files": list,
        "ntpcluster_origin.unproven": lambda files: [],
        "ntpcluster_applied.in_run": lambda: 1,
        "ntpcluster_origin.remember": lambda what, was: None,
        "ntpcluster_service.bring_up": lambda: done.append("brought up") or "done",
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setitem(FUNCTIONS, name, stand_in)
    monkeypatch.setattr(ntpcluster_deploy, "__salt__", FUNCTIONS, raising=False)
    monkeypatch.setattr(ntpcluster_deploy, "__opts__", {"test": False}, raising=False)
    monkeypatch.setattr(ntpcluster_deploy, "__context__", {}, raising=False)

    def run(*said):
        answers[:] = said
        return ntpcluster_deploy.running("ntp-is-running"), done

    return run


def test_half_a_table_restarts_nobody_and_is_no_proof(running):
    seen, done = running(HALF)
    assert (seen["result"], seen["changes"], done) == (False, {}, [])
    assert "cannot tell whether" in seen["comment"]


def test_a_second_look_may_have_the_whole_of_it(running):
    # The state's own look, that of the proof, and the second one.
    seen, done = running(HALF, HALF, WHOLE)
    assert (seen["result"], seen["changes"], done) == (True, {}, [])


def test_a_source_that_is_missing_in_a_whole_table_is_a_reason_to_restart(running, host):  # noqa: F811
    host.plan = plan(["10.0.0.1", "10.0.0.2", "10.0.0.9"])
    seen, done = running(WHOLE)
    assert (seen["result"], done) == (True, ["brought up"]) and "10.0.0.9" in seen["changes"]["restarted"]


@pytest.mark.parametrize("test", [False, True])
@pytest.mark.parametrize("run, path, restarted", [(1, "conf", True), (1, "ntpdate", False), (0, "conf", False)])
def test_a_file_that_this_run_changed_is_a_reason_to_restart(running, monkeypatch, test, run, path, restarted):
    monkeypatch.setitem(ntpcluster_deploy.__opts__, "test", test)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_applied.in_run", lambda: run)
    path = plan(["10.0.0.1"])["platform"]["conf"] if path == "conf" else "/etc/sysconfig/ntpdate"
    ntpcluster_deploy._noted({"name": path, "changes": {"diff": "one line"}})
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_applied.in_run", lambda: 1)
    seen, done = running(WHOLE)
    assert seen["changes"] == ({"restarted": "the configuration has changed"} if restarted else {})
    assert done == (["brought up"] if restarted and not test else [])
    assert running(WHOLE)[0]["changes"] == {}, "once is enough"
