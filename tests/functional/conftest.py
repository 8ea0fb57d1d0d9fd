"""Salt's own loader over the project's tree, in this process: nothing is applied to this machine."""

from __future__ import annotations

import pytest
import yaml
from salt._logging import shutdown_temp_handler
from saltfactories.utils.functional import Loaders

from tests.functional import firewalled
from tests.lab.images import PROJECT


@pytest.fixture(scope="session")
def salt_factories_config():
    return {"code_dir": str(PROJECT)}


@pytest.fixture(scope="session")
def minion_opts(salt_factories, tmp_path_factory):
    """Options of a masterless minion that serves the real `salt/` and a pillar of the tests'."""
    pillar = tmp_path_factory.mktemp("pillar")
    (pillar / "top.sls").write_text((PROJECT / "pillar" / "top.sls").read_text())
    (pillar / "ntp").mkdir()
    cluster = {
        "tiers": {
            "server": {
                "match": "ntp*",
                "sources": ["10.0.0.1"],
                "addresses": ["10.0.0.189"],
                "serves": ["10.0.0.0/24"],
            },
            "client": {"match": "*", "follows": "server"},
        }
    }
    (pillar / "ntp" / "init.sls").write_text(yaml.safe_dump({"ntp": cluster}))
    factory = salt_factories.salt_minion_daemon(
        "node1",
        overrides={
            "file_client": "local",
            "file_roots": {"base": [str(PROJECT / "salt")]},
            "pillar_roots": {"base": [str(pillar)]},
            # The tests may run on any machine; they use a platform that the tree knows.
            "grains": {"os": "Debian", "osmajorrelease": 12},
        },
    )
    return factory.config.copy()


@pytest.fixture(scope="session")
def loaders(minion_opts):
    # Salt's initial handler keeps log messages until Python exits, and then writes to a closed file.
    shutdown_temp_handler()
    return Loaders(minion_opts)


@pytest.fixture(params=["legacy", "nft"])
def host(request, tmp_path, monkeypatch):
    """A host whose EL6 rules are live and saved."""
    with firewalled.made(request.param, tmp_path, monkeypatch) as host:
        yield host


@pytest.fixture(params=[False, True], ids=["real", "test"])
def testmode(request, monkeypatch, host):
    monkeypatch.setattr(firewalled.states, "__opts__", {"test": request.param})
    return request.param
