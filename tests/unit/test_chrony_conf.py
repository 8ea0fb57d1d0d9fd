"""Which of the pillar's options each daemon has, their form in chrony.conf, and the same in docs/chrony.md."""

import copy
import re
from pathlib import Path

import pytest

from _modules import ntpcluster_build as build
from _modules import ntpcluster_chrony_conf as conf
from _modules import ntpcluster_misfits as misfits
from _modules import ntpcluster_ntpd_conf as ntpd_conf
from _modules import ntpcluster_rules as rules
from tests.unit.pillars import DEFAULTS, GOOD, PLATFORMS

STEP = {"threshold": 0.128, "limit": None}
HOST = {
    "id": "node148",
    "names": ["node148"],
    "addresses": ["10.0.0.148", *GOOD["options"]["bindaddress"]],
    "matches": {"client": True},
}
HOSTS = {"chrony": dict(PLATFORMS["RedHat-9"], name="RedHat-9"), "ntpd": dict(PLATFORMS["RedHat-6"], name="RedHat-6")}
FOREIGN = {"chrony": conf.FOREIGN, "ntpd": ntpd_conf.FOREIGN}
TABLE = (Path(__file__).resolve().parents[2] / "docs/chrony.md").read_text()
#: Every directive; for those that chrony translates by keyword, every keyword.
WORDS = sorted(
    f"{name}:{word}" if word else name
    for name in rules.OPTIONS
    for word in (rules.OPTIONS[name] if name in conf.TRANSLATED else [""])
)


def pillar(options, **keys):
    """A pillar of one tier of clients with these options."""
    tier = {"match": "*", "sources": ["192.0.2.1", "192.0.2.2", "192.0.2.3"]}
    return {"tiers": {"client": {**tier, **keys}}, "options": options}


def told(daemon, options, **keys):
    """The problems of these options on a host with this daemon: [(level, key below options, message)]."""
    found = misfits.doubts(pillar(options, **keys), DEFAULTS, HOSTS[daemon], HOST)
    return [(one["level"], one["key"].partition("options:")[2], one["message"]) for one in found]


def made(daemon, options):
    return build.build(pillar(options), DEFAULTS, HOSTS[daemon], HOST)["options"]


def some(words):
    """The valid pillar's options for these directives; each keyword has a value that is no daemon's default."""
    given = {}
    for word in words:
        name, _, part = word.partition(":")
        if part:
            given.setdefault(name, {})[part] = 2
        else:
            given[name] = copy.deepcopy(GOOD["options"][name])
    return given


def of(line):
    """The pillar's directive that a line comes from."""
    return line.split(" ")[0]


@pytest.mark.parametrize("word", WORDS)
def test_every_directive_is_one_daemons_or_both(word):
    """A directive that a daemon reads becomes a line or `minsane`; any other becomes no line, and is reported."""
    for daemon, foreign in FOREIGN.items():
        lines, plain = made(daemon, some([word])), made(daemon, {})
        if word in foreign:
            assert lines == plain
            ((level, key, _),) = told(daemon, some([word]))
            assert key == word and level == ("error" if foreign[word] else "warning")
        else:
            assert told(daemon, some([word])) == []
            assert lines != plain or word == "tos:minsane"
    assert not all(word in foreign for foreign in FOREIGN.values())


def test_every_foreign_keyword_is_an_option():
    for foreign in FOREIGN.values():
        assert set(foreign) <= set(WORDS)
        assert {other for others in foreign.values() for other in others} <= set(rules.OPTIONS)


@pytest.mark.parametrize("daemon", sorted(FOREIGN))
def test_all_options_together_are_no_error_anywhere(daemon):
    """One pillar for a cluster with both daemons: each uses its own keywords."""
    everything = some(WORDS)
    found = told(daemon, everything)
    assert {level for level, _, _ in found} == {"warning"}
    assert {key for _, key, _ in found} == {word for word, others in FOREIGN[daemon].items() if not others}
    own = {word.partition(":")[0] for word in WORDS if word not in FOREIGN[daemon]}
    lines = {of(line) for line in made(daemon, everything)}
    assert (
        lines == own
        if daemon == "ntpd"
        else lines == own - {"discard", "tinker", "tos"} | {"makestep", "maxchange", "maxdistance", "ratelimit"}
    )


def test_an_equivalent_directive_is_required_if_there_is_one():
    ((level, key, message),) = told("chrony", {"leapfile": "/etc/ntp/leap"})
    assert (level, key) == ("error", "leapfile")
    assert message == (
        "is not a directive of chrony, the daemon of this host, node148: beside it, tell such hosts what to do with `leapsectz` "
        "or `leapseclist`; with `leapsectz: null` they do without"
    )
    assert told("chrony", {"leapfile": "/etc/ntp/leap", "leapseclist": "/etc/leap"}) == []
    assert told("chrony", {"leapfile": "/etc/ntp/leap", "leapsectz": None}) == []
    assert told("ntpd", {"leapfile": "/etc/ntp/leap", "leapsectz": None}) == []
    assert made("ntpd", {"leapfile": "/etc/ntp/leap", "leapsectz": None}) == ["leapfile /etc/ntp/leap"]


