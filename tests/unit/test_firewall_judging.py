"""Judging firewall rules for one network: where our rules go, what blocks it nevertheless, and in which table."""

import re

import pytest

from tests.unit.test_firewall import LAN, OURS, RED_HAT_CHAIN, REJECT, judge, rules, table

LAN_CHAIN = ":LAN - [0:0]\n-A LAN -p tcp -m tcp --dport 22 -j ACCEPT\n-A LAN -j DROP\n"
TRUSTED = ":trusted - [0:0]\n-A trusted -j LOG\n-A trusted -j DROP\n"


@pytest.mark.parametrize(
    "end",
    [
        "-A INPUT -s 10.0.0.0/8 -j LAN",
        "-A INPUT -s 10.0.0.0/24 -i eth0 -j LAN",
        "-A INPUT -s 10.0.0.0/8 -g LAN",
        "-A INPUT ! -s 192.168.0.0/16 -j DROP",
        "-A INPUT ! -s 10.0.0.1/32 -j DROP",
        "-A INPUT -s 10.0.0.0/8 -j RETURN",
    ],
)
def test_ours_go_before_the_end_of_the_way_of_the_network_asked_about(end):
    text = table(end, "-A INPUT -j ACCEPT", policy="DROP", chains=LAN_CHAIN)
    assert rules.edit(text, LAN) == text.replace(end, OURS + "\n" + end, 1)
    found = judge(text)
    assert (found["refused"], found["blocked"]) == ({}, [])
    assert judge(rules.edit(text, LAN))["steps"] == []


def test_each_network_goes_before_its_own_end_live_as_in_the_file():
    networks = ["192.0.2.0/24", "10.0.0.0/24", "10.0.1.0/24"]
    text = table("-A INPUT -s 10.0.0.0/8 -j LAN", "-A INPUT -i lo -j ACCEPT", REJECT, chains=LAN_CHAIN)
    edited = re.findall(r"-A INPUT .*", rules.edit(text, networks))
    assert [line.split()[3] for line in edited] == [
        "10.0.0.0/24",
        "10.0.1.0/24",
        "10.0.0.0/8",
        "lo",
        "192.0.2.0/24",
        "REJECT",
    ]
    live = ["-A INPUT -s 10.0.0.0/8 -j LAN", "-A INPUT -i lo -j ACCEPT", REJECT]
    for step in judge(text, networks)["steps"]:
        live.insert(int(step["arguments"][2]) - 1, step["text"])
    assert live == edited


@pytest.mark.parametrize(
    "ban, quoted",
    [
        ("-A INPUT -s 10.0.0.0/8 -j DROP", None),
        ("-A INPUT -s 10.0.0.0/16 -p udp -m udp --dport 123 -j REJECT", None),
        ("-A INPUT -s 10.0.0.0/16 -j trusted", "-A trusted -j DROP"),
        ("-A INPUT -j bans", "-A bans -s 10.0.0.0/8 -j DROP"),
    ],
)
def test_a_rule_that_blocks_the_whole_network_by_name_is_kept_and_fails_the_state(ban, quoted):
    chains = TRUSTED + ":bans - [0:0]\n-A bans -s 10.0.0.0/8 -j DROP\n"
    text = table(ban, REJECT, chains=chains)
    edited = rules.edit(text, LAN)
    assert edited == text.replace(REJECT, OURS + "\n" + REJECT)
    for found in (judge(text), judge(edited)):
        assert found["refused"] == {"10.0.0.0/24": quoted or ban}
    assert judge(edited)["steps"] == []
    assert judge(table(OURS, ban, REJECT, chains=chains))["refused"] == {}


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -d 10.0.0.1/32 -p udp -m udp --dport 123 -j DROP",
        "-A INPUT -m set --match-set banned src -j DROP",
        "-A INPUT -m set ! --match-set friends src -j REJECT",
        "-A INPUT -m iprange --src-range 10.0.0.5-10.0.0.9 -j DROP",
        "-A INPUT -m mac --mac-source 00:11:22:33:44:55 -j DROP",
        "-A INPUT -p udp -m udp --sport 123 -j DROP",
        "-A INPUT -p udp -m udp --sport 1024:65535 --dport 123 -j DROP",
        "-A INPUT -p udp -m multiport --ports 53,123 -m limit --limit 5/sec -j DROP",
        "-A INPUT -s 10.0.0.128/25 -j RETURN",
        "-A INPUT -p udp -j NFQUEUE --queue-num 0",
        "-A INPUT -i eth1 -j trusted",
    ],
)
def test_a_rule_before_ours_that_may_refuse_some_is_reported(rule):
    found = judge(table(rule, REJECT, policy="DROP", chains=TRUSTED))
    quoted = "-A trusted -j DROP" if rule.endswith("trusted") else rule
    assert found["refused"] == {}
    assert found["blocked"] == [quoted]


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -f -j DROP",
        "-A INPUT -d 224.0.0.0/4 -j DROP",
        "-A INPUT -d 255.255.255.255/32 -j DROP",
        "-A INPUT -m addrtype --dst-type BROADCAST -j DROP",
        "-A INPUT -m pkttype --pkt-type multicast -j DROP",
        "-A INPUT -m iprange --src-range 192.0.2.5-192.0.2.9 -j DROP",
        "-A INPUT -p tcp -m set --match-set banned src -j DROP",
    ],
)
def test_a_rule_that_can_never_refuse_a_request_does_not_matter(rule):
    found = judge(table(rule, REJECT))
    assert (found["refused"], found["blocked"]) == ({}, [])


