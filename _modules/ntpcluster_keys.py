# -*- coding: utf-8 -*-
"""
Internal. Fresh symmetric keys, for the pillar.
"""

from __future__ import absolute_import, print_function, unicode_literals

import binascii
import os

from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster_keys"

#: ntpd takes key numbers of 16 bits, and 0 means none (ntp.keys(5)).
LAST_NUMBER = 65535


def new_key(number=1):
    """
    Internal. ``ntpcluster.new_key`` says what this takes and returns.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= LAST_NUMBER:
        raise SaltInvocationError("number: {0!r} is not a number from 1 to {1}".format(number, LAST_NUMBER))
    secret = binascii.hexlify(os.urandom(20)).decode("ascii")
    return {"keys": {number: {"type": "SHA1", "secret": secret}}}