def test_a_directive_without_an_equivalent_has_no_effect():
    message = "has no effect on this host, node148: its daemon, {}, has no equivalent"
    assert told("ntpd", {"hwtimestamp": ["*"]}) == [("warning", "hwtimestamp", message.format("ntpd"))]
    assert told("chrony", {"tinker": {"huffpuff": 7200, "panic": 0}}) == [
        ("warning", "tinker:huffpuff", message.format("chrony"))
    ]


def test_a_host_whose_method_is_cron_has_no_daemon_to_read_anything():
    assert told("chrony", {"leapfile": "/etc/ntp/leap"}, method="cron") == []


def test_a_keyword_of_ntpd_does_not_affect_chrony():
    """`tos minclock` limits how many sources ntpd can require to agree; chronyd has no such limit."""
    minsane = {
        daemon: build.build(pillar({"tos": {"minclock": 1}}), DEFAULTS, HOSTS[daemon], HOST)["minsane"]
        for daemon in HOSTS
    }
    assert minsane == {"chrony": 2, "ntpd": 1}


def test_without_options_there_are_no_messages():
    assert told("chrony", {}) == told("ntpd", None) == []
    assert conf.lines({}, STEP) == ["makestep 0.128 3", "maxchange 1000 3 -1"]


def test_a_limit_holds_from_the_first_update_on():
    assert conf.lines({}, {"threshold": 1, "limit": 0.5}) == ["makestep 1 3", "maxchange 0.5 0 -1"]


def test_the_directive_of_ntpd_overrides_the_limit():
    """As in ntp.conf, where the pillar's `tinker panic` overrides the limit."""
    assert conf.lines({"tinker": {"panic": 30}}, {"threshold": 1, "limit": 0.5})[1] == "maxchange 30 0 -1"


def test_no_number_has_an_exponent():
    for line in conf.lines({"maxslewrate": 1e-7}, {"threshold": 1e-6, "limit": 1e10}):
        assert "e" not in line.split(" ", 1)[1]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"leapseclist": "/etc/leap", "leapsectz": "right/UTC"}, {"leapseclist": "/etc/leap"}),
        ({"logdir": "/var/log/chrony/"}, {}),
        ({"logdir": "/var/log/chrony/", "log": ["tracking"]}, {"logdir": "/var/log/chrony/tracking.log"}),
        ({"ntsdumpdir": "/var/lib/chrony"}, {"ntsdumpdir": "/var/lib/chrony/*.nts"}),
        ({"ntsservercert": ["/a"], "ntsserverkey": ["/b"]}, {"ntsservercert:0": "/a", "ntsserverkey:0": "/b"}),
        ({"leapfile": "/etc/leap", "statsdir": "/var/", "statistics": ["loopstats"]}, {}),
        ({"log": "tracking", "logdir": 5, "ntsservercert": "/a", "leapseclist": [None]}, {}),
    ],
)
def test_the_files_that_chronyd_opens(options, names):
    assert {":".join(map(str, path)): name for path, name in conf.files(options)} == names


# ---------------------------------------------------------------------------------------------------------
# docs/chrony.md


def written():
    """The table of options in docs/chrony.md: [(directives and words of the first cell, the two other cells)]."""
    rows = []
    for line in TABLE.split("| `options` |")[1].split("\n\n")[0].splitlines()[2:]:
        first, chrony, ntpd = re.split(r"(?<!\\) \| ", line.strip("| "))
        names = []
        for part in re.findall(r"`([^`]+)`", first):
            name, _, words = part.partition(": ")
            words = words.strip("{}").split(", ") if words.startswith("{") else []
            names += [f"{name}:{word}" for word in words] or [name]
        rows.append((names, chrony, ntpd))
    return rows


def test_the_table_has_every_option_once():
    assert sorted(name for names, _, _ in written() for name in names) == WORDS


@pytest.mark.parametrize(
    ("names", "chrony", "ntpd"), written(), ids=lambda cell: ",".join(cell) if isinstance(cell, list) else ""
)
def test_the_table_says_what_is_refused_and_what_has_no_effect(names, chrony, ntpd):
    for name in names:
        for cell, foreign in ((chrony, conf.FOREIGN), (ntpd, ntpd_conf.FOREIGN)):
            assert ("no effect" in cell) == (foreign.get(name) == []), (name, cell)
            beside = re.search(r"needs (.*) beside it", cell)
            assert (re.findall(r"`(\w+)`", beside.group(1)) if beside else []) == foreign.get(name, []), (name, cell)


@pytest.mark.parametrize("name", [word for word in WORDS if word not in conf.FOREIGN and word != "tos:minsane"])
def test_the_table_names_the_directive_of_chrony(name):
    """`tos minsane` is in the plan, but not among the options; the functional test covers it."""
    (cell,) = [chrony for names, chrony, _ in written() if name in names]
    (line,) = [line for line in made("chrony", some([name])) if line not in made("chrony", {})][:1]
    other = re.match(r"`(\w+)`", cell)
    assert of(line) == (other.group(1) if other else name)
