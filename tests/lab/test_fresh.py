"""Which code, pillar and environment a minion uses after they have changed on the master.

The tests use one server and one client, of both kinds, and depend on their order. Their tree is only in the environment `prod`;
in `base` the site has its own module and its own formula `ntp`.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import tempfile

import pytest

from tests.lab.cluster import CAST, PILLAR, Cluster, changed, failed, in_order, wait_until
from tests.lab.images import PROJECT
from tests.lab.operating import codes, run
from tests.loaded import FACE

HOSTS = ("ntp189", "node149")
EXTMODS = "/var/cache/salt/minion/extmods"

#: The tiers of the default cluster with one server, and without sources that do not exist.
SITE = copy.deepcopy(PILLAR)
SITE["tiers"]["server"]["addresses"] = ["10.0.0.189"]
SITE["sync"] = {"timeout": 60}

#: The last version of the tree whose modules were synced by version number only.
FIRST_RELEASE = "8bd0bfd"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The file roots of the master: a copy of the tree that can be changed, and the site's own."""
    folder = tmp_path_factory.mktemp("roots")
    shutil.copytree(PROJECT / "salt", folder / "prod", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "base/_modules").mkdir(parents=True)
    (folder / "base/_modules/sites_own.py").write_text("def here():\n    return True\n")
    # A site may already have a formula of this name: each stays in its own environment.
    (folder / "base/ntp").mkdir()
    (folder / "base/ntp/init.sls").write_text("the-sites-own:\n  test.nop: []\n")
    return folder


@pytest.fixture(scope="module")
def cluster(images, tree):
    options = {
        "file_roots": {name: [str(tree / name)] for name in ("base", "prod")},
        "runner_dirs": [str(PROJECT / "_runners")],
        # The master caches its list of files for 20 s.
        "fileserver_list_cache_time": 0,
    }
    with Cluster(pillar=SITE, master_options=options) as running:
        for role in CAST:
            if role.name in HOSTS:
                running.add(role)
        running.wait_for_minions()
        yield running


def apply(cluster, *words, sls="ntp"):
    answer = cluster.master.salt("*", "state.apply", sls, "saltenv=prod", *words, timeout=900)
    return {minion: in_order(minion, states) for minion, states in answer.items()}


def green(applied):
    assert sorted(applied) == sorted(HOSTS)
    for name, states in applied.items():
        assert not failed(states), f"{name}: " + "\n".join(failed(states))
    return applied


def asked(cluster, function, *words):
    return cluster.master.salt("*", function, *words)


def test_new_minions_can_be_queried_and_applied_in_another_environment(cluster):
    green(apply(cluster, "test=True"))
    for name, seen in asked(cluster, "ntpcluster.status").items():
        assert seen["tier"] == ("server" if name == "ntp189" else "client"), seen["problems"]


def test_the_functions_find_the_tree_where_the_run_found_it(cluster):
    green(apply(cluster))
    for seen in asked(cluster, "ntpcluster.status").values():
        assert (seen["health"], seen["judged_by"]) == ("ok", "the pillar"), seen["problems"]
    assert {n: (changed(s), failed(s)) for n, s in apply(cluster).items()} == dict.fromkeys(HOSTS, ([], []))


def test_a_formula_of_the_same_name_in_another_environment_is_unchanged(cluster):
    for states in cluster.apply().values():
        assert [state["__id__"] for state in states] == ["the-sites-own"]


def test_a_sync_does_not_remove_the_sites_own_modules(cluster):
    # Like a highstate, this syncs the environments of the top file.
    asked(cluster, "saltutil.sync_all", "saltenv=base,prod")
    for host in cluster.hosts.values():
        host.run(["rm", f"{EXTMODS}/modules/ntpcluster_code.py"]).check()
    green(apply(cluster))
    for host in cluster.hosts.values():
        assert host.run(["test", "-e", f"{EXTMODS}/modules/sites_own.py"]).rc == 0
        assert host.run(["test", "-e", f"{EXTMODS}/modules/ntpcluster_code.py"]).rc == 0


