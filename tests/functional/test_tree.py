"""The tree as seen by Salt's own loader and file server."""

from __future__ import annotations

import re

import pytest
import yaml
from salt.exceptions import SaltInvocationError

from tests.lab.images import PROJECT
from tests.loaded import FACE


def test_the_code_is_served_and_the_pillar_is_not(loaders):
    served = loaders.modules.cp.list_master()
    assert "_modules/ntpcluster.py" in served and "_states/ntpcluster.py" in served
    assert not [path for path in served if "pillar" in path]


def test_every_state_file_renders(loaders):
    for path in sorted((PROJECT / "salt" / "ntp").glob("*.sls")):
        name = "ntp" if path.stem == "init" else f"ntp.{path.stem}"
        shown = loaders.modules.state.show_sls(name)
        # If the modules are installed already, the file that fetches them renders to nothing.
        assert isinstance(shown, dict) and (shown or name == "ntp.modules"), f"{name}: {shown}"


def test_the_states_stand_in_the_order_in_which_things_happen(loaders):
    shown = loaders.modules.state.show_low_sls("ntp")
    order = [low["__id__"] for low in sorted(shown, key=lambda low: low["order"])]
    told = ["pillar-is-valid", "ntp-is-installed", "timezone-is-set", "/etc/ntpsec/ntp.conf", "clock-is-stepped"]
    told += ["served-networks-may-ask", "ntp-is-running", "tier-is-followed"]
    assert [name for name in order if name in told] == told


@pytest.mark.parametrize("given", [None, "node*", ["node*"], 0, False])
def test_a_rollout_with_a_malformed_target_is_one_failed_state(loaders, given):
    """Without it, all hosts are the target; a value that is not a mapping may have been meant to select fewer."""
    (low,) = loaders.modules.state.show_low_sls("orch.ntp", pillar={"rollout": given})
    assert (low["__id__"], low["fun"]) == ("rollout-can-begin", "fail_without_changes")
    assert low["name"].startswith("nothing is deployed:\nthe pillar's `rollout` must be a mapping")


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (None, ""),
        ("60", ""),
        ([{"interval": 60}], ""),
        ({"interval": "soon"}, "interval"),
        ({5: 1}, "5"),
        ({"grace": {}}, "grace"),
        ({"interval": None}, "interval"),
        ({"confrim": 3}, "confrim"),
    ],
)
def test_a_beacon_whose_settings_are_none_is_one_red_state(loaders, given, wrong):
    (low,) = loaders.modules.state.show_low_sls("ntp.beacon", pillar={"ntp_beacon": given})
    assert (low["__id__"], low["fun"]) == ("beacon-can-be-set", "fail_without_changes")
    assert low["name"].startswith("the pillar's `ntp_beacon` must be a mapping") and low["name"].endswith(wrong)


def test_the_beacon_looks_once_a_minute_whatever_else_is_set(loaders):
    """Without an interval Salt would run it every second."""
    for given, told in (({}, []), ({"confirm": 3, "offset_ms": None}, [{"confirm": 3}, {"offset_ms": None}])):
        (low,) = loaders.modules.state.show_low_sls("ntp.beacon", pillar={"ntp_beacon": given})
        assert (low["state"], low["interval"]) == ("beacon", 60)
        assert all(low[name] == value for one in told for name, value in one.items())


#: Grains of other minions that `'*'` in a top file matches; None: the minion has no such grain.
STRANGERS = {
    "Debian-7": {"os": "Debian", "osmajorrelease": 7},
    "Ubuntu-12": {"os": "Ubuntu", "osmajorrelease": 12},
    "RedHat-5": {"os": "RedHat", "osmajorrelease": 5},
    "Arch-unknown": {"os": "Arch", "osmajorrelease": None},
    "Windows-unknown": {"os": "Windows", "osmajorrelease": None},
    "proxy-unknown": {"os": "proxy", "osmajorrelease": ""},
    "unknown-unknown": {"os": None, "osmajorrelease": None},
}


@pytest.fixture(params=sorted(STRANGERS))
def stranger(request, loaders):
    """The minion with the grains of another platform, and the tree's message about it."""
    grains, kept = loaders.opts["grains"], dict(loaders.opts["grains"])
    for grain, value in STRANGERS[request.param].items():
        grains.pop(grain) if value is None else grains.update({grain: value})
    known = ", ".join(sorted(yaml.safe_load((PROJECT / "salt/ntp/platforms.yaml").read_text())))
    yield f"ntpcluster does not know the platform {request.param}, only {known}: it changes nothing on this host"
    grains.clear()
    grains.update(kept)


