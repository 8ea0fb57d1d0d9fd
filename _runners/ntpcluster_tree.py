"""
The cluster in the terminal: as a tree, as one line for a monitor, and live.
"""

import sys
import time

from salt.exceptions import SaltInvocationError

__virtualname__ = "ntpcluster"
# The loader offers these alone; ``draw`` and ``verdict`` stay plain functions for the tests.
__load__ = ["tree", "check", "watch"]

#: How a health is shown: its colour (ECMA-48) and how bad it is for ``check`` (0 ok, 1 warning, 2 critical).
HEALTH = {
    "ok": ("32", 0),
    "degraded": ("33", 1),
    "settling": ("33", 1),
    "unsynchronized": ("31", 2),
    "stopped": ("31", 2),
    "unreadable": ("31", 2),
    "silent": ("31", 2),
}

#: Problems of the cluster that are warnings; the others are critical.
WARNINGS = ("single-server", "outdated", "spread")

#: Exit codes as the Monitoring Plugins Development Guidelines have them.
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

COLUMNS = ("host", "tier", "source", "stratum", "offset ms", "health")

#: Lines that join a host to what it follows: beside it, last one, through, none.
BRANCHES = ("├─ ", "└─ ", "│  ", "   ")
PLAIN = ("|- ", "`- ", "|  ", "   ")


def __virtual__():
    return __virtualname__


def tree(tgt="*", tgt_type="compound", timeout=None):
    """
    Show the whole cluster: each host below the one it follows, then what is wrong and what to do about it.

    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.

    Returns text; with ``--out=json``, ``--out=yaml`` and the like, the view itself (see ``ntpcluster.view``).
    Coloured if the output is a terminal and ``--no-color`` is not given. A target that matches no minion is one
    sentence and exit code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.tree
        salt-run ntpcluster.tree --out=json
    """
    try:
        seen = __salt__["ntpcluster.seen"](tgt=tgt, tgt_type=tgt_type, timeout=timeout)
    except SaltInvocationError as exc:
        return __salt__["ntpcluster.sentence"]("Error", exc, 1)
    if __opts__.get("output") not in (None, "", "txt", "text"):
        return seen
    return {"data": draw(seen, _coloured(), _branches()), "outputter": "txt"}


def check(tgt="*", tgt_type="compound", timeout=None):
    """
    Judge the whole cluster in one line, and in the exit code: 0 ok, 1 warning, 2 critical, 3 unknown.

    Critical is a host that does not have the time or does not answer, and servers that disagree or follow each
    other; a warning is whatever else is not as it should be. Unknown: nobody could be asked.

    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.

    Returns a dict: ``data`` {``NTP WORD``: the line, ``retcode``: the exit code}, ``outputter``.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.check
        salt-run ntpcluster.check 'ntp*' timeout=10 || mail -s 'NTP' root
    """
    try:
        code, line = verdict(__salt__["ntpcluster.seen"](tgt=tgt, tgt_type=tgt_type, timeout=timeout))
    except SaltInvocationError as exc:
        code, line = 3, str(exc)
    return __salt__["ntpcluster.sentence"](f"NTP {WORDS[code]}", line, code)


def watch(tgt="*", tgt_type="compound", interval=5, count=None, timeout=None):
    """
    Show the tree again and again, until Ctrl-C: the cluster's ``watch ntpq -p``.

    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.
    interval
        Seconds from one picture to the next.
    count
        End after so many pictures; default: never.

    Prints, and returns nothing but why it could not go on.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.watch interval=10
    """
    done = 0
    try:
        if isinstance(interval, bool) or not isinstance(interval, (int, float)) or interval < 1:
            raise SaltInvocationError(f"interval: {interval!r} is not a number of seconds from 1 up")
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise SaltInvocationError(f"count: {count!r} is not a number from 1 up")
        while True:
            began = time.monotonic()
            picture = draw(
                __salt__["ntpcluster.seen"](tgt=tgt, tgt_type=tgt_type, timeout=timeout), _coloured(), _branches()
            )
            # ECMA-48: cursor home, erase below. Erased after it is drawn, so that nothing flickers.
            frame = "\033[H" + picture.replace("\n", "\033[K\n") + "\033[K\033[J" if sys.stdout.isatty() else picture
            print(frame, flush=True)
            done += 1
            if done == count:
                break
            time.sleep(max(0.0, interval - (time.monotonic() - began)))
    except SaltInvocationError as exc:
        return __salt__["ntpcluster.sentence"]("Error", exc, 1)
    except KeyboardInterrupt:
        pass
    return {"data": {}, "outputter": "txt"}


def _coloured():
    """Whether the terminal has colour and wants it."""
    if __opts__.get("no_color"):
        return False
    return bool(__opts__.get("force_color")) or sys.stdout.isatty()


def _branches():
    """The lines of the tree, as far as the terminal can show them."""
    try:
        "".join(BRANCHES).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return BRANCHES


# ---------------------------------------------------------------------------------------------------------
# From here on everything is a pure function of its arguments.


