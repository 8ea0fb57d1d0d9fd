"""The tests of `test_drills_island.py` with other leaders: ntpsec, and chronyd above and below ntpd."""

from __future__ import annotations

import pytest

from tests.lab.test_drills_island import (  # noqa: F401
    cluster,
    test_a_second_apply_changes_nothing,
    test_after_one_apply_all_hosts_have_the_time_of_the_first_server,
    test_every_host_is_ok_and_reports_that_it_is_not_traceable_to_utc,
)

#: On an island a bound is relative to the leader's clock, which is not the true time.
pytestmark = pytest.mark.beyond_the_bound("nothing ties an island to UTC")

CASTS = {
    "ntpsec leads": ("modern", "el6", "modern", "el6"),
    "chrony leads": ("el9", "el6", "el9", "modern"),
    "chrony follows": ("el6", "el9", "el6", "el9"),
}


@pytest.fixture(scope="module", params=CASTS)
def kinds(request):
    return CASTS[request.param]
