"""The EL6 host behaves as EL6 does.

The lab is only as good as its stand-ins, so the expected values here are what the programs of CentOS 6.5 were observed to print
and return (initscripts 9.03.40, chkconfig 1.3.49.3, ntp 4.2.6p5-1, iptables 1.4.7-11), not what our stand-ins print. `el6` is a
freshly booted host, with nothing deployed on it, only for this module.
"""

import re
import time

import pytest

from tests.lab.cluster import Role, wait_until
from tests.lab.drilling import daemons
from tests.lab.el6_driving import changed, lines, reboot, service, wait_for_boot

#: The names in the stock ntp.conf.
POOL = [f"{number}.centos.pool.ntp.org" for number in range(4)]

CHKCONFIG_LINE = "{:<15}\t0:{}\t1:{}\t2:{}\t3:{}\t4:{}\t5:{}\t6:{}\n"


def chkconfig_line(name, levels):
    return CHKCONFIG_LINE.format(name, *("on" if str(level) in levels else "off" for level in range(7)))


def links(host, name):
    """The S and K links of a service, as rcN.d/SNNname."""
    found = lines(host, "find", "/etc/rc.d", "-name", f"[SK][0-9][0-9]{name}")
    return sorted(path.removeprefix("/etc/rc.d/") for path in found)


def ntpd_pid(host):
    """Wait for ntpd's pid file and return its process: ntpd writes the file after the script has returned."""

    def read():
        return host.run(["cat", "/var/run/ntpd.pid"]).out.strip()

    return wait_until(read, 10)


def kill_ntpd(host):
    """Kill ntpd without giving it a chance to clean up."""
    host.run(["kill", "-KILL", ntpd_pid(host)])
    wait_until(lambda: not daemons(host), 10)


@pytest.fixture(scope="module")
def el6(el6):
    return wait_for_boot(el6)


@pytest.fixture(scope="module")
def ntp(el6):
    """The host with the packages installed from its repository, the stock configuration and a stopped daemon."""
    done = el6.run(["yum", "-q", "-y", "install", "ntp"])
    assert done.rc == 0, done.out + done.err
    # Every name has an address; otherwise the daemon would have a resolver child.
    el6.write("/etc/hosts", el6.read("/etc/hosts") + "".join(f"10.0.0.{n + 1} {name}\n" for n, name in enumerate(POOL)))
    yield el6
    el6.run(["service", "ntpd", "stop"])


@pytest.fixture
def running(ntp):
    """ntpd running; it is stopped and cleaned up afterwards."""
    assert service(ntp, "ntpd", "start")[0] == 0
    ntpd_pid(ntp)
    yield ntp
    ntp.run(["service", "ntpd", "stop"])
    ntp.run(["rm", "-f", "/var/run/ntpd.pid", "/var/lock/subsys/ntpd"])


@pytest.fixture
def script(el6):
    """A service `zz` that chkconfig does not know yet."""
    path = "/etc/rc.d/init.d/zz"
    el6.write(path, "#!/bin/sh\n# chkconfig: - 58 74\n# description: of the tests\n", 0o755)
    yield el6
    el6.run(["chkconfig", "--del", "zz"])
    el6.run(["rm", path])


@pytest.fixture
def clerk(ntp):
    """The host with a stand-in for ntpdate that records its arguments and returns the code in /root/clerk-rc."""
    ntp.run(["mv", "/usr/sbin/ntpdate", "/usr/sbin/ntpdate.real"])
    ntp.write("/usr/sbin/ntpdate", '#!/bin/sh\necho "$@" >> /root/clerk\nexit $(cat /root/clerk-rc)\n', 0o755)
    ntp.write("/root/clerk-rc", "0\n")
    ntp.write("/root/clerk", "")
    yield ntp
    ntp.run(["mv", "/usr/sbin/ntpdate.real", "/usr/sbin/ntpdate"])
    ntp.run(["rm", "-f", "/root/clerk", "/root/clerk-rc", "/var/lock/subsys/ntpdate"])


# -- the system ---------------------------------------------------------------------------------------------


def test_the_release_is_centos_6_5_and_nothing_says_debian(el6):
    assert el6.read("/etc/redhat-release") == "CentOS release 6.5 (Final)\n"
    for path in ("/etc/os-release", "/usr/lib/os-release", "/etc/debian_version", "/etc/lsb-release"):
        assert el6.run(["test", "-e", path]).rc == 1, path


def test_the_host_is_in_run_level_3(el6):
    assert lines(el6, "runlevel") == ["N 3"]


