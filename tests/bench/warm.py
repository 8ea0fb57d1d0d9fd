# ruff: noqa: UP010
"""What calls cost in a process that has made them before: run inside a host, by the Python of its minion (2.7 or 3).

`warm.py CALLS FUNCTION [ARGUMENT] [-- PROGRAM ...]` makes the calls, and after each runs the program, if there is one. It
prints JSON: milliseconds of CPU of a call with all that it starts (`call`), and of the program alone (`bare`), as means.
"""

from __future__ import print_function

import json
import logging
import resource
import subprocess
import sys

import salt.client
import salt.config


def used():
    """Milliseconds of CPU of this process and of those that it has waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return 1000 * sum(one.ru_utime + one.ru_stime for one in both)


def children():
    one = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (one.ru_utime + one.ru_stime)


def main(calls, words, program):
    logging.disable(logging.CRITICAL)
    opts = salt.config.minion_config("/etc/salt/minion")
    opts.update(file_client="local", __cli="salt-call")
    caller = salt.client.Caller(mopts=opts)
    caller.cmd(*words)
    spent, bare = 0, 0
    for _ in range(calls):
        before = used()
        caller.cmd(*words)
        spent += used() - before
        if program:
            before = children()
            pipe = subprocess.PIPE
            subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe).communicate()
            bare += children() - before
    print(json.dumps({"call": spent / calls, "bare": bare / calls}))


if __name__ == "__main__":
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    main(int(sys.argv[1]), sys.argv[2:end], sys.argv[end + 1 :])
