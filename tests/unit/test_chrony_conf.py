"""What of the pillar's options chrony cannot have is refused, with what to write instead."""

import pytest

from _modules import ntpcluster_chrony_conf as conf
from _modules import ntpcluster_rules as rules

STEP = {"threshold": 0.128, "limit": None}


@pytest.mark.parametrize(
    ("options", "key", "says"),
    [
        ({"tinker": {"allan": 1500, "panic": 0}}, "tinker:allan", "nothing like it"),
        ({"tos": {"minclock": 3}}, "tos:minclock", "nothing like it"),
        ({"leapfile": "/x"}, "leapfile", "leapseclist"),
        ({"statistics": ["loopstats"]}, "statistics", "`log`"),
        ({"leapsectz": "right/UTC\nallow all"}, "leapsectz", "time zone"),
        ({"leapsectz": ["right/UTC"]}, "leapsectz", "time zone"),
        ({"logdir": "var/log"}, "logdir", "absolute path"),
        ({"logdir": "/var/../etc"}, "logdir", "absolute path"),
        ({"hwtimestamp": "eth0"}, "hwtimestamp", "a list"),
        ({"hwtimestamp": []}, "hwtimestamp", "a list"),
        ({"hwtimestamp": [True]}, "hwtimestamp", "a list"),
        ({"log": ["tracking", "everything"]}, "log", "measurements"),
        ({"maxslewrate": "fast"}, "maxslewrate", "number"),
        ({"maxslewrate": -1.0}, "maxslewrate", "number"),
        ({"allow": "all"}, "allow", "no option of chrony"),
        ({"cmdallow": "all"}, "cmdallow", "no option of chrony"),
    ],
)
def test_what_chrony_cannot_have_is_refused(options, key, says):
    [problem] = conf.refused(options)
    assert problem["key"] == "ntp:options:" + key
    assert says in problem["message"]


@pytest.mark.parametrize("name", sorted(rules.OPTIONS))
def test_every_directive_of_ntpd_is_translated_or_has_advice(name):
    assert (name in conf.TRANSLATED) != (name in conf.FOREIGN)


def test_nothing_is_refused_where_nothing_is_said():
    assert conf.refused(None) == conf.refused({}) == []
    assert conf.lines(None, STEP) == ["makestep 0.128 3", "maxchange 1000 3 -1"]


def test_a_limit_holds_from_the_first_update_on():
    assert conf.lines({}, {"threshold": 1, "limit": 0.5}) == ["makestep 1 3", "maxchange 0.5 0 -1"]


def test_the_word_of_ntpd_outranks_the_limit():
    """As in ntp.conf, where `tinker panic` of the pillar is laid over the limit."""
    assert conf.lines({"tinker": {"panic": 30}}, {"threshold": 1, "limit": 0.5})[1] == "maxchange 30 0 -1"


def test_no_number_has_an_exponent():
    for line in conf.lines({"maxslewrate": 1e-7}, {"threshold": 1e-6, "limit": 1e10}):
        assert "e" not in line.split(" ", 1)[1]
