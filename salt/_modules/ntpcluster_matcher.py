# -*- coding: utf-8 -*-
"""
Internal. Find compound matchers that Salt cannot read.

Salt returns False for a matcher that it cannot read, and takes many mistakes (``(ntp1``, ``ntp1,ntp2``, ``OR``, ``X@foo``) for
the id of a minion that does not exist. Either way it raises no error, and a server that its tier no longer matches would become
a client. So a matcher must have a form that every supported Salt, 3000 to 3008, reads in the same way: words separated by
blanks (``compound_match.py``), each an operator, a bracket, a glob for ids, or one of seven engines (``TARGET_REX`` in
``salt/utils/minions.py``).
"""

from __future__ import absolute_import, print_function, unicode_literals

import re

from salt._compat import ipaddress

__virtualname__ = "ntpcluster_matcher"
# The loader offers only this function; ``fault`` stays a plain function for the tests.
__load__ = ["fault"]

TARGET = re.compile(r"(?P<engine>[GPIJLNSER])(?P<delimiter>(?<=[GPIJ])[^\w\s])?@(?P<pattern>.+)\Z")
ENGINES = (
    "G@ I@ (grain, pillar), P@ J@ (the same by regular expression), L@ (ids), E@ (id, regular expression), S@ (network)"
)

#: The words that join the others.
JOINTS = ("and", "or", "not", "(", ")")

#: Words that people write by mistake instead of an operator.
MEANT = {"and": "and", "or": "or", "not": "not", "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not"}

#: Salt passes the brackets to Python, whose parser gives up at a depth of 90 in Python 2.7.
DEEPEST = 20

#: A set in a glob. Salt compares grains in lower case, so a range must be ascending in lower case too.
SIGN = r"[A-Za-z0-9_.,]"
SET = re.compile(r"\[!?(?=[^\]!])-?(?:{0}-{0}|{0})*-?\]".format(SIGN))
RANGE = re.compile(r"({0})-({0})".format(SIGN))

#: In a regular expression: an escaped character; an escaped character or a set; and what Python may read as a nested set.
ESCAPED = re.compile(r"\\.")
LITERAL = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
NESTED = re.compile(r"\[|--|&&|\|\||~~")

GLOB = "letters, digits, - _ . and the globs * ? [1-3]; ? stands for any other character"


def fault(matcher):
    """
    Internal. Return why Salt cannot read a compound matcher, with the form that it can read; None if it can.

    matcher
        The text of ``match``.
    """
    if re.search(r"[^\S ]", matcher, re.UNICODE):
        return "must have only plain spaces between its words"
    words = matcher.split()
    for word in words:
        wrong = None if word in JOINTS else _word_fault(word)
        if wrong:
            loose = _loose(words)
            if loose != words and fault(" ".join(loose)) is None:
                wrong = "but a parenthesis needs a space on each side: write `{}`".format(" ".join(loose))
            return "has `{}`, {}".format(word, wrong)
    return _grammar_fault(words)


def _grammar_fault(words):
    """
    Tell whether the words, each of which is valid, form an expression.
    """
    depth, wanted, before = 0, True, None
    for number, word in enumerate(words):
        if word in ("and", "or", ")") and wanted:
            place = "after `{}`".format(before) if before else "at the beginning"
            return "has `{}` {}, where a match is required, as in `a or b`".format(word, place)
        if word == "not" and before == "not":
            return "has `not not`, which Salt cannot read; remove both"
        if word not in ("and", "or", "not", ")") and not wanted:
            return _side_by_side(words, number)
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth < 0:
            return "closes a parenthesis that is not open; write `( a or b )`"
        if depth > DEEPEST:
            return "has more than {} nested parentheses".format(DEEPEST)
        wanted = word in ("and", "or", "not", "(")
        before = word
    if wanted:
        return "ends with `{}`; write a match after it, as in `a or b`, or remove it".format(before)
    return "has a parenthesis that is not closed; write `( a or b )`" if depth else None


def _side_by_side(words, number):
    """
    Say what two words without an operator between them probably mean.
    """
    before, word = words[number - 1 : number + 1]
    run = [before]
    for each in words[number:]:
        if each in JOINTS or TARGET.match(each):
            break
        run.append(each)
    found = TARGET.match(before)
    mark = {"G": "?", "I": "?", "P": ".", "J": ".", "E": "."}.get(found.group("engine") if found else "")
    if mark and len(run) > 1:
        message = "has `{}` and `{}` side by side; if that is one value, write {} for each space: `{}`"
        return message.format(before, word, mark, mark.join(run))
    message = "has `{}` and `{}` side by side; write `and` or `or` between them, as in `ntp1 or ntp2`"
    return message.format(before, word)


def _loose(words):
    """
    Return the words with a blank between a bracket and the next word, if the bracket cannot be part of that word.
    """
    result = []
    for word in words:
        behind = []
        while len(word) > 1 and word.startswith("("):
            result.append("(")
            word = word[1:]
        while len(word) > 1 and word.endswith(")") and word.count(")") > word.count("("):
            behind.append(")")
            word = word[:-1]
        result += [word] + behind
    return result


# ---------------------------------------------------------------------------------------------------------
# Words