def first_release(folder) -> str:
    """Write the served folder of version 0.1.0; returns git's error if that failed, else an empty text."""
    archive = [
        "git",
        "-C",
        str(PROJECT),
        "archive",
        FIRST_RELEASE,
        "salt",
        "_beacons",
        "_modules",
        "_runners",
        "_states",
    ]
    done = subprocess.run(archive, capture_output=True, check=False)
    if done.returncode:
        return done.stderr.decode().strip()
    with tempfile.TemporaryDirectory() as whole:
        subprocess.run(["tar", "-x", "-C", whole], input=done.stdout, check=True)
        shutil.copytree(f"{whole}/salt", folder)
    return ""


def test_one_apply_after_an_upgrade_runs_the_new_code_and_leaves_no_old_file(cluster, tree):
    """From version 0.1.0, which was a single module and had no list of its code."""
    (tree / "prod").rename(tree / "kept")
    refused = first_release(tree / "prod")
    if not refused:
        asked(cluster, "saltutil.sync_all", "saltenv=base,prod")
        before = asked(cluster, "sys.list_functions", "ntpcluster")
        shutil.rmtree(tree / "prod")
    (tree / "kept").rename(tree / "prod")
    if refused:
        pytest.skip(
            f"git cannot give version 0.1.0, commit {FIRST_RELEASE} (a shallow clone has not got it): {refused}"
        )
    for functions in before.values():
        assert {"ntpcluster.parse_ntpq", "ntpcluster.forget"} <= set(functions)
    green(apply(cluster))
    for host in cluster.hosts.values():
        assert host.run(["find", EXTMODS, "-name", "ntpcluster_clock*"]).out == ""
        assert host.run(["test", "-e", f"{EXTMODS}/modules/sites_own.py"]).rc == 0
    wanted = (PROJECT / "salt/ntp/modules.sha256").read_text().strip()
    assert asked(cluster, "ntpcluster_code.listing") == dict.fromkeys(HOSTS, wanted)
    assert asked(cluster, "sys.list_functions", "ntpcluster") == dict.fromkeys(HOSTS, [f"ntpcluster.{n}" for n in FACE])


def test_a_changed_file_alone_reaches_the_minions(cluster, tree):
    """The version is the same: only the list shows the change."""
    path = tree / "prod/_states/ntpcluster.py"
    before, listed = path.read_text(), (tree / "prod/ntp/modules.sha256").read_text()
    path.write_text(before.replace("the pillar is valid; ", "the pillar is valid (changed); "))
    (tree / "prod/ntp/modules.sha256").write_text(listed.replace(listed[-70:-40], "0" * 30))
    for applied in green(apply(cluster)).values():
        assert "(changed)" in next(s for s in applied if s["__id__"] == "pillar-is-valid")["comment"]
    path.write_text(before)
    (tree / "prod/ntp/modules.sha256").write_text(listed)
    green(apply(cluster))


def test_validate_sees_an_edit_at_once(cluster):
    spoilt = copy.deepcopy(SITE)
    spoilt["tiers"]["client"]["follows"] = "nobody"
    cluster.master.write_pillar(spoilt)
    for found in asked(cluster, "ntpcluster.validate").values():
        assert "ntp:tiers:client:follows" in [p["key"] for p in found if p["level"] == "error"]
    assert "ntp:tiers:client:follows" in "\n".join(run(cluster, "ntpcluster.rollout", "saltenv=prod")[0]["problems"])
    # The deployment works as before.
    for seen in asked(cluster, "ntpcluster.status").values():
        assert seen["synchronized"], seen["problems"]


