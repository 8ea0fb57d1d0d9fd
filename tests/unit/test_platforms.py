"""platforms.yaml: keys that may be `null` are handled; which hosts an entry is for; what is tested."""

import copy

import pytest
import salt.grains.core
import salt.utils.yaml

from _modules import ntpcluster_build, ntpcluster_daemon, ntpcluster_facts, ntpcluster_misfits
from tests.lab.cluster import CAST
from tests.lab.test_chrony_host import HOSTS as DEPLOYED
from tests.unit.pillars import ENTRIES, with_own_daemon
from tests.unit.test_plan import DEFAULTS, PILLAR, ROOT, host

OF_CHRONY = ("tested", "daemon_files", "step_tickers", "sysconfig", "sysconfig_ntpdate", "ntpdate_service", "grammar")
OF_NTPD = ("tested", "daemon_files", "step_tickers", "sysconfig", "sysconfig_ntpdate", "ntpdate_service")
FIREWALL = [("firewall", family, key) for family in ("ipv4", "ipv6") for key in ("file", "keep")]
#: The keys that may be null in an entry of platforms.yaml, by their path.
NULLABLE = [
    ("package_mend",), *(("daemons", "ntpd", key) for key in OF_NTPD), *FIREWALL,
    ("timezone", "variable"), ("timezone", "update"), ("firewall", "nft"), ("firewall", "nft_file"), ("dhcp",),
]  # fmt: skip


def without(*paths):
    """EL6's entry, in which almost no key is null, with null for these keys."""
    entry = copy.deepcopy(ENTRIES["RedHat-6"])
    for *steps, last in paths:
        place = entry
        for step in steps:
            place = place[step]
        place[last] = None
    return with_own_daemon(entry)


#: Each null alone, and all of them together.
MADE_UP = {":".join(path): without(path) for path in NULLABLE} | {"all": without(*NULLABLE)}


def nulls(entry, path=()):
    """The path of every null in an entry."""
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from nulls(value, (*path, key))
        elif value is None:
            yield (*path, key)


def test_every_null_of_a_known_platform_is_tested():
    of_chrony = {("daemons", "chrony", key) for key in OF_CHRONY} | {("timezone", "record")}
    assert {path for entry in ENTRIES.values() for path in nulls(entry)} <= set(NULLABLE) | of_chrony


@pytest.mark.parametrize("name", MADE_UP)
@pytest.mark.parametrize("step", [{}, {"limit": 60}, {"at_boot": True}], ids=["plain", "limit", "at boot"])
def test_a_plan_is_made_and_doubted_whatever_is_null(name, step):
    pillar, platform = {**PILLAR, "step": step}, {**MADE_UP[name], "name": name}
    made = ntpcluster_build.build(pillar, DEFAULTS, platform, host("node148", "10.0.0.148"))
    assert made["step"] == {**DEFAULTS["step"], **step}
    ntpcluster_misfits.doubts(pillar, DEFAULTS, platform, host("node148", "10.0.0.148"))


def test_salts_own_reader_resolves_what_entries_have_in_common():
    read = salt.utils.yaml.safe_load((ROOT / "salt/ntp/platforms.yaml").read_text())
    assert read == ENTRIES and "<<" not in str(read)


#: Hosts as Salt's grains describe them (salt/grains/core.py), and their entry.
HOSTS = [
    ("CentOS", 6, "RedHat-6"),
    ("OEL", "7", "RedHat-7"),
    ("AlmaLinux", 8, "RedHat-8"),
    ("Rocky", 9, "RedHat-9"),
    ("CentOS Stream", 10, "RedHat-10"),
    ("Amazon", 2023, "Amazon-2023"),
    ("Raspbian", 11, "Debian-11"),
    ("Debian", 13, "Debian-13"),
    ("Ubuntu", 24, "Ubuntu-24"),
    ("openSUSE Leap", 15, "SUSE-15"),
    # Numbers of other systems of the same family.
    ("Ubuntu", 12, None),
    ("Debian", 22, None),
    ("Mint", 22, None),
    ("Fedora", 9, None),
    ("Amazon", 2, None),
    # The end of a number does not match.
    ("Ubuntu", 4, None),
    ("Arch", None, None),
    (None, None, None),
]


@pytest.mark.parametrize(("system", "release", "name"), HOSTS)
def test_a_hosts_entry_is_that_of_its_system_and_release(system, release, name, monkeypatch):
    monkeypatch.setattr(ntpcluster_facts, "__grains__", {"os": system, "osmajorrelease": release}, raising=False)
    assert ntpcluster_facts._name(ENTRIES) == name