def draw(view, coloured=False, branches=BRANCHES):
    """The view as text."""
    rows = [_row(view["hosts"][name], lead) for lead, name in _walk(view, branches)]
    widths = [max(len(row[number]) for row in rows + [COLUMNS]) for number in range(5)]
    lines = [_headline(view), "", _line(COLUMNS, widths)]
    for row in rows:
        text = _line(row, widths)
        lines.append(f"\033[{HEALTH[row[6]][0]}m{text}\033[0m" if coloured and row[6] != "ok" else text)
    for trouble in view["problems"]:
        lines += ["", "{code}: {message}".format(**_clean(trouble)), "  remedy: {remedy}".format(**_clean(trouble))]
    for text, hosts, remedy in _grouped(view):
        lines += ["", f"{_names(hosts)}: {text}", f"  remedy: {remedy}"]
    return "\n".join(lines)


def verdict(view):
    """Exit code and line of ``check``."""
    worst = max([HEALTH[host["health"]][1] for host in view["hosts"].values()] or [3])
    for trouble in view["problems"]:
        worst = max(worst, 1 if trouble["code"] in WARNINGS else 2)
    words = [_headline(view)]
    words += ["{code}: {message}".format(**_clean(trouble)) for trouble in view["problems"]]
    sick = [name for name, host in view["hosts"].items() if HEALTH[host["health"]][1] and host["answered"]]
    told = {name for trouble in view["problems"] for name in trouble["hosts"]}
    words += [_brief(view["hosts"][name]) for name in sick if name not in told][:5]
    return worst, "; ".join(words)


def _brief(host):
    codes = sorted({item["code"] for item in host["problems"]})
    return printable("{} {}{}".format(host["id"], host["health"], " ({})".format(", ".join(codes)) if codes else ""))


def _headline(view):
    """The cluster in one sentence."""
    summary = view["summary"]
    text = "{synchronized} of {hosts} hosts synchronized, {answered} answered".format(**summary)
    bad = [f"{number} {word}" for word, number in summary["health"].items() if number and word != "ok"]
    if bad:
        text += " ({})".format(", ".join(bad))
    if summary["spread_ms"] is not None:
        text += ", clocks within {:.3f} ms".format(summary["spread_ms"])
        if summary["spread_uncertainty_ms"] is not None:
            text += " +- {:.3f} ms".format(summary["spread_uncertainty_ms"])
    return "{}, {}".format(text, view["time_utc"])


def _walk(view, branches):
    """(lead, host) for each host once: those that follow none of the others first, each followed by its own."""
    beside, last, through, none = branches
    hosts, order = view["hosts"], [name for tier in view["tiers"] for name in tier["hosts"]]
    below, seen, rows = {}, set(), []
    for name in order:
        below.setdefault(hosts[name]["source_host"], []).append(name)
    # In a loop everybody follows somebody: its first host is shown where it stands.
    for start in below.get(None, []) + order:
        stack = [("", "", start)]
        while stack:
            lead, indent, name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            rows.append((lead, name))
            children = [child for child in below.get(name, []) if child not in seen]
            for child in reversed(children):
                end = child == children[-1]
                stack.append((indent + (last if end else beside), indent + (none if end else through), child))
    return rows


def _row(host, lead):
    """A host's cells; the seventh is its health alone."""
    health = host["health"]
    codes = sorted({item["code"] for item in host["problems"]} - {health})
    words = health + (": " + ", ".join(codes) if codes else "") + (": " + host["why"] if host["why"] else "")
    stratum = "-" if host["stratum"] is None else str(host["stratum"])
    if host["expected_stratum"] not in (None, host["stratum"]):
        stratum += " not {}".format(host["expected_stratum"])
    offset = "-" if host["offset_ms"] is None else "{:+.3f}".format(host["offset_ms"])
    cells = [
        lead + host["id"],
        host["tier"] or "-",
        host["source_host"] or host["source"] or "-",
        stratum,
        offset,
        words,
    ]
    return [printable(cell) for cell in cells] + [health]


def _line(cells, widths):
    """Figures to the right, words to the left."""
    padded = [cells[number].ljust(widths[number]) for number in range(3)]
    padded += [cells[number].rjust(widths[number]) for number in (3, 4)]
    return "  ".join([*padded, cells[5]])


def _grouped(view):
    """The hosts' own problems, equal ones together: (text, hosts, remedy)."""
    groups = {}
    for name, host in view["hosts"].items():
        for item in host["problems"]:
            key = (printable("{code}: {message}".format(**item)), printable(item["remedy"]))
            groups.setdefault(key, []).append(name)
    return [(text, hosts, remedy) for (text, remedy), hosts in groups.items()]


def _names(names):
    names = sorted(printable(name) for name in set(names))
    return ", ".join(names) if len(names) <= 5 else "{} and {} more".format(", ".join(names[:4]), len(names) - 4)


def _clean(trouble):
    return {key: printable(value) if isinstance(value, str) else value for key, value in trouble.items()}


def printable(text):
    """Text that cannot drive the terminal, whatever a minion sent: control characters are shown, not obeyed."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
