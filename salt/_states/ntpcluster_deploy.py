# -*- coding: utf-8 -*-
"""
Packages, files and services of a host's tier
=============================================

.. code-block:: yaml

    ntp-is-installed:
      ntpcluster_deploy.installed: []

    /etc/ntp.conf:
      ntpcluster_deploy.file:
        - source: salt://ntp/files/ntp.conf.jinja

    ntp-is-running:
      ntpcluster_deploy.running:
        - require:
          - ntpcluster_deploy: /etc/ntp.conf

These states use the host's plan when they run. An SLS cannot use it when it is rendered, because the plan's functions may
have reached the minion only just before.
"""

from __future__ import absolute_import, print_function, unicode_literals

import filecmp
import os
import shutil
import tempfile

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_deploy"

#: The step has checked the daemon just before this does.
LOOK_S = 2

#: The files that this run has changed, or would change, in ``__context__``: (number of the run, paths). Salt's `watch` costs 0.6 s
#: of CPU where the modules come with the run: Salt 3006 and later load every state to find out whether this one can watch.
CHANGED = "ntpcluster_deploy.changed"


def _result(name, result=True, changes=None, comment=""):
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


def installed(name):
    """
    The plan's packages are installed: from the platform's repositories, or from the pillar's files.

    For packages that are installed already no repository is used, so an unavailable one does not matter. Files
    (``package:sources``) are fetched, checked against their checksums, and installed in one transaction. If the package manager
    was killed when this state used it, or refuses to work for that reason, it is repaired first, as described for the platform.

    If this removes another daemon from the host, its service is disabled before that: afterwards only its links would be left.
    The new daemon finds the old one's drift when its package starts it.

    name
        Ignored; Salt requires it.
    """
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
        package, missing = plan["package"], __salt__["ntpcluster_package.missing"](plan)
        repair = __salt__["ntpcluster_package.repair"](plan["platform"])
        if not missing and not repair:
            return _result(name, comment="installed: {0}".format(", ".join(package["names"])))
        leaving = _leaving(plan)
        gone = sorted(set(owner for service in leaving for owner in __salt__["ntpcluster_service.packages"](service)))
        if __opts__["test"]:
            new = dict((one, package["version"] or "installed") for one in missing)
            new.update((one, "") for one in gone)
            changes = dict((one, {"old": __salt__["pkg.version"](one), "new": version}) for one, version in new.items())
            said = "would be installed: {0}".format(", ".join(missing) or "nothing more")
            return _result(name, None, dict(changes, **repair), said)
        if missing:
            __salt__["ntpcluster_step.ask_ahead"]()
        _remember_packages(_absent(package["names"]), gone)
        ret = _take_over(name, plan, leaving, bool(repair))
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    # A package that was installed as a dependency is removed again with the rest.
    new = [one for one, change in ret["changes"].items() if isinstance(change, dict) and not change.get("old")]
    _remember_packages(new)
    return ret


def _take_over(name, plan, leaving, killed):
    """
    The installation itself. ``leaving``: the daemons that it replaces; if one still exists afterwards, because the installation
    failed, it starts at boot as before. ``killed``: whether the package manager has to be repaired first.
    """
    platform, names, mended = plan["platform"], plan["package"]["names"], {}
    refused = (platform["package_mend"] or {}).get("when")
    carried = __salt__["ntpcluster_drift.carry"](platform)
    for service, was in leaving.items():
        __salt__["ntpcluster_origin.remember"]("service {0}".format(service), was)
        __salt__["service.disable"](service)
    try:
        if killed:
            mended = __salt__["ntpcluster_package.mend"](platform, names)
        ret = _install(name, plan)
        if ret["result"] is False and refused and refused in ret["comment"] and not mended:
            mended = __salt__["ntpcluster_package.mend"](platform, names)
            ret = _install(name, plan)
    finally:
        for service, was in leaving.items():
            if was["enabled"] and __salt__["service.status"](service):
                __salt__["service.enable"](service)
    changes = dict(mended, **ret["changes"])
    return dict(ret, changes=changes, comment="\n".join([ret["comment"]] + [carried] * bool(carried)))


