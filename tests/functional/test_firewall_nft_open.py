"""UDP 123 opened in rules that somebody made with nft: with one rule of ours in each chain on the path, and no other change."""

from __future__ import annotations

import pytest

from _modules import ntpcluster_firewall as firewall
from _modules import ntpcluster_firewall_nft_rules as nft_rules
from _states import ntpcluster_firewall as states
from tests.functional.firewalled import INSIDE, INSIDE6, LAN, NEEDS, OUTSIDE, OUTSIDE6, answered
from tests.functional.test_firewall_hooks import (
    DEBIANS_OWN,
    DOCKERS_CHAINS,
    FAIL2BAN,
    FIREWALLD,
    INPUT,
    iptables,
    nft_load,
)

pytestmark = NEEDS
TWO = [*LAN, "fd00:123::/64"]
RULES = [
    'ip saddr 10.123.0.0/24 udp dport 123 accept comment "ntpcluster"',
    'ip6 saddr fd00:123::/64 udp dport 123 accept comment "ntpcluster"',
]

BEGINNING = (
    "ct state invalid drop; ct state established accept; "
    "iifname lo accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
)
BEGINNING4 = "ct state established accept; iifname lo accept"
ENDS = {
    "policy drop": ("", "drop", ""),
    "final reject": ("", "accept", "counter reject"),
    "final drop by jump": ('chain end { log prefix "x"; drop; }', "accept", "jump end"),
}


def chain(family: str, table: str, end: str, name: str = "input", priority: int = 0) -> str:
    more, policy, last = ENDS[end]
    begin = BEGINNING4 if family == "ip" else BEGINNING
    more = more.replace("chain end", f"chain {name}_end")
    last = last.replace("jump end", f"jump {name}_end")
    head = f"type filter hook input priority {priority}; policy {policy};"
    return f"table {family} {table} {{ {more}; chain {name} {{ {head} {begin}; tcp dport 22 accept; {last}; }}; }}\n"


# Docker 28 keeps packets to its containers that come by another way
DOCKERS_RAW = [
    "-t raw -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP",
    "-t raw -A PREROUTING -d 172.17.0.2/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP",
]
TABLES = {
    "ip and ip6 filter": lambda end: chain("ip", "filter", end) + chain("ip6", "filter", end),
    "inet filter": lambda end: chain("inet", "filter", end),
    "inet beside Docker": lambda end: chain("inet", "filter", end),
    "inet beside newer Docker": lambda end: chain("inet", "filter", end),
    "two base chains": lambda end: chain("inet", "one", end, priority=-5) + chain("inet", "one", end, "late", 10),
    "two tables": lambda end: chain("inet", "one", end, priority=-5) + chain("inet", "two", end, priority=10),
}


@pytest.fixture
def modern(host):
    """A current host: no iptables service, no iptables rules, and nftables.service enabled."""
    host.run("iptables-" + host.backend, "-F")
    host.run("nft", "flush", "ruleset")
    host.file.unlink()
    host.lock.unlink()
    host.service = False
    return host


@pytest.fixture
def boots(modern, monkeypatch):
    (modern.folder / "nftables.service").touch()
    monkeypatch.setattr(nft_rules, "ENABLED", str(modern.folder / "nftables.service"))
    return modern.folder / "nftables.conf"


def ruleset(host) -> str:
    return host.run("nft", "-s", "list", "ruleset").stdout


def answers(host) -> list[str]:
    return [source for source in (INSIDE, INSIDE6, OUTSIDE, OUTSIDE6) if answered(host, source)]


