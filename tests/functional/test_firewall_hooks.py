"""What blocks a client besides the rules of INPUT, with real nft, real iptables (both kinds) and real packets."""

import shutil

import pytest

from _modules import ntpcluster_firewall as firewall
from _states import ntpcluster_firewall as states
from tests.functional.firewalled import INSIDE, INSIDE6, LAN, NEEDS, OURS, OUTSIDE, RULES, answered, ip

pytestmark = NEEDS

TWO = [*LAN, "fd00:123::/64"]
DEBIANS_OWN = """
table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        iif "lo" accept
        ct state established,related accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        %s
    }
    chain forward { type filter hook forward priority 0; policy drop; }
    chain output { type filter hook output priority 0; policy accept; }
}
"""
# as firewalld 1.3 makes it, reduced to what a request to UDP 123 passes
FIREWALLD = """
table inet zones {
    chain filter_PREROUTING {
        type filter hook prerouting priority filter + 10; policy accept;
        icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
        meta nfproto ipv6 fib saddr . mark . iif oif missing drop
    }
    chain filter_INPUT {
        type filter hook input priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        meta l4proto ipv6-icmp accept
        ct state invalid drop
        jump filter_INPUT_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_INPUT_ZONES {
        iifname "eth0" goto filter_IN_public
        goto filter_IN_public
    }
    chain filter_IN_public {
        jump filter_IN_public_allow
        meta l4proto { icmp, ipv6-icmp } accept
    }
    chain filter_IN_public_allow {
        tcp dport 22 accept
        %s
    }
}
"""
FAIL2BAN = """
table inet f2b-table {
    set addr-set-sshd { type ipv4_addr; elements = { 192.0.2.7 } }
    set banned { type ipv4_addr; elements = { 10.123.0.77 } }
    chain f2b-chain {
        type filter hook input priority filter - 1; policy accept;
        tcp dport 22 ip saddr @addr-set-sshd reject
        %s
    }
}
"""
# as kube-proxy makes it, reduced in the same way
KUBE_PROXY = """
table ip kube-proxy {
    map no-endpoint-services {
        type ipv4_addr . inet_proto . inet_service : verdict
        elements = { 172.30.0.5 . tcp . 80 : goto reject-chain, 172.30.0.6 . udp . 53 : goto reject-chain }
    }
    chain reject-chain { reject; }
    chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
    chain filter-input {
        type filter hook input priority -110; policy accept;
        ct state new jump service-endpoints-check
    }
}
"""
# sets, policy and rules
INPUT = "table inet t { %s; chain i { type filter hook input priority 0; policy %s; %s; }; }"
DYNAMIC = "set s { type ipv4_addr; flags dynamic; }"
DOCKERS_CHAINS = [
    "-t nat -N DOCKER",
    "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
    "-N DOCKER",
    "-A FORWARD -o docker0 -j DOCKER",
]


def nft_load(host, text):
    host.run("nft", "-f", "-", input=text)


def iptables(host, *rules, program="iptables"):
    for rule in rules:
        host.run(f"{program}-{host.backend}", *rule.split())


@pytest.mark.parametrize(
    "ruleset, quoted",
    [
        (DEBIANS_OWN % "meta mark 7 udp dport 123 drop; udp dport 123 accept", "meta mark 7 udp dport 123 drop"),
        (
            "table inet t { chain p { type filter hook prerouting priority raw; udp dport 123 drop; }; }",
            "udp dport 123 drop",
        ),
        (
            "table inet t { chain o { type filter hook output priority 0; policy drop; }; }",
            "nft: inet t o: policy drop",
        ),
        (
            "table netdev t { chain i { type filter hook ingress device eth0 priority 0; udp dport 123 drop; }; }",
            "nft: netdev t i: udp dport 123 drop",
        ),
        (
            INPUT % ("", "accept", "ip saddr . udp dport { 10.0.0.0/8 . 123, 192.0.2.7 . 53 } drop"),
            "ip saddr . udp dport {10.0.0.0/8 . 123, 192.0.2.7 . 53} drop",
        ),
    ],
    ids=[
        "unknown match",
        "prerouting",
        "output",
        "ingress",
        "pairs",
    ],  # fmt: skip
)
def test_an_nft_chain_that_blocks_clients_fails_the_state_and_is_quoted(host, testmode, ruleset, quoted):
    iptables(host, *DOCKERS_CHAINS)
    nft_load(host, ruleset)
    ret = states.opened("open")
    assert ret["result"] is False
    assert "UDP 123 is not open to 10.123.0.0/24" in ret["comment"]
    assert quoted in ret["comment"]
    if not testmode:
        # a rule of nft that may refuse (a mark that no packet has) makes the state fail as well, so the test sends no packets
        # there
        assert quoted.startswith("meta mark") or not answered(host, INSIDE)
        again = states.opened("open")
        assert (again["result"], again["changes"]) == (False, {})
        assert quoted in again["comment"]


