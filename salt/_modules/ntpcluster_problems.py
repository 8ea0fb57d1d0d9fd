# -*- coding: utf-8 -*-
"""
Internal. What can be wrong with a host's time: the codes, their order, the remedies, and the faults that both a daemon's table
and the answers of servers show. Pure functions.
"""

from __future__ import absolute_import, print_function, unicode_literals

__virtualname__ = "ntpcluster_problems"

#: Kinds of refid (see ``ntpcluster_parse.ntpq``) of a source that follows only its own clock.
OWN_CLOCK = ("local", "orphan")

#: ntpd gives up at a larger offset, unless started with -g (CLOCK_PANIC in ntp.h).
PANIC_S = 1000.0

#: Problem codes, worst first, and what to do about each. The docstring of ``ntpcluster.status`` lists them.
REMEDIES = (
    ("unknown-platform", "leave this host out of the target, or describe its platform in salt/ntp/platforms.yaml"),
    ("invalid-pillar", "correct the pillar, then: salt-call ntpcluster.validate"),
    ("no-tree", "make the tree available: file_roots on the master, or saltenv; then: salt-call ntpcluster.validate"),
    ("daemon-stopped", "start it: service {service} start; if it exits at once, see the system log"),
    ("cron-stopped", "start and enable it: with `method: cron` nothing else sets the clock"),
    ("daemon-silent",
     "restart it: service {service} restart; if still silent, see restrict (ntpd) or cmdport (chronyd) in {conf}, and whether this "
     "host's firewall blocks its loopback (iptables -I INPUT -i lo -j ACCEPT)"),
    ("no-clock-capability", "run the daemon on the machine that owns the clock, not in this container"),
    ("rival-daemon", "stop and disable the other daemon: both adjust the same clock"),
    ("not-listed", "the daemon does not have the planned sources: salt-call state.apply ntp, or service {service} restart"),
    ("unresolvable", "use addresses instead of names, or repair the resolver, then restart {service}"),
    ("denied", "the server refuses this host: allow it there (ntpd: restrict; chronyd: allow), or ask less often"),
    ("authentication", "the key in {keys_file} differs from the server's, or is missing on one side"),
    ("loop", "two hosts follow each other: make each tier follow only the tier above"),
    ("upstream-unsynchronized", "synchronize the source first: it answers, but is not synchronized itself"),
    ("unreachable",
     "check its daemon, its status, its access list (restrict, allow), its firewall (there: ntpcluster.firewall), this host's own "
     "firewall (iptables-save, nft list ruleset), UDP port 123 on the path, and the route"),
    ("panic", "the clock is more than 1000 s off: salt-call ntpcluster.step"),
    ("falseticker", "this source disagrees with the others: find out which side is wrong before trusting either"),
    ("orphan", "nothing disciplines this clock: restore a real source upstream"),
    ("unsynchronized", "see the other problems; if there are none, wait for the next polls"),
    ("settling", "wait: the daemon needs a few polls after its start"),
    ("offset-high", "the daemon is still slewing, or cannot keep up: check the frequency and the sources"),
    ("root-distance", "restore a source: without one the error bound grows every second"),
    ("bound", "use nearer or more sources, or shorter polls (maxpoll); salt-call ntpcluster.bound shows the parts of the bound"),
    ("frequency-limit", "the oscillator is too far off (ntpd corrects 500 ppm): remove a wrong {drift}, check the hypervisor"),
    ("reach-gaps", "packets are lost: check the network and the source's load"),
    ("few-sources", "restore the silent sources or add others: one source cannot be checked, two have no majority (RFC 8633, 3.2)"),
    ("incomplete", "check again; if it persists, the daemon answers only in part"),
)  # fmt: skip

#: Used in remedies if the platform is unknown.
NAMELESS = {
    "service": "ntpd", "conf": "the daemon's configuration", "keys_file": "the key file", "drift": "the drift file",
}  # fmt: skip


