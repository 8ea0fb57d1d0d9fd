"""The metrics for Prometheus: names, units, omissions, and a file that is complete at every moment."""

import copy
import json
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from _runners import ntpcluster, ntpcluster_metrics, ntpcluster_view
from tests.lab.monitoring import tool
from tests.unit.runners import TABLE

ROOT = Path(__file__).resolve().parents[2]
RECORDED = json.loads((ROOT / "tests/corpus/standing/four-hosts.json").read_text())


def view(silent=(), **changes):
    returns = copy.deepcopy({name: said for name, said in RECORDED.items() if name not in silent})
    for name, change in changes.items():
        returns[name].update(change)
    return ntpcluster_view.build(returns, list(RECORDED), 1795341952.0, 1.0)


def text(seen):
    """The content that the file would have."""
    return b"".join(ntpcluster_metrics.parts(seen))


def samples(seen):
    """{(metric, host): value}, as a reader of the text sees them."""
    found = {}
    for family in text_string_to_metric_families(text(seen).decode()):
        for sample in family.samples:
            found[sample.name, sample.labels.get("host") or sample.labels.get("code")] = sample.value
    return found


def test_milliseconds_become_seconds_and_keep_their_sign():
    found = samples(view(node148={"offset_ms": -0.25, "frequency_ppm": -12.5, "root_delay_ms": 4.0}))
    assert found["ntpcluster_host_offset_seconds", "node148"] == -0.00025
    assert found["ntpcluster_host_frequency_ratio", "node148"] == -0.0000125
    assert found["ntpcluster_host_root_delay_seconds", "node148"] == 0.004


def test_a_silent_host_is_down_and_has_no_other_metric():
    found = samples(view(silent=["node149"]))
    ours = {metric for metric, host in found if host == "node149"}
    assert found["ntpcluster_host_up", "node149"] == 0
    assert ours == {"ntpcluster_host_up", "ntpcluster_host_info", "ntpcluster_host_followers"}
    assert found["ntpcluster_problem_hosts", "silent"] == 1


def test_an_unknown_figure_has_no_sample_instead_of_a_false_zero():
    found = samples(view(node148={"root_delay_ms": None, "stratum": None}))
    assert ("ntpcluster_host_root_delay_seconds", "node148") not in found
    assert ("ntpcluster_host_stratum", "node148") not in found
    assert found["ntpcluster_host_synchronized", "node148"] == 1


def test_reach_is_the_share_of_answered_polls_of_the_followed_source():
    peers = copy.deepcopy(RECORDED["node148"]["peers"])
    for row in peers:
        row["reach"] = 0o376 if row["condition"] == "system_peer" else 0o1
    assert samples(view(node148={"peers": peers}))["ntpcluster_host_reach_ratio", "node148"] == 7 / 8


def test_labels_cannot_break_the_format():
    seen = view(node148={"tier": 'a"} 1\nfake_metric 2', "version": "\\"})
    families = {family.name for family in text_string_to_metric_families(text(seen).decode())}
    assert "fake_metric" not in families


def test_prometheus_own_linter_finds_nothing():
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=text(view(silent=["node149"])),
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_alerts_fire_when_they_should_and_only_then():
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "rules_test.yml"],
        cwd=ROOT / "contrib/prometheus",
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test():
    import yaml

    rules = yaml.safe_load((ROOT / "contrib/prometheus/rules.yml").read_text())
    tests = yaml.safe_load((ROOT / "contrib/prometheus/rules_test.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    fired = {case["alertname"] for test in tests["tests"] for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert alerts == fired


def test_rules_and_dashboard_use_existing_metrics():
    import re

    names = {family.name for family in ntpcluster_metrics.families(view())}
    for path in ("contrib/prometheus/rules.yml", "contrib/grafana/ntpcluster.json"):
        asked = set(re.findall(r"ntpcluster_(?:host|view|hosts|spread|problem)[a-z_]*", (ROOT / path).read_text()))
        assert asked <= names, path


@pytest.mark.parametrize("path", ["figures.prom", "/tmp/figures.txt", "", None, 3])
def test_a_path_that_node_exporter_would_ignore_is_refused(path):
    said = ntpcluster.metrics(path)["data"]
    assert "prom" in said["Error"] and said["retcode"] == 1


def test_the_figures_are_published_at_the_path(tmp_path, monkeypatch):
    monkeypatch.setattr(ntpcluster_metrics, "__salt__", {**TABLE, "ntpcluster_view.take": lambda **_: view()})
    path = tmp_path / "x.prom"
    assert ntpcluster.metrics(str(path)) == {"path": str(path), "hosts": 4, "bytes": path.stat().st_size}
    assert path.read_bytes() == text(view())
