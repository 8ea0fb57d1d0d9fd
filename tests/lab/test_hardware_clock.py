"""The state of the hardware clock on a host that follows its servers: wrong, empty, broken, or missing."""

from __future__ import annotations

import pytest

from tests.lab import solo
from tests.lab.cluster import Cluster, Role, failed, wait_until
from tests.lab.solo import call

#: A replacement for hwclock in the path.
DOUBLE = "/usr/local/sbin/hwclock"


@pytest.fixture(scope="module", params=["el6", "modern"])
def host(request, images):
    """A host that was 90 s fast, after its first apply."""
    with Cluster(master=False) as lab:
        made = solo.add(lab, Role("client", "10.0.0.50", request.param), clock=90.0)
        made.lab = lab
        made.real = made.run(["sh", "-c", "command -v hwclock"]).check().out.strip()
        made.first = solo.apply(made)
        assert failed(made.first) == []
        yield made


@pytest.fixture(autouse=True)
def well(host):
    """Each test ends with a working and correct hardware clock."""
    yield
    host.run(["rm", "-f", DOUBLE])
    host.lab.internet.behave()
    host.time.rtc(True)
    host.time.rtc_fault(None)
    host.set_rtc(0)


def single(host, *words):
    """Run only this state: result, whether it changes anything, comment."""
    (state,) = call(host, "state.single", "ntpcluster.hardware_clock", "rtc", *words).values()
    return state["result"], bool(state["changes"]), state["comment"]


def test_a_step_says_why_salt_counts_hours(host):
    (step,) = [state for state in host.first if state["__id__"] == "clock-is-stepped"]
    assert step["changes"] and step["comment"].endswith(
        "Salt's duration includes the step, as Salt measures it with this clock"
    )


def test_a_correct_one_is_not_written_and_no_program_is_started(host):
    host.write(DOUBLE, "#!/bin/sh\ntouch /run/asked\n", 0o755)
    before = host.time.counters["rtc_sets"]
    assert single(host) == (True, False, "the hardware clock is right")
    assert host.run(["test", "-e", "/run/asked"]).rc == 1
    assert host.time.counters["rtc_sets"] == before


def test_one_that_is_a_day_off_is_written_once(host):
    state = solo.written_once(host)
    assert state["changes"]["hardware clock"]["old"].startswith(("+86400 s", "+86399 s", "+86401 s"))


@pytest.mark.parametrize("rhel", [False, True])
def test_one_whose_battery_died_is_written(host, rhel):
    if rhel:
        # A stand-in for util-linux 2.17.2 of RHEL 6, which reads the clock before it sets it, except with --noadjfile
        # (manipulate_clock of its hwclock.c). Everything else is the host's real program.
        host.write(
            DOUBLE,
            f"""#!/bin/sh
case "$*" in
*--noadjfile*) ;;
*--systohc*) {host.real} --show --utc >/dev/null 2>&1 || {{
    echo "RTC_RD_TIME: Invalid argument" >&2
    echo "ioctl() to /dev/rtc to read the time failed." >&2
    exit 74
}} ;;
esac
exec {host.real} "$@"
""",
            0o755,
        )
    host.time.empty_rtc()
    result, changes, comment = single(host, "test=True")
    assert (result, changes) == (None, True)
    result, changes, comment = single(host)
    assert (result, changes) == (True, True), comment
    assert abs(host.rtc_error()) < 2
    assert single(host) == (True, False, "the hardware clock is right")


def test_a_host_without_one_succeeds_and_says_why(host):
    host.time.rtc(False)
    for words in ([], ["test=True"]):
        result, changes, comment = single(host, *words)
        assert (result, changes) == (True, False)
        assert comment.startswith("this host has no hardware clock: ") and "any known method" in comment


@pytest.mark.parametrize("fault", ["read", "write"])
def test_one_that_cannot_be_repaired_fails_and_says_what_to_do(host, fault):
    host.set_rtc(86400)
    host.time.rtc_fault(fault)
    result, changes, comment = single(host)
    assert (result, changes) == (False, False)
    assert ("unreadable" if fault == "read" else "+864") in comment and "hwclock:manage" in comment


def test_a_time_that_may_be_wrong_is_not_written(host):
    service = "ntpd" if host.platform == "el6" else "ntpsec"
    host.run(["service", service, "stop"]).check()
    host.lab.internet.behave(silent=True)
    host.time.empty_rtc()
    before = host.time.counters["rtc_sets"]
    result, changes, comment = single(host)
    assert (result, changes) == (False, False) and "not known to be right" in comment
    assert host.time.counters["rtc_sets"] == before
    host.lab.internet.behave()
    host.run(["service", service, "start"]).check()
    wait_until(lambda: call(host, "ntpcluster.status")["synchronized"], 40, 1)