def test_an_nft_chain_blocks_clients_of_both_families(host):
    host.load("*filter\n:INPUT DROP\n-A INPUT -p ipv6-icmp -j ACCEPT\nCOMMIT\n", "ip6tables")
    nft_load(host, DEBIANS_OWN % "ip saddr 10.123.0.0/16 drop; ip6 saddr fd00:123::/64 udp dport 123 accept")
    ret = states.opened("open", networks=TWO)
    assert ret["result"] is False
    assert "not open to 10.123.0.0/24" in ret["comment"]
    assert "has been opened to fd00:123::/64" in ret["comment"]
    assert answered(host, INSIDE6)
    assert not answered(host, INSIDE)


@pytest.mark.parametrize(
    "ruleset",
    [
        DEBIANS_OWN % "udp dport 123 accept",
        DEBIANS_OWN % "ip saddr 10.123.0.0/16 udp dport { 53, 123 } accept",
        DEBIANS_OWN % "meta l4proto vmap { tcp : drop, udp : accept }",
        FIREWALLD % "udp dport 123 accept",
        FAIL2BAN % "",
        "table inet t { chain o { type filter hook output priority 0; policy drop; ct state established accept; }; }",
        "table inet t { chain f { type filter hook forward priority 0; policy drop; }; chain x { drop; }; }",
        "table ip nat { chain post { type nat hook postrouting priority srcnat; oifname eth9 masquerade; }; }",
        INPUT % ("set s { type ipv4_addr; }", "accept", "ip saddr @s drop"),
        INPUT % ("map m { type inet_service : verdict; }", "accept", "udp dport vmap @m"),
        INPUT % ("", "drop", "ip saddr . udp dport { 10.123.0.0/24 . 123 } accept"),
        KUBE_PROXY,
        INPUT % ("", "accept", "ip frag-off & 0x1fff != 0 counter drop; fib daddr type != { local, broadcast } drop"),
    ],
    ids=[
        "debian",
        "debian net",
        "verdict map",
        "firewalld",
        "fail2ban",
        "output",
        "forward",
        "masquerade",
        "empty set",
        "empty map",
        "pairs",
        "kube-proxy",
        "fragments",
    ],  # fmt: skip
)
def test_an_nft_chain_that_admits_them_does_not_matter(host, ruleset):
    nft_load(host, ruleset)
    ret = states.opened("open")
    assert ret["result"] is True, ret["comment"]
    assert "nft:" not in ret["comment"]
    assert answered(host, INSIDE)


def test_a_ban_of_some_addresses_in_nft_is_reported(host):
    nft_load(host, FAIL2BAN % "ip saddr @banned drop")
    ret = states.opened("open")
    assert ret["result"] is True
    assert "may block served networks: nft: inet f2b-table f2b-chain: ip saddr @banned drop." in ret["comment"]
    assert answered(host, INSIDE)


@pytest.mark.parametrize(
    "ruleset",
    [
        INPUT % (DYNAMIC, "accept", "udp dport 123 add @s { ip saddr limit rate over 99/second } drop"),
        INPUT % (DYNAMIC, "accept", "udp dport 123 add @s { ip saddr ct count over 99 } drop"),
        INPUT % ("", "accept", "udp dport 123 meter m { ip saddr limit rate over 99/second } drop"),
        INPUT % ("", "accept", "udp dport 123 ct count over 99 drop"),
    ],
    ids=["limit in a set", "count in a set", "meter", "count"],
)
def test_a_limit_in_nft_is_reported(host, ruleset):
    nft_load(host, ruleset)
    ret = states.opened("open")
    assert ret["result"] is True, ret["comment"]
    assert "may block served networks: nft: inet t i: " in ret["comment"]
    assert answered(host, INSIDE)


@pytest.mark.parametrize("where", ["iptables", "nft"])
@pytest.mark.parametrize("answer", [False, True])
def test_an_untracked_flow_has_no_state_in_either_kind_of_table(host, where, answer):
    nft_hook, chain, ports = (
        ("output", "OUTPUT", "--sport 123") if answer else ("prerouting", "PREROUTING", "--dport 123")
    )
    if where == "iptables":
        iptables(host, f"-t raw -A {chain} -p udp {ports} -j CT --notrack")
        nft_load(
            host,
            "table inet t { chain o { type filter hook output priority 0; policy drop; ct state established accept; }; }",
        )
    else:
        nft_load(
            host,
            f"table inet t {{ chain p {{ type filter hook {nft_hook} priority raw; udp {ports[2:]} notrack; }}; }}",
        )
        iptables(host, "-P OUTPUT DROP", "-A OUTPUT -m state --state ESTABLISHED -j ACCEPT")
    ret = states.opened("open")
    assert ret["result"] is False
    assert not answered(host, INSIDE)


