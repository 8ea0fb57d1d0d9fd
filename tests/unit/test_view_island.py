"""The view of a cluster whose servers list each other: that alone does not make a server of an island unserved, single or
outside its tier."""

from _runners import ntpcluster_rollout
from tests.unit.test_view import RECORDED, build, codes, returns

FIRST, SECOND = "10.0.0.189", "10.0.0.180"
ROW = RECORDED["node148"]["peers"][0]


def row(address, **changes):
    """A row of a table of sources, for a selected source."""
    return {
        **ROW,
        "address": address,
        "remote": address,
        "condition": "system_peer",
        "tally": "*",
        "reach": 255,
        **changes,
    }


def island(**changes):
    """The recorded cluster without sources: ntp189 leads, and ntp180 follows it."""
    found = returns(
        ntp189={
            "source": None,
            "peers": [row(SECOND, condition="reject", tally=" ")],
            "planned": [SECOND],
            "offset_ms": None,
        },
        ntp180={"source": FIRST, "peers": [row(FIRST)], "planned": [FIRST]},
    )
    for name in found:
        found[name]["reference"] = "island"
    for name, change in changes.items():
        found[name].update(change)
    return found


def test_an_island_that_is_well_has_no_problem():
    view = build(island())
    assert codes(view) == [] and view["summary"]["healthy"]


def test_a_server_of_an_island_without_time_is_unserved():
    view = build(island(ntp189={"synchronized": False, "health": "unsynchronized"}))
    assert "unserved" in codes(view)


def test_a_tier_below_an_island_that_hangs_on_one_server_is_reported():
    alone = [row(FIRST)]
    assert "single-server" in codes(build(island(node148={"peers": alone}, node149={"peers": alone})))


def test_only_a_neighbour_from_the_pillar_may_be_followed():
    planned = RECORDED["ntp180"]["planned"]
    view = build(returns(ntp180={"source": FIRST, "planned": [*planned, FIRST]}))
    assert "outside-tier" not in codes(view)
    assert "outside-tier" in codes(build(returns(ntp180={"source": "10.0.0.148", "planned": [*planned, "10.0.0.148"]})))


def test_a_rollout_begins_with_the_server_that_leads():
    view = build(island(ntp189={"turn": 0}, ntp180={"turn": 1}, node148={"turn": 0}, node149={"turn": 0}))
    order = [host for batch in ntpcluster_rollout.batches(view, list(view["hosts"])) for host in batch["hosts"]]
    assert order == ["ntp189", "ntp180", "node148", "node149"]
    # By id if no server leads.
    plain = ntpcluster_rollout.batches(build(), list(view["hosts"]))
    assert [host for batch in plain for host in batch["hosts"]] == ["ntp180", "ntp189", "node148", "node149"]
