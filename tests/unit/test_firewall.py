"""Judging firewall rules as text, on captures of iptables 1.4.7 and 1.8.9 and on files written by hand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from salt.exceptions import SaltInvocationError

from _modules import ntpcluster_firewall_parse as parse
from _modules import ntpcluster_firewall_rules as rules

LAN = ["10.0.0.0/24"]
OURS = "-A INPUT -s 10.0.0.0/24 -p udp -m udp --dport 123 -m comment --comment ntpcluster -j ACCEPT"
REJECT = "-A INPUT -j REJECT --reject-with icmp-host-prohibited"

# /etc/sysconfig/iptables as the installer of EL6 leaves it
STOCK = """\
# Firewall configuration written by system-config-firewall
# Manual customization of this file is not recommended.
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -m state --state NEW -m tcp -p tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""

# EL5's layout, still found on upgraded hosts
RED_HAT_CHAIN = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:RH-Firewall-1-INPUT - [0:0]
-A INPUT -j RH-Firewall-1-INPUT
-A FORWARD -j RH-Firewall-1-INPUT
-A RH-Firewall-1-INPUT -i lo -j ACCEPT
-A RH-Firewall-1-INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
-A RH-Firewall-1-INPUT -m state --state NEW -m tcp -p tcp --dport 22 -j ACCEPT
-A RH-Firewall-1-INPUT -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""


def table(*lines, policy="ACCEPT", before="", chains=""):
    """A filter table with these lines in it, in the form of iptables-save."""
    return f"{before}*filter\n:INPUT {policy} [0:0]\n{chains}" + "".join(f"{line}\n" for line in lines) + "COMMIT\n"


def judge(text, networks=LAN):
    return rules.judge(text, networks)


def test_the_stock_file_of_el6_gets_our_rule_right_before_its_reject():
    assert rules.edit(STOCK, LAN) == STOCK.replace(REJECT, OURS + "\n" + REJECT)


def test_the_live_step_for_the_stock_rules_inserts_at_the_number_of_the_reject():
    (step,) = judge(STOCK)["steps"]
    assert step["arguments"][:3] == ["-I", "INPUT", "5"]
    assert " ".join(["-A", "INPUT", *step["arguments"][3:]]) == OURS == step["text"]


def test_several_networks_keep_the_order_of_the_pillar():
    networks = ["192.0.2.0/25", "10.0.0.7", "10.0.0.0/24"]
    assert [step["arguments"][2:5] for step in judge(STOCK, networks)["steps"]] == [
        ["5", "-s", "192.0.2.0/25"],
        ["6", "-s", "10.0.0.7/32"],
        ["7", "-s", "10.0.0.0/24"],
    ]
    assert re.findall(r"-s (\S+)", rules.edit(STOCK, networks)) == [
        "192.0.2.0/25",
        "10.0.0.7/32",
        "10.0.0.0/24",
    ]


def test_the_jump_to_red_hats_chain_is_the_end_and_ours_go_before_it():
    jump = "-A INPUT -j RH-Firewall-1-INPUT"
    assert rules.edit(RED_HAT_CHAIN, LAN) == RED_HAT_CHAIN.replace(jump, OURS + "\n" + jump)