@pytest.mark.parametrize("host", ["nft"], indirect=True)
@pytest.mark.parametrize("rule", ["ip saddr { 10.123.0.2, 10.123.0.3 } drop", "udp dport vmap { 123 : drop }"])
def test_sets_in_a_table_of_iptables_are_not_overlooked(host, rule):
    nft_load(host, f"insert rule ip filter INPUT {rule}")
    before = host.run("nft", "list", "ruleset").stdout
    ret = states.opened("open")
    assert ret["result"] is False
    assert "iptables-save shows without their sets" in ret["comment"]
    assert host.run("nft", "list", "ruleset").stdout == before


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_sets_in_another_table_of_iptables_are_read_by_nft(host):
    iptables(host, "-t raw -A PREROUTING -p tcp -j ACCEPT")
    nft_load(host, "insert rule ip raw PREROUTING udp dport { 53, 161 } drop")
    assert states.opened("open")["result"] is True
    assert answered(host, INSIDE)
    nft_load(host, "insert rule ip raw PREROUTING udp dport { 53, 123 } drop")
    ret = states.opened("open")
    assert ret["result"] is False
    assert "nft: ip raw PREROUTING: udp dport {53, 123} drop" in ret["comment"]
    assert not answered(host, INSIDE)


def test_an_unreadable_nft_chain_is_not_ignored(host):
    host.nft = "no-such-nft"
    nft_load(host, DEBIANS_OWN % "udp dport 123 accept")
    ret = states.opened("open")
    assert ret["result"] is False
    assert "nft: inet filter input cannot be read, as no-such-nft is not installed" in ret["comment"]


@pytest.mark.parametrize(
    "commands, quoted",
    [
        (["-t raw -A PREROUTING -p udp --dport 123 -j DROP"], "-t raw -A PREROUTING -p udp -m udp --dport 123 -j DROP"),
        (["-t mangle -A INPUT -s 10.0.0.0/8 -j DROP"], "-t mangle -A INPUT -s 10.0.0.0/8 -j DROP"),
        (["-P OUTPUT DROP"], "-P OUTPUT DROP"),
        (["-A OUTPUT -o lo -j ACCEPT", "-A OUTPUT -p tcp -j ACCEPT", "-A OUTPUT -j DROP"], "-A OUTPUT -j DROP"),
        (["-N trusted", "-A trusted -j DROP", "-I INPUT -s 10.123.0.0/16 -j trusted"], "-A trusted -j DROP"),
        (
            ["-I INPUT -s 10.123.0.0/16 -p udp --dport 123 -j DROP"],
            "-A INPUT -s 10.123.0.0/16 -p udp -m udp --dport 123 -j DROP",
        ),
    ],
    ids=["raw", "mangle", "output policy", "output", "trusted", "ban"],
)
def test_a_rule_that_refuses_a_whole_network_fails_the_state_and_is_quoted(host, testmode, commands, quoted):
    iptables(host, *commands)
    before = host.lines()
    ret = states.opened("open")
    assert ret["result"] is False
    assert f"UDP 123 is not open to 10.123.0.0/24: `{quoted}`" in ret["comment"]
    if testmode:
        assert host.lines() == before
        return
    assert not answered(host, INSIDE)
    again = states.opened("open")
    assert (again["result"], again["changes"], again["comment"].count(quoted)) == (False, {}, 1)
    assert states.absent("close")["result"] is True
    assert host.lines() == before


@pytest.mark.parametrize(
    "policy, commands",
    [
        (
            "DROP",
            ["-N LAN", "-A LAN -p tcp --dport 22 -j ACCEPT", "-A LAN -j DROP", "-I INPUT -s 10.0.0.0/8 -j LAN"],
        ),
        ("ACCEPT", ["-I INPUT ! -s 192.168.0.0/24 -j DROP"]),
        ("DROP", ["-I INPUT -s 10.0.0.0/8 -j RETURN"]),
        ("ACCEPT", ["-P OUTPUT DROP", "-A OUTPUT -m state --state ESTABLISHED -j ACCEPT"]),
        ("ACCEPT", ["-I INPUT -p udp --dport 123 -j DROP"]),
        ("ACCEPT", ["-I INPUT -d 224.0.0.0/4 -j DROP", "-I INPUT -m addrtype --dst-type BROADCAST -j DROP"]),
    ],
    ids=["chain of a network", "all but one", "return", "answers", "everyone", "groups"],
)
def test_our_rules_precede_the_end_of_that_networks_path(host, policy, commands):
    iptables(host, f"-P INPUT {policy}", *commands)
    before = host.lines()
    ret = states.opened("open")
    assert (ret["result"], "keep" in ret["comment"]) == (True, False), ret["comment"]
    assert ("Our rules precede" in ret["comment"]) == ("--dport 123" in commands[0])
    assert answered(host, INSIDE)
    assert not answered(host, OUTSIDE)
    again = states.opened("open")
    assert (again["result"], again["changes"]) == (True, {})
    states.absent("close")
    assert host.lines() == before


