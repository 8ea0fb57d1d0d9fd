"""The hardware clock as the kernel shows it: seconds since 1970, as if it kept UTC."""

import time

import pytest

from _modules import ntpcluster_clock


@pytest.fixture
def shown(tmp_path, monkeypatch):
    path = tmp_path / "since_epoch"
    monkeypatch.setattr(ntpcluster_clock, "SINCE_EPOCH", str(path))
    return path


@pytest.mark.parametrize("ahead", [0, -86400, 4000000])
def test_its_error_is_told_to_a_second(shown, ahead):
    shown.write_text(f"{int(time.time()) + ahead}\n")
    assert ntpcluster_clock.hwclock_error(utc=True) == pytest.approx(ahead, abs=1)


@pytest.mark.parametrize(("zone", "ahead"), [("Asia/Shanghai", 28800), ("America/Caracas", -14400), ("UTC", 0)])
def test_one_that_keeps_local_time_is_compared_with_local_time(shown, monkeypatch, zone, ahead):
    monkeypatch.setenv("TZ", zone)
    shown.write_text(f"{int(time.time()) + ahead}\n")
    assert ntpcluster_clock.hwclock_error(utc=False) == pytest.approx(0, abs=1)
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("text", [None, "", "no clock\n"])
def test_a_kernel_that_shows_none_is_no_error(shown, text):
    if text is not None:
        shown.write_text(text)
    assert ntpcluster_clock.hwclock_error(utc=True) is None