#: NAME, ID and VERSION_ID of /etc/os-release on these systems, and their entry.
OS_RELEASE = [
    ("CentOS Linux", "centos", "7", "RedHat-7"),
    ("Oracle Linux Server", "ol", "7.9", "RedHat-7"),
    ("Red Hat Enterprise Linux", "rhel", "8.10", "RedHat-8"),
    ("Rocky Linux", "rocky", "9.4", "RedHat-9"),
    ("CentOS Stream", "centos", "10", "RedHat-10"),
    ("Amazon Linux", "amzn", "2023", "Amazon-2023"),
    ("Debian GNU/Linux", "debian", "13", "Debian-13"),
    ("Raspbian GNU/Linux", "raspbian", "11", "Debian-11"),
    ("Ubuntu", "ubuntu", "24.04", "Ubuntu-24"),
    ("SLES", "sles", "15.6", "SUSE-15"),
    ("openSUSE Leap", "opensuse-leap", "15.6", "SUSE-15"),
    ("Ubuntu", "ubuntu", "12.04", None),
    ("Fedora Linux", "fedora", "9", None),
    ("Linux Mint", "linuxmint", "22", None),
]


@pytest.mark.parametrize(("title", "identity", "version", "name"), OS_RELEASE)
def test_salts_grains_of_a_system_lead_to_its_entry(title, identity, version, name, monkeypatch):
    told = {"NAME": title, "ID": identity, "VERSION_ID": version, "PRETTY_NAME": f"{title} {version}"}
    grains = salt.grains.core._os_release_to_grains(told)
    grains |= salt.grains.core._osrelease_data(grains["os"], grains["osfullname"], grains["osrelease"])
    monkeypatch.setattr(ntpcluster_facts, "__grains__", grains, raising=False)
    assert ntpcluster_facts._name(ENTRIES) == name


def test_no_host_has_two_entries():
    hosts = [(system, name.rsplit("-", 1)[1]) for name, entry in ENTRIES.items() for system in entry["os"]]
    assert len(hosts) == len(set(hosts))


def each():
    """Every platform with each of its daemons: (name, daemon, the combination as in the plan)."""
    for name, entry in ENTRIES.items():
        for daemon in entry["daemons"]:
            yield name, daemon, ntpcluster_daemon.platform(entry, daemon)


@pytest.mark.parametrize(("name", "daemon", "platform"), list(each()))
def test_every_other_time_daemon_of_a_platform_is_a_conflict(name, daemon, platform):
    mine, family = platform["service"], name.split("-")[0]
    others = {other["service"] for other in ENTRIES[name]["daemons"].values()} - {mine}
    # EL6 has no systemd.
    others |= {"openntpd"} | ({"systemd-timesyncd"} if name != "RedHat-6" else set())
    others |= {"ntpsec", "chrony"} if family in ("Debian", "Ubuntu") else {"ntpd", "chronyd"}
    assert set(platform["conflicts"]) >= others - {mine} and mine not in platform["conflicts"]


def test_an_entry_names_what_was_not_verified_by_its_keys():
    for name, entry in ENTRIES.items():
        for path in entry["unverified"]:
            section, _, key = path.partition(":")
            found = entry["daemons"].get(section, entry.get(section))
            assert found is not None and (not key or key in found), f"{name}: {path}"


def test_platforms_marked_as_tested_are_those_of_the_lab():
    """An entry must not inherit from another one that it is tested."""
    tested = [(platform["tested"], daemon) for _, daemon, platform in each() if platform["tested"]]
    entries = {platform["tested"]: ENTRIES[name] for name, _, platform in each()}
    hosts = [*DEPLOYED.values(), *((role.image, None) for role in CAST)]
    assert sorted(tested) == sorted({(kind, daemon or entries[kind]["own"]) for kind, daemon in hosts})


def table():
    """The table of the platforms in docs/platforms.md, made from the data."""
    rows = ["| platform | daemons, its own first | tested in the lab | not verified |", "| --- | --- | --- | --- |"]
    for name, entry in ENTRIES.items():
        daemons = sorted(entry["daemons"], key=lambda daemon: daemon != entry["own"])
        tested = [
            f"{daemon} (`{entry['daemons'][daemon]['tested']}`)"
            for daemon in daemons
            if entry["daemons"][daemon]["tested"]
        ]
        cells = [name, ", ".join(daemons), ", ".join(tested) or "no", ", ".join(entry["unverified"])]
        rows.append("| " + " | ".join(cells).rstrip() + " |")
    return "\n".join(rows)


def test_the_page_has_the_table_of_the_platforms():
    assert table() in (ROOT / "docs/platforms.md").read_text()


if __name__ == "__main__":
    print(table())