def test_a_rule_by_hand_inside_red_hats_chain_counts():
    inside = "-A RH-Firewall-1-INPUT -s 10.0.0.0/24 -m state --state NEW -m udp -p udp --dport 123 -j ACCEPT"
    text = RED_HAT_CHAIN.replace("-A RH-Firewall-1-INPUT -i lo", inside + "\n-A RH-Firewall-1-INPUT -i lo")
    assert judge(text)["present"] == [inside]
    assert judge(text)["steps"] == []


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -p udp -m state --state NEW -m udp --dport 123 -s 10.0.0.0/24 -j ACCEPT ",
        "-A INPUT -s 10.0.0.0/255.255.255.0 -p udp -m udp --dport ntp -j ACCEPT",
        "-A INPUT --source 10.0.0.0/24 --protocol udp --destination-port 123 --jump ACCEPT",
        "--append INPUT -s 10.0.0.0/24 -p 17 -m multiport --dports 123 -j ACCEPT",
        "-A INPUT -p udp --dport=123 --src=10.0.0.0/24 -j ACCEPT",
        "-A INPUT -s10.0.0.0/24 -pudp --dport 123:123 -jACCEPT",
        "-A INPUT -s 10.0.0.9/24 -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p UDP -m conntrack --ctstate NEW,ESTABLISHED -m udp --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -m state --state RELATED,NEW -p udp --dport 123 -j ACCEPT",
        '-A INPUT -s 10.0.0.0/24 -p udp -m comment --comment "time for \\"them\\" -j DROP" --dport 123 -j ACCEPT',
        "[17:1292] -A INPUT -s 10.0.0.0/24 -p udp -m udp --dport 123 -j ACCEPT",
        OURS,
    ],
)
def test_the_same_rule_counts_in_any_spelling(rule):
    found = judge(table(rule, REJECT))
    assert (len(found["present"]), found["missing"], found["stale"], found["steps"]) == (1, [], [], [])
    assert found["wider"] == []


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -s 10.0.0.0/25 -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT ! -s 10.0.0.0/24 -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT -s ! 10.0.0.0/24 -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/0.0.0.255 -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p tcp -m tcp --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p udp -m udp --dport 124 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p udp -m udp ! --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p udp -m udp --sport 123 --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -i eth1 -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -d 10.0.0.189 -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p udp -m state --state ESTABLISHED -m udp --dport 123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p udp -m udp --dport 123 -m limit --limit 5/min -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p udp -m udp --dport 123 -j LOG",
        "-A INPUT -s 10.0.0.0/24 -p udp -m udp --dport 123",
        "-A FORWARD -s 10.0.0.0/24 -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT -s timehosts.example -p udp -m udp --dport 123 -j ACCEPT",
        "# " + OURS,
    ],
)
def test_another_rule_is_not_mistaken_for_it(rule):
    assert judge(table(rule, REJECT))["missing"] == [OURS]


def test_a_rule_behind_the_reject_does_not_count_and_is_left_if_it_is_not_ours():
    late = "-A INPUT -s 10.0.0.0/24 -p udp --dport 123 -j ACCEPT"
    found = judge(table(REJECT, late))
    assert (found["missing"], found["stale"]) == ([OURS], [])
    assert rules.edit(table(REJECT, late), LAN) == table(OURS, REJECT, late)


def test_our_rule_behind_the_reject_is_taken_out_before_the_new_one_goes_in():
    found = judge(table(REJECT, OURS))
    assert [(step["verb"], step["arguments"][:3]) for step in found["steps"]] == [
        ("removed", ["-D", "INPUT", "-s"]),
        ("added", ["-I", "INPUT", "1"]),
    ]
    assert rules.edit(table(REJECT, OURS), LAN) == table(OURS, REJECT)


def test_our_rule_for_a_network_that_left_the_pillar_goes_last():
    old = OURS.replace("10.0.0.0/24", "192.0.2.0/24")
    found = judge(table(old, REJECT))
    assert [(step["verb"], step["text"]) for step in found["steps"]] == [("added", OURS), ("removed", old)]
    assert rules.edit(table(old, REJECT), LAN) == table(OURS, REJECT)


def test_no_networks_means_ours_go_and_the_same_rule_of_somebody_else_stays():
    theirs = [
        OURS.replace(" -m comment --comment ntpcluster", ""),
        OURS.replace("--comment ntpcluster", "--comment by-hand"),
    ]
    assert rules.edit(table(*theirs, OURS, REJECT), []) == table(*theirs, REJECT)


def test_a_rule_that_only_has_our_comment_is_not_ours():
    other = "-A INPUT -p tcp -m tcp --dport 123 -m comment --comment ntpcluster -j ACCEPT"
    assert judge(table(other, REJECT), [])["stale"] == []


@pytest.mark.parametrize(
    "end",
    [
        "-A INPUT -j DROP",
        "-A INPUT -p udp -j DROP",
        "-A INPUT -p udp --dport 123 -j REJECT",
        "-A INPUT -p udp -m multiport --dports 53,100:200 -j DROP",
        "-A INPUT -m state --state NEW,INVALID -j DROP",
        "-A INPUT ! -p tcp -j DROP",
        "-A INPUT ! -i lo -j DROP",
        "-A INPUT -s 0.0.0.0/0 -j DROP",
        "-A INPUT -j ends",
        "-A INPUT -i eth0 -j ends",
        "-A INPUT -j outer",
        "-A INPUT -j RETURN",
    ],
)
def test_ours_go_before_every_rule_that_refuses_everyone(end):
    chains = "".join(
        f"{line}\n"
        for line in (
            ":ends - [0:0]",
            ":outer - [0:0]",
            "-A ends -p tcp -j ACCEPT",
            "-A ends -j LOG",
            "-A ends -j DROP",
            "-A outer -p icmp -j RETURN",
            "-A outer -g ends",
        )
    )
    text = table("-A INPUT -i lo -j ACCEPT", end, "-A INPUT -j DROP", chains=chains)
    assert rules.edit(text, LAN) == text.replace(end, OURS + "\n" + end, 1)


