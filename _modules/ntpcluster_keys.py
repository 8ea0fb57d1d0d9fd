# -*- coding: utf-8 -*-
"""
Fresh symmetric keys, for the pillar.
"""

from __future__ import absolute_import, print_function, unicode_literals

import binascii
import os

from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster"

#: ntpd takes key numbers of 16 bits, and 0 means none (ntp.keys(5)).
LAST_NUMBER = 65535


def __virtual__():
    return __virtualname__


def new_key(number=1):
    """
    A fresh SHA1 key, as the pillar wants it. It is kept nowhere: put it into encrypted pillar.

    Call it by ``salt-call --local``, never through a master: what a minion returns is kept in the job cache.

    number
        Number of the key, 1 to 65535.

    Returns {"keys": {number: {"type": "SHA1", "secret": 40 hexadecimal digits}}}.

    Raises SaltInvocationError for a number that is none.

    CLI Example:

    .. code-block:: bash

        salt-call --local ntpcluster.new_key 7
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= LAST_NUMBER:
        raise SaltInvocationError("number: {0!r} is not a number from 1 to {1}".format(number, LAST_NUMBER))
    secret = binascii.hexlify(os.urandom(20)).decode("ascii")
    return {"keys": {number: {"type": "SHA1", "secret": secret}}}
