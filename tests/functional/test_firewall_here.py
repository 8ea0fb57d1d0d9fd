"""Rules for one interface, one address or parts of a network, which may keep out all clients or none."""

import binascii

import pytest

from _modules import ntpcluster_firewall as firewall
from _modules import ntpcluster_ufw as ufw
from _states import ntpcluster_firewall as states
from tests.functional.firewalled import INSIDE, INSIDE6, LAN, NEEDS, OUTSIDE, answered, state_of
from tests.functional.test_firewall_hooks import INPUT, TWO, iptables, nft_load

pytestmark = NEEDS
NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; "


@pytest.mark.parametrize(
    "rule",
    ["iifname eth0 drop", "iifname . udp dport vmap { eth0 . 123 : drop }", "iifname eth9 accept; iifname eth* drop"],
)
def test_a_rule_for_the_only_interface_of_the_clients_keeps_all_of_them_out(host, testmode, rule):
    nft_load(host, INPUT % ("", "accept", NEIGHBOURS + rule))
    assert not answered(host, INSIDE) and not answered(host, INSIDE6)
    ret = states.opened("open", networks=TWO)
    assert ret["result"] is False
    for network in TWO:
        assert f"UDP 123 is not open to {network}: `nft: inet t i: meta iifname" in ret["comment"]


def test_an_iptables_rule_for_the_only_interface_of_the_clients_fails_the_state(host):
    iptables(host, "-I INPUT -i eth0 -p udp -j DROP")
    ret = states.opened("open")
    assert ret["result"] is False
    assert "not open to 10.123.0.0/24: `-A INPUT -i eth0 -p udp -j DROP`" in ret["comment"]
    assert not answered(host, INSIDE)


def test_a_rule_for_an_interface_or_address_of_others_does_not_matter(host):
    iptables(host, "-I INPUT -i eth9 -p udp -j DROP", "-I INPUT -d 192.0.2.9/32 -j DROP")
    ret = states.opened("open")
    assert (ret["result"], "may block" in ret["comment"]) == (True, False), ret["comment"]
    assert answered(host, INSIDE)


def test_a_rule_for_all_addresses_of_this_host_keeps_everybody_out(host):
    nft_load(host, INPUT % ("", "accept", "ip daddr { 10.123.0.1, 10.123.1.1 } udp dport 123 drop"))
    ret = states.opened("open", networks=TWO)
    assert ret["result"] is False
    assert "not open to 10.123.0.0/24" in ret["comment"] and "opened to fd00:123::/64" in ret["comment"]
    assert answered(host, INSIDE6) and not answered(host, INSIDE)


@pytest.mark.parametrize(
    "banned", ["10.123.0.0/25, 10.123.0.128/25", "10.122.255.0-10.123.0.127, 10.123.0.128-10.123.5.9"]
)
def test_a_set_whose_parts_together_contain_the_network_blocks_it(host, banned):
    members = f"set s {{ type ipv4_addr; flags interval; elements = {{ {banned} }}; }}"
    nft_load(host, INPUT % (members, "accept", "ip saddr @s drop"))
    ret = states.opened("open")
    assert (ret["result"], "not open to 10.123.0.0/24" in ret["comment"]) == (False, True)
    assert not answered(host, INSIDE)


def test_cleaning_takes_our_rule_out_of_the_firewall_that_the_host_had_before(host, monkeypatch, tmp_path):
    before = state_of(host)
    states.opened("open")
    conf = tmp_path / "ufw.conf"
    conf.write_text("ENABLED=yes\n")
    monkeypatch.setattr(ufw, "UFW_CONF", str(conf))
    assert firewall.firewall()["ipv4"]["guard"] == "ufw"
    monkeypatch.setattr(states, "__opts__", {"test": True})
    would = states.absent("close")
    assert would["result"] is None and answered(host, INSIDE)
    monkeypatch.setattr(states, "__opts__", {"test": False})
    done = states.absent("close")
    assert (done["result"], done["changes"]) == (True, would["changes"])
    assert state_of(host) == before and not answered(host, INSIDE)
    assert states.absent("close")["changes"] == {}


def test_the_files_of_a_removed_ufw_do_not_matter(host, monkeypatch, tmp_path):
    mark = binascii.hexlify(b"ntpcluster").decode()
    (tmp_path / "user.rules").write_text(f"### tuple ### allow udp 123 0.0.0.0/0 any {LAN[0]} in comment={mark}\n")
    monkeypatch.setitem(ufw.RULE_FILES, "ipv4", str(tmp_path / "user.rules"))
    found = firewall.salt.utils.path.which
    monkeypatch.setattr(firewall.salt.utils.path, "which", lambda name: None if name == "ufw" else found(name))
    assert states.absent("close")["result"] is True


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_our_rule_is_removed_from_a_chain_that_iptables_cannot_show_any_more(host):
    states.opened("open")
    nft_load(host, "insert rule ip filter INPUT ct state established accept")
    nft_load(host, "add rule ip filter INPUT tcp dport 4460 accept")
    assert states.opened("open")["changes"] == {} and answered(host, INSIDE)
    before = host.run("nft", "-s", "list", "chain", "ip", "filter", "INPUT").stdout.splitlines()
    gone = states.absent("close")
    assert (gone["result"], len(gone["changes"]["ipv4"]["removed"])) == (True, 1), gone
    after = host.run("nft", "-s", "list", "chain", "ip", "filter", "INPUT").stdout.splitlines()
    assert after == [line for line in before if "udp dport 123" not in line]
    assert not answered(host, INSIDE)


@pytest.mark.parametrize("host", ["legacy"], indirect=True)
def test_a_reject_of_iptables_that_only_nft_shows_counts_as_one(host):
    host.run("iptables-nft", "-A", "INPUT", "-p", "udp", "--dport", "123", "-j", "REJECT")
    ret = states.opened("open")
    assert ret["result"] is False, ret["comment"]
    assert "not open to 10.123.0.0/24: `nft: ip filter INPUT: udp dport 123 xt`" in ret["comment"]
    assert not answered(host, INSIDE)


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_a_chain_of_rules_by_iptables_and_by_nft_is_opened_by_nft(host):
    nft_load(host, "insert rule ip filter INPUT ct state established accept")
    before = host.run("nft", "-s", "list", "ruleset").stdout
    ret = states.opened("open")
    assert ret["result"] is True, ret["comment"]
    assert answered(host, INSIDE) and not answered(host, OUTSIDE)
    assert states.opened("open")["changes"] == {}
    assert states.absent("close")["result"] is True
    assert host.run("nft", "-s", "list", "ruleset").stdout == before
