# -*- coding: utf-8 -*-
"""
Internal. Which packages are installed, and the pillar's own package files.

The package manager is asked about the plan's packages alone. Salt's ``pkg.version`` lists all packages of the host, and looks
through two dozen modules for the one that is called ``pkg`` here.
"""

from __future__ import absolute_import, print_function, unicode_literals

from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_package"

#: For each database of installed packages: the program, and how it prints a line "STATUS NAME" for each of these packages.
QUERY = {
    "rpm": ("rpm", ["-q", "--queryformat", "install ok installed %{NAME}\\n"]),
    "dpkg": ("dpkg-query", ["-W", "--showformat", "${Status} ${Package}\\n"]),
}

#: Of a package that is there, held at its version or not; dpkg also knows of those that have left their configuration files.
INSTALLED = ("install ok installed", "hold ok installed")

#: The packages that were all there, in ``__context__``: (number of the state run, names, version).
SEEN = "ntpcluster_package.seen"


def missing(plan):
    """
    Internal. The packages of a plan that are not installed, or not in its version. Once all are there they are not asked for again
    in the same state run.

    plan
        ``ntpcluster.plan``.

    Returns a list of names.
    """
    names, version = plan["package"]["names"], plan["package"]["version"]
    run = __salt__["ntpcluster_applied.in_run"]()
    this = (run, names, version)
    if run and __context__.get(SEEN) == this:
        return []
    if version is None:
        there = _installed(plan["platform"]["package_list"], names)
        left = [name for name in names if name not in there]
    else:
        # A version in Salt's words, with its epoch.
        left = [name for name in names if __salt__["pkg.version"](name) != version]
    if not left:
        __context__[SEEN] = this
    return left


def _installed(database, names):
    """Those of these packages that are installed. Of a database that cannot be read it is none, as for Salt."""
    program, argv = QUERY[database]
    done = __salt__["ntpcluster_program.run"](program, program, argv + list(names), timeout=60)
    lines = [line.rpartition(" ") for line in done["stdout"].splitlines()]
    return [name for status, _, name in lines if status in INSTALLED]


def fetched(sources, saltenv, **called):
    """
    Internal. Fetch the pillar's package files, each with the checksum that the pillar says.

    sources
        List of {``name``, ``source``, ``source_hash``}.
    saltenv
        Environment of the file server.

    Returns a list of {name: path}. Raises CommandExecutionError if one cannot be fetched, or has another checksum.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    found = []
    for source in sources:
        path = __salt__["cp.cache_file"](source["source"], saltenv=saltenv)
        if not path:
            raise CommandExecutionError("package:sources: {0} cannot be fetched".format(source["source"]))
        kind, _, wanted = source["source_hash"].partition("=")
        digest = __salt__["file.get_hash"](path, form=kind)
        if digest != wanted:
            raise CommandExecutionError(
                "package:sources: {0} has the {1} {2}, and the pillar says {3}: nothing is installed".format(
                    source["source"], kind, digest, wanted
                )
            )
        found.append({source["name"]: path})
    return found
