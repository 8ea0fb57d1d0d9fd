# -*- coding: utf-8 -*-
"""
Internal. Generate symmetric keys for the pillar.
"""

from __future__ import absolute_import, print_function, unicode_literals

import binascii
import os

from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster_keys"


def new_key(number=1):
    """
    Internal. Implements ``ntpcluster.new_key``.
    """
    proper, numbers = __salt__["ntpcluster_rules.allowed"]()["tier_keys"]["key"]
    if not proper(number):
        raise SaltInvocationError("number: must be {0}, not {1!r}".format(numbers, number))
    secret = binascii.hexlify(os.urandom(20)).decode("ascii")
    return {"keys": {number: {"type": "SHA1", "secret": secret}}}