@pytest.mark.parametrize(
    "earlier",
    [
        "-A INPUT -s 10.0.0.66 -j DROP",
        "-A INPUT -i eth1 -j DROP",
        "-A INPUT -m state --state INVALID -j DROP",
        "-A INPUT -p tcp -j REJECT",
        "-A INPUT -p udp --dport 161 -j DROP",
        "-A INPUT -m pkttype --pkt-type broadcast -j DROP",
        "-A INPUT -m socket -j DROP",
        "-A INPUT -p udp -m recent --name flood --update --seconds 1 -j DROP",
        "-A INPUT -j bans",
        "-A INPUT -s 10.0.0.66 -j ends",
        "-A INPUT -p tcp -j ends",
        "-A INPUT -i lo -j ends",
        "-A INPUT -j loop",
    ],
)
def test_a_deliberate_ban_stays_ahead_of_ours(earlier):
    chains = "".join(
        f"{line}\n"
        for line in (
            ":bans - [0:0]",
            ":ends - [0:0]",
            ":loop - [0:0]",
            "-A bans -s 10.0.0.66 -j DROP",
            "-A bans -j RETURN",
            "-A bans -j DROP",
            "-A ends -j DROP",
            "-A loop -j loop",
        )
    )
    text = table(earlier, REJECT, chains=chains)
    assert rules.edit(text, LAN) == text.replace(REJECT, OURS + "\n" + REJECT)


def test_packets_let_in_are_not_logged_as_dropped():
    log = '-A INPUT -m limit --limit 5/min -j LOG --log-prefix "dropped: "'
    assert rules.edit(table(log, REJECT), LAN) == table(OURS, log, REJECT)
    assert rules.edit(table(log, policy="DROP"), LAN) == table(OURS, log, policy="DROP")


def test_with_a_policy_of_drop_ours_go_to_the_end_of_the_chain():
    ssh = "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"
    text = table(ssh, "-A FORWARD -j DROP", policy="DROP")
    assert rules.edit(text, LAN) == table(ssh, OURS, "-A FORWARD -j DROP", policy="DROP")
    assert judge(text)["steps"][0]["arguments"][2] == "2"


def test_an_empty_chain_gets_its_first_rule():
    assert rules.edit(table(), LAN) == table(OURS)
    assert judge(table())["steps"][0]["arguments"][2] == "1"


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", "*filter\n-A INPUT -j DROP\n"]
)
def test_a_file_without_a_complete_filter_table_is_left_alone(text):
    assert rules.edit(text, LAN) == text
    assert judge(text) is None


def test_rules_of_other_tables_are_not_looked_at():
    nat = "*nat\n:INPUT ACCEPT [0:0]\n" + OURS + "\nCOMMIT\n"
    assert rules.edit(table(REJECT, before=nat), LAN) == table(OURS, REJECT, before=nat)


def test_a_guarded_chain_is_distinguished_from_an_open_one():
    assert not judge(table())["guarded"]
    assert judge(table(policy="DROP"))["guarded"]
    assert judge(table("-A INPUT -i lo -j ACCEPT"))["guarded"]
    assert not judge(table("-A FORWARD -j DROP"))["guarded"]


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT -m state --state NEW -m udp -p udp --dport 123 -j ACCEPT",
        "-A INPUT -i eth0 -p udp -m multiport --dports 53,123 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/8 -j ACCEPT",
        "-A INPUT -s 192.0.2.1 -p udp --dport 123 -j ACCEPT",
        "-A INPUT ! -s 10.0.0.0/25 -p udp --dport 123 -j ACCEPT",
        "-A INPUT -p udp -j ACCEPT",
        "-A INPUT -j ACCEPT",
    ],
)
def test_a_rule_that_lets_in_more_than_the_pillar_is_named_and_left(rule):
    found = judge(table(rule, REJECT))
    assert found["wider"] == [rule]
    assert rules.edit(table(rule, REJECT), LAN) == table(rule, OURS, REJECT)


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT",
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -p tcp -j ACCEPT",
        "-A INPUT -s 192.0.2.1 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/25 -j ACCEPT",
        "-A INPUT -p udp --dport 161 -j ACCEPT",
        OURS.replace("10.0.0.0/24", "10.9.0.0/16"),
    ],
)
def test_a_rule_that_is_not_about_time_or_stays_within_the_pillar_is_not_called_wide(rule):
    assert judge(table(rule, REJECT))["wider"] == []