def problem(code, message, **evidence):
    """
    Internal. One problem: {code, message, evidence}.

    code
        One of REMEDIES.
    message
        What was observed, as a sentence.
    evidence
        The facts that show it, by name.
    """
    return {"code": code, "message": message, "evidence": evidence}


def rival(name, pid=None):
    """
    Internal. The problem of another time daemon.

    name
        Name of its process; without a ``pid``, name of its service, which starts at boot.
    """
    said = "{0} starts at boot" if pid is None else "{0} (pid {1}) runs"
    return problem("rival-daemon", (said + " and disciplines this clock as well").format(name, pid), name=name, pid=pid)


def in_order(found, platform):
    """
    Internal. Problems worst first, each once, with its remedy: {code, message, evidence, remedy}.

    found
        List of {code, message, evidence}; an additional ``remedy`` is kept.
    platform
        The platform's entry of platforms.yaml: remedies name its service and files.
    """
    codes, remedies = [code for code, _ in REMEDIES], dict(REMEDIES)
    named = dict(NAMELESS, **platform)
    ordered = []
    for one in sorted(found, key=lambda one: codes.index(one["code"])):
        if (one["code"], one["message"]) not in [(other["code"], other["message"]) for other in ordered]:
            ordered.append(dict(one, remedy=one.get("remedy") or remedies[one["code"]].format(**named)))
    return ordered


def own_clocks(sources, plan):
    """
    Internal. Why a source's clock is driven only by its own oscillator: for each source a text that follows its name, or None.

    sources
        List of dicts with ``refid``, ``refid_kind`` (see ``ntpcluster_parse.ntpq``) and ``stratum``.
    plan
        ``ntpcluster.plan``, or None. At the stratum of the pillar's ``orphan`` and below, ntpd accepts only an orphan as a
        source (ntp_proto.c), so a source there is an orphan or gets its time from one. On an island, time from a free-running
        clock is intended.
    """
    if plan and plan["reference"] == "island":
        return [None] * len(sources)
    found, orphan = [], plan["orphan_stratum"] if plan else None
    for source in sources:
        stratum, why = source["stratum"], None
        if source["refid_kind"] in OWN_CLOCK:
            why = "follows nothing but its own clock (refid {0})".format(source["refid"])
        elif orphan and stratum is not None and orphan <= stratum < 16:
            why = "is at stratum {0}, below an orphan: the pillar's `orphan` is {1}".format(stratum, orphan)
        found.append(why)
    return found


def too_wide(bound_ms, unbounded, max_bound_s):
    """
    Internal. The problem of a clock that can be further off than allowed, or whose bound is unknown; or None.

    bound_ms, unbounded
        As in ``ntpcluster.status``.
    max_bound_s
        The pillar's ``sync:max_bound``; None: any bound is allowed.
    """
    if max_bound_s is None or (bound_ms is not None and bound_ms <= max_bound_s * 1000.0):
        return None
    allowed = "{0:g} ms allowed".format(max_bound_s * 1000.0)
    if bound_ms is None:
        said = "how far this clock can be off is unknown ({0}); {1}".format(unbounded, allowed)
    else:
        said = "this clock can be off by {0:.3f} ms; {1}".format(bound_ms, allowed)
    return problem("bound", said, bound_ms=bound_ms, max_bound_ms=max_bound_s * 1000.0)


def too_far(offset_ms, name, allowed_ms):
    """
    Internal. The problem of a clock that is further off than allowed, or None.

    offset_ms
        How far the source is ahead, in milliseconds.
    name
        The source's.
    allowed_ms
        The pillar's ``sync:max_offset``, in milliseconds; None if only the offset at which ntpd gives up counts.
    """
    if abs(offset_ms) > PANIC_S * 1000.0:
        said = "the clock is {0:+.3f} s off according to {1}".format(-offset_ms / 1000.0, name)
        return problem("panic", said, offset_ms=offset_ms)
    if allowed_ms is not None and abs(offset_ms) > allowed_ms:
        said = "the offset from {1} is {0:+.3f} ms; {2:g} ms allowed".format(offset_ms, name, allowed_ms)
        return problem("offset-high", said, offset_ms=offset_ms)
    return None
