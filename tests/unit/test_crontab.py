"""The command in a crontab that sets the clock, with the tool of each daemon. The lab runs the real ones."""

import pytest

from tests.loaded import FUNCTIONS

SERVERS = ["10.0.0.1", "2001:db8::1", "ntp-1.example.org"]


def command(daemon, servers=SERVERS, minsane=2, options=()):
    platform = {"daemon": daemon, "ntpdate_options": list(options)}
    doing = FUNCTIONS["ntpcluster_daemon.doing"](platform, "crontab")
    return FUNCTIONS[doing]({"platform": platform, "step_tickers": servers, "minsane": minsane})


def test_ntpdate_asks_one_server_after_the_other():
    assert command("ntpd", options=["-p", "1"]) == (
        "for server in 10.0.0.1 2001:db8::1 ntp-1.example.org; do ntpdate -p 1 $server && break; done"
    )


def test_chronyd_asks_all_at_once_and_as_many_agree_as_for_the_daemon():
    sources = " ".join(f'"server {server} iburst maxsamples 1"' for server in SERVERS)
    assert command("chrony") == f'chronyd -q -t 10 {sources} "minsources 2"'
    assert command("chrony", SERVERS[:1], 1) == 'chronyd -q -t 10 "server 10.0.0.1 iburst maxsamples 1"'


@pytest.mark.parametrize("daemon", ["ntpd", "chrony"])
def test_the_command_is_one_quoted_argument_in_the_crontab(daemon):
    """It is in single quotes there, and cron converts % to a newline."""
    assert not set("'%\n") & set(command(daemon))
