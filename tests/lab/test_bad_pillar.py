"""A mistake in the pillar of a running cluster is reported before the first change, and the cluster keeps its time.

Each test begins and ends with a healthy cluster.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.lab.cluster import PILLAR, changed, failed
from tests.lab.images import PROJECT
from tests.lab.operating import run, view
from tests.lab.test_traps import CONFIG, SERVICE
from tests.unit.test_matcher import BAD, DATA, sample, witnesses

#: A file root that precedes the tree's own, for files of another formula.
INSTEAD = Path(tempfile.mkdtemp(prefix="ntplab-instead-"))
MASTER_OPTIONS = {"file_roots": {"base": [str(INSTEAD), str(PROJECT / "salt")]}}

SERVERS, CLIENTS = ("ntp189", "ntp180"), ("node148", "node149")

#: Evaluates matchers with the host's Salt, 3000.9 on Python 2.7: returns Salt's result and the errors that it logs.
REAL = """
import imp, json, logging, sys
import salt.config, salt.loader
checker = imp.load_source(str('checker'), sys.argv[1])
given = json.loads(sys.stdin.read().decode('utf-8'))
opts = salt.config.minion_config('/etc/salt/minion')
def minion(name, data):
    opts.update(id=name, minion_id=name, pillar=data,
                grains=dict(data, id=name, ipv4=['127.0.0.1', '10.0.0.189'], ipv6=['::1', '2001:db8::1']))