@pytest.mark.parametrize("host", ["nft"], indirect=True)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("tables", TABLES)
def test_the_port_is_open_only_to_clients_live_and_after_a_boot(modern, boots, monkeypatch, tables, end):
    text = "#!/usr/sbin/nft -f\nflush ruleset\n" + TABLES[tables](end)
    boots.write_text(text)
    nft_load(modern, text)
    if "Docker" in tables:
        iptables(modern, *DOCKERS_CHAINS)
    if "newer" in tables:
        iptables(modern, *DOCKERS_RAW)
        iptables(modern, *(rule.replace("172.17.0.2/32", "fd17::2/128") for rule in DOCKERS_RAW), program="ip6tables")
    before = ruleset(modern)
    assert answers(modern) == []

    monkeypatch.setattr(states, "__opts__", {"test": True})
    would = states.opened("open", networks=TWO)
    assert (would["result"], ruleset(modern), boots.read_text()) == (None, before, text), would["comment"]
    monkeypatch.setattr(states, "__opts__", {"test": False})
    done = states.opened("open", networks=TWO)
    assert (done["result"], done["changes"]) == (True, would["changes"]), done["comment"]
    assert sorted(done["changes"]) == ["ipv4", "ipv4 saved", "ipv6", "ipv6 saved"]
    assert answers(modern) == [INSIDE, INSIDE6]
    assert "at the next boot" not in done["comment"]

    modern.calls.clear()
    again = states.opened("open", networks=TWO)
    assert (again["result"], again["changes"]) == (True, {}), again["comment"]
    assert [command[0].rpartition("/")[2] for command in modern.calls] == ["nft", "nft"]  # one call checks the file

    nft_load(modern, boots.read_text())
    assert answers(modern) == [INSIDE, INSIDE6]
    again = states.opened("open", networks=TWO)
    assert (again["result"], again["changes"]) == (True, {}), again["comment"]

    assert states.absent("close")["result"] is True
    assert boots.read_text() == text
    assert answers(modern) == []
    if "Docker" not in tables:
        assert ruleset(modern) == before
    assert states.absent("close")["changes"] == {}


@pytest.mark.parametrize(
    "ruleset",
    [
        DEBIANS_OWN % "",
        FIREWALLD % "",
        "table inet t { chain i { type filter hook input priority 0; udp dport vmap { 123 : drop, 53 : accept }; }; }",
        INPUT % ("set s { type ipv4_addr; }", "drop", "ip saddr @s accept"),
        INPUT % ("set s { type ipv4_addr; }", "accept", "ip saddr != @s drop"),
        INPUT % ("map m { type inet_service : verdict; }", "drop", "udp dport vmap @m"),
        INPUT % ("", "accept", "fib daddr type local udp dport 123 drop"),
        INPUT % ("", "drop", "ip saddr . udp dport { 10.0.0.0/8 . 53 } accept"),
        INPUT % ("", "drop", "iifname eth9 udp dport 123 accept"),
        INPUT % ("chain c { iifname eth9 return; drop; }", "accept", "jump c"),
    ],
)
def test_our_rule_precedes_every_rule_that_refuses_everybody(host, testmode, ruleset):
    nft_load(host, ruleset)
    assert not answered(host, INSIDE)
    ret = states.opened("open")
    assert ret["result"] is (None if testmode else True), ret["comment"]
    if not testmode:
        assert answered(host, INSIDE)
        assert states.opened("open")["changes"] == {}
        assert not answered(host, OUTSIDE)
    states.absent("close")
    assert "ntpcluster" not in host.run("nft", "list", "ruleset").stdout


@pytest.mark.parametrize("host", ["nft"], indirect=True)
@pytest.mark.parametrize("source", [INSIDE, INSIDE6])
def test_a_flow_that_is_known_outlives_the_rule_so_whoever_looks_has_to_ask_from_another_port(modern, source):
    nft_load(modern, chain("inet", "filter", "final reject"))
    states.opened("open", networks=TWO)
    assert answered(modern, source, port=9999)
    states.absent("close")
    assert answered(modern, source, port=9999), "the flow of a moment ago"
    assert not answered(modern, source)


BANNED = "table inet t { chain i { type filter hook input priority 0; policy drop; ip saddr 10.123.0.2 drop; }; }"


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_a_ban_stays_in_force_live_and_in_the_file(modern, boots):
    text = "flush ruleset\n" + BANNED
    boots.write_text(text)
    nft_load(modern, text)
    ret = states.opened("open")
    assert ret["result"] is True
    assert "may block served networks: nft: inet t i: ip saddr 10.123.0.2 drop" in ret["comment"]
    assert "are lost at the next boot" in ret["comment"]
    assert boots.read_text() == text
    assert not answered(modern, INSIDE)
    assert RULES[0] in ruleset(modern)


