# -*- coding: utf-8 -*-
"""
Internal. What this host has to do, worked out from the pillar.

A site describes its cluster once, as tiers (``pillar/ntp/init.sls``). ``ntpcluster.plan`` turns that, the
defaults (``salt://ntp/defaults.yaml``), the facts of the platform (``salt://ntp/platforms.yaml``) and the
grains of the host into one plain dict: the finished lines of its configuration, its step-tickers, the networks its
firewall lets in. States and templates print what the plan says and decide nothing themselves.
"""

from __future__ import absolute_import, print_function, unicode_literals

import copy

from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster_plan"

#: Where a state run keeps its plan, with the number of the run: in its ``__opts__``, where its pillar is as well.
MADE = "ntpcluster.plan.made"


def plan(secrets=False, **called):
    """
    Internal. ``ntpcluster.plan`` says what this returns.

    secrets
        True adds the secret to every key, for the template of the keys' file alone: what a person has a function
        return goes to the event bus and the job cache of the master.
    """
    if secrets:
        __salt__["ntpcluster_program.refuse_people"](called)
    run, made = __opts__.get(MADE, (0, None))
    if not run or run != __salt__["ntpcluster_applied.in_run"]():
        pillar = __salt__["ntpcluster_applied.pillar"]()
        last = None if secrets or pillar is not None else __salt__["ntpcluster_applied.plan"]()
        if last:
            return last
        made = _made(pillar)
    result = copy.deepcopy(made)
    if not secrets:
        for key in result["keys"]:
            del key["secret"]
    return dict(result, kept=None)


def _made(pillar):
    """
    Return the plan made of the pillar. Two dozen times a state run asks, and its pillar is one and the same.
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
    made = __salt__["ntpcluster_build.build"](pillar, known["defaults"], known["platform"], known["host"])
    run = __salt__["ntpcluster_applied.in_run"]()
    if run:
        __opts__[MADE] = (run, made)
    return made
