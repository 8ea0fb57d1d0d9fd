"""Which pillar and which files a function uses, also when the master is unavailable."""

import copy
import json
import os

import pytest
from salt.exceptions import CommandExecutionError, SaltInvocationError
from salt.utils.secret import hide

from _modules import (
    ntpcluster_applied,
    ntpcluster_code,
    ntpcluster_facts,
    ntpcluster_origin,
    ntpcluster_plan,
    ntpcluster_validate,
)
from _states import ntpcluster as states
from tests.unit.test_plan import ROOT
from tests.unit.test_plan_minion import minion  # noqa: F401  (a fixture)

OLD = {"tiers": {"client": {"match": "*", "sources": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]}}}
NEW = {"tiers": {"client": {"match": "*", "sources": ["10.0.0.1", "10.0.0.2", "10.0.0.4"]}}}


@pytest.fixture
def host(minion, monkeypatch, tmp_path):  # noqa: F811
    """
    A minion whose copy of the pillar is OLD; `master` is the master's pillar, `asked` counts how often the master was asked for
    it, `refreshed` how often the minion was told to refresh. Unlike here, a real minion reaches its master over the network.
    """

    class Host:
        pillar, context, functions = minion["pillar"], ntpcluster_applied.__context__, minion["functions"]
        master, asked, refreshed, now = {"ntp": OLD}, 0, 0, 1000.0

    def items(unmask):
        Host.asked += 1
        if isinstance(Host.master, Exception):
            raise Host.master
        return copy.deepcopy(Host.master)

    def refresh():
        Host.refreshed += 1
        return True

    minion["pillar"]["ntp"] = copy.deepcopy(OLD)
    minion["functions"].update(
        {
            "pillar.items": items,
            "saltutil.refresh_pillar": refresh,
            "ntpcluster_program.monotonic": lambda: Host.now,
            "ntpcluster_origin.store": ntpcluster_origin.store,
        }
    )
    return Host


def applied(host, pillar):
    """A state run that compiled this pillar and applied it."""
    remembered, host.pillar["ntp"] = host.pillar["ntp"], copy.deepcopy(pillar)
    ntpcluster_applied.begin("base")
    told = ntpcluster_applied.keep(ntpcluster_plan.plan())
    host.pillar["ntp"] = remembered
    ended(host)
    return told


def ended(host):
    """Simulate that the next function is called in another process."""
    host.context.clear()
    for key in (ntpcluster_applied.RUN, ntpcluster_applied.COUNT, ntpcluster_plan.MADE):
        ntpcluster_applied.__opts__.pop(key, None)


def alone(monkeypatch):
    """`salt-call --local`."""
    monkeypatch.setitem(ntpcluster_applied.__opts__, "__cli", "salt-call")
    monkeypatch.setitem(ntpcluster_applied.__opts__, "file_client", "local")
    monkeypatch.setitem(ntpcluster_applied.__opts__, "local", True)


def sources():
    return [source["address"] for source in ntpcluster_plan.plan()["sources"]]


def test_a_run_with_a_changed_pillar_makes_the_minion_refresh_its_copy_once(host):
    assert applied(host, NEW) and host.refreshed == 1
    assert not applied(host, NEW) and host.refreshed == 1


def test_a_function_asks_the_master_if_the_minions_copy_differs_from_the_applied_pillar(host):
    applied(host, NEW)
    host.master = {"ntp": NEW}
    assert sources()[-1] == "10.0.0.4"
    assert host.asked == 1, "once for all functions of a call"
    assert host.refreshed == 2, "and the minion is told again, as it did not listen"


def test_a_pillar_that_waits_to_be_applied_is_judged_as_the_master_has_it(host):
    applied(host, OLD)
    host.pillar["ntp"] = copy.deepcopy(NEW)
    host.master = {"ntp": NEW}
    assert sources()[-1] == "10.0.0.4"
    assert host.refreshed == 1, "what the minion remembers is the newest there is"


def test_a_host_whose_copy_is_the_applied_pillar_does_not_ask_the_master(host):
    applied(host, OLD)
    host.master = CommandExecutionError("asked")
    assert sources()[-1] == "10.0.0.3"
    assert host.asked == 0


def test_validate_does_not_accept_an_outdated_pillar(host):
    applied(host, OLD)
    host.master = {"ntp": {"tiers": {"client": {"match": "*", "follows": "nobody"}}}}
    assert [p["key"] for p in ntpcluster_validate.validate() if p["level"] == "error"] == ["ntp:tiers:client:follows"]
    assert host.refreshed == 1, "looking is not deploying: what status judges by stays"