@pytest.mark.parametrize("host", ["nft"], indirect=True)
@pytest.mark.parametrize("text", ["", "flush ruleset\n", "flush ruleset\ntable inet other { chain input { }; }\n"])
def test_a_file_without_the_chain_is_not_changed_and_reported(modern, boots, text):
    boots.write_text(text)
    nft_load(modern, chain("inet", "filter", "policy drop"))
    ret = states.opened("open")
    assert ret["result"] is True
    assert "are lost at the next boot" in ret["comment"]
    assert boots.read_text() == text
    assert answered(modern, INSIDE)


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_our_line_is_removed_from_a_file_that_would_not_load(modern, boots):
    text = "flush ruleset\n" + chain("inet", "filter", "policy drop")
    boots.write_text(text)
    nft_load(modern, text)
    states.opened("open")
    renamed = boots.read_text().replace("chain input", "chain inbound")
    boots.write_text(renamed)
    assert modern.run("nft", "-c", "-f", str(boots), check=False).returncode != 0
    ret = states.opened("open")
    assert (ret["result"], list(ret["changes"])) == (True, ["ipv4 saved"])
    assert "are lost at the next boot" in ret["comment"]
    assert boots.read_text() == text.replace("chain input", "chain inbound")
    assert modern.run("nft", "-c", "-f", str(boots)).returncode == 0


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_a_file_that_no_service_loads_is_not_changed(modern):
    boots = modern.folder / "nftables.conf"
    text = "flush ruleset\n" + chain("inet", "filter", "policy drop")
    boots.write_text(text)
    nft_load(modern, text)
    ret = states.opened("open")
    assert "are lost at the next boot" in ret["comment"]
    assert boots.read_text() == text


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_a_changed_pillar_changes_the_admitted_networks(modern, boots):
    text = "flush ruleset\n" + chain("inet", "filter", "final reject").rstrip("\n")
    boots.write_text(text)
    nft_load(modern, text)
    states.opened("open")
    ret = states.opened("open", networks=["10.123.1.0/24"])
    new = RULES[0].replace("10.123.0.0", "10.123.1.0")
    assert ret["changes"]["ipv4"] == {
        "added": ["nft: inet filter input: " + new],
        "removed": ["nft: inet filter input: ip saddr 10.123.0.0/24 udp dport 123 accept"],
    }
    assert boots.read_text() == text + "\ninsert rule inet filter input " + new
    assert answers(modern) == [OUTSIDE]
    states.absent("close")
    assert boots.read_text() == text


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_every_network_can_be_served(modern):
    nft_load(modern, chain("inet", "filter", "final reject") + chain("ip", "own", "policy drop"))
    ret = states.opened("open", networks=["0.0.0.0/0", "::/0"])
    assert ret["result"] is True, ret["comment"]
    assert answers(modern) == [INSIDE, INSIDE6, OUTSIDE, OUTSIDE6]
    assert states.opened("open", networks=["0.0.0.0/0", "::/0"])["changes"] == {}


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_a_change_that_nft_refuses_fails_the_state_and_changes_nothing(modern, monkeypatch):
    nft_load(modern, chain("inet", "filter", "policy drop"))
    before = ruleset(modern)
    real = modern.run_all

    def refused(command, **how):
        if "-c" in command:
            how["stdin"] += "nonsense\n"
        return real(command, **how)

    monkeypatch.setitem(nft_rules.__salt__, "cmd.run_all", refused)
    ret = states.opened("open")
    assert (ret["result"], ret["changes"], ruleset(modern)) == (False, {}, before)
    assert "nft refuses" in ret["comment"]