def test_the_files_of_el6_have_its_modes(ntp):
    wanted = {
        "/etc/sysconfig/iptables": "600 root:root",
        "/etc/sysconfig/ntpd": "644 root:root",
        "/etc/sysconfig/ntpdate": "644 root:root",
        "/etc/ntp.conf": "644 root:root",
        "/etc/ntp/keys": "600 root:root",
        "/etc/ntp/step-tickers": "644 root:root",
        "/etc/ntp/crypto": "750 root:ntp",
        "/etc/ntp/crypto/pw": "600 root:root",
        "/etc/rc.d/init.d/ntpd": "755 root:root",
        "/var/lib/ntp": "755 ntp:ntp",
        "/var/log/ntpstats": "755 ntp:ntp",
    }
    found = dict(line.split(" ", 1) for line in lines(ntp, "stat", "-c", "%n %a %U:%G", *wanted))
    assert found == wanted


# -- packages -----------------------------------------------------------------------------------------------


def test_ntp_brings_ntpdate_of_the_same_build_and_the_files_verify(ntp):
    query = ["rpm", "-q", "--qf", "%{name} %{release}\n", "ntp", "ntpdate"]
    assert lines(ntp, *query) == ["ntp 2.el6.lab", "ntpdate 2.el6.lab"]
    verified = ntp.run(["rpm", "-V", "ntp", "ntpdate"])
    assert (verified.rc, verified.out) == (0, "")


def test_the_packages_make_the_user_ntp_with_number_38(ntp):
    assert lines(ntp, "getent", "passwd", "ntp") == ["ntp:x:38:38::/etc/ntp:/sbin/nologin"]


def test_the_repository_holds_two_builds(el6):
    done = el6.run(["yum", "-q", "repoquery", "--queryformat", "%{name} %{release}", "ntp", "ntpdate"])
    builds = [f"{name} {build}.el6.lab" for name in ("ntp", "ntpdate") for build in (1, 2)]
    assert sorted(done.out.splitlines()) == builds


def test_an_upgrade_keeps_an_edited_configuration_and_restarts_the_running_daemon(running):
    running.run(["service", "ntpd", "stop"])
    older = ["ntp-4.2.8p15-1.el6.lab", "ntpdate-4.2.8p15-1.el6.lab"]
    assert running.run(["yum", "-q", "-y", "downgrade", *older]).rc == 0
    with changed(running, "/etc/sysconfig/ntpd", 'OPTIONS="-u ntp:ntp -p /var/run/ntpd.pid -g -N"\n'):
        running.run(["service", "ntpd", "start"])
        before = service(running, "ntpd", "status")[1]
        assert running.run(["yum", "-q", "-y", "update", "ntp"]).rc == 0
        rc, after = service(running, "ntpd", "status")
        assert rc == 0
        assert after != before
        pid = ntpd_pid(running)
        assert "SigBlk:\t0000000000000000" in lines(running, "cat", f"/proc/{pid}/status")
        assert "-N" in running.read("/etc/sysconfig/ntpd")
    assert lines(running, "rpm", "-q", "--qf", "%{release}", "ntp") == ["2.el6.lab"]


def test_the_packages_enable_nothing_and_removal_takes_the_links_away(ntp):
    assert ntp.run(["chkconfig", "--list", "ntpd"]).out == chkconfig_line("ntpd", "")
    assert ntp.run(["yum", "-q", "-y", "remove", "ntp", "ntpdate"]).rc == 0
    assert links(ntp, "ntpd") == links(ntp, "ntpdate") == []
    assert ntp.run(["yum", "-q", "-y", "install", "ntp"]).rc == 0


# -- chkconfig ----------------------------------------------------------------------------------------------


def test_chkconfig_does_not_list_a_service_that_was_never_added(script):
    done = script.run(["chkconfig", "--list", "zz"])
    assert (done.rc, done.out) == (1, "")
    assert done.err == (
        "service zz supports chkconfig, but is not referenced in any runlevel (run 'chkconfig --add zz')\n"
    )


def test_chkconfig_add_enables_only_the_levels_of_the_head(script):
    assert script.run(["chkconfig", "--add", "zz"]).rc == 0
    assert script.run(["chkconfig", "--list", "zz"]).out == chkconfig_line("zz", "")
    assert script.run(["chkconfig", "--list", "iptables"]).out == chkconfig_line("iptables", "2345")


