"""What starts at boot, as the links of init and systemd tell it. With real services: tests/lab/test_migration.py."""

import pytest

from _modules import ntpcluster_process


@pytest.fixture
def etc(monkeypatch, tmp_path):
    patterns = tuple(f"{tmp_path}{one}" for one in ntpcluster_process.STARTED)
    monkeypatch.setattr(ntpcluster_process, "STARTED", patterns)
    for folder in ("etc/rc3.d", "etc/systemd/system/multi-user.target.wants", "units", "init.d"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def link(etc, at, to, mode=None):
    if mode:
        (etc / to).write_text("")
        (etc / to).chmod(mode)
    (etc / "etc" / at).symlink_to(etc / to)


@pytest.mark.parametrize(
    ("at", "to", "mode", "starts"),
    [
        ("rc3.d/S58chronyd", "init.d/chronyd", 0o755, True),
        ("rc3.d/K58chronyd", "init.d/chronyd", 0o755, False),
        ("rc3.d/S58chronyd-wait", "init.d/chronyd-wait", 0o755, False),
        ("rc3.d/S58chronyd", "init.d/chronyd", 0o644, False),  # its package was removed
        ("rc3.d/S58chronyd", "init.d/chronyd", None, False),
        ("systemd/system/multi-user.target.wants/chronyd.service", "units/chronyd.service", 0o644, True),
        ("systemd/system/multi-user.target.wants/chronyd.service", "units/chronyd.service", None, False),
    ],
)
def test_a_service_starts_at_boot_if_a_link_leads_to_something_that_can_run(etc, at, to, mode, starts):
    link(etc, at, to, mode)
    assert ntpcluster_process.at_boot(["ntpd", "chronyd"]) == ["chronyd"] * starts
