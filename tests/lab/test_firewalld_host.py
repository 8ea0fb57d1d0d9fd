"""UDP 123 on an EL9 host with firewalld: open to its clients, live, after a reload and after a boot."""

from __future__ import annotations

import pytest

from tests.lab.cluster import wait_until
from tests.lab.guarded import INSIDE, NETWORKS, OUTSIDE, answered, answers, guarded, reboot, state
from tests.lab.solo import programs

RULES = [
    f'zone {{0}}: rule family="ipv{family}" source address="{network}" destination address="{anywhere}" '
    'port port="123" protocol="udp" accept'
    for family, network, anywhere in zip("46", NETWORKS, ("0.0.0.0/0", "::/0"), strict=True)
]

# Changes to a newly installed host, and the zone that gets the packets then.
ZONES = {
    "the zone that a fresh host has": ([], "public"),
    "a default zone that drops": ([["--set-default-zone=drop"]], "drop"),
    "a default zone that rejects": ([["--set-default-zone=block"]], "block"),
    "the zone of the interface": (
        [["--permanent", "--zone=internal", "--add-interface=eth0"], ["--zone=internal", "--add-interface=eth0"]],
        "internal",
    ),
    "the zone of the sources": (
        [
            [*how, "--zone=work", f"--add-source={network}"]
            for how in ([], ["--permanent"])
            for network in ("10.0.0.0/25", "fd00:123::/64")
        ],
        "work",
    ),
}


@pytest.fixture(scope="module")
def fresh():
    with guarded("el9") as host:
        wait_until(lambda: host.run(["firewall-cmd", "--state"]).rc == 0, 20, 0.2)
        yield host


def command(host, *words: str) -> str:
    return host.run(["firewall-cmd", *words]).check().out


def zones(host) -> tuple[str, str, str]:
    return tuple(
        command(host, *how)
        for how in (["--list-all-zones"], ["--permanent", "--list-all-zones"], ["--direct", "--get-all-rules"])
    )


@pytest.fixture
def host(fresh):
    """A host with firewalld in its state after the first boot."""
    before = zones(fresh)
    yield fresh
    fresh.run(["nft", "delete", "table", "inet", "mine"])
    fresh.run(["sh", "-c", "rm -f /etc/firewalld/zones/* /etc/firewalld/zones/.[a-z]*"]).check()
    command(fresh, "--set-default-zone=public")
    command(fresh, "--complete-reload")
    assert zones(fresh) == before


@pytest.mark.parametrize("case", ZONES)
def test_served_networks_are_admitted_live_after_reload_and_boot_until_removed(host, case):
    preparation, zone = ZONES[case]
    for words in preparation:
        command(host, *words)
    before = zones(host)
    assert answers(host) == []

    would = state(host, "opened", "test=True")
    assert (would["result"], zones(host)) == (None, before), would["comment"]
    done = state(host)
    assert (done["result"], done["changes"]) == (True, would["changes"]), done["comment"]
    added = {"added": [RULES[0].format(zone)], "removed": []}
    assert done["changes"]["ipv4"] == done["changes"]["ipv4 saved"] == added
    assert done["changes"]["ipv6"]["added"] == [RULES[1].format(zone)]
    assert answers(host) == list(INSIDE)
    again = state(host)
    assert (again["result"], again["changes"]) == (True, {}), again["comment"]

    command(host, "--reload")
    assert answers(host) == list(INSIDE)
    reboot(host)
    wait_until(lambda: host.run(["firewall-cmd", "--state"]).rc == 0, 20, 0.2)
    assert answers(host) == list(INSIDE)
    again = state(host)
    assert (again["result"], again["changes"]) == (True, {}), again["comment"]

    gone = state(host, "absent")
    assert gone["result"] is True, gone["comment"]
    assert zones(host) == before
    assert answers(host) == []
    gone = state(host, "absent")
    assert (gone["result"], gone["changes"]) == (True, {})


def test_an_open_connection_survives_the_opening_of_the_port(host):
    """Neither opening nor closing the port reloads firewalld: rules that are only live are kept."""
    command(host, "--add-port=4460/tcp")
    state(host)
    state(host, "absent")
    assert "4460/tcp" in command(host, "--list-ports")


def test_a_network_that_is_no_longer_served_is_no_longer_admitted(host):
    state(host)
    moved = state(host, "opened", "networks=[10.0.0.192/26]")
    assert moved["result"] is True, moved["comment"]
    assert sorted(moved["changes"]) == ["ipv4", "ipv4 saved", "ipv6", "ipv6 saved"]
    assert answers(host) == [OUTSIDE[0]]
    state(host, "absent")


def test_a_rule_that_is_only_live_is_made_permanent(host):
    state(host)
    command(
        host, "--permanent", "--zone=public", f"--remove-rich-rule={RULES[0].format('public')[len('zone public: ') :]}"
    )
    mended = state(host)
    assert (mended["result"], list(mended["changes"])) == (True, ["ipv4 saved"])
    state(host, "absent")


