# -*- coding: utf-8 -*-
"""
Internal. What this host has to do, worked out from the pillar.

A site describes its cluster once, as tiers (``pillar/ntp/init.sls``). ``ntpcluster.plan`` turns that, the
defaults (``salt://ntp/defaults.yaml``), the facts of the platform (``salt://ntp/platforms.yaml``) and the
grains of the host into one plain dict: the finished lines of its configuration, its step-tickers, the networks its
firewall lets in. States and templates print what the plan says and decide nothing themselves.
"""

from __future__ import absolute_import, print_function, unicode_literals

import json

from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster_plan"

#: Where a plan is remembered: that of a state run with the run's number in its ``__opts__``, where its pillar is as well; any
#: other in ``__context__``, which a refresh of the pillar, of the grains or of the modules begins anew.
MADE = "ntpcluster.plan.made"

#: And so long at most, for what a plan depends on beside them: the time zones of this host, the files of the tree.
REMEMBERED_S = 60


def plan(secrets=False, **called):
    """
    Internal. ``ntpcluster.plan`` says what this returns.

    secrets
        True adds the secret to every key, for the template of the keys' file alone: what a person has a function
        return goes to the event bus and the job cache of the master.
    """
    if secrets:
        __salt__["ntpcluster_program.refuse_people"](called)
    text = _of_run()
    if text is None:
        pillar = __salt__["ntpcluster_applied.pillar"]()
        last = None if secrets or pillar is not None else __salt__["ntpcluster_applied.plan"]()
        if last:
            return last
        text = _remembered(pillar)
    # Parsed anew for each caller, so that none can modify another one's copy.
    result = json.loads(text)
    if not secrets:
        for key in result["keys"]:
            del key["secret"]
    return dict(result, kept=None)


def _of_run():
    """
    Return the plan of this state run, as JSON; None outside of one, and before it is made. Two dozen times a run asks, and its
    pillar is one and the same.
    """
    run, text = __opts__.get(MADE, (0, None))
    return text if run and run == __salt__["ntpcluster_applied.in_run"]() else None


def _remembered(pillar):
    """
    Return the plan made from the pillar, as JSON. While waiting for a daemon, a check each second begins with the plan.
    """
    now, run = __salt__["ntpcluster_program.monotonic"](), __salt__["ntpcluster_applied.in_run"]()
    when, of, text = __context__.get(MADE, (0, None, None))
    # As text: to == a number 1 is a true.
    if run or of != repr(pillar) or now - when > REMEMBERED_S:
        text = json.dumps(_made(pillar))
        if run:
            __opts__[MADE] = (run, text)
        else:
            __context__[MADE] = (now, repr(pillar), text)
    return text


def _made(pillar):
    """
    Return the plan made of the pillar.
    """
    stranger = __salt__["ntpcluster_facts.foreign"]()
    if stranger:
        raise SaltInvocationError(stranger)
    known = __salt__["ntpcluster_facts.facts"](pillar)
    errors = [
        "  {}".format(problem["text"])
        for problem in __salt__["ntpcluster_validate.judge"](pillar, known)
        if problem["level"] == "error"
    ]
    if errors:
        raise SaltInvocationError(
            "The pillar `ntp` cannot be used. Correct it (pillar/ntp/init.sls) and refresh the pillar:\n"
            + "\n".join(errors)
        )
    return __salt__["ntpcluster_build.build"](pillar, known["defaults"], known["platform"], known["host"])
