# -*- coding: utf-8 -*-
"""
Internal. Work out this host's role and configuration from the pillar.

A site describes its cluster once, as tiers (``pillar/ntp/init.sls``). ``ntpcluster.plan`` turns that, the
defaults (``salt://ntp/defaults.yaml``), the facts of the platform (``salt://ntp/platforms.yaml``) and the
grains of the host into one plain dict: the finished lines of its configuration, its step-tickers, the networks its
firewall lets in. States and templates write out the plan and decide nothing themselves.
"""

from __future__ import absolute_import, print_function, unicode_literals

import json

from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster_plan"

#: Where a plan is cached: in a state run, with the run's number in its ``__opts__``, where its pillar is as well; otherwise in
#: ``__context__``, which a refresh of the pillar, the grains or the modules clears.
MADE = "ntpcluster.plan.made"

#: The maximum age of such a plan, for its other inputs: the time zones of this host, the files of the tree.
REMEMBERED_S = 60


def plan(secrets=False, **called):
    """
    Internal. Implements ``ntpcluster.plan``.

    secrets
        True adds the secret to every key. Only the template of the key file uses it: the return of a function called by a
        person goes to the event bus and the job cache of the master.
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
    # Parsed again for each caller, so that none can modify the copy of another.
    result = json.loads(text)
    if not secrets:
        for key in result["keys"]:
            del key["secret"]
    return dict(result, kept=None)


def _of_run():
    """
    Return the plan of this state run, as JSON; None outside of a run, and before it is made. A run asks for it two dozen times,
    and its pillar does not change.
    """
    run, text = __opts__.get(MADE, (0, None))
    return text if run and run == __salt__["ntpcluster_applied.in_run"]() else None


def _remembered(pillar):
    """
    Return the plan made from the pillar, as JSON. Waiting for a daemon needs the plan every second.
    """
    now, run = __salt__["ntpcluster_program.monotonic"](), __salt__["ntpcluster_applied.in_run"]()
    when, of, text = __context__.get(MADE, (0, None, None))
    # As text: 1 == True in Python.
    if run or of != repr(pillar) or now - when > REMEMBERED_S:
        text = json.dumps(_made(pillar))
        if run:
            __opts__[MADE] = (run, text)
        else:
            __context__[MADE] = (now, repr(pillar), text)
    return text


def _made(pillar):
    """
    Return the plan made from the pillar.
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
