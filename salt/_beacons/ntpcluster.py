# -*- coding: utf-8 -*-
"""
Tell the master when this host's time gets worse or better
===========================================================

.. code-block:: yaml

    beacons:
      ntpcluster:
        - interval: 60

It sends an event once when something has changed, after the change was seen in several consecutive checks. It ignores
what happens just after the daemon's start. The tags, below ``salt/beacon/HOST/ntpcluster/``:

``health``
    ``health`` of ``ntpcluster.status`` has changed: ok, degraded, unsynchronized, stopped.
``source``
    The host follows another server, or none, because the previous one is no longer usable. A switch between two good
    sources is normal and sends no event.
``stratum``
    This host's stratum has changed.
``offset``
    The offset exceeds its bound, in either direction, or is well within it again.

Each event carries ``what``, ``old``, ``new``, and the current ``health``, ``tier``, ``source``, ``stratum``,
``offset_ms`` and ``codes`` (of the problems).

The settings, all optional:

``interval``
    Seconds between two checks (Salt's own setting).
``confirm``
    Number of consecutive checks that must show a change; 2 by default.
``offset_ms``
    Bound of the offset; by default the pillar's ``sync:max_offset``.
``calm``
    The offset counts as within the bound again below this fraction of it; 0.5 by default.
``grace``
    Seconds after the daemon's or the minion's start in which no event is sent; 60 by default. While the daemon is
    ``settling``, no event is sent anyway.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster"

DEFAULTS = {"confirm": 2, "offset_ms": None, "calm": 0.5, "grace": 60}

#: The key of ``__context__`` under which this beacon keeps its state between checks.
MEMORY = "ntpcluster.beacon"


def __virtual__():
    return __virtualname__


def validate(config):
    """
    Check the settings: (bool, text), as Salt expects of a beacon.
    """
    if not isinstance(config, list) or not all(isinstance(item, dict) for item in config):
        return False, "Configuration for the ntpcluster beacon must be a list of settings."
    settings = _settings(config)
    for name in ("confirm", "offset_ms", "calm", "grace"):
        value = settings[name]
        if value is None and name == "offset_ms":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            return False, "ntpcluster beacon: {0} must be a number, 0 or greater, not {1!r}.".format(name, value)
    if settings["confirm"] < 1 or settings["confirm"] != int(settings["confirm"]):
        return False, "ntpcluster beacon: confirm must be a whole number, 1 or greater."
    if settings["calm"] > 1:
        return False, "ntpcluster beacon: calm must be a fraction of the bound, from 0 to 1."
    return True, "Valid beacon configuration"


def beacon(config):
    """
    Check once; return the events to be sent.
    """
    settings = _settings(config)
    now = __salt__["ntpcluster_program.monotonic"]()
    memory = __context__.setdefault(MEMORY, {"since": now, "known": {}, "seen": {}})
    __salt__["ntpcluster_applied.must_not_wait"]()
    status = __salt__["ntpcluster_status.status"]()
    if settings["offset_ms"] is None:
        settings["offset_ms"] = _bound()
    return look(memory, settings, status, now)


def _settings(config):
    """The settings as one dict, the defaults filled in."""
    settings = dict(DEFAULTS)
    for item in config:
        settings.update(item)
    return settings


def _bound():
    """The offset that the pillar allows, in milliseconds; None without a valid pillar."""
    try:
        return __salt__["ntpcluster_plan.plan"]()["sync"]["max_offset"] * 1000.0
    except Exception:  # pylint: disable=broad-except
        return None  # the status has an invalid pillar among its problems


# ---------------------------------------------------------------------------------------------------------
# From here on all functions are pure, except that they change the memory.


def look(memory, settings, status, now):
    """
    Compare a status with the previous state.

    memory
        ``since`` (time of the first check), ``known`` {what: value of the last event}, ``seen`` {what: [value, checks]};
        changed in place.
    now
        Seconds by a monotonic clock.

    Returns a list of events.
    """
    uptime = status["daemon"]["uptime_s"]
    young = now - memory["since"] < settings["grace"] or (uptime is not None and uptime < settings["grace"])
    if status["health"] == "settling" or (young and not status["synchronized"]):
        memory["seen"].clear()
        return []
    events = []
    for what, value in _values(memory["known"], settings, status):
        last, looks = memory["seen"].get(what, (value, 0))
        memory["seen"][what] = (value, looks + 1 if last == value else 1)
        if memory["seen"][what][1] < settings["confirm"]:
            continue
        # No event has been sent yet: send none to say that all is well.
        old = memory["known"].get(what, {"health": "ok", "offset": "inside"}.get(what, value))
        memory["known"][what] = value
        if old != value and not (what == "source" and value and _usable(old, status)):
            events.append(_event(what, old, value, status))
    return events


def _values(known, settings, status):
    """The current value of each thing that is watched, without unknown ones."""
    found = [("health", status["health"])]
    if status["health"] != "stopped":
        found.append(("source", status["source"]))
    # Without a source the daemon reports an old stratum.
    if status["source"] and status["stratum"] is not None:
        found.append(("stratum", status["stratum"]))
        if settings["offset_ms"] is not None and status["offset_ms"] is not None:
            found.append(("offset", _side(known.get("offset"), settings, status["offset_ms"])))
    return found


def _usable(source, status):
    """Whether a source could still be followed."""
    return any(peer["usable"] for peer in status["peers"] if source in (peer["address"], peer["remote"]))


def _side(last, settings, offset):
    """Where the offset lies: ``inside``, ``ahead`` (this clock is fast, the offset negative) or ``behind``."""
    side = "behind" if offset > 0 else "ahead"
    if abs(offset) > settings["offset_ms"]:
        return side
    # After an event it must be well within the bound before the next event.
    if last == side and abs(offset) > settings["offset_ms"] * settings["calm"]:
        return side
    return "inside"


def _event(what, old, new, status):
    event = dict((key, status[key]) for key in ("health", "tier", "source", "stratum", "offset_ms"))
    codes = [problem["code"] for problem in status["problems"]]
    event.update(tag=what, what=what, old=old, new=new, codes=codes)
    return event