def _word_fault(word):
    """
    Return why Salt reads one word differently from what it looks like, or None.
    """
    found = TARGET.match(word)
    if not found:
        return _id_fault(word)
    engine, delimiter, pattern = found.group("engine", "delimiter", "pattern")
    if engine == "N":
        return "which only state runs can resolve, since they have the master's nodegroups; write the nodegroup's expression"
    if engine == "R":
        return "which needs a range server; write the ids, as in `L@ntp1,ntp2`"
    if engine == "L":
        return _list_fault(pattern)
    if engine == "S":
        return _network_fault(pattern)
    if engine == "E":
        return _regex_fault(pattern)
    key, _, value = pattern.partition(delimiter or ":")
    if not key or not value:
        return "which must be KEY{0}VALUE, as in `{1}{2}@role{0}ntp`".format(delimiter or ":", engine, delimiter or "")
    if key != "*" and re.search(r"[][*?(){}|^$\\]", key):
        return "whose key `{}` Salt takes literally; only the value can be a pattern".format(key)
    return _glob_fault(value) if engine in "GI" else _regex_fault(value, lowered=True)


def _id_fault(word):
    """
    Return why a word without an engine is not a glob for minion ids.
    """
    if word.lower() in MEANT:
        return "which Salt reads as the id of a minion; write `{}`".format(MEANT[word.lower()])
    if word.startswith("!"):
        return "which Salt reads as an id; write `not {}`".format(word[1:])
    if "@" in word:
        return "whose prefix is not an engine that every Salt has: {}; in an id write ? for @".format(ENGINES)
    bare = SET.sub("", word)
    if "," in bare:
        return "which Salt reads as one id; write `L@ntp1,ntp2` or `ntp1 or ntp2`"
    if "/" in bare:
        return "which is not an id; write a network as `S@10.0.0.0/24`"
    if ":" in bare:
        return "which is not an id; write a grain as `G@role:ntp`, a pillar key as `I@role:ntp`"
    if re.search(r"[\[\]]", bare):
        return _glob_fault(word)
    if re.search(r"[(){}|\\^$+]", bare):
        return "which is not a glob; write a regular expression as `E@ntp(1|2)`, and a group as `( ntp1 or ntp2 )`"
    if not re.match(r"[A-Za-z0-9_.*?-]*\Z", bare):
        return "which is not a glob for an id: {}".format(GLOB)
    return _glob_fault(word)


def _glob_fault(text):
    """
    Return why Salt reads a glob differently from what it looks like, or None.
    """
    if re.search(r"[\[\]]", SET.sub("", text)):
        return "whose [ ] is not a set: write `[1-3]`, `[ab]` or `[!ab]`; ? stands for any character"
    for chars in SET.findall(text):
        for low, high in RANGE.findall(chars):
            if low > high or low.lower() > high.lower():
                return "whose range {}-{} runs backwards".format(low, high)
    if text.count("(") != text.count(")"):
        return "whose brackets do not match; ? stands for any character"
    return None


def _list_fault(text):
    """
    Return why a list of ids is not valid, or None. Salt compares whole ids here.
    """
    if not all(text.split(",")):
        return "which has an empty item; write the ids with commas and no spaces, as in `L@ntp1,ntp2`"
    if re.search(r"[*?\[\](){}|\"'\\]", text):
        return "but L@ accepts only whole ids, without globs; write `ntp1* or ntp2*`, or `E@ntp[12].*`"
    return None


def _network_fault(text):
    """
    Return why Salt does not accept a text as an address or network, or None.
    """
    if re.match(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?\Z", text):
        for kind in (ipaddress.ip_address, ipaddress.ip_network):
            try:
                kind(text)
                return None
            except ValueError:
                continue
    return "which must be an address or a network without host bits, as in `S@10.0.0.0/24`"


def _regex_fault(text, lowered=False):
    """
    Return why Python 2.7 and 3 read a regular expression differently, or None.

    lowered
        Salt converts this one to lower case before it uses it (``subdict_match`` in salt/utils/data.py).
    """
    letters = "bdsw" if lowered else "AbBdDsSwWZ"
    for escaped in re.findall(r"\\(.)", text):
        if re.match(r"[A-Za-z]", escaped) and escaped not in letters:
            return "whose \\{} not every Salt reads alike; allowed are: {}".format(
                escaped, " ".join("\\" + letter for letter in letters)
            )
    # Newer than Python 2.7: possessive repeats, flags in the middle, groups of another kind.
    plain = re.sub(r"\A\(\?i\)", "", LITERAL.sub("x", text))
    if re.search(r"\(\?(?!:|=|!|<=|<!)|[*+?}]\+", plain):
        return "whose groups or repeats not every Salt reads alike; allowed are (a|b), (?:a), * + ? {2,3}"
    # Python 3 warns that it may come to read these as sets of sets (FutureWarning, in the documentation of `re`).
    if any(NESTED.search(ESCAPED.sub("x", one[1:-1])) for one in LITERAL.findall(text) if one.startswith("[")):
        return (
            "whose sets not every Salt reads alike; in a set write \\[ for a bracket, and never two of - & | ~ in a row"
        )
    try:
        groups = re.compile(text.lower() if lowered else text).groups
    except (re.error, OverflowError, RuntimeError) as exc:
        return "which is not a regular expression ({}); write `.` for a space in it".format(exc)
    except AssertionError:
        # Python 2.7 does not accept more, and reports it like this.
        groups = 100
    return "which has more than 99 groups" if groups > 99 else None