@pytest.mark.parametrize("host", ["nft"], indirect=True)
@pytest.mark.parametrize(
    "last", ["policy", "-j REJECT", "-m recent --name x --rcheck -j DROP", "-m mac ! --mac-source 0:0:0:0:0:0 -j DROP"]
)
def test_rules_of_iptables_beside_those_of_nft_are_read_by_nft_alone_where_it_shows_enough(modern, last):
    for program in ("iptables", "ip6tables"):
        end = ["-P INPUT DROP"] if last == "policy" else ["-A INPUT " + last]
        begin = ["-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -p ipv6-icmp -j ACCEPT"]
        iptables(modern, *begin, "-A INPUT -p tcp --dport 22 -j ACCEPT", *end, program=program)
    nft_load(modern, FAIL2BAN % "")
    enough = last in ("policy", "-j REJECT")
    states.opened("open", networks=TWO)
    modern.calls.clear()
    report = firewall.firewall(networks=TWO)
    programs = [command[0].rpartition("/")[2] for command in modern.calls]
    assert programs == (["nft"] if enough else ["nft", "iptables-nft-save", "ip6tables-nft-save"])
    for family, present in (("ipv4", RULES[0]), ("ipv6", RULES[1])):
        found = report[family]
        assert (found["running"], found["missing"], found["stale"], found["refused"]) == (True, [], [], {})
        assert len(found["present"]) == 1 and (present.split(" udp")[0] in found["present"][0] or not enough)
    again = states.opened("open", networks=TWO)
    assert (again["result"], again["changes"]) == (True, {}), again["comment"]
    assert not enough or answers(modern) == [INSIDE, INSIDE6]
    moved = states.opened("open", networks=["10.123.1.0/24"])
    assert sorted(moved["changes"]) == ["ipv4", "ipv6"]
    assert states.absent("close")["changes"]["ipv4"]["removed"]
    assert "ntpcluster" not in ruleset(modern)


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_the_message_names_the_firewall_in_use(modern):
    assert firewall.firewall()["ipv4"]["guard"] is None
    nft_load(modern, chain("inet", "filter", "policy drop"))
    assert firewall.firewall()["ipv4"]["guard"] == "nft"


@pytest.mark.parametrize("host", ["nft"], indirect=True)
@pytest.mark.parametrize("iptables", [True, False])
@pytest.mark.parametrize("end", ENDS)
def test_an_nft_chain_named_like_one_of_iptables_is_opened_by_nft(modern, boots, monkeypatch, end, iptables):
    text = "flush ruleset\n" + chain("ip", "filter", end, "INPUT") + chain("ip6", "filter", end, "INPUT")
    boots.write_text(text)
    nft_load(modern, text)
    if not iptables:
        found = firewall.salt.utils.path.which
        monkeypatch.setattr(firewall.salt.utils.path, "which", lambda name: None if "tables" in name else found(name))
    before = ruleset(modern)
    assert answers(modern) == []
    done = states.opened("open", networks=TWO)
    assert done["result"] is True, done["comment"]
    assert answers(modern) == [INSIDE, INSIDE6]
    assert states.opened("open", networks=TWO)["changes"] == {}
    nft_load(modern, boots.read_text())
    assert answers(modern) == [INSIDE, INSIDE6]
    assert states.absent("close")["result"] is True
    assert (ruleset(modern), boots.read_text()) == (before, text)


@pytest.mark.parametrize("host", ["nft"], indirect=True)
@pytest.mark.parametrize("live", ["", "udp dport 123 accept"])
def test_a_file_that_closes_the_port_at_the_next_boot_is_reported(modern, boots, live):
    """The live rules do not need ours: the file's have not been loaded yet, or somebody opened the port by hand."""
    closed = "flush ruleset\n" + chain("inet", "filter", "policy drop")
    boots.write_text(closed)
    if live:
        nft_load(modern, closed + f"insert rule inet filter input {live}\n")
    ret = states.opened("open", networks=TWO)
    assert (ret["result"], ret["changes"]) == (True, {}), ret["comment"]
    assert f"After the next boot, UDP 123 may be closed: it loads {boots}" in ret["comment"]
    assert answered(modern, INSIDE)
    nft_load(modern, boots.read_text())
    assert not answered(modern, INSIDE)
    assert "may be closed" not in states.opened("open", networks=TWO)["comment"]


@pytest.mark.parametrize("host", ["nft"], indirect=True)
def test_a_file_that_opens_the_port_itself_is_not_reported(modern, boots):
    text = (
        "flush ruleset\n"
        + chain("inet", "filter", "policy drop")
        + "insert rule inet filter input udp dport ntp accept\n"
    )
    boots.write_text(text)
    nft_load(modern, text)
    ret = states.opened("open", networks=TWO)
    assert (ret["result"], "may be closed" in ret["comment"], boots.read_text()) == (True, False, text)