def test_chkconfig_on_makes_start_and_kill_links_and_again_changes_nothing(ntp):
    assert ntp.run(["chkconfig", "ntpd", "on"]).rc == 0
    wanted = [f"rc{level}.d/{'S58' if level in (2, 3, 4, 5) else 'K74'}ntpd" for level in range(7)]
    assert links(ntp, "ntpd") == wanted
    assert ntp.run(["chkconfig", "ntpd", "on"]).rc == 0
    assert links(ntp, "ntpd") == wanted
    assert ntp.run(["chkconfig", "--list", "ntpd"]).out == chkconfig_line("ntpd", "2345")
    assert ntp.run(["chkconfig", "ntpd", "off"]).rc == 0
    assert links(ntp, "ntpd") == [f"rc{level}.d/K74ntpd" for level in range(7)]


def test_chkconfig_answers_for_a_level_by_its_code_alone(script):
    script.run(["chkconfig", "--add", "zz"])
    script.run(["chkconfig", "--level", "35", "zz", "on"])
    done = [script.run(["chkconfig", "--level", level, "zz"]) for level in "345"]
    assert [d.rc for d in done] == [0, 1, 0]
    assert all(d.out + d.err == "" for d in done)
    assert script.run(["chkconfig", "zz"]).rc == 0


@pytest.mark.parametrize("words", [["--list", "nosuch"], ["--add", "nosuch"], ["nosuch", "on"], ["nosuch"]])
def test_chkconfig_says_that_a_service_does_not_exist(el6, words):
    done = el6.run(["chkconfig", *words])
    assert done.rc == 1
    assert done.err == "error reading information on service nosuch: No such file or directory\n"


def test_chkconfig_del_removes_every_link(script):
    script.run(["chkconfig", "--add", "zz"])
    assert script.run(["chkconfig", "--del", "zz"]).rc == 0
    assert links(script, "zz") == []


def test_looking_for_ntpd_in_the_list_also_finds_ntpdate(ntp):
    named = [line.split()[0] for line in lines(ntp, "chkconfig", "--list") if "ntpd" in line]
    assert named == ["ntpd", "ntpdate"]


# -- service and ntpd ---------------------------------------------------------------------------------------


def test_an_unknown_service_is_unrecognized(el6):
    assert service(el6, "nosuch", "status") == (1, "nosuch: unrecognized service\n")


def test_a_script_that_may_not_be_executed_is_unrecognized(script):
    script.run(["chmod", "644", "/etc/rc.d/init.d/zz"])
    assert service(script, "zz", "status") == (1, "zz: unrecognized service\n")


def test_a_script_gets_only_path_and_term_and_runs_in_the_root_directory(script):
    script.write("/etc/rc.d/init.d/zz", "#!/bin/bash\n/usr/bin/env\n", 0o755)
    done = script.run(["env", "SECRET=1", "TERM=xterm", "service", "zz", "status"])
    seen = dict(line.split("=", 1) for line in done.out.splitlines())
    by_bash = ("SHLVL", "_", "PWD")
    assert {name: value for name, value in seen.items() if name not in by_bash} == {
        "PATH": "/sbin:/usr/sbin:/bin:/usr/bin",
        "TERM": "xterm",
    }
    assert seen["PWD"] == "/"


def test_ntpd_starts_reports_its_process_and_stops(ntp):
    assert service(ntp, "ntpd", "status") == (3, "ntpd is stopped\n")
    rc, said = service(ntp, "ntpd", "start")
    assert (rc, said.split("\n")[0]) == (0, "Starting ntpd: [  OK  ]")
    pid = ntpd_pid(ntp)
    assert service(ntp, "ntpd", "status") == (0, f"ntpd (pid  {pid}) is running...\n")
    process = ["ntp", "ntpd", "-u", "ntp:ntp", "-p", "/var/run/ntpd.pid", "-g"]
    wait_until(lambda: lines(ntp, "ps", "-o", "user=,args=", "-p", pid)[0].split() == process, 10)
    assert ntp.run(["test", "-f", "/var/lock/subsys/ntpd"]).rc == 0
    rc, said = service(ntp, "ntpd", "stop")
    assert (rc, said.split("\n")[0]) == (0, "Shutting down ntpd: [  OK  ]")
    assert service(ntp, "ntpd", "status") == (3, "ntpd is stopped\n")
    assert ntp.run(["test", "-f", "/var/lock/subsys/ntpd"]).rc == 1