@pytest.mark.parametrize(
    "bans, refused",
    [
        (["-s 0.0.0.0/1 -j DROP", "-s 128.0.0.0/1 -j DROP"], True),
        (["-s 128.0.0.0/1 -j bans", "-s 0.0.0.0/1 -j REJECT"], True),
        (
            [
                "-s 0.0.0.0/2 -j DROP",
                "-s 128.0.0.0/1 -j DROP",
                "-m iprange --src-range 64.0.0.0-127.255.255.255 -j DROP",
            ],
            True,
        ),
        (["-s 0.0.0.0/1 -j DROP", "-s 128.0.0.0/2 -j DROP"], False),
        (["-s 0.0.0.0/1 -p tcp -j DROP", "-s 128.0.0.0/1 -j DROP"], False),
        (["-s 0.0.0.0/1 -m mac --mac-source 00:11:22:33:44:55 -j DROP", "-s 128.0.0.0/1 -j DROP"], False),
        (["-i eth0 -j ACCEPT", "-s 0.0.0.0/1 -j DROP", "-s 128.0.0.0/1 -j DROP"], False),
        (["-j some", "-s 128.0.0.0/1 -j DROP"], False),
    ],
)
def test_bans_that_together_name_all_of_a_network_refuse_it(bans, refused):
    chains = ":bans - [0:0]\n:some - [0:0]\n-A bans -j DROP\n-A some -i eth0 -j RETURN\n"
    lines = [f"-A INPUT {ban}" for ban in bans]
    found = judge(table(*lines, REJECT, chains=chains + "-A some -s 0.0.0.0/1 -j DROP\n"), ["0.0.0.0/0"])
    last = "-A bans -j DROP" if bans[-1].endswith("bans") else lines[-1]
    assert found["refused"] == ({"0.0.0.0/0": last} if refused else {})
    assert len(found["blocked"]) >= (1 if refused else 2 - any("tcp" in ban for ban in bans))


def test_a_ban_inside_the_chain_of_a_network_stays_in_force():
    chains = LAN_CHAIN.replace("-A LAN -p", "-A LAN -s 10.0.0.66/32 -j DROP\n-A LAN -p")
    text = table("-A INPUT -s 10.0.0.0/8 -j LAN", REJECT, chains=chains)
    inside = OURS.replace("INPUT", "LAN")
    assert rules.edit(text, LAN) == text.replace("-A LAN -j DROP", inside + "\n-A LAN -j DROP")
    (step,) = judge(text)["steps"]
    assert (step["text"], step["arguments"][:3]) == (inside, ["-I", "LAN", "3"])
    assert judge(text)["blocked"] == ["-A LAN -s 10.0.0.66/32 -j DROP"]
    assert rules.edit(rules.edit(text, LAN), []) == text


def test_a_ban_in_a_chain_that_other_rules_share_is_reported_when_ours_come_before_it():
    ban = "-A RH-Firewall-1-INPUT -s 10.0.0.66/32 -j DROP"
    text = RED_HAT_CHAIN.replace("-A RH-Firewall-1-INPUT -i lo", ban + "\n-A RH-Firewall-1-INPUT -i lo")
    assert judge(text)["overtaken"] == [ban]
    assert judge(rules.edit(text, LAN))["overtaken"] == []


