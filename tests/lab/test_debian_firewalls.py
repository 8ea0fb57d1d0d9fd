"""UDP 123 on a Debian 13 host with rules of nft, and with ufw: open to its clients, live, after a reload and after a boot."""

from __future__ import annotations

import base64
import subprocess

import pytest

from tests.lab.guarded import INSIDE, answers, guarded, reboot, state
from tests.lab.images import CACHE
from tests.lab.solo import programs

BOOTS = "/etc/nftables.conf"
RULESET = """#!/usr/sbin/nft -f
flush ruleset
define ADMINS = { 10.0.0.1, 10.0.0.2 }

table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
		ct state { established, related } accept
		ct state invalid drop
		iif lo accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		ip saddr $ADMINS tcp dport 22 accept
		jump last
	}
	chain last {
		limit rate 3/minute log prefix "refused "
		reject
	}
}
table inet early {
	chain in { type filter hook input priority -10; policy drop; tcp dport 22 accept; icmpv6 type 135-136 accept; }
}
"""


@pytest.fixture(scope="module")
def fresh():
    with guarded("debian13") as host:
        yield host


def last(host) -> dict:
    """The message of an apply that has nothing to do."""
    again = state(host)
    assert (again["result"], again["changes"]) == (True, {}), again["comment"]
    return again


def opened(host) -> None:
    """Assert that a dry run predicts the opening, an apply opens, and a further apply has nothing to do."""
    assert answers(host) == []
    would = state(host, "opened", "test=True")
    assert would["result"] is None, would["comment"]
    assert answers(host) == []
    done = state(host)
    assert (done["result"], done["changes"]) == (True, would["changes"]), done["comment"]
    assert answers(host) == list(INSIDE)
    assert "at the next boot" not in last(host)["comment"]


def closed_again(host, reload: list[str]) -> None:
    """Assert that it stays open after a reload and a boot, and closes on request."""
    for again in (lambda: host.run(reload).check(), lambda: reboot(host)):
        again()
        assert answers(host) == list(INSIDE)
        last(host)
    assert state(host, "absent")["result"] is True
    assert answers(host) == []


@pytest.fixture
def nft(fresh):
    before = fresh.read(BOOTS)
    fresh.write(BOOTS, RULESET, 0o755)
    fresh.run(["systemctl", "enable", "--now", "nftables"]).check()
    yield fresh
    fresh.run(["systemctl", "disable", "--now", "nftables"]).check()
    fresh.write(BOOTS, before, 0o755)


def test_rules_of_nft_are_opened_and_closed_again(nft):
    before = nft.run(["nft", "-s", "list", "ruleset"]).check().out
    opened(nft)
    closed_again(nft, ["systemctl", "reload", "nftables"])
    assert nft.read(BOOTS) == RULESET
    assert nft.run(["nft", "-s", "list", "ruleset"]).check().out == before


def package(name: str) -> bytes:
    """An architecture-independent package of Debian, downloaded once; the lab's hosts have no network access."""
    folder = CACHE / "ufw"
    folder.mkdir(exist_ok=True)
    if not list(folder.glob(f"{name}_*.deb")):
        subprocess.run(["apt-get", "-qq", "download", name], cwd=folder, check=True, capture_output=True)
    return next(folder.glob(f"{name}_*.deb")).read_bytes()


@pytest.fixture
def ufw(fresh):
    sent = base64.b64encode(package("ufw")).decode()
    fresh.run(["sh", "-c", "base64 -d > /root/ufw.deb"], stdin=sent).check()
    fresh.run(["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "-i", "/root/ufw.deb"]).check()
    fresh.run(["ufw", "allow", "22/tcp"]).check()
    fresh.run(["ufw", "--force", "enable"]).check()
    yield fresh
    fresh.run(["ufw", "--force", "disable"])
    fresh.run(["dpkg", "--purge", "ufw"])
    fresh.run(["nft", "flush", "ruleset"]).check()


def rules(host) -> list[str]:
    files = [host.read(f"/etc/ufw/{name}.rules") for name in ("user", "user6")]
    live = [host.run([f"{name}-save", "-t", "filter"]).check().out for name in ("iptables", "ip6tables")]
    return [line for text in files + live for line in text.splitlines() if line.startswith(("-A", "### tuple"))]


def test_ufw_is_opened_and_closed_again(ufw):
    before = rules(ufw)
    opened(ufw)
    closed_again(ufw, ["ufw", "reload"])
    assert rules(ufw) == before


def test_cleaning_takes_our_rule_out_of_a_ufw_that_has_been_disabled(ufw):
    before = rules(ufw)
    state(ufw)
    ufw.run(["ufw", "disable"]).check()
    assert state(ufw, "absent")["result"] is True
    ufw.run(["ufw", "--force", "enable"]).check()
    assert rules(ufw) == before


def test_a_ufw_rule_that_blocks_them_fails_the_state_and_stays(ufw):
    ufw.run(["ufw", "deny", "proto", "udp", "to", "any", "port", "123"]).check()
    done = state(ufw)
    assert done["result"] is False
    assert "--dport 123 -j DROP" in done["comment"]
    assert answers(ufw) == []
    state(ufw, "absent")


def test_a_run_without_a_change_starts_two_programs(ufw):
    state(ufw)
    started = programs(ufw, "state.single", "ntpcluster_firewall.opened", "name=x")
    assert started == ["iptables-save", "ip6tables-save"]
    state(ufw, "absent")
