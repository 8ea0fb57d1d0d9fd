"""New keys."""

import pytest
from salt.exceptions import SaltInvocationError

from _modules import ntpcluster_keys, ntpcluster_validate
from tests.unit.test_plan import DEFAULTS, PILLAR


@pytest.mark.parametrize("number", [1, 7, 65534])
def test_a_new_key_is_valid_in_the_pillar_and_different_each_time(number):
    first, second = ntpcluster_keys.new_key(number), ntpcluster_keys.new_key(number)
    assert first != second
    found = ntpcluster_validate.problems({**PILLAR, **first}, DEFAULTS)
    assert [problem for problem in found if problem["level"] == "error"] == []


@pytest.mark.parametrize("number", [0, 65535, 65536, -1, True, "7", None])
def test_an_invalid_number_is_refused(number):
    with pytest.raises(SaltInvocationError, match="must be a whole number from 1 to 65534"):
        ntpcluster_keys.new_key(number)