def test_a_state_run_and_salt_call_have_just_compiled_theirs(host, monkeypatch):
    applied(host, NEW)
    ntpcluster_applied.begin("base")
    assert ntpcluster_validate.validate() == [] and host.asked == 0
    ended(host)
    monkeypatch.setitem(ntpcluster_applied.__opts__, "__cli", "salt-call")
    assert ntpcluster_validate.validate() == [] and host.asked == 0


def test_the_beacon_never_waits_for_the_master_but_makes_the_minion_refresh(host):
    applied(host, NEW)
    ntpcluster_applied.must_not_wait()
    for host.now in (1000.0, 1060.0, 1120.0):
        assert sources()[-1] == "10.0.0.3"
    assert (host.asked, host.refreshed) == (0, 2)
    host.now += ntpcluster_applied.AGAIN_S
    sources()
    assert host.refreshed == 3


def test_a_job_that_was_forked_from_a_minion_with_a_beacon_does_ask(host, monkeypatch):
    applied(host, NEW)
    ntpcluster_applied.must_not_wait()
    host.master = {"ntp": NEW}
    sources()
    pid = os.getpid()
    monkeypatch.setattr(ntpcluster_applied.os, "getpid", lambda: pid + 1)
    assert sources()[-1] == "10.0.0.4"


def test_a_master_that_cannot_be_asked_is_reported(host):
    applied(host, NEW)
    host.master = CommandExecutionError("no master")
    plan = ntpcluster_plan.plan()
    said = ntpcluster_applied.judged_by(plan)
    assert "cached by the minion" in said and "no master" in said
    ended(host)
    host.master = {"ntp": NEW}
    assert ntpcluster_applied.judged_by(ntpcluster_plan.plan()) == "the pillar"
    assert ntpcluster_applied.judged_by(None) is None


@pytest.mark.parametrize(
    ("age", "said"),
    [(5, "a moment ago"), (7300, "2 hours ago"), (864000, "10 days ago"), (-9000, "which this host's clock has not reached")],
)  # fmt: skip
def test_without_any_pillar_the_last_applied_plan_stands_in_with_its_age(host, monkeypatch, age, said):
    applied(host, NEW)
    del host.pillar["ntp"]
    alone(monkeypatch)
    when = os.stat(ntpcluster_applied.KEPT).st_mtime - age
    os.utime(ntpcluster_applied.KEPT, (when, when))
    # With `salt-call --local` not even the files of the tree are available.
    host.functions["cp.cache_file"] = lambda url, saltenv: ""
    plan = ntpcluster_plan.plan()
    assert plan["sources"][-1]["address"] == "10.0.0.4" and plan["platform"]["service"] == "ntpd"
    assert f"({said})" in ntpcluster_applied.judged_by(plan)


def test_a_key_that_is_missing_on_a_master_that_answers_is_a_mistake(host, monkeypatch):
    applied(host, NEW)
    del host.pillar["ntp"]
    host.master = {}
    with pytest.raises(SaltInvocationError):
        ntpcluster_plan.plan()
    ended(host)
    monkeypatch.setitem(ntpcluster_applied.__opts__, "__cli", "salt-call")
    with pytest.raises(SaltInvocationError):
        ntpcluster_plan.plan()


def test_without_an_answer_of_the_master_the_last_plan_stands_in(host):
    applied(host, NEW)
    del host.pillar["ntp"]
    host.master = CommandExecutionError("no master")
    said = ntpcluster_applied.judged_by(ntpcluster_plan.plan())
    assert "the plan applied on" in said and said.endswith("because this host has no pillar `ntp` now")


def test_with_local_the_message_says_why_the_master_was_not_asked(host, monkeypatch):
    applied(host, NEW)
    del host.pillar["ntp"]
    alone(monkeypatch)
    said = ntpcluster_applied.judged_by(ntpcluster_plan.plan())
    assert "the plan applied on" in said and said.endswith("because `--local` does not ask the master")


def test_a_stored_plan_is_not_used_by_states_and_has_no_secrets(host, monkeypatch):
    secret = "0123456789abcdef0123456789abcdef01234567"
    applied(host, {**NEW, "keys": {7: {"type": "SHA1", "secret": secret}}})
    with open(ntpcluster_applied.KEPT) as kept:
        assert secret not in kept.read()
    del host.pillar["ntp"]
    alone(monkeypatch)
    with pytest.raises(SaltInvocationError):
        ntpcluster_plan.plan(secrets=True)
    ntpcluster_applied.begin("base")
    with pytest.raises(SaltInvocationError):
        ntpcluster_plan.plan()