def test_after_an_apply_of_an_edited_pillar_every_function_uses_the_new_one(cluster):
    edited = copy.deepcopy(SITE)
    edited["tiers"]["server"]["sources"] = ["10.0.0.2", "10.0.0.3"]
    edited["sync"]["max_offset"] = 0.321
    cluster.master.write_pillar(edited)
    green(apply(cluster))
    found = asked(cluster, "ntpcluster_standing.standing")
    assert found["ntp189"]["planned"] == ["10.0.0.2", "10.0.0.3"]
    for seen in found.values():
        assert (seen["health"], seen["max_offset_ms"]) == ("ok", 321.0), seen["problems"]
    assert "outside-tier" not in codes(cluster)

    # And not by asking the master each time: the minions have refreshed their copy. Salt 3008 prints asterisks for existing
    # values.
    wait_until(lambda: "gone" not in asked(cluster, "pillar.get", "ntp:sync:max_offset", "gone").values(), 30)


def test_a_rollout_without_saltenv_names_the_environment_and_removes_no_module(cluster):
    plan, _ = run(cluster, "ntpcluster.rollout")
    assert plan["batches"] == [] and plan["problems"] == [
        "node149, ntp189: No matching sls found for 'ntp.modules' in env 'base'; name the tree's environment: saltenv=prod"
    ]
    wanted = (PROJECT / "salt/ntp/modules.sha256").read_text().strip()
    assert asked(cluster, "ntpcluster_code.listing") == dict.fromkeys(HOSTS, wanted)


def test_a_rollout_takes_the_tree_from_the_given_environment(cluster):
    answer, code = run(cluster, "state.orchestrate", "orch.ntp", "saltenv=prod")
    assert code == 0, answer
    [states] = answer["data"].values()
    batches = [state for state in states.values() if state["__id__"].startswith(("server ", "client "))]
    assert len(batches) == 2 and all(state["result"] for state in batches), states


def test_without_its_master_a_host_is_judged_by_the_plan_that_was_applied(cluster):
    for name, host in cluster.hosts.items():
        seen = local(host)
        assert seen["health"] == "ok" and "the plan applied on" in seen["judged_by"], seen
        service = "ntpd" if host.platform == "el6" else "ntpsec"
        host.run(["service", service, "stop"]).check()
        stopped = local(host)
        host.run(["service", service, "start"]).check()
        [problem] = stopped["problems"]
        assert f"service {service} start" in problem["remedy"], name


def local(host):
    done = host.run(["salt-call", "--local", "--out=json", "-l", "error", "ntpcluster.status"], timeout=120)
    return json.loads(done.out)["local"]


def test_clean_does_what_it_says_and_a_cleaned_host_stays_clean(cluster):
    green(apply(cluster, sls="ntp.beacon"))
    inside = [0.0, 999.0]
    other = json.dumps([{"averages": {"1m": inside, "5m": inside, "15m": inside}}, {"interval": 3600}])
    assert all(added["result"] for added in asked(cluster, "beacons.add", "load", other).values())
    asked(cluster, "beacons.save")
    predicted = green(apply(cluster, "test=True", sls="ntp.clean"))
    done = green(apply(cluster, sls="ntp.clean"))
    for name, host in cluster.hosts.items():
        said = {s["__id__"]: s["changes"] for s in done[name] if s["changes"]}
        assert said == {s["__id__"]: s["changes"] for s in predicted[name] if s["result"] is None}
        service = "ntpd" if host.platform == "el6" else "ntpsec"
        assert said["deployment-is-gone"][f"service {service}"]["new"] == "removed with its package"
        assert host.run(["service", service, "status"]).rc != 0
        saved = host.read("/etc/salt/minion.d/beacons.conf")
        assert "ntpcluster" not in saved and "load" in saved
        assert host.run(["test", "-e", "/var/lib/ntpcluster"]).rc != 0
    for listed in asked(cluster, "beacons.list", "return_yaml=False").values():
        assert "ntpcluster" not in listed and "load" in listed
    healed = run(cluster, "ntpcluster.heal", "node149", "codes=[daemon-stopped]")[0]
    assert not healed["applied"] and "ntp.clean" in healed["comment"]
