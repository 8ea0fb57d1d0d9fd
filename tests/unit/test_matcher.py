"""Matchers as Salt reads them: those that it cannot read are refused, and its real matcher can evaluate all others."""

import logging
import random
import re
import warnings

import pytest
import salt.config
import salt.loader

from _modules.ntpcluster_matcher import ENGINES, JOINTS, TARGET, fault

# (matcher, what the message shows)
BAD = [
    ("(ntp1 or ntp2)", "write `( ntp1 or ntp2 )`"),
    ("ntp1,ntp2", "write `L@ntp1,ntp2` or `ntp1 or ntp2`"),
    ("ntp1 ntp2", "as in `ntp1 or ntp2`"),
    ("ntp1 or", "ends with `or`; write a match after it, as in `a or b`"),
    ("ntp1 OR ntp2", "write `or`"),
    ("X@foo", ENGINES),
    ("P@os:(Red|x", "which is not a regular expression"),
    ("G@virtual_subtype:Xen PV DomU", "`G@virtual_subtype:Xen?PV?DomU`"),
    ("G@role:ntp and and", "has `and` after `and`"),
    # the brackets
    ("( ntp1 or ntp2", "a parenthesis that is not closed"),
    ("ntp1 or ntp2 )", "a parenthesis that is not open"),
    ("(G@os:RedHat or ntp1)", "write `( G@os:RedHat or ntp1 )`"),
    ("( G@os:RedHat or G@os:Debian)", "write `( G@os:RedHat or G@os:Debian )`"),
    ("((ntp1))", "write `( ( ntp1 ) )`"),
    ("( )", "has `)` after `(`"),
    ("ntp1 ( ntp2 )", "write `and` or `or`"),
    ("( ntp1 ) ( ntp2 )", "write `and` or `or`"),
    ("( or ntp1 )", "has `or` after `(`"),
    (" ".join(["("] * 40 + ["a"] + [")"] * 40), "more than 20 nested parentheses"),
    # the operators
    ("or ntp1", "has `or` at the beginning"),
    ("ntp1 && ntp2", "write `and`"),
    ("ntp1 | ntp2", "write `or`"),
    ("ntp1 ! ntp2", "write `not`"),
    ("not not ntp1", "remove both"),
    ("ntp1 and not", "ends with `not`"),
    ("Not ntp1", "write `not`"),
    ("!ntp1", "write `not ntp1`"),
    # the ids
    ("ntp1|ntp2", "`E@ntp(1|2)`"),
    ("ntp{1,2}", "L@ntp1,ntp2"),
    ("ntp(1|2)", "`E@ntp(1|2)`"),
    ("^ntp", "`E@ntp(1|2)`"),
    ("'ntp1'", "letters, digits"),
    ("ntp\u00e9", "letters, digits"),
    ("10.0.0.0/24", "`S@10.0.0.0/24`"),
    ("os:RedHat", "`G@role:ntp`"),
    ("ntp1\u00a0or\u00a0ntp2", "plain spaces"),
    ("ntp[3-1]", "range 3-1 runs backwards"),
    ("ntp[Z-a]", "range Z-a runs backwards"),
    ("ntp[1-3", "is not a set"),
    ("ntp[]", "is not a set"),
    ("ntp[^1]", "is not a set"),
    # the engines
    ("g@os:RedHat", ENGINES),
    ("D@role:ntp", ENGINES),
    ("T@x", ENGINES),
    ("L:@ntp1", ENGINES),
    ("Go@role:ntp", ENGINES),
    ("grain@os:RedHat", ENGINES),
    ("G@", ENGINES),
    ("N@servers", "write the nodegroup's expression"),
    ("R@%servers", "needs a range server"),
    ("G@os", "`G@role:ntp`"),
    ("I@:x", "`I@role:ntp`"),
    ("G|@os:RedHat", "`G|@role|ntp`"),
    ("G@o?:RedHat", "only the value"),
    ("P@(os|osfamily):RedHat", "only the value"),
    ("G@os:Debian)", "brackets do not match"),
    ("G@os:[z-a]", "runs backwards"),
    ("L@ntp1, ntp2", "no spaces, as in `L@ntp1,ntp2`"),
    ("L@ntp1,,ntp2", "an empty item"),
    ("L@ntp*", "whole ids"),
    ("S@10.0.0.1/24", "without host bits"),
    ("S@10.0.0.256", "an address or a network"),
    ("S@ntp1", "an address or a network"),
    ("S@10.0.0.0/33", "an address or a network"),
    ("S@fe80::1%eth0", "an address or a network"),
    ("E@ntp(1", "not a regular expression"),
    ("E@ntp)", "not a regular expression"),
    ("E@*", "not a regular expression"),
    ("E@ntp++", "groups or repeats"),
    ("E@ntp(?i)", "groups or repeats"),
    ("E@(?>ntp)", "groups or repeats"),
    (r"E@\hntp", r"\h not every Salt reads alike"),
    ("E@" + "()" * 120, "99 groups"),
    # A set that Python warns about and may read differently in the future: with `[`, `--`, `&&`, `||` or `~~` in it.
    ("E@[[a]", "sets not every Salt reads alike"),
    ("E@ntp[a[b]", "sets not every Salt reads alike"),
    ("E@[]--a]", "sets not every Salt reads alike"),
    ("E@[a&&b]", "sets not every Salt reads alike"),
    ("E@[^a||b]", "sets not every Salt reads alike"),
    ("P@os:[a~~b]", "sets not every Salt reads alike"),
    # Salt converts these to lower case, and thus \S to \s.
    (r"P@os:\S+", r"\S not every Salt reads alike"),
    (r"J@role:ntp\Z", r"\Z not every Salt reads alike"),
    ("P@os:(?P<x>Red)", "groups or repeats"),
    ("P@os:(Red Hat|CentOS)", "write `.` for a space in it"),
    ("J@role:two words", "`J@role:two.words`"),
]

