# -*- coding: utf-8 -*-
"""
Internal. Run the package manager, and repair the remains of a killed run.

A killed run can leave rpm's database inconsistent. rpm writes a package's header first, then its indexes one by one. In
between, ``rpm -qa`` and therefore Salt find the package, but ``rpm -q NAME``, dependencies and the removal do not. Only a check
of all indexes would show this. So a mark is stored while the package manager runs; if a later run finds a mark, it repairs
first.

``missing`` queries only the plan's packages. Salt's ``pkg.version`` would list all packages of the host, and load two dozen modules
to find the one that is called ``pkg`` here.
"""

from __future__ import absolute_import, print_function, unicode_literals

import time

from salt.exceptions import CommandExecutionError

__virtualname__ = "ntpcluster_package"

#: The mark that is stored while the package manager runs.
AT_WORK = "installing.json"

#: The name of a repair among the changes of a state.
KILLED = {"package manager": {"old": "killed during a run", "new": "repaired"}}

#: The time limit of a repair, and the maximum wait for a running package manager, in seconds.
MEND_S = 300

#: For each database of installed packages: the program, and how it prints a line "STATUS NAME" for each of some packages.
#: ``rpm -qa`` with names reads the headers, as for Salt, and not an index.
QUERY = {
    "rpm": ("rpm", ["-qa", "--queryformat", "install ok installed %{NAME}\\n"]),
    "dpkg": ("dpkg-query", ["-W", "--showformat", "${Status} ${Package}\\n"]),
}

#: The status of an installed package, held at its version or not. dpkg also lists removed packages that left their configuration
#: files.
INSTALLED = ("install ok installed", "hold ok installed")

#: What was found missing, in ``__context__``: ((number of the state run, names, version), names).
SEEN = "ntpcluster_package.seen"


def missing(plan):
    """
    Internal. The packages of a plan that are not installed, or not in its version. A state run queries them once, and again after
    it has run the package manager.

    plan
        ``ntpcluster.plan``.

    Returns a list of names.
    """
    names, version = plan["package"]["names"], plan["package"]["version"]
    run = __salt__["ntpcluster_applied.in_run"]()
    this, seen = (run, names, version), __context__.get(SEEN, (None, None))
    if run and seen[0] == this:
        return list(seen[1])
    if version is None:
        there = _installed(plan["platform"]["package_list"], names)
        left = [name for name in names if name not in there]
    else:
        # The plan's version has Salt's form, with its epoch.
        left = [name for name in names if __salt__["pkg.version"](name) != version]
    __context__[SEEN] = (this, list(left))
    return left


def _installed(database, names):
    """Which of these packages are installed; none if the database cannot be read, as in Salt."""
    program, argv = QUERY[database]
    done = __salt__["ntpcluster_program.run"](program, program, argv + list(names), timeout=60)
    lines = [line.rpartition(" ") for line in done["stdout"].splitlines()]
    return [name for status, _, name in lines if status in INSTALLED]


def repair(platform):
    """
    Internal. What has to be repaired because a run of the package manager that this tree had started was killed.

    platform
        With ``package_mend``.

    Returns a dict {name: {old, new}} as ``ntpcluster_package.mend`` reports it, empty if there is nothing to do. An unreadable
    mark counts as well: a power cut can empty it.
    """
    if not platform["package_mend"]:
        return {}
    try:
        return dict(KILLED) if __salt__["ntpcluster_origin.stored"](AT_WORK) else {}
    except CommandExecutionError:
        return dict(KILLED)


