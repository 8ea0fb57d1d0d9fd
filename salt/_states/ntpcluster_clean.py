# -*- coding: utf-8 -*-
"""
Undo the deployment
===================

.. code-block:: yaml

    no-more-events-are-sent:
      ntpcluster_clean.beacon_absent: []

    deployment-is-gone:
      ntpcluster_clean.cleaned: []

The states of this file report what they did: the predicted changes that they then observed.
"""

from __future__ import absolute_import, print_function, unicode_literals

import os

import salt.utils.files
import salt.utils.yaml
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster_clean"

#: The beacon of this tree.
BEACON = "ntpcluster"


def _result(name, result=True, changes=None, comment=""):
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


def cleaned(name):
    """
    Files, services and packages are restored to what they were before this deployment.

    name
        Ignored; Salt requires it.
    """
    try:
        kept = __salt__["ntpcluster_origin.origin"]()
        if not kept:
            return _result(name, comment="this host has nothing of this deployment")
        platform = __salt__["ntpcluster_facts.platform"]()
        repair = __salt__["ntpcluster_package.repair"](platform)
        if repair and not __opts__["test"]:
            __salt__["ntpcluster_package.mend"](platform, kept.get("packages", []))
    except (CommandExecutionError, SaltInvocationError) as exc:
        return _result(name, False, comment="nothing has been restored: {0}".format(exc))
    files = sorted(path for path in kept.get("files", {}) if __salt__["ntpcluster_origin.differs"](path))
    services = dict((key.partition(" ")[2], was) for key, was in kept.items() if key.startswith("service "))
    # A package that was replaced by another daemon's has left its configuration.
    there = dict(__salt__["pkg.list_pkgs"](removed=True), **__salt__["pkg.list_pkgs"]())
    packages = [package for package in kept.get("packages", []) if package in there]
    back = [package for package in kept.get("removed", []) if not __salt__["pkg.version"](package)]
    going = [service for service in services if _comes_with(service, packages)]
    changes = dict(
        repair, **dict((path, {"old": "written by ntpcluster", "new": "as it was before"}) for path in files)
    )
    for service, was in services.items():
        new = "removed with its package" if service in going else was
        changes["service {0}".format(service)] = {"old": "by ntpcluster", "new": new}
    for package in packages:
        changes["package {0}".format(package)] = {"old": there[package], "new": ""}
    for package in back:
        changes["package {0}".format(package)] = {"old": "", "new": "reinstalled"}
    if __opts__["test"]:
        return _result(name, None, changes, "the host would be restored to what it was before")
    done = dict(repair)
    try:
        # Reinstalling a package may start its service.
        wanted = sorted(
            service for service, was in services.items() if (was["running"] or back) and service not in going
        )
        failure = _undo(services, files, (packages, back), wanted, changes, done)
        if not failure:
            __salt__["ntpcluster_origin.forget"]()
    except (CommandExecutionError, SaltInvocationError, IOError, OSError) as exc:
        failure = "{0}".format(exc)
    if failure:
        # Keep the record, so that the next run tries again.
        return _result(name, False, done, failure)
    return _result(name, True, changes, "the host has been restored to what it was before")


def _undo(services, files, packages, wanted, changes, done):
    """
    Restore services, files and packages. Each of the predicted ``changes`` is added to ``done`` as soon as it is made; returns
    why it stopped early, or None. ``packages``: those to remove, and those to reinstall. ``wanted``: the services to be started
    again.
    """
    packages, back = packages
    # First: if there is no repository nothing has changed yet, and the present daemon keeps running.
    if back:
        __salt__["ntpcluster_package.transact"]("pkg.install", {"pkgs": back})
    for package in back:
        if not __salt__["pkg.version"](package):
            return "was installed before, and cannot be reinstalled: {0}".format(package)
        done["package {0}".format(package)] = changes["package {0}".format(package)]
    for service, was in services.items():
        off = {"running": False, "enabled": was["enabled"]}
        if _restore_service(service, off) is not None:
            done["service {0}".format(service)] = {"old": "by ntpcluster", "new": off}
    for path in files:
        __salt__["ntpcluster_origin.give_back"](path)
        done[path] = changes[path]
    try:
        if packages:
            __salt__["ntpcluster_package.transact"]("pkg.purge", {"pkgs": packages})
    finally:
        left = [package for package in packages if __salt__["pkg.version"](package)]
        for key in ("package {0}".format(package) for package in packages if package not in left):
            done[key] = changes[key]
    if left:
        return "cannot be removed: {0}".format(", ".join(left))
    stuck = [service for service in wanted if _restore_service(service, services[service]) is False]
    if stuck:
        return "ran before, and cannot be started: {0}".format(", ".join(stuck))
    return None


def _comes_with(service, packages):
    """Whether these packages own all files that start a service; an installation may have started it as well."""
    owners = __salt__["ntpcluster_service.packages"](service) if packages else []
    return bool(owners) and set(owners) <= set(packages)


def _restore_service(service, was):
    """Whether it runs and is enabled as before, and whether it could be started or stopped; None for a service that is gone."""
    if not __salt__["service.available"](service):
        return None
    __salt__["service.enable" if was["enabled"] else "service.disable"](service)
    return bool(__salt__["service.start" if was["running"] else "service.stop"](service))


def beacon_absent(name):
    """
    The beacon of this tree is removed, now and after a restart of the minion; other beacons are not changed.

    Salt's own ``beacon.absent`` rewrites all beacons, and writes an empty file if the minion does not answer.

    name
        Ignored; Salt requires it.
    """
    path, done = _beacons_file(), {}
    try:
        live, saved = _live_beacons(), _saved_beacons(path)
        if BEACON not in live and BEACON not in saved:
            return _result(name, comment="this host has no beacon of this tree")
        changes = {}
        if BEACON in live:
            changes["beacon"] = {"old": "on", "new": "off"}
        if BEACON in saved:
            changes[path] = {"old": "with the beacon", "new": "without it"}
        if __opts__["test"]:
            return _result(name, None, changes, "the beacon would be removed")
        if BEACON in live:
            __salt__["beacons.delete"](BEACON)
            if BEACON not in _live_beacons():
                done["beacon"] = changes["beacon"]
        if BEACON in saved:
            del saved[BEACON]
            with salt.utils.files.fopen(path, "wb") as target:
                text = salt.utils.yaml.safe_dump({"beacons": saved}, default_flow_style=False) if saved else ""
                target.write(text.encode("utf-8"))
            done[path] = changes[path]
    except (IOError, OSError, salt.utils.yaml.YAMLError) as exc:
        return _result(name, False, done, "{0}: {1}".format(path, exc))
    if done != changes:
        return _result(name, False, done, "the beacon is still active; if the pillar has it (beacons), remove it there")
    return _result(name, True, changes, "the beacon has been removed")


def _live_beacons():
    """The beacons of the running minion; empty if it does not run."""
    found = __salt__["beacons.list"](return_yaml=False)
    return found if isinstance(found, dict) else {}


def _beacons_file():
    """Where ``beacons.save`` of Salt writes to."""
    folder = os.path.dirname(__opts__["default_include"])
    return os.path.join(os.path.dirname(__opts__["conf_file"]), folder, "beacons.conf")


def _saved_beacons(path):
    if not os.path.isfile(path):
        return {}
    with salt.utils.files.fopen(path, "rb") as source:
        found = salt.utils.yaml.safe_load(source)
    beacons = found.get("beacons") if isinstance(found, dict) else None
    return beacons if isinstance(beacons, dict) else {}