def _remember_packages(new, gone=()):
    """Record the packages that this tree installs and removes. A package that the tree installed itself is not recorded as
    removed, and vice versa."""
    kept = __salt__["ntpcluster_origin.origin"]()
    __salt__["ntpcluster_origin.remember"]("removed", sorted(set(gone) - set(kept.get("packages", []))))
    __salt__["ntpcluster_origin.remember"]("packages", sorted(set(new) - set(kept.get("removed", []))))


def _leaving(plan):
    """
    The other time daemons of this host that installing the plan's packages removes: {service: {running, enabled}}. Debian's
    conflict with each other, because each provides `time-daemon`.
    """
    if not plan["platform"]["package_starts_service"] or not __salt__["ntpcluster_package.missing"](plan):
        return {}
    return _rivals(plan["conflicts"])


def _rivals(services):
    """Those of these services that run or start at boot: {service: {running, enabled}}."""
    found = {}
    for service in services:
        if __salt__["ntpcluster_process.there"](service) and __salt__["service.available"](service):
            now = {
                "running": bool(__salt__["service.status"](service)),
                "enabled": __salt__["ntpcluster_process.enabled"](service),
            }
            if now["running"] or now["enabled"]:
                found[service] = now
    return found


def _package_starts(plan):
    """Whether the installation of the plan's packages starts the daemon: not if it was disabled and its files are still
    there."""
    if not plan["platform"]["package_starts_service"] or not __salt__["ntpcluster_package.missing"](plan):
        return False
    left = set(plan["package"]["names"]) & set(__salt__["pkg.list_pkgs"](removed=True))
    return not left or __salt__["ntpcluster_process.enabled"](plan["platform"]["service"])


def _install(name, plan):
    """
    One attempt. It does not use the state ``pkg.installed``: that asks for a function that yum and apt do not have, so Salt
    loads all its modules, which takes a second or two on EL 6. The comparison is made here.
    """
    package, missing = plan["package"], __salt__["ntpcluster_package.missing"](plan)
    if not missing:
        return _result(name, comment="installed: {0}".format(", ".join(package["names"])))
    try:
        changes = __salt__["ntpcluster_package.install"](package, missing, __env__)
    except CommandExecutionError as exc:
        info = exc.info if isinstance(exc.info, dict) else {}
        return _result(name, False, info.get("changes"), "cannot be installed: {0}".format(exc))
    left = __salt__["ntpcluster_package.missing"](plan)
    if left:
        said = "the package manager reported no error, but has not installed {0}"
        return _result(name, False, changes, said.format(", ".join(left)))
    return _result(name, True, changes, "installed: {0}".format(", ".join(missing)))


def _absent(packages):
    return [package for package in packages if not __salt__["pkg.version"](package)]


def _package_enables(plan):
    """Whether the installation of the plan's packages enables the daemon at boot without starting it."""
    platform = plan["platform"]
    enables = platform["package_enables_service"] and not platform["package_starts_service"]
    return enables and bool(__salt__["ntpcluster_package.missing"](plan))


