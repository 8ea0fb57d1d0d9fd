"""Which services exist on a host and start at boot, according to files and links. With real services:
tests/lab/test_migration.py."""

import pytest

from _modules import ntpcluster_process


@pytest.fixture
def etc(monkeypatch, tmp_path):
    for name in ("STARTED", "OTHERWISE", "BEFORE_UNIT", "THERE"):
        patterns = tuple(f"{tmp_path}{one}" for one in getattr(ntpcluster_process, name))
        monkeypatch.setattr(ntpcluster_process, name, patterns)
    for name in ("LEVEL", "WANTED", "BOOTED"):
        monkeypatch.setattr(ntpcluster_process, name, f"{tmp_path}{getattr(ntpcluster_process, name)}")
    monkeypatch.setitem(ntpcluster_process.__salt__, "service.enabled", lambda service: f"{service}: asked")
    levels = [f"etc/rc{level}.d" for level in "2345S"]
    for folder in (*levels, "etc/init.d", "etc/init", "etc/systemd/system/multi-user.target.wants", "units", "init.d"):
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


@pytest.mark.parametrize(
    ("levels", "mode", "starts"),
    [
        ("2345", 0o755, True),
        ("", 0o755, False),
        # Their meaning depends on the host's runlevel and on the system's own tools.
        ("35", 0o755, "chronyd: asked"),
        ("2345", 0o644, "chronyd: asked"),
        ("S", 0o755, "chronyd: asked"),
    ],
)
def test_without_systemd_no_program_runs_if_all_levels_agree(etc, levels, mode, starts):
    for level in levels:
        link(etc, f"rc{level}.d/S58chronyd", "init.d/chronyd", mode)
    assert ntpcluster_process.enabled("chronyd") == starts


def test_a_job_of_upstart_is_queried(etc):
    (etc / "etc/init/chronyd.conf").write_text("")
    assert ntpcluster_process.enabled("chronyd") == "chronyd: asked"


@pytest.mark.parametrize(
    ("unit", "mask", "starts"),
    [
        (True, None, True),
        # It may be static, generated, under another name, or wanted by a dangling link.
        (False, None, "chronyd: asked"),
        (True, "etc/systemd/system/chronyd.service", "chronyd: asked"),
        (True, "run/systemd/system/chronyd.service", "chronyd: asked"),
    ],
)
def test_with_systemd_no_program_is_run_for_a_wanted_unit_that_cannot_be_masked(etc, unit, mask, starts):
    (etc / "run/systemd/system").mkdir(parents=True)
    for level in "2345":  # the script's links, which systemd ignores if there is a unit
        link(etc, f"rc{level}.d/S58chronyd", "init.d/chronyd", 0o755)
    link(
        etc, "systemd/system/multi-user.target.wants/chronyd.service", "units/chronyd.service", 0o644 if unit else None
    )
    if mask:
        (etc / mask).symlink_to("/dev/null")
    assert ntpcluster_process.enabled("chronyd") == starts


def test_a_service_without_any_file_does_not_exist(etc):
    assert not ntpcluster_process.there("chronyd")
    for path in ntpcluster_process.THERE:
        file = etc / path.format("chronyd").replace("*", ".late").removeprefix(f"{etc}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to("/nowhere")
        assert ntpcluster_process.there("chronyd"), path
        assert not ntpcluster_process.there("chrony"), path
        file.unlink()