GOOD = [
    "*", "ntp*", "*1", "ntp?", "ntp1", "ntp[1-3]", "ntp[!1]", "ntp[12].example.com", "n[a_-]p*", "ntp[1,2]",
    "ntp1 or ntp2", "( ntp1 or ntp2 )", "( ( ntp1 or rack* ) and not ( ntp3 ) )", "not x", "ntp1 and not ntp2",
    "ntp* not ntp2", "L@ntp1", "L@ntp1,ntp2", "L@ntp1.example.com,ntp2 or G@role:time", "E@ntp[0-9]+$", "E@ntp(1|2)",
    "E@(?i)NTP[12]", r"E@ntp\d\.example\.com", r"E@ntp[^\]\d]{1,3}", "I@role:ntp", "I@role:ntp:server", "G@os:RedHat",
    "G@os:Red*", "G@virtual_subtype:Xen?PV?DomU", "G@note:a(b)", "G@site:Z\u00fcrich", "P@os:(RedHat|CentOS)",
    "P@os:(?:Red|x)", r"P@osrelease:6\.\d+", "J@role:(ntp|time)", r"J@role:n.p\s?", "S@10.0.0.0/24", "S@10.0.0.189",
    "S@2001:db8::/64", "S@2001:db8::1", "G|@path|/srv/ntp", "I/@role/ntp:a", "P%@os%Red.*", "I@ntp:tiers", "G@a:*", "G@*:c",
    r"E@[a\[-]", "E@[a-z-]", "E@[|&~]",
]  # fmt: skip

DATA = {
    "os": "RedHat",
    "role": ["ntp", "time"],
    "site": "Z\u00fcrich",
    "virtual_subtype": "Xen PV DomU",
    "osrelease": "6.5",
    "note": "a(b)",
    "path": "/srv/ntp",
    "ntp": {"tiers": {"server": 1}},
    "a": {"b": "c"},
}


