"""
How a runner says in one line how things are, or why it could not do what it was asked, with an exit code.

An exception would not do: Salt prints each one of a runner as a traceback (``low`` of salt/client/mixins.py).
"""

__virtualname__ = "ntpcluster"
# The loader offers this alone.
__load__ = ["sentence"]


class _Unprinted(int):
    """An exit code. The ``txt`` outputter prints each line of each value of a dict, and this has none."""

    def splitlines(self):
        return []


def __virtual__():
    return __virtualname__


def sentence(word, line, code):
    """
    What a runner returns to say one line. For the other runners.

    word
        What the line begins with: ``Error``.
    line
        The line: a text, or the exception whose message it is.
    code
        The exit code of ``salt-run``. With another than 0 a state that called the runner is red as well.

    Returns a dict: ``data`` {word: line, ``retcode``: code}, ``outputter``.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.sentence Error 'out of order' 1
    """
    return {"data": {word: str(line), "retcode": _Unprinted(code)}, "outputter": "txt"}
