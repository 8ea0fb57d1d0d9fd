"""
Writing the files that others read while they are written anew.
"""

import os
import tempfile

from salt.exceptions import CommandExecutionError
from salt.utils.user import get_user

__virtualname__ = "ntpcluster"
# The loader offers this alone.
__load__ = ["publish"]


def __virtual__():
    return __virtualname__


def publish(path, data):
    """
    Give a file this content in one step: a reader sees the old one or the new one. For the other runners.

    path
        Full path of the file; its folder must be there. Everyone may read it, whatever the umask: web servers and
        node_exporter are not root.
    data
        Its content, in bytes.

    Raises CommandExecutionError if it cannot be written; the old file is whole then, and nothing lies beside it.

    CLI Example: none; it takes bytes.
    """
    try:
        handle, fresh = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".ntpcluster-")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), 0o644)
            os.replace(fresh, path)
        except OSError:
            os.unlink(fresh)
            raise
    except OSError as exc:
        said = f"{path} cannot be written: {exc.strerror}"
        if isinstance(exc, PermissionError) and os.geteuid() != 0:
            # salt-run gives up root for that user before it comes here (check_user of salt/utils/verify.py).
            said += f". salt-run works as the master's `user`, {get_user()}, whoever starts it: see that it may write there"
        raise CommandExecutionError(said) from exc