said = []
minion('ntp1', given['data'])
class Complaints(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger('salt').addHandler(Complaints(logging.WARNING))
match = salt.loader.matchers(opts)['compound_match.match']
wrong = []
for matcher in given['accepted']:
    del said[:]
    found = match(matcher, opts)
    if type(found) is not bool or said or checker.fault(matcher):
        wrong.append([matcher, repr(found), said[:], checker.fault(matcher)])
for word, name, data in given['witnesses']:
    minion(name, data)
    if match(word, opts) is not True:
        wrong.append([word, name])
missed = [matcher for matcher in given['refused'] if not checker.fault(matcher)]
print(json.dumps({'wrong': wrong, 'missed': missed, 'python': sys.version_info[0], 'salt': salt.version.__version__}))
"""


@pytest.fixture(scope="module", autouse=True)
def other_files():
    yield
    shutil.rmtree(INSTEAD)


@pytest.fixture
def cluster_as_it_was(deployed):
    """The deployed cluster; after the test it gets its own pillar back, and nothing on it may have changed."""
    before = {name: state(host) for name, host in deployed.hosts.items()}
    yield deployed
    shutil.rmtree(INSTEAD / "ntp", ignore_errors=True)
    (INSTEAD / "ntp.sls").unlink(missing_ok=True)
    deployed.master.write_pillar(PILLAR)
    deployed.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    assert {name: state(host) for name, host in deployed.hosts.items()} == before
    assert view(deployed)["summary"]["healthy"]
    assert all(abs(host.clock_error()) < 0.1 for host in deployed.hosts.values())


def state(host) -> dict:
    """What an apply could change: the configuration, the firewall live and saved, the daemon's process, its start at boot."""
    pidof = host.run(["pgrep", "-x", "ntpd"]).out.split()
    saved = "/etc/sysconfig/iptables" if host.platform == "el6" else "/etc/iptables/rules.v4"
    return {
        "config": host.read(CONFIG[host.platform]),
        "firewall": [line for line in host.run(["iptables-save"]).out.splitlines() if line.startswith("-A")],
        "saved": host.run(["cat", saved]).out,
        "daemon": pidof,
        "boot": host.run(["sh", "-c", f"ls /etc/rc?.d | grep {SERVICE[host.platform]}"]).out,
        "localtime": host.run(["sha256sum", "/etc/localtime"]).out,
    }


def with_match(matcher: str) -> dict:
    tiers = PILLAR["tiers"]
    return {**PILLAR, "tiers": {**tiers, "server": {**tiers["server"], "match": matcher}}}


def assert_refused(states: list[dict], *words: str) -> None:
    """Assert that the run fails at its first state with this message, and has changed nothing."""
    assert changed(states) == []
    red = [one for one in states if one["result"] is False]
    assert red[0]["__id__"] == "pillar-is-valid"
    for word in words:
        assert word in red[0]["comment"]


@pytest.mark.parametrize("matcher", [matcher for matcher, _ in BAD[:9]])
def test_a_matcher_that_salt_cannot_read_changes_nothing_on_any_host(matcher, cluster_as_it_was):
    cluster_as_it_was.master.write_pillar(with_match(matcher))
    applied = cluster_as_it_was.apply()
    assert sorted(applied) == sorted(SERVERS + CLIENTS)
    for states in applied.values():
        assert_refused(states, "ntp:tiers:server:match", matcher)


def test_a_nodegroup_is_refused_by_a_state_run_and_by_a_call_alike(cluster_as_it_was):
    cluster_as_it_was.master.write_pillar(with_match("N@servers"))
    cluster_as_it_was.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    for states in cluster_as_it_was.apply().values():
        assert_refused(states, "ntp:tiers:server:match", "write the nodegroup's expression")
    for found in cluster_as_it_was.master.salt("*", "ntpcluster.validate").values():
        assert [problem["key"] for problem in found if problem["level"] == "error"] == ["ntp:tiers:server:match"]


def test_a_matcher_that_loses_the_servers_makes_them_no_clients(cluster_as_it_was):
    cluster_as_it_was.master.write_pillar(with_match("ntq*"))
    applied = cluster_as_it_was.apply()
    for name in SERVERS:
        assert_refused(applied[name], "ntp:tiers:server:addresses", f"is this host, {name}")
    for name in CLIENTS:
        assert (changed(applied[name]), failed(applied[name])) == ([], [])


def test_a_daemon_that_el6_has_not_got_is_refused_there(cluster_as_it_was):
    """Debian 12 supports it: other tests cover an apply there."""
    cluster_as_it_was.master.write_pillar({**PILLAR, "daemon": "chrony"})
    cluster_as_it_was.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    found = cluster_as_it_was.master.salt("*", "ntpcluster.validate")
    refused = {name: [one["key"] for one in said if one["level"] == "error"] for name, said in found.items()}
    assert refused == {"ntp189": ["ntp:daemon"], "node148": ["ntp:daemon"], "ntp180": [], "node149": []}
    for name in ("ntp189", "node148"):
        applied = cluster_as_it_was.apply(name)
        assert_refused(applied[name], "ntp:daemon (chrony): is not available on RedHat-6", name, "which has ntpd")


def test_a_foreign_directive_is_refused_unless_the_daemons_own_is_given_too(cluster_as_it_was):
    cluster_as_it_was.master.write_pillar({**PILLAR, "options": {"leapsectz": "right/UTC", "hwtimestamp": ["*"]}})
    for name, states in cluster_as_it_was.apply().items():
        assert_refused(
            states, "ntp:options:leapsectz: is not a directive of ntpd", name, "with `leapfile: null` they do without"
        )
    options = {"leapsectz": "right/UTC", "leapfile": None, "hwtimestamp": ["*"]}
    cluster_as_it_was.master.write_pillar({**PILLAR, "options": options})
    for states in cluster_as_it_was.apply().values():
        assert (changed(states), failed(states)) == ([], [])
    for found in cluster_as_it_was.master.salt("*", "ntpcluster.validate").values():
        said = [one["text"] for one in found if one["key"].startswith("ntp:options")]
        assert len(said) == 1 and said[0].startswith("ntp:options:hwtimestamp: has no effect on this host")


@pytest.mark.parametrize("text", ["ntp:\n\ttimezone: UTC\n", "ntp:\n  tiers:\n    server:\n      match: *\n"])
def test_a_pillar_that_does_not_render_is_reported_as_such(text, cluster_as_it_was):
    (cluster_as_it_was.master.folder / "pillar/ntp/init.sls").write_text(text)
    cluster_as_it_was.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    # Salt itself refuses the state run; the functions must not report an empty pillar.
    answers = cluster_as_it_was.master.salt("*", "state.apply", "ntp")
    assert all("failed to render" in json.dumps(answer) for answer in answers.values()), answers
    for found in cluster_as_it_was.master.salt("*", "ntpcluster.validate").values():
        assert [problem["key"] for problem in found] == ["ntp"]
        assert "the pillar failed to render: Rendering SLS 'ntp' failed" in found[0]["text"]


def test_a_pillar_without_our_key_asks_for_the_top_file(cluster_as_it_was):
    top = cluster_as_it_was.master.folder / "pillar/top.sls"
    top.write_text("base:\n  'nobody':\n    - ntp\n")
    cluster_as_it_was.master.salt("*", "saltutil.refresh_pillar", "wait=True")
    for states in cluster_as_it_was.apply().values():
        assert_refused(states, "your pillar has no key `ntp` for this minion: does its top file list it?")


@pytest.mark.parametrize("name", ["ntp.sls", "ntp/init.sls"])
def test_another_formula_that_hides_the_states_is_named(name, cluster_as_it_was):
    (INSTEAD / name).parent.mkdir(exist_ok=True)
    (INSTEAD / name).write_text("site-of-its-own:\n  test.nop: []\n")
    for found in cluster_as_it_was.master.salt("*", "ntpcluster.validate").values():
        assert [problem["key"] for problem in found if problem["level"] == "error"] == [f"salt://{name}"]
    plan, _ = run(cluster_as_it_was, "ntpcluster.rollout")
    assert plan["batches"] == [] and f"salt://{name}: is " in plan["problems"][0]


def test_salt_3000_reads_what_is_accepted_and_the_check_is_the_same_there(deployed):
    accepted, refused = sample(1500)
    given = {"accepted": accepted, "refused": refused, "witnesses": witnesses(accepted), "data": DATA}
    host = deployed.hosts["node148"]
    module = "/var/cache/salt/minion/extmods/modules/ntpcluster_matcher.py"
    done = host.run(["python2.7", "-c", REAL, module], stdin=json.dumps(given), timeout=300).check()
    seen = json.loads(done.out.splitlines()[-1])
    assert (seen["python"], seen["salt"]) == (2, "3000.9")
    assert seen["wrong"] == [] and seen["missed"] == []
