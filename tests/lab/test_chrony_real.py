"""
A real chronyd 4.3 with the lab's clock: compare what the readers return with the host's state as seen from outside.
"""

from __future__ import annotations

import jinja2
import pytest

from _modules import ntpcluster_chrony
from tests.lab import chrony
from tests.lab.cluster import INTERNET, Role, wait_until
from tests.lab.images import PROJECT
from tests.unit.py2_chrony import ntpcluster_chrony_look, ntpcluster_chronyc

SOURCES = "".join(f"server {address} iburst minpoll 3 maxpoll 3\n" for address in INTERNET)
COMMANDS = list(ntpcluster_chrony.ASKED)
FILES = PROJECT / "salt/ntp/files"


@pytest.fixture(scope="module")
def host(lab):
    return lab.add(Role("clock", "10.0.0.61", "modern"), show=(chrony.fetch(),))


@pytest.fixture(autouse=True)
def quiet(lab, host):
    """Each test begins without a daemon, with the correct time and honest servers."""
    chrony.stop(host)
    host.run(["rm", "-f", "/var/lib/chrony/drift"])
    host.set_clock(0)
    lab.internet.behave()


def look(host, user=0):
    """One run of chronyc, and the look made from it."""
    done = chrony.chronyc(host, "-n", "-c", "-m", "timeout 200", "retries 0", *COMMANDS, user=user)
    read = ntpcluster_chronyc.parse(["timeout 200", "retries 0", *COMMANDS], done.out, done.err, done.rc)
    return ntpcluster_chrony_look.look(read, host.clock())


def followed(host):
    """The row of the selected source, or None."""
    return next((row for row in look(host)["peers"] if row["condition"] == "system_peer"), None)


def test_while_it_slews_the_offset_is_that_of_the_clock(host):
    """2 s behind, and no step allowed. chronyc's own table shows an offset near zero."""
    host.set_clock(-2)
    chrony.start(host, SOURCES)
    wait_until(lambda: abs(look(host)["system"]["offset_ms"]) > 1000, 15)
    behind, row, seen = -host.clock_error() * 1000, followed(host), look(host)
    raw = chrony.chronyc(host, "-n", "-c", "sources").out
    print(raw)
    assert abs(float(raw.splitlines()[0].split(",")[7])) < 0.01
    assert abs(row["offset_ms"] - behind) < 20
    assert abs(seen["system"]["offset_ms"] - behind) < 20
    assert (seen["complete"], seen["error"], seen["missing"]) == (True, None, [])


def test_a_drift_file_of_chronyd_has_the_opposite_sign(host):
    """The kernel and ntpd store the correction, chronyd stores the error."""
    host.run(["sh", "-c", "echo '50.0 1.0' > /var/lib/chrony/drift"]).check()
    chrony.start(host, SOURCES + "driftfile /var/lib/chrony/drift\n")
    wait_until(lambda: look(host)["system"], 5)
    assert abs(look(host)["system"]["frequency_ppm"] + 50) < 5
    assert abs(host.time.frequency_ppm + 50) < 5


def test_without_root_the_sources_are_known_and_marked_as_incomplete(host):
    chrony.start(host, SOURCES)
    wait_until(lambda: followed(host), 15)
    seen = look(host, user=65534)
    assert (seen["complete"], seen["error"], seen["missing"]) == (
        True,
        "not-permitted",
        ["ntpdata", "selectdata", "authdata"],
    )
    assert {row["flash"] for row in seen["peers"]} == {None}


def test_a_daemon_that_hangs_is_detected_within_a_second(host):
    chrony.start(host, SOURCES)
    host.run(["pkill", "-STOP", "-x", "chronyd"]).check()
    done = chrony.chronyc(host, "-n", "-c", "-m", "timeout 200", "retries 0", *COMMANDS)
    host.run(["pkill", "-CONT", "-x", "chronyd"]).check()
    print(f"{done.seconds:.2f} s")
    assert done.seconds < 1.5
    assert ntpcluster_chronyc.parse(COMMANDS, done.out, done.err, done.rc)["error"] == "no-answer"


def test_a_step_by_chronyd_has_no_limit(host):
    """So `step:limit` does not hold with `method: cron`."""
    host.set_clock(500)
    done = chrony.once(host, "-q", "-t", "5", f"server {INTERNET[0]} iburst maxsamples 1", "maxchange 10 0 0")
    assert "seconds (step)" in done.err
    assert abs(host.clock_error()) < 0.05


def test_a_source_that_is_no_longer_synchronised_still_answers(lab, host):
    """Eight polls after its last sample, chronyd's packet counts still show that it answers."""
    chrony.start(host, f"server {INTERNET[0]} iburst minpoll 2 maxpoll 2\n")
    wait_until(lambda: followed(host), 15)
    lab.internet.behave(INTERNET[0], stratum=16, leap=3, refid="")
    wait_until(lambda: look(host)["peers"][0]["reach"] == 0, 60)
    [row] = look(host)["peers"]
    assert (row["answers"], row["flash"], row["stratum"]) == (True, 0x20, 16)
    assert row["when_s"] > 4 * row["poll_s"]


def test_an_orphan_serves_before_it_knows_the_time(host):
    """Where the pillar has `orphan`, chronyd must not start with a wrong clock: docs/chrony.md."""
    host.set_clock(1114)
    chrony.start(host, SOURCES + "local stratum 6 orphan\nallow\n")
    wait_until(lambda: look(host)["system"], 5, 0.05)
    system, off = look(host)["system"], host.clock_error()
    assert (system["leap"], system["stratum"], system["refid"]) == ("none", 6, "127.127.1.1")
    assert off > 1000


def test_keys_of_both_templates_are_the_same_to_ntpsec_and_chronyd(lab, host):
    """40 hexadecimal digits, and characters that are used as they are."""
    keys = [
        {"id": 7, "type": "SHA1", "secret": "0123456789abcdef0123456789abcdef01234567"},
        {"id": 8, "type": "M", "secret": '!a"$%~x'},
    ]

    def render(name):
        calls = {"ntpcluster_plan.plan": lambda secrets: {"keys": keys}}
        return jinja2.Template((FILES / name).read_text(), keep_trailing_newline=True).render(salt=calls)

    server = lab.add(Role("server", "10.0.0.62", "modern"))
    server.run(["apt-get", "-qq", "install", "ntpsec"]).check()
    server.write("/etc/ntpsec/ntp.keys", render("ntp.keys.jinja"))
    server.write("/etc/ntpsec/ntp.conf", f"server {INTERNET[0]} iburst\nkeys /etc/ntpsec/ntp.keys\ntrustedkey 7 8\n")
    server.run(["service", "ntpsec", "restart"]).check()
    host.run(["mkdir", "-p", "/etc/chrony"])
    host.write("/etc/chrony/chrony.keys", render("chrony.keys.jinja"), 0o640)
    for key in (7, 8):
        chrony.start(host, f"keyfile /etc/chrony/chrony.keys\nserver 10.0.0.62 iburst key {key} minpoll 3 maxpoll 3\n")
        wait_until(lambda: look(host)["peers"][0]["authenticated"], 60)
        assert not look(host)["peers"][0]["flash"] & 0x10
