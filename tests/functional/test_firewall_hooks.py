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
NAT = "table ip n { chain p { type nat hook prerouting priority dstnat; %s; }; }"
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
        (
            INPUT
            % ("", "accept", "ip saddr 10.123.0.0/25 drop; ip saddr { 10.123.0.128-10.123.0.255, 192.0.2.7 } drop"),
            "nft: inet t i: ip saddr {",
        ),
        (NAT % "udp dport 123 dnat to 10.123.0.99", "nft: ip n p: udp dport 123 dnat"),
        (NAT % "udp dport 123 redirect to :124", "nft: ip n p: udp dport 123 redirect"),
    ],
    ids=[
        "unknown match",
        "prerouting",
        "output",
        "ingress",
        "pairs",
        "halves",
        "elsewhere",
        "other port",
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


@pytest.mark.parametrize(
    "nft_rule, iptables_rule",
    [
        ("udp dport 123 dnat to 10.123.0.1:123", "-p udp --dport 123 -j DNAT --to-destination 10.123.0.1:123"),
        ("udp dport 123 dnat to 10.123.0.1", "-p udp --dport 123 -j DNAT --to-destination 10.123.0.1"),
        ("udp dport 123 redirect", "-p udp --dport 123 -j REDIRECT"),
        ("udp dport 123 redirect to :123", "-p udp --dport 123 -j REDIRECT --to-ports 123"),
    ],
    ids=["address and port", "address", "here", "port"],
)
def test_a_packet_that_is_sent_to_this_host_itself_is_no_matter(host, nft_rule, iptables_rule):
    nft_load(host, NAT % nft_rule)
    iptables(host, "-t nat -A PREROUTING " + iptables_rule)
    ret = states.opened("open")
    assert ret["result"] is True
    assert "may block" not in ret["comment"], ret["comment"]
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
        INPUT % ("", "accept", "udp dport 123 limit rate over 99/second drop"),
    ],
    ids=["limit in a set", "count in a set", "meter", "count", "limit"],
)
def test_a_limit_in_nft_is_reported(host, ruleset):
    nft_load(host, ruleset)
    ret = states.opened("open")
    assert (ret["result"], ret.get("warnings")) == (True, None), ret["comment"]
    assert "may block served networks: nft: inet t i: " in ret["comment"]
    assert answered(host, INSIDE)


@pytest.mark.parametrize(
    "ruleset",
    [
        INPUT % ("", "accept", "udp dport 123 limit rate 9000/second drop"),
        INPUT % (DYNAMIC, "accept", "udp dport 123 add @s { ip saddr limit rate 9000/second } drop"),
        INPUT % ("", "accept", "meta l4proto udp ct count 9000 drop"),
    ],
)
def test_a_rule_of_nft_that_drops_what_keeps_to_a_limit_is_a_warning(host, ruleset):
    nft_load(host, ruleset)
    ret = states.opened("open")
    assert (ret["result"], len(ret["warnings"])) == (True, 1), ret["comment"]
    assert not answered(host, INSIDE)


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
@pytest.mark.parametrize("sets_go_first", [False, True])
@pytest.mark.parametrize(
    ("rule", "is_open"), [("ip saddr { 10.123.0.2, 10.123.0.3 } drop", False), ("udp dport vmap { 123 : drop }", True)]
)
def test_a_chain_of_iptables_with_sets_is_read_and_opened_by_nft(host, rule, is_open, sets_go_first):
    """iptables-save shows such rules without their sets."""
    before = host.run("nft", "-s", "list", "ruleset").stdout
    nft_load(host, f"insert rule ip filter INPUT {rule}")
    listed = host.run("nft", "-a", "list", "chain", "ip", "filter", "INPUT").stdout
    [handle] = [line.split()[-1] for line in listed.splitlines() if rule in line]
    assert not answered(host, INSIDE)
    ret = states.opened("open")
    assert ret["result"] is True, ret["comment"]
    assert "nft: ip filter INPUT: ip saddr 10.123.0.0/24" in ret["changes"]["ipv4"]["added"][-1]
    assert (f"may block served networks: nft: ip filter INPUT: {rule[:9]}" in ret["comment"]) is not is_open
    assert answered(host, INSIDE) == is_open
    assert "ipv4" not in states.opened("open")["changes"]
    for step in range(2):
        if sets_go_first == bool(step):
            assert states.absent("close")["result"] is True
        else:
            nft_load(host, f"delete rule ip filter INPUT handle {handle}")
    assert host.run("nft", "-s", "list", "ruleset").stdout == before


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
        (
            ["-I INPUT -s 10.123.0.128/25 -j DROP", "-t raw -A PREROUTING -s 10.123.0.0/25 -j DROP"],
            "-A INPUT -s 10.123.0.128/25 -j DROP",
        ),
        (
            ["-t nat -A PREROUTING -p udp --dport 123 -j DNAT --to-destination 10.123.0.99"],
            "-t nat -A PREROUTING -p udp -m udp --dport 123 -j DNAT --to-destination 10.123.0.99",
        ),
        (
            ["-t nat -A PREROUTING -p udp --dport 123 -j REDIRECT --to-ports 124"],
            "-t nat -A PREROUTING -p udp -m udp --dport 123 -j REDIRECT --to-ports 124",
        ),
    ],
    ids=["raw", "mangle", "output policy", "output", "trusted", "ban", "halves", "elsewhere", "other port"],
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
        "-A INPUT -m iprange --src-range 10.123.0.70-10.123.0.80 -j DROP",
        "-t raw -A PREROUTING -s 10.123.0.77/32 -j DROP",
        "-t raw -A PREROUTING -m rpfilter --validmark --invert -j DROP",
    ],
)
def test_a_ban_before_ours_is_reported(host, rule):
    iptables(host, rule.replace("-A", "-I"))
    for _ in range(2):
        ret = states.opened("open")
        assert (ret["result"], ret.get("warnings")) == (True, None)
        assert f"UDP 123 {'has been' if ret['changes'] else 'is'} open" in ret["comment"]
        assert f"may block served networks: {rule}." in ret["comment"]


