"""A daemon that once shows an incomplete table: it is neither proven nor restarted because of the unreadable part."""

import pytest

from _modules import ntpcluster_service
from _states import ntpcluster_deploy
from tests.loaded import FUNCTIONS, MODULES
from tests.unit.test_status import healthy, host, plan  # noqa: F401  (host is a fixture)

WHOLE = healthy("el6")
#: Two rows on one line, which is not a valid row: this is what a truncated or mixed answer looks like.
HALF = WHOLE.replace("\n+10.0.0.2", "+10.0.0.2")


@pytest.fixture
def running(host, monkeypatch):  # noqa: F811
    """The state of a host with unchanged files, with the given output of ntpq at each look; and what was done to its daemon."""
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


def test_an_incomplete_table_causes_no_restart_and_proves_nothing(running):
    seen, done = running(HALF)
    assert (seen["result"], seen["changes"], done) == (False, {}, [])
    assert "cannot tell whether" in seen["comment"]


def test_a_second_look_may_be_complete(running):
    # The state's own look, that of the proof, and the second one.
    seen, done = running(HALF, HALF, WHOLE)
    assert (seen["result"], seen["changes"], done) == (True, {}, [])


def test_a_source_missing_from_a_complete_table_causes_a_restart(running, host):  # noqa: F811
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


def test_a_daemon_that_was_restarted_without_success_is_not_restarted_again(running, host, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setattr(MODULES["ntpcluster_service"], "IN_VAIN", str(tmp_path / "pid"))
    right = host.plan
    host.plan = plan(["10.0.0.1", "10.0.0.2", "10.0.0.9"])
    for kept, restarts in (("320", 1), (f"{host.process['pid']}", 1), (None, 2)):
        (tmp_path / "pid").unlink(missing_ok=True)
        if kept:
            (tmp_path / "pid").write_text(kept + "\n")
        seen, done = running(WHOLE)
        assert len(done) == restarts
        assert (seen["result"], bool(seen["changes"])) == ((False, False) if kept == "321" else (True, True))
    # Once it is proven, a different reason causes a restart again.
    (tmp_path / "pid").write_text("321\n")
    host.plan = right
    for test, left in ((True, True), (False, False)):
        monkeypatch.setitem(ntpcluster_deploy.__opts__, "test", test)
        seen, _ = running(WHOLE)
        assert (seen["result"], seen["changes"], (tmp_path / "pid").exists()) == (True, {}, left)


@pytest.mark.parametrize(
    ("life", "restarted", "proven"), [(1.2, True, False), (1.2, False, False), (0.3, True, False), (3600, False, True)]
)
def test_a_daemon_has_to_live_and_to_be_the_same_for_two_seconds(monkeypatch, life, restarted, proven):
    """It lists its sources 0.3 s after its start, and ends after its life; systemd may start another one at once."""
    now = [0.0]

    def running(platform):
        return {"running": restarted or now[0] < life, "pid": 100 + int(now[0] // life)}

    def proof():
        return {"proven": running(None)["running"] and now[0] % life > 0.3, "reason": "the daemon does not run"}

    monkeypatch.setattr(ntpcluster_service.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(ntpcluster_service, "proof", proof)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_program.monotonic", lambda: now[0])
    monkeypatch.setitem(FUNCTIONS, "service.start", lambda service: True)
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_process.running", running)
    assert (ntpcluster_service._try({"service": "chronyd"}, False, False) == "") is proven
    assert now[0] < ntpcluster_service.PROOF_S + 6