def test_starting_a_running_ntpd_leaves_it_alone(running):
    before = ntpd_pid(running)
    assert service(running, "ntpd", "start")[0] == 0
    assert ntpd_pid(running) == before
    assert daemons(running) == [int(before)]


def test_stopping_a_stopped_ntpd_says_failed_and_returns_0(ntp):
    rc, said = service(ntp, "ntpd", "stop")
    assert (rc, said.split("\n")[0]) == (0, "Shutting down ntpd: [FAILED]")


def test_restarting_ntpd_makes_a_new_process(running):
    before = ntpd_pid(running)
    rc, said = service(running, "ntpd", "restart")
    assert rc == 0
    assert [line for line in said.split("\n") if line] == [
        "Shutting down ntpd: [  OK  ]",
        "Starting ntpd: [  OK  ]",
    ]
    assert ntpd_pid(running) != before


def test_ntpd_that_died_with_its_pid_file_left_is_1(running):
    kill_ntpd(running)
    assert service(running, "ntpd", "status") == (1, "ntpd dead but pid file exists\n")


def test_ntpd_that_died_with_only_its_lock_left_is_2(running):
    kill_ntpd(running)
    running.run(["rm", "/var/run/ntpd.pid"])
    assert service(running, "ntpd", "status") == (2, "ntpd dead but subsys locked\n")


def test_a_running_ntpd_is_found_without_its_pid_file(running):
    pid = ntpd_pid(running)
    running.run(["rm", "/var/run/ntpd.pid"])
    assert service(running, "ntpd", "status") == (0, f"ntpd (pid  {pid}) is running...\n")
    assert service(running, "ntpd", "stop")[0] == 0
    assert daemons(running) == []


def test_while_a_name_is_unknown_a_second_ntpd_outlives_the_daemon(ntp):
    """ntp_intres.c of 4.2.6p5; init.d/functions takes any process of the name if there is no pid file."""
    hosts = ntp.read("/etc/hosts")
    ntp.write("/etc/hosts", "127.0.0.1 localhost\n")
    try:
        assert service(ntp, "ntpd", "start")[0] == 0
        pid = ntpd_pid(ntp)
        wait_until(lambda: len(lines(ntp, "pgrep", "-x", "ntpd")) == 2 and daemons(ntp), 10)
        assert daemons(ntp) == [int(pid)]
        [child] = set(lines(ntp, "pgrep", "-x", "ntpd")) - {pid}
        daemon, double = (lines(ntp, "ps", "-o", "comm=,args=", "-p", each)[0].split() for each in (pid, child))
        assert daemon == double == ["ntpd", "ntpd", "-u", "ntp:ntp", "-p", "/var/run/ntpd.pid", "-g"]
        assert service(ntp, "ntpd", "stop")[0] == 0
        stopped = time.monotonic()
        assert lines(ntp, "pgrep", "-x", "ntpd") == [child]
        assert service(ntp, "ntpd", "status") == (0, f"ntpd (pid  {child}) is running...\n")
        wait_until(lambda: lines(ntp, "pgrep", "-x", "ntpd") == [], 60)
        print(f"the child ended {time.monotonic() - stopped:.0f} s after the daemon")
        assert time.monotonic() - stopped > 25
    finally:
        ntp.write("/etc/hosts", hosts)


def test_when_the_name_is_known_the_second_ntpd_ends(ntp):
    hosts = ntp.read("/etc/hosts")
    ntp.write("/etc/hosts", "127.0.0.1 localhost\n")
    try:
        assert service(ntp, "ntpd", "start")[0] == 0
        wait_until(lambda: len(lines(ntp, "pgrep", "-x", "ntpd")) == 2, 10)
    finally:
        ntp.write("/etc/hosts", hosts)
    wait_until(lambda: lines(ntp, "pgrep", "-x", "ntpd") == [ntpd_pid(ntp)], 10)
    service(ntp, "ntpd", "stop")


def test_ntpd_cannot_be_reloaded(running):
    assert service(running, "ntpd", "reload") == (3, "")


def test_an_unknown_argument_to_ntpd_prints_the_usage_and_returns_2(ntp):
    rc, said = service(ntp, "ntpd", "nonsense")
    assert rc == 2
    assert said.startswith("Usage: ")


def test_condrestart_of_a_stopped_ntpd_starts_nothing(ntp):
    assert service(ntp, "ntpd", "condrestart") == (0, "")
    assert service(ntp, "ntpd", "status")[0] == 3


