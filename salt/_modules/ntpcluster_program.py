# -*- coding: utf-8 -*-
"""
Internal. How the other modules run a program, and the clock by which they wait.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os

import salt.utils.path
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_program"

#: What Salt's packages may set for the Python and the libraries that they bring along. ntpq of ntpsec is a Python program.
SALTS_OWN = ("LD_LIBRARY_PATH", "PYTHONPATH")


def refuse_people(called):
    """
    Internal. Refuse to go on if a person has called the function that took these keywords, and not another function.

    Whatever a module offers to other modules, Salt offers on the command line as well, and to everybody who may call
    ``ntpcluster``. But to a function that takes any keywords it gives those of the publication, whose names begin with
    ``__pub_`` (load_args_and_kwargs in salt/minion.py), when it is called from there, and only then.

    called
        The keywords that the function got and does not know.

    Raises SaltInvocationError.
    """
    for name in called:
        if not name.startswith("__pub_"):
            raise SaltInvocationError("unknown keyword: {0}".format(name))
    if called:
        said = "{0} is internal to ntpcluster; sys.doc ntpcluster lists the public functions"
        raise SaltInvocationError(said.format(called["__pub_fun"]))


def monotonic():
    """
    Internal. Seconds since some moment in the past, by a clock that no step moves.

    Python 2.7 has no ``time.monotonic``; ``times(2)`` counts ticks since the boot, whatever the system time does.
    """
    return os.times()[4]


def environment():
    """
    Internal. Return what a program of the system gets beside the minion's environment, as ``env`` of ``cmd.run_all``.

    Salt can only add to the environment, so these two are empty for the program; ld.so and Python take that for none. (Of
    PYTHONHOME Python 2.7 does not.)
    """
    return dict(dict.fromkeys(SALTS_OWN, ""), LC_ALL="C")


def run(name, package, argv, timeout=10, zone=None, **called):
    """
    Internal. Run one program and say how it went. For the other functions; it neither reads the text nor trusts the code.

    The time limit is ``timeout(1)``'s, not Salt's own: on Python 2.7 Salt measures it by the system time, and a
    clock stepped forward would end the very program that stepped it.

    name
        The program, looked for in the path.
    package
        What to install if it is missing; only for the message.
    argv
        List of its arguments.
    timeout
        Seconds until it is killed.
    zone
        Time zone it shall print times in; default: this host's.

    Returns a dict: ``retcode`` (int), ``stdout``, ``stderr`` (text), ``timed_out`` (bool), ``seconds`` (float).

    Raises CommandExecutionError if the program is not installed.
    """
    refuse_people(called)
    path = salt.utils.path.which(name)
    if not path:
        raise CommandExecutionError("{0} is not installed on this host: install the package {1}".format(name, package))
    started = monotonic()
    done = __salt__["cmd.run_all"](
        ["timeout", "-s", "KILL", "{0:g}".format(timeout), path] + list(argv),
        python_shell=False,
        env=dict(environment(), **({"TZ": zone} if zone else {})),
        ignore_retcode=True,
        output_loglevel="trace",
    )
    return {
        "retcode": done["retcode"],
        "stdout": done["stdout"],
        "stderr": done["stderr"],
        # 128 + SIGKILL from timeout(1); Python reports -9 where the shell would say 137.
        "timed_out": done["retcode"] in (124, 137, -9),
        "seconds": round(monotonic() - started, 2),
    }