def test_an_invalid_pillar_is_not_replaced_by_an_old_plan(host):
    applied(host, NEW)
    host.pillar["ntp"] = {"tiers": {}}
    host.master = {"ntp": {"tiers": {}}}
    with pytest.raises(SaltInvocationError):
        ntpcluster_plan.plan()


def test_a_damaged_record_is_ignored(host):
    applied(host, NEW)
    with open(ntpcluster_applied.KEPT, "w") as kept:
        kept.write('{"plan": ')
    assert ntpcluster_applied.kept() == {}
    assert sources()[-1] == "10.0.0.3" and host.asked == 0


def test_the_tree_is_looked_for_where_the_last_run_found_it(host, monkeypatch):
    where = []

    def served(url, saltenv):
        where.append(saltenv)
        return str(ROOT / "salt" / url.replace("salt://", "")) if saltenv == "prod" else ""

    host.functions["cp.cache_file"] = served
    with pytest.raises(CommandExecutionError, match="environment base.*saltenv: NAME"):
        ntpcluster_facts.facts(None)
    ntpcluster_applied.begin("prod")
    ntpcluster_applied.keep(ntpcluster_plan.plan())
    assert where[1:] == ["prod", "prod"], "a state run has its files from one place"
    ended(host)
    assert ntpcluster_facts.facts(None)["platform"]["name"] == "RedHat-6"
    monkeypatch.setitem(ntpcluster_applied.__opts__, "saltenv", "dev")
    assert ntpcluster_applied.environments() == ["dev", "prod", "base"]


def test_the_tree_is_found_in_cached_environments_even_after_a_failed_run(host, tmp_path):
    (tmp_path / "files/prod/ntp").mkdir(parents=True)
    (tmp_path / "files/prod/ntp/platforms.yaml").touch()
    (tmp_path / "files/other").mkdir()
    assert ntpcluster_applied.environments() == ["base", "prod"]


def test_the_list_of_served_code_is_that_of_the_code():
    """A minion fetches the code if its own list differs from this one: with an outdated list it would keep old code."""
    served = (ROOT / "salt/ntp/modules.sha256").read_text()
    assert served == ntpcluster_code.listing() + "\n", "run: make digest"