def test_a_firewall_that_refuses_nobody_is_called_wide():
    assert judge(table("-A INPUT -i lo -j ACCEPT"))["wider"] == ["-P INPUT ACCEPT"]
    assert judge(table("-A INPUT -i lo -j ACCEPT", policy="DROP"))["wider"] == []


def test_a_host_that_serves_nobody_is_not_told_about_wide_rules():
    assert judge(table("-A INPUT -p udp --dport 123 -j ACCEPT", REJECT), [])["wider"] == []


@pytest.mark.parametrize("ban", ["-A INPUT -s 10.0.0.0/25 -j DROP", "-A INPUT -i eth1 -j REJECT"])
def test_a_ban_ahead_of_the_rule_is_named_and_one_behind_it_is_not(ban):
    assert judge(table(ban, OURS, REJECT))["blocked"] == [ban]
    assert judge(table(ban, REJECT))["blocked"] == [ban]
    assert judge(table(OURS, ban, REJECT))["blocked"] == []


def test_each_family_takes_its_own_networks():
    networks = ["10.0.0.0/24", "2001:db8::/64", "2001:db8:0:0::/64"]
    assert rules.judge(STOCK, networks, "ipv4")["networks"] == ["10.0.0.0/24"]
    found = rules.judge(table("-A INPUT -j REJECT --reject-with icmp6-adm-prohibited"), networks, "ipv6")
    assert [step["arguments"][3:5] for step in found["steps"]] == [["-s", "2001:db8::/64"]]


def test_everyone_is_a_network_without_a_source():
    text = table(REJECT)
    for network, family in (("0.0.0.0/0", "ipv4"), ("::/0", "ipv6")):
        (step,) = rules.judge(text, [network], family)["steps"]
        assert step["arguments"][3:5] == ["-p", "udp"]
        opened = rules.edit(text, [network], family)
        assert rules.judge(opened, [network], family)["steps"] == []
        assert rules.judge(opened, [network], family)["wider"] == []


@pytest.mark.parametrize(
    "networks",
    [
        ["10.0.0.1/24"],
        ["10.0.0.0/24 -j ACCEPT"],
        ["-10.0.0.0/24"],
        ["timehosts.example"],
        ["fe80::%eth0/64"],
        ["10.0.0.0/0.0.0.255"],
        [""],
        [10],
        [True],
        [None],
        [["10.0.0.0/24"]],
        "10.0.0.0/24",
        None,
    ],
)
def test_only_networks_get_into_a_command(networks):
    for function in (rules.judge, rules.edit):
        with pytest.raises(SaltInvocationError, match="10.0.0.0/24"):
            function(STOCK, networks)


# Random rules: a model of the chain decides which rules match a packet, independently of the code under test.

NETWORKS = ["10.0.0.0/24", "192.0.2.0/25"]
SOURCES = {
    "10.0.0.0/24": ["10.0.0.0/24", "10.0.0.0/255.255.255.0", "10.0.0.77/24"],
    "192.0.2.0/25": ["192.0.2.0/25", "192.0.2.0/255.255.255.128"],
    "10.0.0.0/8": ["10.0.0.0/8", "10.0.0.0/255.0.0.0"],
    "10.0.0.66/32": ["10.0.0.66", "10.0.0.66/32", "10.0.0.66/255.255.255.255"],
    None: [None, "0.0.0.0/0"],
}
MEMBERS = {  # a packet from the key has its source in each of these
    "10.0.0.5": ["10.0.0.0/24", "10.0.0.0/8", None],
    "10.0.0.66": ["10.0.0.66/32", "10.0.0.0/24", "10.0.0.0/8", None],
    "10.7.7.7": ["10.0.0.0/8", None],
    "192.0.2.9": ["192.0.2.0/25", None],
    "203.0.113.1": [None],
}
PORTS = {123: ["--dport 123", "--dport ntp", "--destination-port 123"], 161: ["--dport 161"], None: [""]}
TARGETS = ["ACCEPT", "ACCEPT", "DROP", "REJECT", "LOG"]