def file(
    name, source, method="daemon", daemon=None, mode="0644", group=None, secret=False, only_with=None, ahead=False
):
    """
    A file that this tree writes on hosts whose method needs it; on the others it is restored.

    name
        Path of the file.
    source
        Its template.
    method
        Written if this is the plan's method: ``daemon``, ``cron`` or ``any``.
    daemon
        Written if this is the plan's daemon; None: for any daemon.
    mode, group
        Mode and group of the file; the owner is root.
    secret
        Its content is not shown or logged, and no diff of it.
    only_with
        A key of the plan: if it is empty, the file is not needed.
    ahead
        Written before the daemon's package is installed, if that removes the current time daemon: otherwise the new one, started
        by its package, would first follow the distribution's servers.
    """
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
        needed = method in ("any", plan["method"]) and daemon in (None, plan["platform"]["daemon"])
        goes_ahead = (ahead or __opts__["test"]) and needed and name == plan["platform"]["conf"] and _leaving(plan)
        if ahead and not goes_ahead:
            return _result(name, comment="no other daemon is removed from this host")
        if goes_ahead and not ahead:
            return _result(name, comment="is written before the package is installed")
        if not needed or (only_with and not plan[only_with]):
            return _noted(_given_back(name))
        same, fault = _compared(name, source, plan["platform"], group or "root", mode)
        if fault:
            return _result(name, False, comment="{0} is unchanged: the new one is invalid: {1}".format(name, fault))
        if not __opts__["test"]:
            __salt__["ntpcluster_origin.remember_file"](name)
        if same:
            return _result(name, comment="{0} is as planned".format(name))
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    ret = __states__["file.managed"](
        name,
        source=source,
        template="jinja",
        user="root",
        group=group or "root",
        mode=mode,
        makedirs=ahead,
        show_changes=not secret,
        # A full disk or a killed minion leaves the old file intact: Salt writes a temporary file and renames it.
    )
    return ret if ahead else _noted(ret)


def _noted(ret):
    """Remember for ``running`` that a file has changed, or would; returns the state's result."""
    if ret["changes"]:
        this = __salt__["ntpcluster_applied.in_run"]()
        run, names = __context__.get(CHANGED, (this, []))
        __context__[CHANGED] = (this, (names if run == this else []) + [ret["name"]])
    return ret


def _changed(platform):
    """Whether this run has changed, or would change, a file that the daemon reads."""
    run, names = __context__.pop(CHANGED, (None, []))
    files = (platform["conf"], platform["keys_file"], (platform["sysconfig"] or {}).get("path"))
    return run == __salt__["ntpcluster_applied.in_run"]() and any(path in names for path in files)


def _compared(name, source, platform, group, mode):
    """
    The file as it will be, compared with the one that is there, before Salt's state renders it once more to write it: (whether
    nothing need be written, why the daemon rejects this configuration). None for the second: it does not, or cannot tell.
    """
    folder = tempfile.mkdtemp()
    try:
        path = __salt__["cp.get_template"](source, os.path.join(folder, "new"), template="jinja", saltenv=__env__)
        if not path:
            return False, None  # Salt's state says why
        if os.path.isfile(name) and filecmp.cmp(name, path, shallow=False):
            return __salt__["ntpcluster_files.owned"](name, group, mode), None
        doing = __salt__["ntpcluster_daemon.doing"](platform, "fault") if name == platform["conf"] else None
        return False, __salt__[doing](path) if doing else None
    finally:
        shutil.rmtree(folder)


def _given_back(name):
    if not __salt__["ntpcluster_origin.differs"](name):
        return _result(name, comment="not needed here, and already as it was before")
    changes = {name: {"old": "written by ntpcluster", "new": "as it was before"}}
    if __opts__["test"]:
        return _result(name, None, changes, "would be restored to what it was before")
    __salt__["ntpcluster_origin.give_back"](name)
    return _result(name, True, changes, "has been restored to what it was before")


