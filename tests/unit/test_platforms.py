"""Platforms that are not there yet: what platforms.yaml may leave out by `null` is read with care."""

import copy

import pytest

from _modules import ntpcluster_build, ntpcluster_misfits
from tests.unit.test_plan import DEFAULTS, PILLAR, host
from tests.unit.test_validate import ENTRIES, with_own_daemon

OF_CHRONY = ("daemon_files", "step_tickers", "sysconfig", "sysconfig_ntpdate", "ntpdate_service", "grammar")
OF_NTPD = ("daemon_files", "step_tickers", "sysconfig", "sysconfig_ntpdate", "ntpdate_service")
#: What may be null in an entry of platforms.yaml, by the path to it.
NULLABLE = [
    ("package_mend",), *(("daemons", "ntpd", key) for key in OF_NTPD),
    ("timezone", "variable"), ("timezone", "update"), ("firewall", "nft"), ("dhcp",),
]  # fmt: skip


def without(*paths):
    """EL6's entry, which has something nearly everywhere, with null in these places."""
    entry = copy.deepcopy(ENTRIES["RedHat-6"])
    for *steps, last in paths:
        place = entry
        for step in steps:
            place = place[step]
        place[last] = None
    return with_own_daemon(entry)


#: Each null alone, and all of them.
MADE_UP = {":".join(path): without(path) for path in NULLABLE} | {"all": without(*NULLABLE)}


def nulls(entry, path=()):
    """Every place of an entry where null stands."""
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from nulls(value, (*path, key))
        elif value is None:
            yield (*path, key)


def test_every_null_of_a_known_platform_is_among_those_that_are_tried():
    of_chrony = {("daemons", "chrony", key) for key in OF_CHRONY} | {("timezone", "record")}
    assert {path for entry in ENTRIES.values() for path in nulls(entry)} <= set(NULLABLE) | of_chrony


@pytest.mark.parametrize("name", MADE_UP)
@pytest.mark.parametrize("step", [{}, {"limit": 60}, {"at_boot": True}], ids=["plain", "limit", "at boot"])
def test_a_plan_is_made_and_doubted_whatever_is_null(name, step):
    pillar, platform = {**PILLAR, "step": step}, {**MADE_UP[name], "name": name}
    made = ntpcluster_build.build(pillar, DEFAULTS, platform, host("node148", "10.0.0.148"))
    assert made["step"] == {**DEFAULTS["step"], **step}
    ntpcluster_misfits.doubts(pillar, DEFAULTS, platform, host("node148", "10.0.0.148"))
