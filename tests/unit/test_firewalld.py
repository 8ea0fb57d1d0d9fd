"""Which zones of firewalld get a network's packets, and what a rich rule opens. The zones are in the format of firewall-cmd
1.3.3."""

from __future__ import annotations

import ipaddress
import xml.etree.ElementTree

import pytest

from _modules import ntpcluster_firewalld as firewalld
from _modules import ntpcluster_ufw as ufw

LAN = ipaddress.ip_network("10.0.0.0/24")
OURS = 'rule family="ipv4" source address="10.0.0.0/24" destination address="0.0.0.0/0" port port="123" protocol="udp" accept'
LISTED = f"""\
public (active)
  target: default
  icmp-block-inversion: no
  interfaces: eth0 eth1
  sources:{" "}
  services: dhcpv6-client ssh
  ports: 100-200/udp
  protocols:{" "}
  forward: yes
  masquerade: no
  forward-ports:{" "}
  source-ports:{" "}
  icmp-blocks:{" "}
  rich rules:{" "}
\t{OURS}
\trule family="ipv4" source address="192.0.2.0/24" service name="ntp" accept

trusted
  target: ACCEPT
  interfaces:{" "}
  sources:{" "}
  rich rules:{" "}
"""


@pytest.fixture
def listed(monkeypatch):
    monkeypatch.setattr(firewalld, "_command", lambda words: LISTED)
    return firewalld._live()


def zone(**what):
    return dict(firewalld._zone(), **what)


def test_the_zones_are_read_as_they_are_listed(listed):
    assert sorted(listed) == ["public", "trusted"]
    assert listed["public"]["interfaces"] == ["eth0", "eth1"]
    assert listed["public"]["services"] == ["dhcpv6-client", "ssh"]
    assert listed["public"]["rules"][0] == OURS
    assert len(listed["public"]["rules"]) == 2
    assert (listed["trusted"]["target"], listed["trusted"]["rules"]) == ("ACCEPT", [])


def test_a_rule_of_a_file_is_spelled_as_the_command_spells_it():
    text = """<rule family="ipv4"><source address="10.0.0.0/24"/><destination address="0.0.0.0/0"/>
              <port port="123" protocol="udp"/><accept/></rule>"""
    assert firewalld._spelled(xml.etree.ElementTree.fromstring(text)) == OURS == firewalld._text(LAN)


@pytest.mark.parametrize(
    "rule, opened",
    [
        (OURS, ["10.0.0.0/24"]),
        ('rule family="ipv4" source address="10.0.0.7" port port="123" protocol="udp" accept', ["10.0.0.7/32"]),
        ('rule priority="-5" family="ipv6" service name="ntp" accept', ["::/0"]),
        ('rule service name="ntp" accept', ["0.0.0.0/0", "::/0"]),
        ('rule family="ipv4" source NOT address="10.0.0.0/24" service name="ntp" accept', []),
        ('rule family="ipv4" source address="10.0.0.0/24" invert="True" service name="ntp" accept', []),
        ('rule family="ipv4" source ipset="nodes" service name="ntp" accept', []),
        ('rule family="ipv4" source address="10.0.0.0/24" service name="ntp" drop', []),
        ('rule family="ipv4" source address="10.0.0.0/24" service name="ntp" accept limit value="1/m"', []),
        ('rule family="ipv4" source address="10.0.0.0/24" service name="ntp" log prefix="x" accept', []),
        ('rule family="ipv4" source address="10.0.0.0/24" port port="123" protocol="tcp" accept', []),
        (
            'rule family="ipv4" source address="10.0.0.0/24" destination address="10.0.0.9" service name="ntp" accept',
            [],
        ),
        ('rule family="ipv4" source address="10.0.0.0/24" accept', []),
    ],
)
def test_what_a_rich_rule_opens(rule, opened):
    assert [f"{network}" for network in firewalld._opens(rule)] == opened


def test_ours_are_known_by_their_spelling():
    assert firewalld._ours(OURS)
    assert not firewalld._ours(OURS.replace('destination address="0.0.0.0/0" ', ""))


ZONES = {
    "public": zone(interfaces=["eth0"]),
    "internal": zone(interfaces=["ib+"]),
    "work": zone(sources=["10.0.0.0/16"]),
    "drop": zone(target="DROP", sources=["10.0.0.66", "ipset:banned"]),
    "nodes": zone(sources=["ipset:nodes"]),
    "other": zone(sources=["192.0.2.0/24", "fd00::/64"]),
}


