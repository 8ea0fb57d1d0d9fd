# -*- coding: utf-8 -*-
"""
Internal. Store a host's state from before this tree and its last working configuration, and restore them.

Stored in /var/lib/ntpcluster (0700): ``origin.json`` and copies of the files from before the first change. ``proven/`` has
copies of the configuration with which the daemon last started and reached its sources.
"""

from __future__ import absolute_import, print_function, unicode_literals

import binascii
import contextlib
import filecmp
import json
import os
import shutil

import salt.utils.files
from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_origin"

STORE = "/var/lib/ntpcluster"
PROVEN = os.path.join(STORE, "proven")
INDEX = "origin.json"


def origin():
    """
    Internal. The stored state of this host from before the first apply.

    Returns a dict: ``files`` {path: {existed, mode, uid, gid, copy}}, ``packages`` (those that this tree installed) and for
    each service ``service NAME`` {running, enabled}; each is missing until it is known.
    """
    return stored(INDEX)


def deployed():
    """
    Internal. Whether this tree has been applied to this host, and ``ntp.clean`` has not been applied since; None: the stored
    state cannot be read.
    """
    try:
        return bool(origin())
    except CommandExecutionError:
        return None


def remember(key, value, **called):
    """
    Internal. Store a fact about this host's earlier state, unless it is stored already. A list is extended instead.

    key
        ``packages`` or ``service NAME``.
    value
        What it was.

    Returns the stored value.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    kept = origin()
    if isinstance(value, list):
        value = sorted(set(kept.get(key, [])) | set(value))
    elif key in kept:
        return kept[key]
    if kept.get(key) != value:
        kept[key] = value
        store(INDEX, kept)
    return value


def remember_file(path, **called):
    """
    Internal. Store a copy of a file, or the fact that it does not exist, unless one of these is stored already.

    path
        The file's full path.

    Returns {existed, mode, uid, gid, copy}.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    kept = origin()
    files = kept.setdefault("files", {})
    if path not in files:
        facts = {"existed": os.path.isfile(path), "mode": None, "uid": None, "gid": None, "copy": None}
        if facts["existed"]:
            found = os.stat(path)
            facts.update(mode=found.st_mode & 0o7777, uid=found.st_uid, gid=found.st_gid)
            facts["copy"] = _copy_name(path)
            _folder(STORE)
            _copy(path, os.path.join(STORE, facts["copy"]))
        files[path] = facts
        store(INDEX, kept)
    return files[path]


def differs(path):
    """
    Internal. Whether a file differs from its stored state. False for a file of which nothing is stored.
    """
    facts = origin().get("files", {}).get(path)
    if facts is None:
        return False
    if not facts["existed"]:
        return os.path.lexists(path)
    copy = os.path.join(STORE, facts["copy"])
    return not os.path.isfile(path) or not filecmp.cmp(path, copy, shallow=False)


def give_back(path, **called):
    """
    Internal. Restore a file's content, owner and mode from before, or remove it if it did not exist.

    Returns True if that changed anything. A file of which nothing is stored is not changed.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    if not differs(path):
        return False
    facts = origin()["files"][path]
    if not facts["existed"]:
        os.unlink(path)
        return True
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    fresh = path + ".ntpcluster"
    shutil.copyfile(os.path.join(STORE, facts["copy"]), fresh)
    os.chmod(fresh, facts["mode"])
    os.chown(fresh, facts["uid"], facts["gid"])
    __salt__["ntpcluster_files.replace"](fresh, path)
    return True


def forget(**called):
    """
    Internal. Delete everything that is stored; called when the host's earlier state has been restored.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    if os.path.isdir(STORE):
        shutil.rmtree(STORE)
    return True


def store(name, data, **called):
    """
    Internal. Write one file of the store, atomically.

    name
        Name of the file, without a folder.
    data
        Any value that JSON can represent.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    with _whole(os.path.join(STORE, os.path.basename(name))) as fresh, salt.utils.files.fopen(fresh, "wb") as index:
        index.write(json.dumps(data, indent=1, sort_keys=True).encode("utf-8"))


def stored(name):
    """
    Internal. Read a file that ``ntpcluster_origin.store`` wrote.

    name
        Name of the file, without a folder.

    Returns its data; an empty dict if there is no such file.

    Raises CommandExecutionError if the file cannot be read: that does not mean that nothing was stored.
    """
    path = os.path.join(STORE, os.path.basename(name))
    if not os.path.isfile(path):
        return {}
    try:
        with salt.utils.files.fopen(path, "rb") as source:
            return json.loads(source.read().decode("utf-8"))
    except (IOError, OSError, ValueError) as exc:
        raise CommandExecutionError("{0} cannot be read: {1}".format(path, exc))


def drop(name, **called):
    """
    Internal. Remove a file that ``ntpcluster_origin.store`` has written; a missing file is not an error.

    name
        Name of the file, without a folder.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    salt.utils.files.safe_rm(os.path.join(STORE, os.path.basename(name)))


def keep_proven(paths, **called):
    """
    Internal. Store copies of a configuration that has been seen to work.

    paths
        List of files.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    _folder(STORE)
    _folder(PROVEN)
    for path in paths:
        copy = os.path.join(PROVEN, _copy_name(path))
        if os.path.isfile(path) and not (os.path.isfile(copy) and filecmp.cmp(path, copy, shallow=False)):
            _copy(path, copy)
    return True


def unproven(paths):
    """
    Internal. List the files that have changed since the daemon last proved its configuration.

    A run that was killed after writing a file and before restarting the daemon leaves such a file.

    paths
        List of files.
    """
    changed = []
    for path in paths:
        copy = os.path.join(PROVEN, _copy_name(path))
        if not os.path.isfile(path) or not os.path.isfile(copy) or not filecmp.cmp(path, copy, shallow=False):
            changed.append(path)
    return changed


def restore_proven(paths, **called):
    """
    Internal. Restore the configuration that was last seen to work or, if there is none, the one from before this tree.

    paths
        List of files.

    Returns the list of the files that this changed.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    changed = []
    for path in paths:
        copy = os.path.join(PROVEN, _copy_name(path))
        if not os.path.isfile(copy):
            if give_back(path):
                changed.append(path)
        elif not os.path.isfile(path) or not filecmp.cmp(path, copy, shallow=False):
            fresh = path + ".ntpcluster"
            _copy(copy, fresh)
            __salt__["ntpcluster_files.replace"](fresh, path)
            changed.append(path)
    return changed


def _copy_name(path):
    """A file's name in the store: unique, and without a folder."""
    return "{0}-{1:08x}".format(os.path.basename(path), binascii.crc32(path.encode("utf-8")) & 0xFFFFFFFF)


def _copy(source, target):
    """Copy content, mode and owner; the target is complete or does not exist."""
    with _whole(target) as fresh:
        shutil.copy2(source, fresh)
        found = os.stat(source)
        os.chown(fresh, found.st_uid, found.st_gid)


def _folder(path):
    if not os.path.isdir(path):
        os.makedirs(path)
        os.chmod(path, 0o700)


@contextlib.contextmanager
def _whole(path):
    """A temporary name to write to, renamed to the path at the end; if the disk is full, the old file stays."""
    fresh = path + ".new"
    try:
        if path.startswith(STORE):
            _folder(STORE)
        yield fresh
        os.rename(fresh, path)
    except (IOError, OSError) as exc:
        if os.path.exists(fresh):
            os.unlink(fresh)
        raise CommandExecutionError(
            "{0} cannot be written: {1}. Check for a full disk, a read-only file system or a file attribute (lsattr)".format(
                path, exc
            )
        )
