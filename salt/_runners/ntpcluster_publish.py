"""
Internal. Write files that other programs may read at any time.
"""

import os
import tempfile

from salt.exceptions import CommandExecutionError, SaltInvocationError
from salt.utils.user import get_user

# The loader offers only these functions.
__load__ = ["check", "publish"]

#: The allowed endings of the names of files written here.
ENDINGS = (".html", ".prom")


def check(path, ending):
    """
    Internal. Raise SaltInvocationError unless this is the full path of a file with this ending.

    path
        The path as the user gave it.
    ending
        The end of the file's name, with its dot, or a tuple of these.
    """
    if not isinstance(path, str) or not os.path.isabs(path) or not path.endswith(ending) or "\0" in path:
        ends = ending if isinstance(ending, str) else " or ".join(ending)
        raise SaltInvocationError(f"path: {path!r} is not the full path of a file whose name ends with {ends}")


def publish(path, data):
    """
    Internal. Write a file atomically: a reader sees the old content or the new one.

    path
        Full path of the file, with one of the endings above: so users who may call this because of a site's rules for
        `ntpcluster.*` cannot write a file that the master would read. Its directory must exist. The file is world readable,
        whatever the umask: web servers and node_exporter are not root.
    data
        Its content: parts in bytes, in order.

    Returns a dict: ``path``, ``bytes`` (how many).

    Raises SaltInvocationError for any other path, and CommandExecutionError if it cannot be written; then the old file is
    unchanged and no temporary file is left.
    """
    check(path, ENDINGS)
    try:
        handle, fresh = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".ntpcluster-")
        try:
            with os.fdopen(handle, "wb") as stream:
                size = sum(map(stream.write, data))
                os.fchmod(stream.fileno(), 0o644)
            os.replace(fresh, path)
        except BaseException:
            os.unlink(fresh)
            raise
    except OSError as exc:
        said = f"{path} cannot be written: {exc.strerror}"
        if isinstance(exc, PermissionError) and os.geteuid() != 0:
            # salt-run drops root for that user before it calls this (check_user of salt/utils/verify.py).
            user = get_user()
            said += f". salt-run runs as the master's `user`, {user}, whoever starts it: make sure that {user} can write there"
        raise CommandExecutionError(said) from exc
    return {"path": path, "bytes": size}