@pytest.mark.parametrize(
    "left_out, interfaces, places",
    [
        # its source contains the whole network; an ipset may contain some of it, and a ban stays
        ((), ["lo", "eth0", "ib0"], {"work", "nodes"}),
        (("work",), ["lo", "eth0", "ib0"], {"public", "internal", "nodes"}),
        # the default zone, for an interface without a zone
        (("work", "public"), ["lo", "eth0", "ib0"], {"internal", "nodes", "block"}),
        (("work", "nodes"), ["lo", "eth0", "ib0"], {"public", "internal"}),
    ],
)
def test_the_zones_that_a_networks_packets_get_to(monkeypatch, left_out, interfaces, places):
    monkeypatch.setattr(firewalld, "_interfaces", lambda: interfaces)
    monkeypatch.setattr(firewalld, "_default_zone", lambda: "block")
    zones = {name: one for name, one in ZONES.items() if name not in left_out}
    zones["block"] = zone(target="%%REJECT%%")
    assert firewalld._places(zones, LAN) == places


def test_ours_where_nobody_needs_them_are_stale_and_those_of_others_are_not():
    moved = OURS.replace("10.0.0.0", "10.9.0.0")
    zones = {"public": zone(rules=[OURS, moved, moved.replace('destination address="0.0.0.0/0" ', "")])}
    judged = firewalld._judge(zones, {LAN: {"public"}}, {LAN: {"public"}})
    assert [rule for _, _, rule in judged["present"]] == [OURS]
    assert [rule for _, _, rule in judged["stale"]] == [moved]
    assert judged["missing"] == []


def test_what_is_open_wider_is_named(listed):
    assert firewalld._wider(listed, {LAN: {"public", "trusted"}}, 4) == [
        "zone public: port 100-200/udp",
        'zone public: rule family="ipv4" source address="192.0.2.0/24" service name="ntp" accept',
        "zone trusted: target: ACCEPT",
    ]


# user.rules of ufw 0.36.2 with `ufw allow 22/tcp`, our rules, one added by hand and one with a limit
USER_RULES = """\
*filter
:ufw-user-input - [0:0]
### RULES ###

### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in
-A ufw-user-input -p tcp --dport 22 -j ACCEPT

### tuple ### allow udp 123 0.0.0.0/0 any 10.0.0.0/24 in comment=6e7470636c7573746572
-A ufw-user-input -p udp --dport 123 -s 10.0.0.0/24 -j ACCEPT

### tuple ### allow udp 123 0.0.0.0/0 any 192.0.2.0/24 in
-A ufw-user-input -p udp --dport 123 -s 192.0.2.0/24 -j ACCEPT

### tuple ### limit udp 123 0.0.0.0/0 any 198.51.100.0/24 in
### END RULES ###
COMMIT
"""


@pytest.mark.parametrize(
    "networks, present, missing, stale",
    [
        (["10.0.0.0/24"], ["10.0.0.0/24"], [], []),
        (["192.0.2.0/24"], ["192.0.2.0/24"], [], ["10.0.0.0/24"]),
        (["198.51.100.0/24"], [], ["198.51.100.0/24"], ["10.0.0.0/24"]),
        ([], [], [], ["10.0.0.0/24"]),
    ],
)
def test_the_rules_of_ufw_are_read_from_its_file(monkeypatch, tmp_path, networks, present, missing, stale):
    (tmp_path / "user.rules").write_text(USER_RULES)
    monkeypatch.setattr(ufw, "RULE_FILES", {"ipv4": str(tmp_path / "user.rules"), "ipv6": str(tmp_path / "none")})
    found = ufw._survey(networks)["ipv4"]
    assert [[f"{one}" for one in found[name]] for name in ("present", "missing", "stale")] == [
        present,
        missing,
        stale,
    ]


@pytest.mark.parametrize("text, runs", [("ENABLED=yes\n", True), ("# ENABLED=yes\nENABLED=no\n", False), ("", False)])
def test_ufw_counts_where_it_is_enabled(monkeypatch, tmp_path, text, runs):
    (tmp_path / "ufw.conf").write_text(text)
    monkeypatch.setattr(ufw, "UFW_CONF", str(tmp_path / "ufw.conf"))
    assert ufw.runs() is runs
