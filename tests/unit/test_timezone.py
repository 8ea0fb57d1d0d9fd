"""Which time zones a host knows, and what its /etc/localtime shows: with this machine's own tzdata, in a directory of the
test."""

import os
import shutil
from pathlib import Path

import pytest

from _modules import ntpcluster_timezone, ntpcluster_zones
from tests.loaded import FUNCTIONS

#: Names of zones, and two other files that Debian has in the same directory.
NAMES = ("Asia/Shanghai", "Asia/Chongqing", "Europe/Berlin", "Europe/Kiev", "Europe/Kirov", "Etc/GMT-8", "UTC", "EST")

LINK = {"localtime": "link"}


@pytest.fixture
def zones(tmp_path, monkeypatch):
    """A tzdata from before Kiev was renamed to Kyiv. Each file is that of UTC: only names matter here."""
    folder = tmp_path / "usr/share/zoneinfo"
    for name in (*NAMES, "right/Europe/Berlin", "posix/Europe/Berlin", "posixrules", "localtime", "Factory"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"TZif2" + name.encode())
    (folder / "zone.tab").write_text("# CN\tAsia/Shanghai\n")
    (tmp_path / "etc").mkdir()
    monkeypatch.setattr(ntpcluster_zones, "ZONES", str(folder))
    monkeypatch.setattr(ntpcluster_timezone, "LOCALTIME", str(tmp_path / "etc/localtime"))
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_an_existing_zone_has_no_fault(zones, name):
    assert ntpcluster_zones.fault(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Asia/Shangai", "did you mean Asia/Shanghai?"),
        ("asia/shanghai", "did you mean Asia/Shanghai?"),
        ("Shanghai", "did you mean Asia/Shanghai?"),
        ("Europe/Kyiv", "did you mean Europe/Kiev?"),
        ("est", "did you mean EST?"),
        ("CST", "not an abbreviation"),
        ("UTC+8", "Etc/GMT-8 is 8 hours ahead"),
        ("CST-8", "not an abbreviation"),
        ("Mars/Olympus", "lists the zones"),
        ("Asia", "not a time zone in this host's tzdata"),
        ("zone.tab", "not a time zone in this host's tzdata"),
        ("posixrules", "not a time zone in this host's tzdata"),
        ("localtime", "not a time zone in this host's tzdata"),
        ("Factory", "not a time zone in this host's tzdata"),
        ("right/Europe/Berlin", "did you mean Europe/Berlin?"),
        ("posix/Europe/Berlin", "did you mean Europe/Berlin?"),
    ],
)
def test_a_missing_zone_is_an_error_with_the_most_similar_one(zones, name, words):
    fault = ntpcluster_zones.fault(name)
    assert fault["level"] == "error" and words in fault["message"]


def test_without_tzdata_it_is_unknown(zones):
    shutil.rmtree(zones)
    fault = ntpcluster_zones.fault("Asia/Shanghai")
    assert fault["level"] == "warning" and "no tzdata" in fault["message"]


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("{zones}/Europe/Berlin", True),
        ("../usr/share/zoneinfo/Europe/Berlin", True),  # timedatectl
        ("{zones}//Europe/Berlin", True),
        ("{zones}/Europe/../Europe/./Berlin", True),
        ("../usr/share/zoneinfo/Europe/Kirov", False),
        ("../usr/share/zoneinfo/Europe/Nowhere", False),
        ("../../../../../usr/share/zoneinfo/Europe/Berlin", False),  # this machine's own
    ],
)
def test_a_link_shows_what_it_leads_to(zones, target, shown):
    os.symlink(target.format(zones=zones), ntpcluster_timezone.LOCALTIME)
    assert ntpcluster_timezone._shown("Europe/Berlin", LINK) is shown


def test_a_link_to_another_name_of_the_zone_shows_the_other_name(zones):
    (zones / "Asia/Chongqing").unlink()
    (zones / "Asia/Chongqing").symlink_to("Shanghai")
    Path(ntpcluster_timezone.LOCALTIME).symlink_to("../usr/share/zoneinfo/Asia/Chongqing")
    assert not ntpcluster_timezone._shown("Asia/Shanghai", LINK)
    assert ntpcluster_timezone._shown("Asia/Chongqing", LINK)


def test_a_copy_is_not_a_link(zones):
    shutil.copyfile(zones / "UTC", ntpcluster_timezone.LOCALTIME)
    assert not ntpcluster_timezone._shown("UTC", LINK)
    assert ntpcluster_timezone._shown("UTC", {"localtime": "copy"})


#: Whether there was a record; whether the platform creates one; the zone in effect before, and whether there is a record
#: afterwards.
RECORDS = [
    ("Asia/Shanghai", True, "Asia/Shanghai", True),
    ("Asia/Shanghai", False, "Asia/Shanghai", True),
    (None, True, None, True),
    (None, False, "Europe/Berlin", False),
]


@pytest.mark.parametrize(("there", "made", "before", "kept"), RECORDS)
def test_a_record_is_updated_if_it_exists_and_created_if_the_platform_creates_it(
    zones, tmp_path, monkeypatch, there, made, before, kept
):
    """As on Debian 12, whose tzdata creates /etc/timezone, and on 13, whose tzdata only updates the one of an older release."""
    record = tmp_path / "etc/timezone"
    if there:
        record.write_text(f"{there}\n")
    (tmp_path / "etc/localtime").symlink_to(zones / "Europe/Berlin")
    facts = {**LINK, "record": str(record), "variable": None, "record_made": made, "update": None}
    monkeypatch.setitem(FUNCTIONS, "ntpcluster_facts.platform", lambda: {"timezone": facts})
    assert ntpcluster_timezone.timezone() == {"recorded": before, "shown": before == "Europe/Berlin"}
    assert ntpcluster_timezone.set_zone("UTC") == {"recorded": "UTC", "shown": True}
    assert os.readlink(tmp_path / "etc/localtime") == str(zones / "UTC")
    assert (record.read_text() if record.exists() else None) == ("UTC\n" if kept else None)
