"""The sample reactor and its runner: what is healed, how often, and that the event alone is not trusted."""

import inspect
from pathlib import Path

import jinja2
import pytest
import yaml
from salt.utils.jinja import SerializerExtension

from _runners import ntpcluster, ntpcluster_heal
from tests.unit.runners import TABLE

ROOT = Path(__file__).resolve().parents[2]


def test_the_reactor_calls_the_runner_with_arguments_that_it_has():
    environment = jinja2.Environment(extensions=[SerializerExtension])
    event = {"id": "node148", "codes": ["daemon-stopped"], "new": "stopped"}
    rendered = environment.from_string((ROOT / "contrib/reactor/ntpcluster.sls").read_text()).render(data=event)
    [state] = yaml.safe_load(rendered).values()
    given = {key: value for argument in state["runner.ntpcluster.heal"][0]["args"] for key, value in argument.items()}
    assert given == {"minion": "node148", "codes": ["daemon-stopped"]}
    assert set(given) <= set(inspect.signature(ntpcluster.heal).parameters)


@pytest.mark.parametrize(
    ("healed", "refused"),
    [
        ({}, False),
        ({"node1": 500.0}, True),
        ({"node1": -3000.0}, False),
        ({"node2": 500.0, "node3": 600.0}, False),
        ({"node2": 500.0, "node3": 600.0, "node4": 700.0}, True),
        ({"node2": -9000.0, "node3": 600.0, "node4": 700.0}, False),
        # The master's clock was set back in the meantime: a time in the future must not cause an endless wait.
        ({"node1": 90000.0}, False),
    ],
)
def test_a_host_is_healed_once_an_hour_and_three_hosts_at_most(healed, refused):
    assert bool(ntpcluster_heal.refusal("node1", healed, 1000.0, 3600, 3)) is refused


@pytest.fixture
def master(monkeypatch):
    """A master whose minion returns what the test puts into `says`; `asked` are the functions that were run on it."""

    class Cache(dict):
        def list(self, bank):
            return list(self)

        def fetch(self, bank, name):
            return self[name]

        def store(self, bank, name, data):
            self[name] = data

    class Master:
        says, asked, cache, deployed = [], [], Cache(), True

    found = Master()
    found.asked = []

    def view(**_):
        problems = [{"code": code} for code in found.says]
        said = {
            "health": "stopped",
            "synchronized": not found.says,
            "problems": problems,
            "deployed": found.deployed,
            "saltenv": None,
        }
        return {"hosts": {"node1": said}}

    def ask(function, *_, **__):
        found.asked.append(function)
        found.says = []

    monkeypatch.setattr(ntpcluster_heal.salt.cache, "factory", lambda opts: found.cache)
    stand_in = {"ntpcluster_view.take": view, "ntpcluster_ask.minions": ask}
    monkeypatch.setattr(ntpcluster_heal, "__salt__", {**TABLE, **stand_in})
    return found


def test_an_event_that_the_host_does_not_confirm_changes_nothing(master):
    done = ntpcluster.heal("node1", ["daemon-stopped"])
    assert not done["applied"] and master.asked == [] and master.cache == {}


def test_a_problem_that_a_deployment_does_not_fix_is_ignored(master):
    master.says = ["unreachable"]
    assert not ntpcluster.heal("node1", ["unreachable"])["applied"]
    assert master.asked == []


def test_one_code_may_be_given_as_text(master):
    """As `salt-run ntpcluster.heal node1 codes=daemon-stopped` passes it."""
    master.says = ["daemon-stopped"]
    assert ntpcluster.heal("node1", "daemon-stopped")["applied"]
    assert ntpcluster.heal("node1", "unreachable")["comment"] == "nothing that a deployment would fix: unreachable"


@pytest.mark.parametrize("codes", [3, True, {"a": 1}, [3], ""])
def test_invalid_codes_are_refused(master, codes):
    said = ntpcluster.heal("node1", codes)["data"]
    assert said["Error"] == f"codes: {codes!r} is neither the code of a problem nor a list of codes"
    assert said["retcode"] == 1 and master.asked == []


def test_a_host_that_was_cleaned_is_not_deployed_again(master):
    master.says, master.deployed = ["daemon-stopped"], False
    done = ntpcluster.heal("node1", ["daemon-stopped"])
    assert not done["applied"] and "ntp.clean" in done["comment"]
    assert master.asked == [] and master.cache == {}


def test_a_stopped_daemon_is_deployed_once_and_then_left_for_an_hour(master):
    master.says = ["daemon-stopped"]
    assert ntpcluster.heal("node1", ["daemon-stopped"])["synchronized"]
    master.says = ["daemon-stopped"]
    assert not ntpcluster.heal("node1", ["daemon-stopped"])["applied"]
    assert master.asked == ["state.apply"]