def test_an_unknown_platform_is_one_red_state_with_one_sentence(loaders, stranger):
    for sls in ("ntp", "ntp.boot", "ntp.beacon", "ntp.clean", "ntp.valid", "ntp.config", "ntp.service"):
        shown = loaders.modules.state.show_low_sls(sls)
        told = [(low["state"], low["fun"], low["name"]) for low in shown if low["__id__"] == "pillar-is-valid"]
        assert told == [("test", "fail_without_changes", stranger)], sls
        if sls in ("ntp", "ntp.boot", "ntp.beacon", "ntp.clean", "ntp.valid"):
            assert len(shown) == 1, sls
    (state,) = loaders.modules.state.apply("ntp", test=True).raw.values()
    assert (state["result"], state["changes"], state["name"]) == (False, {}, stranger)


def test_no_state_file_takes_the_highstate_of_an_unknown_platform_with_it(loaders, stranger):
    """A state file that is applied alone fails on such a host, and none of its functions runs."""
    for path in sorted((PROJECT / "salt" / "ntp").glob("*.sls")):
        if path.stem == "modules":  # it syncs the modules, and has no state
            continue
        name = "ntp" if path.stem == "init" else f"ntp.{path.stem}"
        for low in loaders.modules.state.show_low_sls(name):
            assert isinstance(low, dict), f"{name}: {low}"
        states = loaders.modules.state.apply(name, test=True).raw
        assert {state["result"] for state in states.values()} == {False}, name
        assert stranger in str(states), name


def test_the_status_of_an_unknown_platform_says_so(loaders, stranger):
    status = loaders.modules.ntpcluster.status()
    (problem,) = status["problems"]
    assert (problem["code"], problem["message"]) == ("unknown-platform", stranger)
    assert "platforms.yaml" in problem["remedy"] and "pillar" not in problem["remedy"]
    assert (status["synchronized"], status["daemon"]["running"]) == (False, None)
    assert loaders.modules.ntpcluster_standing.standing()["planned"] is None
    assert loaders.modules.ntpcluster.diagnose() == status["problems"]
    for function in (
        "ntpcluster.plan",
        "ntpcluster_facts.platform",
        "ntpcluster_process.daemon",
        "ntpcluster_timezone.timezone",
        "ntpcluster_dhcp.meddles",
    ):
        with pytest.raises(SaltInvocationError, match="^" + re.escape(stranger)):
            loaders.modules[function]()


def test_a_states_comment_has_no_advice_on_the_pillar(loaders):
    """This pillar names one source and one address, and `validate` warns about it; an apply does not repeat the warning every
    time."""
    doubtful = [problem["text"] for problem in loaders.modules.ntpcluster.validate()]
    for key, tier in (("sources", "server"), ("addresses", "client")):
        said = f"ntp:tiers:server:{key}: gives tier {tier} only one source: "
        assert len([text for text in doubtful if text.startswith(said)]) == 1
    (state,) = loaders.modules.state.apply("ntp.valid", test=True).raw.values()
    told = "the pillar is valid; this host belongs to tier client; its platform, Debian-12 with ntpd, is tested"
    assert (state["result"], state["comment"]) == (True, told)


def test_what_people_call_is_one_module_and_its_manual_is_whole(loaders):
    assert loaders.modules.sys.list_functions("ntpcluster") == [f"ntpcluster.{name}" for name in FACE]
    manual = loaders.modules.sys.doc("ntpcluster")
    assert sorted(manual) == [f"ntpcluster.{name}" for name in FACE]
    for name, text in manual.items():
        assert "Internal" not in text and "CLI Example:" in text, name


def test_docstrings_of_internal_functions_begin_with_internal(loaders):
    inner = [name for name in loaders.modules if name.startswith("ntpcluster_")]
    assert len(inner) > 50
    for name in inner:
        assert loaders.modules[name].__doc__.strip().startswith("Internal. "), name


def test_the_plan_of_a_client_is_derived(loaders):
    plan = loaders.modules.ntpcluster.plan()
    assert (plan["tier"], [source["line"] for source in plan["sources"]]) == (
        "client",
        ["server 10.0.0.189 iburst prefer minpoll 4 maxpoll 4"],
    )


def test_the_version_of_the_modules_is_that_of_the_project():
    given = re.search(
        r'^VERSION = "([^"]+)"', (PROJECT / "_modules/ntpcluster_code.py").read_text(), re.MULTILINE
    ).group(1)
    stated = re.search(r'^version = "([^"]+)"', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE).group(1)
    assert given == stated


def test_no_state_runs_a_shell():
    """cmd.run and similar functions are not used: the functions of modules run programs, with argument lists."""
    for path in (PROJECT / "salt").rglob("*.sls"):
        assert not re.search(r"^\s*-?\s*(cmd|module)\.", path.read_text(), re.MULTILINE), path