REFUSING = {
    "a rich rule that drops everything": [
        ["firewall-cmd", '--add-rich-rule=rule family="ipv4" source address="0.0.0.0/0" drop']
    ],
    "a rich rule that drops the network": [
        ["firewall-cmd", f'--add-rich-rule=rule family="ipv4" source address="{NETWORKS[0]}" drop']
    ],
    "a zone of these sources that drops": [["firewall-cmd", "--zone=drop", f"--add-source={NETWORKS[0]}"]],
    "a chain of somebody's own": [
        ["nft", "add", "table", "inet", "mine"],
        ["nft", "add", "chain", "inet", "mine", "in", "{ type filter hook input priority 20 ; policy drop ; }"],
    ],
    "panic": [["firewall-cmd", "--panic-on"]],
}


@pytest.mark.parametrize("case", REFUSING)
def test_it_fails_if_something_else_blocks_them(host, case):
    for words in REFUSING[case]:
        host.run(words).check()
    try:
        would, done = state(host, "opened", "test=True"), state(host)
        assert not answered(host, INSIDE[0])
        assert (would["result"], done["result"]) == (False, False), done["comment"]
    finally:
        host.run(["firewall-cmd", "--panic-off"])
        host.run(["nft", "delete", "table", "inet", "mine"])
        state(host, "absent")


def test_a_ban_stays_in_force_and_is_reported(host):
    command(host, "--zone=drop", "--add-source=10.0.0.70")
    done = state(host)
    assert done["result"] is True
    assert "may block served networks" in done["comment"]
    assert answers(host) == [INSIDE[1]]
    state(host, "absent")


def test_a_rule_by_hand_counts_and_stays(host):
    for how in ([], ["--permanent"]):
        command(
            host, *how, f'--add-rich-rule=rule family="ipv4" source address="{NETWORKS[0]}" service name="ntp" accept'
        )
    done = state(host, "opened", f"networks=[{NETWORKS[0]}]")
    assert (done["result"], done["changes"]) == (True, {}), done["comment"]
    gone = state(host, "absent")
    assert gone["changes"] == {}
    assert answers(host) == [INSIDE[0]]


def test_rules_wider_than_the_pillar_are_reported(host):
    command(host, "--add-service=ntp")
    assert "zone public: service ntp" in state(host)["comment"]
    state(host, "absent")


@pytest.fixture
def older(host):
    """firewalld with iptables behind it, as EL7 has it."""
    conf = "/etc/firewalld/firewalld.conf"
    before = host.read(conf)
    for text in (before.replace("FirewallBackend=nftables", "FirewallBackend=iptables"), before):
        host.write(conf, text)
        host.run(["systemctl", "restart", "firewalld"]).check()
        wait_until(lambda: host.run(["firewall-cmd", "--state"]).rc == 0, 20, 0.2)
        if text != before:
            assert "IN_public_allow" in host.run(["iptables-save"]).check().out
            yield host


def test_with_iptables_behind_it_firewalld_is_opened_and_closed_all_the_same(older):
    assert answers(older) == []
    done = state(older)
    assert (done["result"], done.get("warnings")) == (True, None), done["comment"]
    assert answers(older) == list(INSIDE)
    again = state(older)
    assert (again["result"], again["changes"]) == (True, {}), again["comment"]
    state(older, "absent")
    assert answers(older) == []


def started(host, function: str) -> list[str]:
    return programs(host, "state.single", f"ntpcluster_firewall.{function}", "name=x")


def test_a_run_without_a_change_starts_two_programs(host):
    state(host)
    assert started(host, "opened") == ["nft", "timeout"], "firewall-cmd has a time limit"
    state(host, "absent")


@pytest.mark.parametrize("kept", [[], ["--permanent"]], ids=["live", "permanent"])
def test_without_served_networks_firewalld_is_not_queried_unless_a_rule_is_ours(host, kept):
    state(host)
    state(host, "absent")
    # nft, for the rules that an earlier firewall may have left
    assert started(host, "absent") == ["nft"], "firewall-cmd has a time limit, and would be `timeout`"
    rule = RULES[0].partition(": ")[2]
    command(host, *kept, f"--add-rich-rule={rule}")
    removed = state(host, "absent")["changes"]
    assert [one["removed"] for one in removed.values()] == [[f"zone public: {rule}"]], removed
    assert rule not in command(host, *kept, "--list-rich-rules")
    assert started(host, "absent") == ["nft"]


def test_a_firewalld_that_does_not_answer_fails_the_state(host):
    host.run(["systemctl", "kill", "--signal=STOP", "--kill-whom=main", "firewalld"]).check()
    try:
        done = state(host)
        assert done["result"] is False
        assert "cannot be read" in done["comment"] or "no answer" in done["comment"]
    finally:
        host.run(["systemctl", "kill", "--signal=CONT", "--kill-whom=main", "firewalld"]).check()


def test_cleaning_while_firewalld_is_stopped_leaves_nothing_for_its_next_start(host):
    before = zones(host)
    state(host)
    host.run(["systemctl", "stop", "firewalld"]).check()
    would = state(host, "absent", "test=True")
    gone = state(host, "absent")
    host.run(["systemctl", "start", "firewalld"]).check()
    assert (gone["result"], sorted(gone["changes"])) == (True, ["ipv4 saved", "ipv6 saved"]), gone["comment"]
    assert (would["result"], would["changes"]) == (None, gone["changes"])
    assert zones(host) == before
    assert answers(host) == []
