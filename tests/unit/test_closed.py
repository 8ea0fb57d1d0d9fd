"""
Functions that change a host, run a given program or return a secret are not for people: only other modules can call them.
"""

import inspect

import pytest
from salt.exceptions import SaltInvocationError
from salt.minion import load_args_and_kwargs

from tests.loaded import FUNCTIONS

#: All of these functions, by file.
CLOSED = {
    "applied": ["begin", "compiled", "keep", "must_not_wait", "pillar"],
    "dhcp": ["ignore"],
    "firewall": ["apply", "firewall"],
    "firewall_nft": ["hooks"],
    "origin": ["drop", "forget", "give_back", "keep_proven", "remember", "remember_file", "restore_proven", "store"],
    "package": ["install", "mend", "transact"],
    "program": ["run"],
    "query": ["asked", "pace"],
    "service": ["bring_down", "bring_up", "dismiss", "guard", "helped", "relieve", "start", "stop", "stop_other"],
    "timezone": ["set_zone"],
}
NAMES = [f"ntpcluster_{file}.{function}" for file, functions in CLOSED.items() for function in functions]


def called_by_a_person(name, *words):
    """As the minion and salt-call do it: Salt's own function prepares the arguments."""
    data = {"fun": name, "jid": "20261126000000000000", "tgt": "*", "user": "root"}
    args, kwargs = load_args_and_kwargs(FUNCTIONS[name], list(words), data)
    return FUNCTIONS[name](*args, **kwargs)


@pytest.mark.parametrize("name", NAMES)
def test_a_person_cannot_call_these_functions(name):
    needed = [
        one
        for one in inspect.signature(FUNCTIONS[name]).parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    with pytest.raises(SaltInvocationError, match=f"^{name} is internal to ntpcluster"):
        called_by_a_person(name, *("x" for _ in needed))


def test_nobody_can_run_an_arbitrary_program_as_root(tmp_path):
    with pytest.raises(SaltInvocationError, match="internal to ntpcluster"):
        called_by_a_person("ntpcluster_program.run", "touch", "x", [str(tmp_path / "made")])
    assert list(tmp_path.iterdir()) == []


def test_only_the_template_gets_the_plan_with_secrets():
    """What a function returns goes to the event bus and the job cache of the master."""
    with pytest.raises(SaltInvocationError, match="internal to ntpcluster"):
        called_by_a_person("ntpcluster_plan.plan", "secrets=True")
