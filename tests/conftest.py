"""The order of the test files: the slowest start first, and the others run in parallel with them. Also no time limit for one
example of hypothesis: the machine may be busy."""

from hypothesis import settings

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")

#: Minutes on two cores, in parallel with two to four others; a file that is not named takes at most one.
MINUTES = {
    "test_operating_quiet": 13,
    "test_drills_liars": 10,
    "test_drills_failover": 9,
    "test_drills_kill": 9,
    "test_drills_migration": 9,
    "test_migration": 9,
    "test_operating_view": 8,
    "test_operating_alarms": 7,
    "test_states": 8,
    "test_drills_around": 7,
    "test_drills_far_off": 7,
    "test_drills_disk": 7,
    "test_traps": 6,
    "test_dead_source": 6,
    "test_drills_crowd": 5,
    "test_operating_rollout": 5,
    "test_step": 5,
    "test_deployment": 3,
    "test_fresh": 3,
    "test_late_server": 2,
    "test_monitoring": 3,
}


def pytest_collection_modifyitems(items):
    # A stable sort: the tests within a file keep their order.
    items.sort(key=lambda item: -MINUTES.get(item.path.stem, 0))
