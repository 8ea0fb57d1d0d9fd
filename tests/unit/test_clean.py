"""The way back on a host where something cannot be undone. With real services and packages: tests/lab/test_fresh.py."""

import pytest

from _states import ntpcluster_clean


@pytest.fixture
def host(monkeypatch):
    """A host whose chronyd ran before and was stopped; `starts` is whether it can be started, `forgot` how often it forgot."""

    class Host:
        starts, forgot = True, 0

    def forget():
        Host.forgot += 1

    functions = {
        "ntpcluster_origin.origin": lambda: {"service chronyd": {"running": True, "enabled": True}},
        "ntpcluster_origin.forget": forget,
        "service.available": lambda service: True,
        "service.enable": lambda service: True,
        "service.stop": lambda service: True,
        "service.start": lambda service: Host.starts,
    }
    monkeypatch.setattr(ntpcluster_clean, "__salt__", functions, raising=False)
    monkeypatch.setattr(ntpcluster_clean, "__opts__", {"test": False}, raising=False)
    return Host


def test_a_service_that_ran_before_runs_again(host):
    done = ntpcluster_clean.cleaned("deployment-is-gone")
    assert done["result"] is True and host.forgot == 1
    assert done["changes"]["service chronyd"]["new"] == {"running": True, "enabled": True}


def test_a_service_that_cannot_be_started_is_red_and_tried_again_by_the_next_run(host):
    host.starts = False
    done = ntpcluster_clean.cleaned("deployment-is-gone")
    assert (done["result"], done["comment"]) == (False, "ran before, and cannot be started: chronyd")
    assert host.forgot == 0