@pytest.mark.parametrize(
    ("path", "text", "rc"),
    [
        ("/etc/sysconfig/network", "NETWORKING=no\n", 1),
        ("/usr/sbin/ntpd", None, 5),
        ("/etc/sysconfig/ntpd", None, 6),
    ],
)
def test_each_reason_why_ntpd_cannot_start_has_its_own_code(ntp, path, text, rc):
    with changed(ntp, path, text):
        assert service(ntp, "ntpd", "start") == (rc, "")


def test_only_root_may_start_ntpd(ntp):
    argv = ["setpriv", "--reuid=1", "--regid=1", "--clear-groups", "/etc/init.d/ntpd", "start"]
    assert ntp.run(argv).rc == 4


# -- ntpdate, the service -----------------------------------------------------------------------------------


def test_ntpdate_status_is_its_lock_file_and_says_nothing(clerk):
    assert service(clerk, "ntpdate", "status") == (3, "")
    assert service(clerk, "ntpdate", "start")[0] == 0
    assert service(clerk, "ntpdate", "status") == (0, "")
    assert service(clerk, "ntpdate", "stop") == (0, "")
    assert service(clerk, "ntpdate", "status") == (3, "")


def test_empty_step_tickers_mean_the_servers_of_ntp_conf_without_local_clocks(clerk):
    conf = "server 10.0.0.1 iburst\npeer 10.0.0.2\nserver 127.127.1.0\npool 10.0.0.3\n#server 10.0.0.4\n"
    with changed(clerk, "/etc/ntp.conf", conf):
        rc, said = service(clerk, "ntpdate", "start")
    assert (rc, said.split("\n")[0]) == (0, "ntpdate: Synchronizing with time server: [  OK  ]")
    assert clerk.read("/root/clerk") == "-U ntp -s -b 10.0.0.1 10.0.0.2\n"


def test_each_word_of_step_tickers_is_taken_for_a_host(clerk):
    with changed(clerk, "/etc/ntp/step-tickers", "# ours\nserver 10.0.0.1 prefer\n10.0.0.2 # second\n"):
        assert service(clerk, "ntpdate", "start")[0] == 0
    assert clerk.read("/root/clerk") == "-U ntp -s -b server 10.0.0.1 prefer 10.0.0.2\n"


def test_ntpdate_without_any_server_says_so_and_returns_6(clerk):
    with changed(clerk, "/etc/ntp.conf", "driftfile /var/lib/ntp/drift\n"):
        rc, said = service(clerk, "ntpdate", "start")
    assert rc == 6
    assert said.startswith("NTP server not specified in ")
    assert clerk.read("/root/clerk") == ""


def test_ntpdate_tries_again_after_ten_seconds_and_then_fails(clerk):
    clerk.write("/root/clerk-rc", "1\n")
    start = time.monotonic()
    # The stock file says 2: the second wait would be 20 s.
    with changed(clerk, "/etc/sysconfig/ntpdate", 'OPTIONS="-s -b"\nRETRIES=1\n'):
        rc, said = service(clerk, "ntpdate", "start")
    assert (rc, said.split("\n")[0]) == (1, "ntpdate: Synchronizing with time server: [FAILED]")
    assert 10 <= time.monotonic() - start < 18
    assert len(clerk.read("/root/clerk").splitlines()) == 2
    assert service(clerk, "ntpdate", "status")[0] == 3


@pytest.mark.parametrize(("wanted", "said"), [("yes", True), ("no", False)])
def test_ntpdate_writes_the_hardware_clock_only_when_asked(clerk, wanted, said):
    with changed(clerk, "/etc/sysconfig/ntpdate", f'OPTIONS="-U ntp -s -b"\nSYNC_HWCLOCK={wanted}\n'):
        done = service(clerk, "ntpdate", "start")
    assert done[0] == 0
    assert ("Syncing hardware clock to system time" in done[1]) is said


def test_ntpdate_sends_its_samples_without_a_pause_and_steps_although_the_server_refuses_the_others(lab, ntp):
    """As observed of 4.2.6p5 with a server that has `restrict default kod limited`."""
    server = lab.add(Role("limiting", "10.0.0.7", "el6"))
    wait_for_boot(server)
    server.run(["yum", "-q", "-y", "install", "ntp"]).check()
    server.write("/etc/ntp.conf", "restrict default kod limited\nrestrict 127.0.0.1\nserver 10.0.0.1 iburst\n")
    server.run(["service", "iptables", "stop"]).check()
    server.run(["service", "ntpd", "start"]).check()
    wait_until(lambda: "stratum=2" in server.run(["ntpq", "-c", "rv 0 stratum"]).out, 60, 1)
    time.sleep(3)
    ntp.set_clock(-90)
    done = ntp.run(["ntpdate", "-b", "-p", "2", server.address])
    assert done.rc == 0 and re.search(r"step time server 10\.0\.0\.7 offset \+(89\.9|90\.0)", done.out), done
    assert done.err.endswith("10.0.0.7 rate limit response from server.\n"), done
    assert done.seconds < 2
    assert abs(ntp.clock_error()) < 0.1


