"""Fresh keys."""

import pytest
from salt.exceptions import SaltInvocationError

from _modules import ntpcluster_keys, ntpcluster_validate
from tests.unit.test_plan import DEFAULTS, PILLAR


def test_a_fresh_key_is_one_that_the_pillar_takes_and_never_the_same():
    first, second = ntpcluster_keys.new_key(7), ntpcluster_keys.new_key(7)
    assert first != second
    found = ntpcluster_validate.problems({**PILLAR, **first}, DEFAULTS)
    assert [problem for problem in found if problem["level"] == "error"] == []


@pytest.mark.parametrize("number", [0, 65536, -1, True, "7", None])
def test_a_number_that_is_none_is_refused(number):
    with pytest.raises(SaltInvocationError, match="1 to 65535"):
        ntpcluster_keys.new_key(number)