def test_ours_before_a_ban_of_the_port_for_everyone_is_reported():
    ban = "-A INPUT -p udp -m udp --dport 123 -j DROP"
    assert judge(table(ban, REJECT))["overtaken"] == [ban]
    assert judge(table(REJECT))["overtaken"] == []


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -p udp -m multiport --ports 123 -j ACCEPT",
        "-A INPUT -d 10.0.0.1/32 -p udp -m udp --dport 123 -j ACCEPT",
        "-A INPUT -p udp -m udp --dport 123 -m limit --limit 5/sec -j ACCEPT",
        "-A INPUT -p udp -m udp --dport 123 -m time --timestart 08:00:00 -j ACCEPT",
        "-A INPUT -p udp -m udp --dport 123 -m iprange --src-range 10.0.0.5-10.0.1.9 -j ACCEPT",
    ],
)
def test_a_rule_for_the_port_with_further_conditions_is_called_wide(rule):
    assert judge(table(rule, REJECT))["wider"] == [rule]


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -p udp -m udp --dport 123 -m iprange --src-range 10.0.0.5-10.0.0.9 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p udp -m udp --dport 123 -m limit --limit 5/sec -j ACCEPT",
        "-A INPUT -m set --match-set desks src -j ACCEPT",
        "-A INPUT -p tcp -m multiport --ports 123 -j ACCEPT",
    ],
)
def test_a_rule_with_further_conditions_within_the_pillar_is_not(rule):
    assert judge(table(rule, REJECT))["wider"] == []


def whole(*sections):
    """What iptables-save prints: sections by table, each with its rules and policies."""
    return "".join("*{}\n{}\nCOMMIT\n".format(name, "\n".join(lines)) for name, *lines in sections)


@pytest.mark.parametrize(
    "section, refused",
    [
        (
            ("raw", "-A PREROUTING -p udp -m udp --dport 123 -j DROP"),
            "-t raw -A PREROUTING -p udp -m udp --dport 123 -j DROP",
        ),
        (("mangle", "-A PREROUTING -s 10.0.0.0/8 -j DROP"), "-t mangle -A PREROUTING -s 10.0.0.0/8 -j DROP"),
        (("security", "-A INPUT -p udp -j DROP"), "-t security -A INPUT -p udp -j DROP"),
        (("raw", "-A OUTPUT -p udp -m udp --sport 123 -j DROP"), "-t raw -A OUTPUT -p udp -m udp --sport 123 -j DROP"),
        (("mangle", ":POSTROUTING DROP [0:0]"), "-t mangle -P POSTROUTING DROP"),
        (("raw", "-A PREROUTING -p tcp -j DROP"), None),
        (("raw", "-A PREROUTING -p udp -m udp --dport 123 -j NOTRACK"), None),
        (("raw", "-A OUTPUT -p udp -m udp --dport 53 -m udp --sport 53 -j DROP"), None),
        (("nat", ":OUTPUT DROP [0:0]", "-A OUTPUT -j DROP"), None),
    ],
)
def test_every_table_that_a_question_and_its_answer_pass_is_judged(section, refused):
    found = judge(whole(section) + table(REJECT))
    assert found["refused"] == ({"10.0.0.0/24": refused} if refused else {})
    assert found["blocked"] == []


@pytest.mark.parametrize(
    "lines, refused, blocked",
    [
        ([":OUTPUT DROP [0:0]"], "-P OUTPUT DROP", []),
        (["-A OUTPUT -p tcp -j ACCEPT", "-A OUTPUT -j REJECT"], "-A OUTPUT -j REJECT", []),
        ([":OUTPUT DROP [0:0]", "-A OUTPUT -m state --state NEW -j ACCEPT"], "-P OUTPUT DROP", []),
        ([":OUTPUT DROP [0:0]", "-A OUTPUT -d 10.0.0.7/32 -j ACCEPT"], "-P OUTPUT DROP", []),
        ([":OUTPUT DROP [0:0]", "-A OUTPUT -m state --state RELATED,ESTABLISHED -j ACCEPT"], None, []),
        ([":OUTPUT DROP [0:0]", "-A OUTPUT -d 10.0.0.0/8 -j ACCEPT"], None, []),
        ([":OUTPUT DROP [0:0]", "-A OUTPUT -p udp -m udp --sport 123 -j ACCEPT"], None, []),
        ([":OUTPUT DROP [0:0]", "-A OUTPUT -o eth0 -j ACCEPT"], None, ["-P OUTPUT DROP"]),
        (["-A OUTPUT -d 10.0.0.66/32 -j DROP"], None, ["-A OUTPUT -d 10.0.0.66/32 -j DROP"]),
        (["-A OUTPUT -p udp -m udp --dport 123 -j DROP"], None, ["-A OUTPUT -p udp -m udp --dport 123 -j DROP"]),
    ],
)
def test_the_answer_has_to_get_out_as_well(lines, refused, blocked):
    found = judge(table(*lines, REJECT))
    assert found["refused"] == ({"10.0.0.0/24": refused} if refused else {})
    assert found["blocked"] == blocked


