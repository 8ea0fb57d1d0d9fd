"""Which cron daemon of a host is reported, if there may be one of several. With the real ones: tests/lab/test_states.py."""

import pytest

from _states import ntpcluster_deploy

CRON = {"services": ["cron", "cron.target"], "package": "cron"}


@pytest.fixture
def host(monkeypatch):
    """A stand-in for `service`: the names of the services that exist, that run and that start at boot."""
    known = {"available": (), "status": (), "enabled": ()}
    functions = {
        f"service.{verb}": lambda service, verb=verb: service in known[verb]
        for verb in ("available", "status", "enabled")
    }
    functions["ntpcluster_plan.plan"] = lambda: {"method": "cron", "platform": {"cron": CRON}}
    monkeypatch.setattr(ntpcluster_deploy, "__salt__", functions, raising=False)
    return known


@pytest.mark.parametrize("service", CRON["services"])
def test_any_one_of_them_is_enough(host, service):
    host.update(available=[service], status=[service], enabled=[service])
    done = ntpcluster_deploy.cron_runs("cron-runs")
    assert (done["result"], done["comment"]) == (True, f"{service} runs")


def test_a_running_and_an_enabled_one_together_are_not_enough(host):
    host.update(available=CRON["services"], status=["cron"], enabled=["cron.target"])
    done = ntpcluster_deploy.cron_runs("cron-runs")
    assert done["result"] is False and done["comment"].endswith("Remedy: enable the service cron")


def test_the_existing_one_is_reported(host):
    host.update(available=["cron.target"])
    done = ntpcluster_deploy.cron_runs("cron-runs")
    assert done["result"] is False and "does not run" in done["comment"]
    assert done["comment"].endswith("Remedy: start and enable the service cron.target")


def test_without_any_the_usual_package_is_named(host):
    done = ntpcluster_deploy.cron_runs("cron-runs")
    assert done["result"] is False and "is not installed" in done["comment"]
    assert done["comment"].endswith("install the package cron, then start and enable the service cron")
