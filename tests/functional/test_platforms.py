"""A new platform: no state uses keys that are `null` in its entry of platforms.yaml; the messages of a run about it."""

from __future__ import annotations

import copy

import pytest
import yaml
from saltfactories.utils.functional import Loaders

from tests.lab.images import PROJECT
from tests.unit.test_platforms import MADE_UP


@pytest.fixture(scope="module")
def loader(minion_opts, tmp_path_factory):
    """A minion whose platforms are invented ones: Madeup-1, Madeup-2, ..."""
    first = tmp_path_factory.mktemp("first")
    (first / "ntp").mkdir()
    entries = {f"Madeup-{number}": {**entry, "os": ["Madeup"]} for number, entry in enumerate(MADE_UP.values(), 1)}
    (first / "ntp/platforms.yaml").write_text(yaml.safe_dump(entries))
    opts = copy.deepcopy(minion_opts)
    opts["file_roots"] = {"base": [str(first), str(PROJECT / "salt")]}
    opts["cachedir"] = str(tmp_path_factory.mktemp("cache"))
    return Loaders(opts)


def texts(value):
    """The texts in a requisite or an argument; none for a missing argument."""
    if isinstance(value, (list, dict)):
        return [text for item in (value.values() if isinstance(value, dict) else value) for text in texts(item)]
    return [] if value is None else [str(value)]


@pytest.mark.parametrize("number", range(1, len(MADE_UP) + 1), ids=MADE_UP)
def test_keys_that_are_null_are_in_no_state(loader, number):
    loader.opts["grains"].update(os="Madeup", osmajorrelease=number)
    # This file includes all state files with a platform's files and services.
    shown = loader.modules.state.show_low_sls("ntp.applied")
    assert "ntp-is-running" in {low["__id__"] for low in shown}
    for low in shown:
        written = [text for key in ("name", "source", "require", "watch") for text in texts(low.get(key))]
        assert "None" not in written, low


@pytest.mark.parametrize(
    ("number", "told"), [(1 + list(MADE_UP).index("dhcp"), "tested"), (len(MADE_UP), "known, not tested")]
)
def test_each_run_says_whether_the_platform_is_tested(loader, number, told):
    loader.opts["grains"].update(os="Madeup", osmajorrelease=number)
    (state,) = loader.modules.state.apply("ntp.valid", test=True).raw.values()
    assert state["comment"].endswith(f"; its platform, Madeup-{number} with ntpd, is {told}")