@pytest.mark.parametrize(
    "raw, state, refused, blocked",
    [
        ("-A PREROUTING -p udp -m udp --dport 123 -j CT --notrack", "ESTABLISHED", True, []),
        ("-A PREROUTING -p udp -m udp --dport 123 -j CT --notrack", "NEW", False, []),
        ("-A OUTPUT -p udp -m udp --sport 123 -j NOTRACK", "ESTABLISHED", True, []),
        ("-A OUTPUT -p udp -m udp --sport 123 -j NOTRACK", "UNTRACKED", False, []),
        ("-A OUTPUT -d 10.0.0.7/32 -p udp -m udp --sport 123 -j NOTRACK", "ESTABLISHED", False, ["-P OUTPUT DROP"]),
        ("-A PREROUTING -p tcp -j CT --notrack", "ESTABLISHED", False, []),
        ("-A PREROUTING -p udp -m udp --dport 69 -j CT --helper tftp", "ESTABLISHED", False, []),
    ],
)
def test_a_flow_that_is_not_tracked_is_not_let_out_as_an_established_one(raw, state, refused, blocked):
    out = table(":OUTPUT DROP [0:0]", f"-A OUTPUT -m conntrack --ctstate {state} -j ACCEPT", REJECT)
    found = judge(whole(("raw", raw)) + out)
    assert found["refused"] == ({"10.0.0.0/24": "-P OUTPUT DROP"} if refused else {})
    assert found["blocked"] == blocked


def test_what_a_comment_says_is_not_taken_for_a_condition():
    drop = '-A PREROUTING -m comment --comment "all but -p tcp goes" -j DROP'
    assert judge(whole(("raw", drop)) + table(REJECT))["refused"] == {"10.0.0.0/24": "-t raw " + drop}


def test_a_chain_that_some_packets_leave_before_its_end_refuses_only_the_others():
    chain = (":c - [0:0]", "-A PREROUTING -j c", "-A c -i eth0 -j RETURN", "-A c -j DROP")
    found = judge(whole(("raw", *chain)) + table(REJECT))
    assert (found["refused"], found["blocked"]) == ({}, ["-t raw -A c -j DROP"])
    found = judge(whole(("raw", *chain, "-A PREROUTING -j DROP")) + table(REJECT))
    assert found["refused"] == {"10.0.0.0/24": "-t raw -A PREROUTING -j DROP"}


# The chains that a packet to UDP 123 passes under ufw, after its before.rules and after.rules, without the logging
UFW = """\
*filter
:INPUT DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-after-input - [0:0]
:ufw-before-input - [0:0]
:ufw-not-local - [0:0]
:ufw-reject-input - [0:0]
:ufw-skip-to-policy-input - [0:0]
:ufw-user-input - [0:0]
-A INPUT -j ufw-before-input
-A INPUT -j ufw-after-input
-A INPUT -j ufw-reject-input
-A ufw-after-input -p udp -m udp --dport 137 -j ufw-skip-to-policy-input
-A ufw-after-input -m addrtype --dst-type BROADCAST -j ufw-skip-to-policy-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -j DROP
-A ufw-skip-to-policy-input -j DROP
-A ufw-user-input -s 10.0.0.66/32 -j DROP
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""


def test_under_ufw_ours_go_behind_its_chains_and_its_bans_stay_in_force():
    last = "-A INPUT -j ufw-reject-input"
    assert rules.edit(UFW, LAN) == UFW.replace(last, last + "\n" + OURS)
    found = judge(UFW)
    assert (found["refused"], found["blocked"]) == ({}, ["-A ufw-user-input -s 10.0.0.66/32 -j DROP"])
    by_ufw = "-A ufw-user-input -s 10.0.0.0/24 -p udp -m udp --dport 123 -j ACCEPT"
    assert judge(UFW.replace("-A ufw-user-input -p", by_ufw + "\n-A ufw-user-input -p"))["present"] == [by_ufw]
