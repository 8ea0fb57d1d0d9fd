"""
Internal. The files of the report's page: ``ntp/report`` of this tree, from the master's own file server.

They cannot be next to this file, because ``saltutil.sync_runners`` copies only Python files (``sync`` of
salt/utils/extmods.py). A master serves them in the same way as the states: file roots, git, any environment.
"""

import salt.fileserver
from salt.exceptions import CommandExecutionError

# The loader offers only this function.
__load__ = ["parts"]

FOLDER = "ntp/report"
#: Each part of the page and its files, in order.
FILES = {
    "page": ("page.html",),
    "style": ("style.css", "pictures.css", "hosts.css", "media.css"),
    "script": ("script.js",),
}


def parts(saltenv=None):
    """
    Internal. Read the parts of the report's page. The page must be complete without its script, which adds sorting, searching
    and the age, and opens the target of a link.

    saltenv
        The environment of the file server to read from; default: the first one that has the page, starting with ``base``.

    Returns a dict of texts: ``page`` (HTML with Jinja2), ``style`` (CSS), ``script`` (JavaScript).

    Raises CommandExecutionError if no environment has all of them.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster_page.parts
        salt-run ntpcluster_page.parts saltenv=prod
    """
    server, lacks = salt.fileserver.Fileserver(__opts__), []
    for env in [saltenv] if saltenv else sorted(server.envs(), key=lambda name: (name != "base", name)):
        texts = {name: _text(server, name, env) for names in FILES.values() for name in names}
        missing = [name for name, text in texts.items() if not text]
        if not missing:
            return {part: "\n".join(texts[name] for name in names) for part, names in FILES.items()}
        lacks.append("environment {} lacks {}".format(env, ", ".join(missing)))
    raise CommandExecutionError(
        f"the master's file server has no complete salt://{FOLDER}: {'; '.join(lacks) or 'it has no environment'}; "
        "its file_roots must contain the whole tree"
    )


def _text(server, name, saltenv):
    """The content of the file without leading and trailing white space; empty if the server does not have it."""
    data = server.serve_file({"path": f"{FOLDER}/{name}", "saltenv": saltenv, "loc": 0})["data"]
    # Some file server backends return text, some bytes.
    return (data if isinstance(data, str) else data.decode("utf-8")).strip()