@pytest.mark.parametrize(("path", "rc"), [("/usr/sbin/ntpdate", 5), ("/etc/sysconfig/ntpdate", 6)])
def test_each_reason_why_ntpdate_cannot_start_has_its_own_code(ntp, path, rc):
    with changed(ntp, path, None):
        assert service(ntp, "ntpdate", "start") == (rc, "")


def test_the_ntpdate_service_fails_while_ntpd_has_the_port(running):
    with (
        changed(running, "/etc/sysconfig/ntpdate", 'OPTIONS="-U ntp -s -b"\nRETRIES=0\n'),
        changed(running, "/etc/ntp/step-tickers", "127.0.0.1\n"),
    ):
        assert service(running, "ntpdate", "start")[0] == 1
    direct = running.run(["ntpdate", "127.0.0.1"])
    assert direct.rc == 1
    assert "the NTP socket is in use, exiting" in direct.out + direct.err


# -- time zone ----------------------------------------------------------------------------------------------


@pytest.fixture
def zone(el6):
    """Restores /etc/sysconfig/clock and /etc/localtime afterwards."""
    clock = el6.read("/etc/sysconfig/clock")
    yield el6
    el6.write("/etc/sysconfig/clock", clock)
    el6.run(["tzdata-update"])


def zone_file(host):
    """The file type of /etc/localtime and the zone abbreviation that a new program sees."""
    return lines(host, "stat", "-c", "%F", "/etc/localtime") + lines(host, "date", "+%Z")


def test_localtime_is_a_copy_of_the_zone_of_the_clock_file(zone):
    zone.write("/etc/sysconfig/clock", 'ZONE="Asia/Shanghai"\n')
    assert zone.run(["tzdata-update"]).rc == 0
    assert zone_file(zone) == ["regular file", "CST"]
    assert zone.run(["cmp", "/etc/localtime", "/usr/share/zoneinfo/Asia/Shanghai"]).rc == 0


def test_tzdata_update_undoes_a_zone_that_the_clock_file_does_not_name(zone):
    zone.run(["ln", "-sf", "/usr/share/zoneinfo/Asia/Shanghai", "/etc/localtime"])
    assert zone.run(["tzdata-update"]).rc == 0
    assert zone.run(["cmp", "/etc/localtime", "/usr/share/zoneinfo/America/New_York"]).rc == 0
    assert zone_file(zone)[0] == "regular file"


@pytest.mark.parametrize("text", ["", "ZONE=Nowhere/Atall\n", "UTC=true\n"])
def test_tzdata_update_changes_nothing_without_a_zone_it_knows(zone, text):
    zone.write("/etc/sysconfig/clock", text)
    before = lines(zone, "stat", "-c", "%i %Y", "/etc/localtime")
    assert zone.run(["tzdata-update"]).rc == 0
    assert lines(zone, "stat", "-c", "%i %Y", "/etc/localtime") == before


# -- boot, last because it ends every process ---------------------------------------------------------------


def test_an_enabled_service_runs_after_a_reboot_and_a_disabled_one_does_not(ntp):
    ntp.run(["chkconfig", "ntpd", "on"])
    reboot(ntp)
    assert service(ntp, "ntpd", "status")[0] == 0
    ntp.run(["chkconfig", "ntpd", "off"])
    reboot(ntp)
    assert service(ntp, "ntpd", "status") == (3, "ntpd is stopped\n")


def test_a_clean_shutdown_writes_the_hardware_clock(el6):
    el6.set_rtc(5000)
    reboot(el6)
    assert abs(el6.rtc_error()) < 60


def test_a_power_failure_leaves_the_hardware_clock_as_it_was_and_no_lock_behind(el6):
    el6.run(["touch", "/var/lock/subsys/leftover"])
    el6.set_rtc(5000)
    reboot(el6, clean=False)
    assert abs(el6.rtc_error() - 5000) < 60
    assert el6.run(["test", "-e", "/var/lock/subsys/leftover"]).rc == 1
