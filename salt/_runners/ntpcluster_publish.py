"""
Internal. Writing the files that others read while they are written anew.
"""

import os
import tempfile

from salt.exceptions import CommandExecutionError, SaltInvocationError
from salt.utils.user import get_user

# The loader offers these alone.
__load__ = ["check", "publish"]

#: How the names of all files end that are written here.
ENDINGS = (".html", ".prom")


def check(path, ending):
    """
    Internal. Raise SaltInvocationError unless this is the full path of a file whose name ends so.

    path
        What somebody gave as the path.
    ending
        The end of the file's name, with its dot, or a tuple of such.
    """
    if not isinstance(path, str) or not os.path.isabs(path) or not path.endswith(ending) or "\0" in path:
        ends = ending if isinstance(ending, str) else " or ".join(ending)
        raise SaltInvocationError(f"path: {path!r} is not the full path of a file whose name ends with {ends}")


def publish(path, data):
    """
    Internal. Give a file this content in one step: a reader sees the old one or the new one.

    path
        Full path of the file, with one of the endings above: who may call this by way of a site's own rules for `ntpcluster.*`
        writes no file that the master would read. Its folder must be there. Everyone may read it, whatever the umask: web
        servers and node_exporter are not root.
    data
        Its content: parts in bytes, in their order.

    Returns a dict: ``path``, ``bytes`` (how many).

    Raises SaltInvocationError for any other path, and CommandExecutionError if it cannot be written; the old file is whole
    then, and nothing lies beside it.
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
            # salt-run gives up root for that user before it comes here (check_user of salt/utils/verify.py).
            user = get_user()
            said += f". salt-run runs as the master's `user`, {user}, whoever starts it: make sure that {user} can write there"
        raise CommandExecutionError(said) from exc
    return {"path": path, "bytes": size}