def running(name):
    """
    The daemon runs with the plan's sources, now and after a boot; or, with the cron method, not at all. If a file that it reads
    was changed in this run, it is restarted.

    If the daemon does not start with the sources of a new configuration, the last working one is restored, and the state
    fails with the reason.

    name
        Ignored; Salt requires it.
    """
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
        service = plan["platform"]["service"]
        if plan["method"] == "cron":
            return _stopped(name, plan["platform"], __salt__["ntpcluster_process.daemon"](plan["platform"]))
        now = __salt__["ntpcluster_status.status"](LOOK_S)["daemon"]
        if now["running"] is None:
            said = "cannot tell whether {0} runs: run the minion as root"
            raise CommandExecutionError(said.format(service))
        proof = {"proven": False, "reason": ""}
        restart = _changed(plan["platform"])
        unproven = __salt__["ntpcluster_origin.unproven"](__salt__["ntpcluster_service.config_files"]())
        if now["running"] and not restart and not unproven:
            proof = __salt__["ntpcluster_service.proof"](LOOK_S)
            if proof["proven"] is None:
                proof = __salt__["ntpcluster_service.proof"]()
            if proof["proven"] is None:
                raise CommandExecutionError(proof["reason"])
            if not proof["proven"] and __salt__["ntpcluster_service.in_vain"](now["pid"]):
                said = "{0}. A restart did not help and is not repeated; `ntpcluster.status` has a remedy"
                raise CommandExecutionError(said.format(proof["reason"]))
            if proof["proven"] and not __opts__["test"]:
                __salt__["ntpcluster_service.helped"]()
        changes = {}
        if not now["running"]:
            changes["running"] = {"old": now["running"], "new": True}
        elif not proof["proven"]:
            changes["restarted"] = proof["reason"] or "the configuration has changed"
        if not now["enabled"]:
            changes["enabled"] = {"old": False, "new": True}
        if not changes:
            return _result(name, comment="{0} runs with the planned sources".format(service))
        if __opts__["test"]:
            if _package_starts(plan):
                changes = {"restarted": "the configuration has changed"}
            elif _package_enables(plan):
                changes.pop("enabled", None)
            return _result(name, None, changes, "{0} would be started".format(service))
        was = {"running": now["running"], "enabled": now["enabled"]}
        __salt__["ntpcluster_origin.remember"]("service {0}".format(service), was)
        if not now["enabled"] and not __salt__["service.enable"](service):
            return _result(name, False, comment="{0} cannot be enabled".format(service))
        comment = "{0} has been enabled".format(service)
        if not now["running"] or not proof["proven"]:
            comment = __salt__["ntpcluster_service.bring_up"]()
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    return _result(name, True, changes, comment)


def _stopped(name, platform, now):
    """The cron method: no daemon."""
    service = platform["service"]
    if __opts__["test"] and platform["package_starts_service"] and not __salt__["service.available"](service):
        # The package will be installed, and will start what must then be stopped.
        now = {"running": True, "enabled": True}
    if now["running"] is False and not now["enabled"]:
        return _result(name, comment="{0} is not running, because the method is cron".format(service))
    changes = {"running": {"old": now["running"], "new": False}, "enabled": {"old": now["enabled"], "new": False}}
    if __opts__["test"]:
        return _result(name, None, changes, "{0} would be stopped and disabled".format(service))
    __salt__["ntpcluster_origin.remember"](
        "service {0}".format(service), {"running": now["running"], "enabled": now["enabled"]}
    )
    return _result(name, True, changes, __salt__["ntpcluster_service.bring_down"]())


def cron_runs(name):
    """
    With the cron method: this host's cron daemon runs, now and after a boot, because nothing else sets the clock then.

    The cron daemon belongs to the host, and starting it would start all other jobs too. So this state never changes
    anything; it fails and says what to do.

    name
        Ignored; the daemon is one of the platform's ``cron:services``.
    """
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
        if plan["method"] != "cron":
            return _result(name, comment="not needed, as the method is {0}".format(plan["method"]))
        cron = plan["platform"]["cron"]
        seen = []
        for service in cron["services"]:
            seen.append((service, __salt__["service.status"](service), __salt__["service.enabled"](service)))
            if all(seen[-1]):
                return _result(name, comment="{0} runs".format(service))
        there = [one for one in seen if __salt__["service.available"](one[0])]
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    service, runs, enabled = (there or seen)[0]
    what = "does not start at boot" if runs else "does not run" if there else "is not installed"
    install = "" if there else "install the package {0}, then ".format(cron["package"])
    verbs = ([] if runs else ["start"]) + ([] if enabled else ["enable"])
    said = "the cron daemon {0}, so nothing would set the clock with the method cron. Remedy: {1}{2} the service {3}"
    return _result(name, False, comment=said.format(what, install, " and ".join(verbs), service))


