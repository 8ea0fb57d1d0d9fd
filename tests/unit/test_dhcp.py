"""Which interface files allow a lease to change ntp.conf. bash itself evaluates the files."""

import subprocess
from pathlib import Path

import pytest
import yaml

from _modules import ntpcluster_dhcp
from tests.loaded import FUNCTIONS

PLATFORMS = yaml.safe_load((Path(__file__).resolve().parents[2] / "salt/ntp/platforms.yaml").read_text())

#: Files of interfaces, and whether dhclient runs for them and takes time servers from the lease.
FILES = {
    "BOOTPROTO=dhcp\n": True,
    "BOOTPROTO=bootp\n": True,
    'BOOTPROTO="dhcp"\n': True,
    "BOOTPROTO='bootp'\n": True,
    "BOOTPROTO=dhcp; X=y\n": True,
    "BOOTPROTO=dhcp;X=y\n": True,
    "X=y; BOOTPROTO=dhcp\n": True,
    "X=y BOOTPROTO=dhcp\n": True,
    "export BOOTPROTO=dhcp\n": True,
    "BOOTPROTO=d'hc'p\n": True,
    "BOOTPROTO=dhcp # by hand\n": True,
    "\tBOOTPROTO=dhcp\n": True,
    "BOOTPROTO=none\nBOOTPROTO=dhcp\n": True,
    "NAME='the \u00e9t\u00e9 card'\nBOOTPROTO=dhcp\n": True,
    "BOOTPROTO=dhcp\nPEERNTP=yes\n": True,
    "BOOTPROTO=dhcp\nPEERNTP=NO\n": True,  # ntp.sh recognises only `no`
    "BOOTPROTO=dhcp\nPEERNTP=no\nPEERNTP=yes\n": True,
    "BOOTPROTO=dhcp\nPEERNTP=no\n": False,
    'BOOTPROTO=dhcp; PEERNTP="no"\n': False,
    "BOOTPROTO=static\n": False,
    "BOOTPROTO=none; X=dhcp\n": False,
    "#BOOTPROTO=dhcp\n": False,
    "MYBOOTPROTO=dhcp\n": False,
    "BOOTPROTO=dhcp\nBOOTPROTO=none\n": False,
    "BOOTPROTO=\n": False,
    "DEVICE=eth0\n": False,
    "": False,
}


@pytest.fixture
def card(tmp_path, monkeypatch):
    """The file of one interface; the platform's pattern finds it in the test's folder."""
    facts = dict(PLATFORMS["RedHat-6"]["dhcp"], files=str(tmp_path / "ifcfg-*"))
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_facts.platform", lambda: {"dhcp": facts})
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_origin.remember_file", lambda path: None)
    return tmp_path / "ifcfg-eth0"


@pytest.mark.parametrize("text", FILES)
def test_a_file_means_what_the_shell_makes_of_it(card, text):
    card.write_text(text)
    # The tests that ifup and dhclient's ntp.sh make.
    asked = f'. {card}; [ "$BOOTPROTO" = dhcp -o "$BOOTPROTO" = bootp ] && [ "$PEERNTP" != no ]'
    assert (subprocess.run(["bash", "-c", asked], check=False).returncode == 0) is FILES[text]
    assert ntpcluster_dhcp.meddles() == ([str(card)] if FILES[text] else [])


@pytest.mark.parametrize("text", [text for text, meddles in FILES.items() if meddles])
def test_a_file_changed_to_ignore_servers_is_otherwise_unchanged(card, text):
    card.write_text(text)
    ntpcluster_dhcp.ignore(str(card))
    assert ntpcluster_dhcp.meddles() == []
    shown = ["bash", "-c", '. "$0"; echo "$BOOTPROTO $X $NAME"']
    before = card.with_name("before")
    before.write_text(text)
    said = [subprocess.run([*shown, file], capture_output=True, check=True).stdout for file in (before, card)]
    assert said[0] == said[1]


def test_a_line_with_more_than_peerntp_stays(card):
    card.write_text("PEERNTP=yes; X=y\nPEERNTP=yes\nBOOTPROTO=dhcp\n")
    ntpcluster_dhcp.ignore(str(card))
    assert card.read_text() == "PEERNTP=yes; X=y\nBOOTPROTO=dhcp\nPEERNTP=no\n"


def test_a_quote_that_is_not_closed_hides_no_lease(card):
    card.write_text("NAME=it's\nBOOTPROTO=\"dhcp\n")
    assert ntpcluster_dhcp.meddles() == [str(card)]


@pytest.mark.parametrize("word", ["auto", "STATIC", "static_fallback"])
def test_netconfig_of_suse_is_configured_to_ignore_time_servers(card, monkeypatch, word):
    """Its policy is one file of shell variables; an empty one means that netconfig does nothing."""
    facts = dict(PLATFORMS["SUSE-15"]["dhcp"], files=str(card))
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_facts.platform", lambda: {"dhcp": facts})
    card.write_text(f'NETCONFIG_DNS_POLICY="auto"\nNETCONFIG_NTP_POLICY="{word}"\n')
    assert ntpcluster_dhcp.meddles() == [str(card)]
    ntpcluster_dhcp.ignore(str(card))
    assert ntpcluster_dhcp.meddles() == []
    asked = ["bash", "-c", '. "$0"; echo "$NETCONFIG_DNS_POLICY:$NETCONFIG_NTP_POLICY"', str(card)]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "auto:\n"