def changed(chance, matcher):
    """A matcher with one typical mistake."""
    words = matcher.split(" ")
    at = chance.randrange(len(matcher) + 1)
    sign = chance.choice("()[]|,:@*?.+\\!-^$ 1aZGLEPS{}/&'\"~\u00e9")
    way = chance.randrange(5)
    if way == 0:
        return matcher[:at] + sign + matcher[at:]
    if way == 1:
        return matcher[:at] + matcher[at + 1 :]
    if way == 2:
        words.insert(chance.randrange(len(words) + 1), chance.choice([*JOINTS, *GOOD]))
    elif way == 3:
        words.pop(chance.randrange(len(words)))
    else:
        chance.shuffle(words)
    return " ".join(words)


def sample(count=4000):
    """Good matchers and many variants with mistakes: which are accepted, which are refused."""
    chance = random.Random(20131122)
    accepted, refused = list(GOOD), [matcher for matcher, _ in BAD]
    for _ in range(count):
        matcher = chance.choice(GOOD)
        for _ in range(chance.choice((1, 1, 2))):
            matcher = changed(chance, matcher)
        if matcher.strip() and re.match(r"[^\s-]", matcher):
            (refused if fault(matcher) else accepted).append(matcher)
    return accepted, refused


class Complaints(logging.Handler):
    """What Salt logs as an error."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


@pytest.fixture(scope="module")
def real():
    """Salt's own compound matcher, of a minion with this id, grains and pillar."""
    opts = salt.config.minion_config(None)
    match = salt.loader.matchers(opts)["compound_match.match"]

    def ask(matcher, minion="ntp1", data=DATA):
        grains = dict(data, id=minion, ipv4=["127.0.0.1", "10.0.0.189"], ipv6=["::1", "2001:db8::1"])
        here = dict(opts, id=minion, minion_id=minion, grains=grains, pillar=data)
        complaints = Complaints()
        logging.getLogger("salt").addHandler(complaints)
        try:
            found = match(matcher, opts=here, minion_id=minion)
        finally:
            logging.getLogger("salt").removeHandler(complaints)
        return found, complaints.said

    return ask


@pytest.mark.parametrize(("matcher", "shown"), BAD)
def test_what_salt_cannot_read_is_refused_with_the_right_form(matcher, shown):
    assert shown in (fault(matcher) or "")


@pytest.mark.parametrize("matcher", GOOD)
def test_what_salt_can_read_is_accepted(matcher):
    assert fault(matcher) is None


def test_the_form_that_a_message_shows_is_one_that_salt_reads():
    shown = [
        form
        for matcher, _ in BAD
        for form in re.findall(r"\b(?:write|as|in|for each space:) `([^`]+)`", fault(matcher))
    ]
    assert len(shown) > 30
    assert {form: fault(form) for form in shown if form not in JOINTS and fault(form)} == {}


def test_python_warns_of_nothing_that_is_accepted():
    """Python warns about patterns that a later version may read differently, once for each pattern that it compiles."""
    re.purge()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for matcher in sample()[0]:
            fault(matcher)


def test_salts_matcher_evaluates_whatever_is_accepted(real):
    accepted, refused = sample()
    assert len(accepted) > 400 and len(refused) > 400
    for matcher in accepted:
        found, said = real(matcher)
        assert (type(found), said) == (bool, []), matcher


def witness(word):
    """An id and data for which a word of a matcher must be true; None for a regular expression."""
    literal = re.sub(r"\[(!?)-?(.)[^\]]*\]", lambda found: "x" if found.group(1) else found.group(2), word)
    target = TARGET.match(re.sub(r"[*?]", "x", literal))
    if not target:
        return re.sub(r"[*?]", "x", literal), {}
    engine, delimiter, pattern = target.group("engine", "delimiter", "pattern")
    if engine == "L":
        return pattern.split(",")[-1], {}
    if engine in "GI":
        key, _, value = pattern.partition(delimiter or ":")
        return "ntp1", {key: value}
    return None


def witnesses(accepted):
    """Every word of these matchers that has a witness: [word, id, data]."""
    words = {word for matcher in accepted for word in matcher.split() if word not in JOINTS}
    return [[word, *witness(word)] for word in sorted(words) if witness(word)]


def test_no_accepted_word_is_false_for_the_host_that_it_names(real):
    cases = witnesses(sample()[0])
    assert len(cases) > 200
    for word, minion, data in cases:
        assert real(word, minion, data) == (True, []), word