def alone(name):
    """
    No other time daemon runs on this host, now or after a boot.

    name
        Ignored; the services are the plan's ``conflicts``.
    """
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
        rivals = {} if __opts__["test"] and _leaving(plan) else _rivals(plan["conflicts"])
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    changes = dict(
        (service, {"old": now, "new": {"running": False, "enabled": False}}) for service, now in rivals.items()
    )
    if not changes:
        return _result(name, comment="this host has no other time daemon")
    if __opts__["test"]:
        return _result(name, None, changes, "would be stopped and disabled: {0}".format(", ".join(sorted(changes))))
    done = {}
    for service in sorted(changes):
        __salt__["ntpcluster_origin.remember"]("service {0}".format(service), changes[service]["old"])
        ended = __salt__["ntpcluster_service.stop_other"](service)
        __salt__["service.disable"](service)
        if not ended:
            done[service] = dict(changes[service], new={"running": True, "enabled": False})
            return _result(name, False, done, "{0} does not stop".format(service))
        done[service] = changes[service]
    return _result(name, True, changes, "stopped and disabled: {0}".format(", ".join(sorted(changes))))


def dhcp_ignored(name):
    """
    No DHCP lease changes this host's NTP configuration.

    name
        Ignored; Salt requires it.
    """
    try:
        meddling = __salt__["ntpcluster_dhcp.meddles"]()
        if not meddling:
            return _result(name, comment="no lease can change the NTP configuration")
        changes = dict((path, {"old": "leases may add servers", "new": "they are ignored"}) for path in meddling)
        if __opts__["test"]:
            return _result(
                name,
                None,
                changes,
                "would be configured to ignore the servers of leases: {0}".format(", ".join(meddling)),
            )
        for path in meddling:
            __salt__["ntpcluster_dhcp.ignore"](path)
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    return _result(name, True, changes, "configured to ignore the servers of leases: {0}".format(", ".join(meddling)))


def step_at_boot(name):
    """
    The platform's ntpdate service steps the clock at every boot, before the daemon starts, if the pillar says so.

    It is enabled but never started: while the daemon runs it could only fail (after 30 s).

    name
        Ignored; the plan names the service and says whether it is wanted.
    """
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
        service, wanted = plan["platform"]["ntpdate_service"], plan["step"]["at_boot"]
        if service is None:
            return _result(name, comment="this host's daemon has no ntpdate service")
        now = __salt__["ntpcluster_process.enabled"](service)
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    if now == wanted:
        return _result(name, comment="{0} is {1} at boot".format(service, "on" if now else "off"))
    changes = {service: {"old": "on" if now else "off", "new": "on" if wanted else "off"}}
    if __opts__["test"]:
        return _result(
            name, None, changes, "{0} would be switched {1} at boot".format(service, changes[service]["new"])
        )
    __salt__["ntpcluster_origin.remember"]("service {0}".format(service), {"running": False, "enabled": now})
    if not __salt__["service.enable" if wanted else "service.disable"](service):
        return _result(name, False, comment="{0} cannot be switched".format(service))
    return _result(name, True, changes, "{0} has been switched {1} at boot".format(service, changes[service]["new"]))


def applied(name):
    """
    The applied plan is kept on the host, without secrets: the host is judged by it if its pillar is not available. A minion
    that caches the pillar of an earlier run is told to refresh it.

    name
        Ignored; Salt requires it. This state comes after the states that apply the plan, and requires them.
    """
    try:
        plan = __salt__["ntpcluster_plan.plan"]()
        if __opts__["test"]:
            return _result(name, comment="the plan would be kept")
        told = __salt__["ntpcluster_applied.keep"](plan)
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="{0}".format(exc))
    return _result(name, comment="the plan is kept" + ("; the minion was told to refresh its pillar" if told else ""))
