"""A file that others read is whole at every moment."""

import os

import pytest
from salt.exceptions import CommandExecutionError

from _runners.ntpcluster_publish import publish


def test_a_file_is_replaced_whole_and_everyone_may_read_it(tmp_path):
    path = tmp_path / "ntp.html"
    path.write_text("old")
    reader = path.open()
    mask = os.umask(0o077)
    try:
        publish(str(path), b"new\n")
    finally:
        os.umask(mask)
    assert reader.read() == "old"
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_is_told_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(CommandExecutionError, match="directory"):
        publish(str(tmp_path / "taken.html"), b"new\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken.html"]
    with pytest.raises(CommandExecutionError, match="No such file"):
        publish(str(tmp_path / "none" / "x.html"), b"new\n")
