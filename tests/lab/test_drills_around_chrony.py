"""The drills of `test_drills_around.py` that concern the daemon, on a host with chronyd: names, and what chronyc says.

Not here: firewall rules, which are the same for every daemon, and a daemon that dies at its start, which systemd reports at
once.
"""

from __future__ import annotations

import pytest

from tests.lab.test_drills_around import (  # noqa: F401
    host,
    test_a_resolver_that_dies_does_not_disturb_a_host_that_is_right,
    test_names_that_are_unknown_at_boot_are_found_when_the_resolver_is_back,
    test_names_that_are_unknown_at_the_apply_are_found_when_the_resolver_is_back,
    test_one_unresolvable_name_of_four_does_not_affect_the_others,
    test_status_does_not_hang_with_or_trust_a_broken_program,
    whole,
)


@pytest.fixture(scope="module")
def kind():
    return "el9"
