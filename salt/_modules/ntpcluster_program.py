# -*- coding: utf-8 -*-
"""
Internal. Run programs for the other modules, and provide a monotonic clock for waiting.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os

import salt.utils.path
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_program"

#: Variables that Salt's packages may set for the Python and the libraries that they contain. ntpq of ntpsec is a Python
#: program.
SALTS_OWN = ("LD_LIBRARY_PATH", "PYTHONPATH")


def refuse_people(called):
    """
    Internal. Refuse to continue if a person, and not another function, has called the function that got these keywords.

    Salt offers every function that a module offers to other modules on the command line as well, to everybody who may call
    ``ntpcluster``. But only a call from there passes the keywords of the publication, whose names begin with ``__pub_``
    (load_args_and_kwargs in salt/minion.py), to a function that takes any keywords.

    called
        The additional keywords that the function got.

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
    Internal. Seconds since some moment in the past, from a clock that steps do not change.

    Python 2.7 has no ``time.monotonic``; ``times(2)`` counts ticks since boot, independently of the system time.
    """
    return os.times()[4]


def environment():
    """
    Internal. Return what a program of the system gets in addition to the minion's environment, as ``env`` of ``cmd.run_all``.

    Salt cannot remove variables from the environment, so it sets these two to empty strings; ld.so and Python treat that as
    unset. (Python 2.7 does not do so for PYTHONHOME.)
    """
    return dict(dict.fromkeys(SALTS_OWN, ""), LC_ALL="C")


def run(name, package, argv, timeout=10, zone=None, **called):
    """
    Internal. Run one program and return its output and exit code, without interpreting them. Only for other functions.

    ``timeout(1)`` enforces the time limit, not Salt: on Python 2.7 Salt measures it with the system time, so a forward step of
    the clock would kill the program that made the step.

    name
        The program, searched for in the path.
    package
        What to install if it is missing; only for the message.
    argv
        List of its arguments.
    timeout
        Seconds until it is killed.
    zone
        Time zone in which it prints times; default: this host's.

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