def test_the_code_list_contains_only_this_trees_files_and_detects_each_change(tmp_path, monkeypatch):
    for name in ("modules/ntpcluster.py", "modules/other.py", "modules/ntpcluster.pyc", "beacons/ntpcluster.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(ntpcluster_code, "__file__", str(tmp_path / "modules/ntpcluster_code.py"))
    before = ntpcluster_code.listing()
    assert [line.split()[1] for line in before.splitlines()] == ["_beacons/ntpcluster.py", "_modules/ntpcluster.py"]
    (tmp_path / "modules/ntpcluster_gone.py").touch()
    assert len(ntpcluster_code.listing().splitlines()) == 3
    digest = ntpcluster_code.digest()
    (tmp_path / "modules/ntpcluster_gone.py").write_text("1")
    assert ntpcluster_code.digest() != digest


def test_the_record_is_whole_json(host):
    applied(host, NEW)
    with open(ntpcluster_applied.KEPT) as kept:
        assert set(json.load(kept)) == {"plan", "pillar", "saltenv", "code"}


def test_a_plan_of_other_code_does_not_stand_in(host):
    applied(host, NEW)
    del host.pillar["ntp"]
    host.master = CommandExecutionError("no master")
    host.functions["ntpcluster_code.version"] = lambda: "0.2.0+87654321"
    with pytest.raises(SaltInvocationError, match="no key `ntp`"):
        ntpcluster_plan.plan()


def test_a_state_run_makes_its_plan_once_and_callers_cannot_modify_it(host):
    secret = "0123456789abcdef0123456789abcdef01234567"
    host.pillar["ntp"]["keys"] = {7: {"type": "SHA1", "secret": secret}}
    ntpcluster_applied.begin("base")
    ntpcluster_plan.plan()["sources"].clear()
    judge = host.functions.pop("ntpcluster_validate.judge")
    assert len(ntpcluster_plan.plan()["sources"]) == 3
    assert ntpcluster_plan.plan()["keys"] == [{"id": 7, "type": "SHA1"}]
    assert ntpcluster_plan.plan(secrets=True)["keys"][0]["secret"] == secret
    # The next run in the same process makes its own plan.
    host.functions["ntpcluster_validate.judge"] = judge
    del host.pillar["ntp"]["keys"]
    ntpcluster_applied.begin("base")
    assert ntpcluster_plan.plan()["keys"] == []


def test_a_plan_is_cached_between_checks_and_rebuilt_when_an_input_may_have_changed(host, monkeypatch):
    made, judge, now = [], host.functions["ntpcluster_validate.judge"], [1000.0]
    host.functions["ntpcluster_validate.judge"] = lambda *told: made.append(1) or judge(*told)
    host.functions["ntpcluster_program.monotonic"] = lambda: now[0]

    def anew() -> bool:
        made.clear()
        ntpcluster_plan.plan()["sources"].clear()
        assert len(ntpcluster_plan.plan()["sources"]) == 3
        return bool(made)

    assert anew()
    assert not anew()
    now[0] += ntpcluster_plan.REMEMBERED_S + 1
    assert anew()
    assert not anew()
    host.pillar["ntp"]["orphan"] = 9
    assert anew()
    assert not anew()
    # A refresh starts a new context, and a state run has its own plan.
    host.context.clear()
    assert anew()
    ntpcluster_applied.begin("base")
    assert anew()
    # These two are equal in Python, but not to the rules.
    ended(host)
    host.pillar["ntp"]["hwclock"] = {"utc": True}
    assert anew()
    host.pillar["ntp"]["hwclock"] = {"utc": 1}
    with pytest.raises(SaltInvocationError, match="ntp:hwclock:utc"):
        ntpcluster_plan.plan()


def test_an_unreadable_record_is_not_treated_as_missing(host, tmp_path):
    assert ntpcluster_origin.origin() == {}
    ntpcluster_origin.remember("packages", ["ntp"])
    assert ntpcluster_origin.origin() == {"packages": ["ntp"]}
    (tmp_path / "origin.json").write_text('{"packages": ["nt')
    with pytest.raises(CommandExecutionError, match="origin.json cannot be read"):
        ntpcluster_origin.remember("packages", ["ntpdate"])
    assert (tmp_path / "origin.json").read_text() == '{"packages": ["nt', "and it is not written over"


def test_a_run_judges_its_pillar_once(host, monkeypatch):
    """The first state judges it; the two dozen states that use the plan after it get the same plan."""
    called = dict.fromkeys(
        ("ntpcluster_validate.judge", "ntpcluster_facts.facts", "ntpcluster_applied.pillar", "match.compound"), 0
    )

    def counted(name, function):
        def call(*args, **kwargs):
            called[name] += 1
            return function(*args, **kwargs)

        return call

    for name in called:
        monkeypatch.setitem(host.functions, name, counted(name, host.functions[name]))
    monkeypatch.setattr(states, "__salt__", host.functions, raising=False)
    monkeypatch.setattr(states, "__env__", "base", raising=False)
    assert states.valid("pillar-is-valid")["result"] is True
    for _ in range(3):
        ntpcluster_plan.plan()
    assert called == dict.fromkeys(called, 1) | {"match.compound": len(host.pillar["ntp"]["tiers"])}


def test_the_first_state_of_a_run_reports_every_error_of_the_pillar_and_nothing_else(host, monkeypatch):
    host.pillar["ntp"] = {"tiers": {"client": {"match": "*", "follows": "nobody"}}, "timezone": 7}
    monkeypatch.setattr(states, "__salt__", host.functions, raising=False)
    monkeypatch.setattr(states, "__env__", "base", raising=False)
    told = states.valid("pillar-is-valid")
    assert told["result"] is False and told["changes"] == {}
    lines = told["comment"].splitlines()
    assert lines[0] == "the pillar is not valid, so nothing is changed:"
    assert [line.split()[0].rstrip(":") for line in lines[1:]] == ["ntp:timezone", "ntp:tiers:client:follows"]


def test_the_values_of_a_pillar_that_prints_as_asterisks_are_told_apart(host):
    """As on Salt 3008, where a minion gets its pillar from its master in this form."""
    pillar = dict(OLD, options={"interface": [{"listen": "eth0"}, {"listen": "eth1"}]})
    host.pillar["ntp"] = hide(pillar)
    assert "eth0" not in repr(host.pillar["ntp"])
    first = ntpcluster_plan.plan()
    host.pillar["ntp"] = hide(dict(pillar, tiers=NEW["tiers"]))
    assert first["sources"] != ntpcluster_plan.plan()["sources"]