def install(package, names, saltenv, **called):
    """
    Internal. Install packages from the platform's repositories, or all of the pillar's files in one transaction.

    package
        From the plan: ``version`` and ``sources``.
    names
        List of packages; ignored if there are ``sources``.
    saltenv
        The environment in which the state runs, with the files.

    Returns and raises as ``ntpcluster_package.transact``; CommandExecutionError if a file does not match the pillar.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    if package["sources"]:
        # yum reads every repository even to install a local file, and fails if one is unavailable.
        how = {"sources": _fetched(package["sources"], saltenv), "disablerepo": "*"}
    else:
        # Salt would also have yum and dnf list all updates, which takes seconds; they load the new lists when they install.
        how = {"refresh": True, "check_update": False}
        how["pkgs"] = [{one: package["version"]} if package["version"] else one for one in names]
    return transact("pkg.install", how)


def transact(doing, how, **called):
    """
    Internal. Run the package manager, with the mark stored meanwhile.

    The mark stays if a run fails after it has changed packages: somebody may have killed only the package manager.

    doing
        ``pkg.install`` or ``pkg.purge``.
    how
        Dict of its arguments.

    Returns and raises as that function: {package: {old, new}}, CommandExecutionError.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    __context__.pop(SEEN, None)
    __salt__["ntpcluster_origin.store"](AT_WORK, {"doing": doing})
    try:
        changes = __salt__[doing](**how)
    except CommandExecutionError as exc:
        if not (isinstance(exc.info, dict) and exc.info.get("changes")):
            __salt__["ntpcluster_origin.drop"](AT_WORK)
        raise
    __salt__["ntpcluster_origin.drop"](AT_WORK)
    return changes


def _fetched(sources, saltenv):
    """Local copies of the pillar's package files, each with the pillar's checksum."""
    fetched = []
    for source in sources:
        path = __salt__["cp.cache_file"](source["source"], saltenv=saltenv)
        if not path:
            raise CommandExecutionError("package:sources: {0} cannot be fetched".format(source["source"]))
        kind, _, wanted = source["source_hash"].partition("=")
        found = __salt__["file.get_hash"](path, form=kind)
        if found != wanted:
            raise CommandExecutionError(
                "package:sources: {0} has the {1} {2}, and the pillar says {3}: nothing is installed".format(
                    source["source"], kind, found, wanted
                )
            )
        fetched.append({source["name"]: path})
    return fetched


def mend(platform, names, **called):
    """
    Internal. Repair the package manager with the commands of the platform, and remove the mark.

    A run of the package manager may have outlived the process that started it, and the repair would interfere with it. So this
    waits until no process has a file of the package database open.

    platform
        With ``package_mend``.
    names
        List of packages whose versions may change by it.

    Returns a dict {name: {old, new}}: the entry of ``ntpcluster_package.repair`` and those of the changed packages.

    Raises CommandExecutionError if a command fails or the package manager does not end.
    """
    __salt__["ntpcluster_program.refuse_people"](called)
    how = platform["package_mend"]
    until = __salt__["ntpcluster_program.monotonic"]() + MEND_S
    while True:
        using = __salt__["ntpcluster_process.using"](how["folder"])
        if not using:
            break
        if __salt__["ntpcluster_program.monotonic"]() > until:
            said = (
                "the package manager must be repaired, but is at work: {0} is using {1}. Apply again when it has ended"
            )
            raise CommandExecutionError(said.format(", ".join(using), how["folder"]))
        time.sleep(0.5)
    before = dict((name, __salt__["pkg.version"](name)) for name in names)
    for argv in how["run"]:
        done = __salt__["ntpcluster_program.run"](argv[0], argv[0], argv[1:], timeout=MEND_S)
        if done["retcode"]:
            said = "the package manager cannot be repaired: {0}: {1}"
            why = "no end after {0} s".format(MEND_S) if done["timed_out"] else done["stderr"] or done["stdout"]
            raise CommandExecutionError(said.format(" ".join(argv), why))
    # Salt caches the list for the whole run, and ``missing`` what it has found.
    __context__.pop("pkg.list_pkgs", None)
    __context__.pop(SEEN, None)
    now = dict((name, __salt__["pkg.version"](name)) for name in names)
    __salt__["ntpcluster_origin.drop"](AT_WORK)
    return dict(
        KILLED, **dict((one, {"old": before[one], "new": now[one]}) for one in names if now[one] != before[one])
    )
