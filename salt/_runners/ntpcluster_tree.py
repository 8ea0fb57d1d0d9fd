"""
Internal. Show the cluster in the terminal: as a tree, as one line for a monitor, and live.
"""

import sys
import time

from salt.exceptions import SaltInvocationError

# The loader offers only these functions; ``draw`` stays a plain function for the tests.
__load__ = ["show", "verdict", "watch"]

#: The colour (ECMA-48) of each severity except 0.
COLOURS = {1: "33", 2: "31"}

COLUMNS = ("host", "tier", "source", "stratum", "offset ms", "health")

#: Lines that join a host to its source: branch, last branch, vertical line, none.
BRANCHES = ("├─ ", "└─ ", "│  ", "   ")
PLAIN = ("|- ", "`- ", "|  ", "   ")


def show(view):
    """
    Internal. The cluster as text: each host below its source, then the problems and their remedies.

    view
        What ``ntpcluster.view`` returned.

    Returns text, with colour and line-drawing characters if the terminal can show them.
    """
    return draw(view, _coloured(), _branches())


def watch(tgt, tgt_type, interval, count, timeout):
    """
    Internal. Print the tree repeatedly, until Ctrl-C.

    tgt, tgt_type, interval, count, timeout
        As for ``ntpcluster.watch``.

    Raises SaltInvocationError for an interval or a count out of range, and as ``ntpcluster_view.take``.
    """
    if isinstance(interval, bool) or not isinstance(interval, (int, float)) or interval < 1:
        raise SaltInvocationError(f"interval: {interval!r} is not a number of seconds from 1 up")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise SaltInvocationError(f"count: {count!r} is not a number from 1 up")
    done = 0
    try:
        while True:
            began = time.monotonic()
            picture = show(__salt__["ntpcluster_view.take"](tgt=tgt, tgt_type=tgt_type, timeout=timeout))
            # ECMA-48: cursor home, erase below. Erase only after drawing, to prevent flicker.
            frame = "\033[H" + picture.replace("\n", "\033[K\n") + "\033[K\033[J" if sys.stdout.isatty() else picture
            print(frame, flush=True)
            done += 1
            if done == count:
                break
            time.sleep(max(0.0, interval - (time.monotonic() - began)))
    except (KeyboardInterrupt, SystemExit):
        pass  # Salt's own signal handler raises SystemExit (_handle_signals in salt/scripts.py)


def _coloured():
    """Whether the terminal supports colour and the user wants it."""
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
# From here on nothing is queried: all functions are pure.


def draw(view, coloured=False, branches=BRANCHES):
    """The view as text."""
    rows = [(_row(view["hosts"][name], lead), view["hosts"][name]["severity"]) for lead, name in _walk(view, branches)]
    widths = [max(len(row[number]) for row in [COLUMNS, *(cells for cells, _ in rows)]) for number in range(5)]
    lines = [_headline(view), "", _line(COLUMNS, widths)]
    for cells, severity in rows:
        text = _line(cells, widths)
        lines.append(f"\033[{COLOURS[severity]}m{text}\033[0m" if coloured and severity else text)
    for trouble in view["problems"]:
        lines += ["", "{code}: {message}".format(**trouble), "  remedy: {remedy}".format(**trouble)]
    for trouble in view["host_problems"]:
        who = __salt__["ntpcluster_problems.some"](trouble["hosts"])
        lines += ["", "{}: {code}: {message}".format(who, **trouble), "  remedy: {remedy}".format(**trouble)]
    return "\n".join(lines)


def verdict(view):
    """
    Internal. The cluster in one line for a monitor.

    view
        What ``ntpcluster.view`` returned.

    Returns text: the headline, the problems of the cluster, and some of the hosts that are not ok.
    """
    words = [_headline(view)]
    words += ["{code}: {message}".format(**trouble) for trouble in view["problems"]]
    told = {name for trouble in view["problems"] for name in trouble["hosts"]}
    sick = [host for name, host in view["hosts"].items() if host["severity"] and host["answered"] and name not in told]
    return "; ".join(words + [_brief(host) for host in sick[:5]])


def _brief(host):
    codes = sorted({item["code"] for item in host["problems"]})
    return "{} {}{}".format(host["id"], host["health"], " ({})".format(", ".join(codes)) if codes else "")


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
    if summary["bound_ms"] is not None:
        text += ", none off by more than {:.3f} ms".format(summary["bound_ms"])
        if summary["unbounded"]:
            text += " ({unbounded} unknown)".format(**summary)
    return "{}, {}".format(text, view["time_utc"])


def _walk(view, branches):
    """(lead, host) for each host once: first those that follow none of the others, each with its followers below it."""
    beside, last, through, none = branches
    hosts, order = view["hosts"], [name for tier in view["tiers"] for name in tier["hosts"]]
    below, seen, rows = {}, set(), []
    for name in order:
        below.setdefault(hosts[name]["source_host"], []).append(name)
    # In a loop every host follows another: its first host is shown at the top level.
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
    """A host's cells."""
    health = host["health"]
    codes = sorted({item["code"] for item in host["problems"]} - {health})
    words = health + (": " + ", ".join(codes) if codes else "") + (": " + host["why"] if host["why"] else "")
    stratum = "-" if host["stratum"] is None else str(host["stratum"])
    if host["expected_stratum"] not in (None, host["stratum"]):
        stratum += " not {}".format(host["expected_stratum"])
    offset = "-" if host["offset_ms"] is None else "{:+.3f}".format(host["offset_ms"])
    source = host["source_host"] or host["source"] or "-"
    return [lead + host["id"], host["tier"] or "-", source, stratum, offset, words]


def _line(cells, widths):
    """Numbers are aligned to the right, words to the left."""
    padded = [cells[number].ljust(widths[number]) for number in range(3)]
    padded += [cells[number].rjust(widths[number]) for number in (3, 4)]
    return "  ".join([*padded, cells[5]])