@pytest.mark.parametrize(
    "rule, is_open",
    [
        ("-A INPUT -d 10.123.0.1/32 -p udp -m udp --dport 123 -j DROP", False),
        ("-A INPUT -m mac --mac-source 02:00:00:00:00:99 -j DROP", True),
        ("-A INPUT -p udp -m udp --sport 123 --dport 123 -j REJECT --reject-with icmp-port-unreachable", True),
        ("-A INPUT -p udp -m udp --sport 1024:65535 --dport 123 -j DROP", False),
        ("-A INPUT -m length --length 0:65535 -j DROP", False),
        ("-A INPUT -m ttl --ttl-gt 1 -j DROP", False),
        ("-A INPUT -m recent --update --seconds 60 --name DEFAULT --mask 255.255.255.255 --rsource -j DROP", True),
        ("-A INPUT -p udp -m hashlimit --hashlimit-upto 9000/sec --hashlimit-name x -j DROP", False),
        ('-A INPUT -p udp -m u32 --u32 "0x0=0x0:0xffffffff" -j DROP', False),
        ("-t mangle -A PREROUTING -m statistic --mode nth --every 1 --packet 0 -j DROP", False),
    ],
)
def test_what_is_not_understood_and_may_refuse_everybody_is_a_warning_and_never_called_open(host, rule, is_open):
    program, words = f"iptables-{host.backend}", rule.replace('"', "").replace("-A", "-I").split()
    made = host.run(program, *words, check=False)
    if "No chain/target/match by that name" in made.stderr or "missing kernel module" in made.stderr:
        pytest.skip(f"this kernel lacks a match: {' '.join(words)}: {made.stderr.strip()}")
    assert made.returncode == 0, made.stderr
    for _ in range(2):
        ret = states.opened("open")
        assert (ret["result"], len(ret["warnings"])) == (True, 1), ret["comment"]
        assert ret["warnings"][0] in ret["comment"]
        assert "It is unknown whether UDP 123 is open to 10.123.0.0/24: `" in ret["warnings"][0]
        assert f" {words[words.index('-m') + 1]} " in ret["warnings"][0]
        assert "is open to" not in ret["comment"].replace(ret["warnings"][0], "")
    assert answered(host, INSIDE) == is_open, "what the rule really does, which the state cannot know"


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
        assert sorted(command[0].rpartition("/")[2] for command in host.calls) == sorted(saves + extra)
        nft_load(host, DEBIANS_OWN % "udp dport 123 accept")