def test_our_rule_of_an_older_release_behind_such_a_chain_is_moved(host):
    chain = ["-N LAN", "-A LAN -p tcp --dport 22 -j ACCEPT", "-A LAN -j DROP", "-I INPUT -s 10.0.0.0/8 -j LAN"]
    iptables(host, *chain, OURS.replace("-A INPUT", "-I INPUT 2"))
    assert not answered(host, INSIDE)
    ret = states.opened("open")
    assert ret["changes"]["ipv4"] == {"added": [OURS], "removed": [OURS]}
    assert answered(host, INSIDE)
    assert host.lines().count(OURS) == 1


def test_a_ban_inside_the_chain_of_a_network_stays_in_force(host):
    ip("-n", host.asking, "address", "add", "10.123.0.3/24", "dev", "eth0")
    chain = ["-N LAN", "-A LAN -s 10.123.0.3 -j DROP", "-A LAN -p tcp --dport 22 -j ACCEPT", "-A LAN -j DROP"]
    iptables(host, *chain, "-I INPUT -s 10.0.0.0/8 -j LAN")
    before = host.lines()
    ours = OURS.replace("INPUT", "LAN")
    ret = states.opened("open")
    assert (ret["result"], ret["changes"]["ipv4"]["added"]) == (True, [ours])
    assert "may block served networks: -A LAN -s 10.123.0.3/32 -j DROP." in ret["comment"]
    assert answered(host, INSIDE)
    assert not answered(host, "10.123.0.3")
    assert states.opened("open")["changes"] == {}
    states.absent("close")
    assert host.lines() == before


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -d 10.123.0.1/32 -p udp -m udp --dport 123 -j DROP",
        "-A INPUT -m mac --mac-source 02:00:00:00:00:99 -j DROP",
        "-A INPUT -m iprange --src-range 10.123.0.70-10.123.0.80 -j DROP",
        "-A INPUT -p udp -m udp --sport 123 --dport 123 -j REJECT --reject-with icmp-port-unreachable",
        "-t raw -A PREROUTING -s 10.123.0.77/32 -j DROP",
    ],
)
def test_a_rule_before_ours_that_may_refuse_is_reported(host, rule):
    iptables(host, rule.replace("-A", "-I"))
    for _ in range(2):
        ret = states.opened("open")
        assert (ret["result"], f"may block served networks: {rule}." in ret["comment"]) == (True, True), ret["comment"]


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_the_tables_of_the_older_iptables_count_as_well(host, monkeypatch):
    host.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "123", "-j", "DROP")
    ret = states.opened("open")
    assert ret["result"] is False
    assert "iptables-legacy-save: -A INPUT -p udp -m udp --dport 123 -j DROP" in ret["comment"]
    assert not answered(host, INSIDE)
    monkeypatch.setattr(
        firewall.salt.utils.path, "which", lambda name: None if "legacy" in name else shutil.which(name)
    )
    assert "can show, which is not installed" in states.opened("open")["comment"]


@pytest.mark.parametrize("host", ["legacy"], indirect=True)
def test_rules_of_iptables_nft_and_of_the_older_kind_both_count(host):
    host.run("iptables-nft", "-A", "INPUT", "-p", "udp", "--dport", "123", "-j", "DROP")
    ret = states.opened("open")
    assert ret["result"] is False
    assert "nft: ip filter INPUT: udp dport 123 drop" in ret["comment"]
    assert not answered(host, INSIDE)


def test_a_rule_that_no_file_stores_is_reported_as_temporary(host):
    platform = host.platform
    host.file.unlink()
    platform["firewall"]["ipv4"]["keep"] = "service iptables save"
    ret = states._settle("open", platform, LAN)
    assert ret["result"] is True
    assert "are lost at the next boot" in ret["comment"]
    assert "To keep them: service iptables save" in ret["comment"]
    host.file.write_text(RULES)
    assert "at the next boot" not in states._settle("open", platform, LAN)["comment"]


def test_a_run_without_changes_starts_one_program_per_family_and_nft_if_it_has_chains(host):
    saves = [f"iptables-{host.backend}-save", f"ip6tables-{host.backend}-save"]
    states.opened("open")
    for extra in ([], ["nft"]):
        host.calls.clear()
        assert states.opened("open")["changes"] == {}
        assert [command[0].rpartition("/")[2] for command in host.calls] == saves + extra
        nft_load(host, DEBIANS_OWN % "udp dport 123 accept")