@st.composite
def spelled_rules(draw):
    """A rule as (source, port, target, ours) and its text in a random spelling."""
    source = draw(st.sampled_from(sorted(SOURCES, key=str)))
    port = draw(st.sampled_from([123, 161, None]))
    target = draw(st.sampled_from(TARGETS))
    ours = draw(st.booleans()) and port == 123 and target == "ACCEPT"
    parts = [draw(st.sampled_from(["", "-m state --state NEW", "-m conntrack --ctstate NEW,INVALID"]))]
    address = draw(st.sampled_from(SOURCES[source]))
    parts.append(draw(st.sampled_from(["-s", "--source"])) + " " + address if address else "")
    parts.append(
        draw(st.sampled_from(["-p udp", "-p 17", "--protocol udp", "-p udp -m udp"]))
        + " "
        + draw(st.sampled_from(PORTS[port]))
    )
    comment = "ntpcluster" if ours else draw(st.sampled_from(["", '"by -j DROP hand"']))
    parts.append("-m comment --comment " + comment if comment else "")
    parts = [part for part in draw(st.permutations(parts)) if part]
    text = " ".join(["-A INPUT", *parts, "-j", target]) + draw(st.sampled_from(["", " "]))
    return (source, port, target, ours), draw(st.sampled_from(["", "", "[3:228] "])) + text


def verdict(chain, address, port, policy):
    """What becomes of a new UDP packet that walks this chain."""
    for source, rule_port, target, _ in chain:
        if source in MEMBERS[address] and rule_port in (None, port) and target != "LOG":
            return "ACCEPT" if target == "ACCEPT" else "refused"
    return "ACCEPT" if policy == "ACCEPT" else "refused"


def chain_of(text, known):
    """The chain of a table whose foreign lines are known and whose other lines are ours."""
    chain = []
    for line in text.split("\n"):
        if line in known:
            chain.append(known[line])
        elif "-A INPUT" in line:
            chain.append((re.search(r"-s (\S+)", line).group(1), 123, "ACCEPT", True))
    return chain


@given(st.lists(spelled_rules(), max_size=8), st.sampled_from(["ACCEPT", "DROP"]), st.sets(st.sampled_from(NETWORKS)))
def test_any_rules_are_edited_once_and_no_other_line_ever_changes(drawn, policy, networks):
    networks = sorted(networks)
    known = {line: rule for rule, line in drawn}
    text = table(*(line for _, line in drawn), policy=policy)
    edited = rules.edit(text, networks)

    assert rules.edit(edited, networks) == edited
    assert judge(edited, networks)["steps"] == []

    ours = {line for rule, line in drawn if rule[3]}
    added = {rules._text(network) for network in rules._wanted(networks, 4)}
    foreign = [line for line in text.split("\n") if line not in ours | added]
    assert [line for line in edited.split("\n") if line not in ours | added] == foreign

    closed = rules.edit(edited, [])
    assert [line for line in closed.split("\n") if line not in ours] == foreign
    if not ours:
        assert closed == text

    before, after = chain_of(text, known), chain_of(edited, known)
    without = chain_of(rules.edit(text, []), known)
    for address in MEMBERS:
        assert verdict(after, address, 161, policy) == verdict(before, address, 161, policy)
        if not any(network in MEMBERS[address] for network in networks):
            assert verdict(after, address, 123, policy) == verdict(without, address, 123, policy)
            continue
        # the wanted clients get in, unless a rule bans exactly their addresses
        bans = [rule for rule in without if rule[2] not in ("DROP", "REJECT") or rule[0]]
        if verdict(bans, address, 123, "ACCEPT") == "ACCEPT":
            assert verdict(after, address, 123, policy) == "ACCEPT"


@given(st.lists(spelled_rules(), max_size=8), st.sampled_from(["ACCEPT", "DROP"]), st.sets(st.sampled_from(NETWORKS)))
def test_any_rules_get_the_same_live_as_in_the_file(drawn, policy, networks):
    networks = sorted(networks)
    lines = [parse.COUNTERS.sub("", line).strip() for _, line in drawn]
    text = table(*lines, policy=policy)
    live = list(lines)
    for step in judge(text, networks)["steps"]:
        arguments = step["arguments"]
        if arguments[0] == "-D":  # iptables deletes the first rule with the same meaning
            same = [parse._tokens(line)[2:] for line in live].index(arguments[2:])
            assert live.pop(same) == step["text"]
        else:
            live.insert(int(arguments[2]) - 1, step["text"])
    assert table(*live, policy=policy) == rules.edit(text, networks)
