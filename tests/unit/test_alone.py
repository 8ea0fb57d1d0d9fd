"""A host's other time daemons, one of which does not stop. With a real service: tests/lab/test_states.py."""

import pytest

from _states import ntpcluster_deploy

ON, OFF = {"running": True, "enabled": True}, {"running": False, "enabled": False}


@pytest.fixture
def host(monkeypatch):
    """A host with three running rivals; those in `stubborn` do not stop."""
    rivals, stubborn = {"chronyd": True, "ntpsec": True, "openntpd": True}, []

    def stop(service):
        rivals[service] = service in stubborn

    functions = {
        "ntpcluster_plan.plan": lambda: {"conflicts": sorted(rivals), "platform": {"package_starts_service": False}},
        "ntpcluster_origin.remember": lambda key, was: None,
        "service.available": lambda service: True,
        "service.status": lambda service: rivals[service],
        "ntpcluster_process.there": lambda service: True,
        "ntpcluster_process.enabled": lambda service: True,
        "ntpcluster_service.stop_other": lambda service: stop(service) or not rivals[service],
        "service.disable": lambda service: True,
    }
    monkeypatch.setattr(ntpcluster_deploy, "__salt__", functions, raising=False)
    monkeypatch.setattr(ntpcluster_deploy, "__opts__", {"test": False}, raising=False)
    return stubborn


def test_all_of_them_are_stopped(host):
    done = ntpcluster_deploy.alone("no-other-time-daemon")
    assert (done["result"], done["changes"]) == (
        True,
        {service: {"old": ON, "new": OFF} for service in ("chronyd", "ntpsec", "openntpd")},
    )


def test_only_the_daemons_that_did_stop_are_reported(host):
    host.append("ntpsec")
    done = ntpcluster_deploy.alone("no-other-time-daemon")
    assert (done["result"], done["comment"]) == (False, "ntpsec does not stop")
    assert done["changes"] == {
        "chronyd": {"old": ON, "new": OFF},
        "ntpsec": {"old": ON, "new": {"running": True, "enabled": False}},
    }
