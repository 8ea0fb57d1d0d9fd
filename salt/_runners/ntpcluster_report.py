"""
Internal. The report: one page of HTML with the state of the whole cluster.

The texts come from minions and are not trusted. Jinja2 escapes each of them. As a second protection, the page's
Content-Security-Policy allows only the page's own script (identified by its hash), and loads nothing.
"""

import base64
import functools
import hashlib
import time

import jinja2
from markupsafe import Markup

# The loader offers only this function; ``render`` stays a plain function for the tests.
__load__ = ["write"]

#: What each health means.
HEALTH = {
    "ok": "the right time",
    "degraded": "the right time, but with problems",
    "settling": "the daemon has just started",
    "unsynchronized": "does not follow its tier",
    "stopped": "the daemon is not running",
    "unreadable": "the answer is not a status",
    "silent": "no answer",
}

#: The look of each severity; a cluster without hosts looks as bad as a critical one.
LOOKS = {0: "ok", 1: "warning", 2: "critical", 3: "critical"}

#: The number of hosts whose sources are shown in full, worst first; a page with all sources of 5,000 hosts would not open.
DETAILS = 200
#: Up to this many hosts are rows of the table. A larger table would not open: so it begins with the hosts that are shown in
#: full, all others are lines of text, and the script makes rows of those that it shows.
ROWS = 5000
#: The number of different messages shown for each problem of hosts; the table has the rest.
EXAMPLES = 5


def write(path, tgt, tgt_type, timeout, saltenv, history=None):
    """
    Internal. Write a page about the whole cluster, atomically.

    path, tgt, tgt_type, timeout, saltenv, history
        As for ``ntpcluster.report``.

    Returns what ``ntpcluster.report`` returns.

    Raises SaltInvocationError as ``ntpcluster_publish.check`` and ``ntpcluster_view.take``, CommandExecutionError as
    ``ntpcluster_page.parts``, ``ntpcluster_hours.tell`` and ``ntpcluster_publish.publish``.
    """
    __salt__["ntpcluster_publish.check"](path, ".html")
    parts = __salt__["ntpcluster_page.parts"](saltenv)
    view = __salt__["ntpcluster_view.take"](tgt=tgt, tgt_type=tgt_type, timeout=timeout, served=True)
    day = None if history is None else __salt__["ntpcluster_hours.tell"](history, view)
    page = render(view, __salt__["ntpcluster_picture.geometry"](view), parts, day)
    return dict(__salt__["ntpcluster_publish.publish"](path, [page.encode("utf-8")]), hosts=len(view["hosts"]))


# ---------------------------------------------------------------------------------------------------------
# From here on nothing is queried: all functions are pure.


def render(view, picture, parts, day=None):
    """The page as text."""
    rank = {word: number for number, word in enumerate(view["summary"]["health"])}

    def badness(host):
        """A sort key for the table, worst first: by health, then by problems, then by the offset."""
        return rank[host["health"]], len(host["problems"]), abs(host["offset_ms"] or 0.0)

    order = sorted(sorted(view["hosts"].values(), key=lambda host: host["id"]), key=badness, reverse=True)
    numbers = {host["id"]: number for number, host in enumerate(order)}
    rows = order if len(order) <= ROWS else order[:DETAILS]
    return _compiled(parts["page"]).render(
        view=view,
        summary=view["summary"],
        verdict=verdict(view),
        health=HEALTH,
        rank=rank,
        problems=problems(view),
        tree=picture["tree"],
        scale=picture["scale"],
        day=day,
        hosts=order,
        rows=rows,
        rest="\n".join("\t".join(_cells(host)) for host in order[len(rows) :]),
        numbers=numbers,
        detailed=order[:DETAILS],
        iso=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(view["time"])),
        style=Markup(parts["style"]),
        script=Markup(parts["script"]),
        style_hash=_hash(parts["style"]),
        script_hash=_hash(parts["script"]),
    )


@functools.lru_cache(maxsize=1)
def _compiled(text):
    frame = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_shown
    )
    frame.filters.update(ms=_ms, cells=_cells, since=_since, look=_look)
    frame.filters.update(number="{:,}".format, hosts=_hosts)
    return frame.from_string(text)


def _hash(text):
    """The hash by which a Content-Security-Policy allows an inline text (CSP level 2, 4.2.5)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _shown(value):
    """How an unknown value is shown."""
    return "\u2013" if value is None else value


def verdict(view):
    """The cluster in one sentence, and its severity: ok, warning, critical."""
    summary = view["summary"]
    look, number, without = LOOKS[summary["severity"]], summary["hosts"], summary["hosts"] - summary["synchronized"]
    if not number:
        return look, "There are no hosts"
    if without == number > 1:
        return look, "No host has the right time"
    if without:
        return look, "{:,} of {:,} hosts {} not have the right time".format(
            without, number, "does" if without == 1 else "do"
        )
    everyone = f"All {number:,} hosts have the right time" if number > 1 else "The host has the right time"
    return look, everyone if summary["healthy"] else everyone + ", but there are problems"


def problems(view):
    """
    The problems: first those of the cluster, then those of hosts, grouped by code, worst first.

    Returns a list of dicts: ``code``, ``look`` (warning, critical), ``hosts`` [id], ``cases`` [{message, remedy,
    hosts}], ``more`` (hosts of further cases).
    """
    found = []
    for problem in view["problems"]:
        case = {"message": problem["message"], "remedy": problem["remedy"], "hosts": []}
        found.append(_entry(problem["code"], problem["severity"], problem["hosts"], [case]))
    cases = {}
    for problem in view["host_problems"]:
        cases.setdefault(problem["code"], []).append(problem)
    own = []
    for code, each in cases.items():
        hosts = sorted({name for case in each for name in case["hosts"]})
        severity = max(1, *(view["hosts"][name]["severity"] for name in hosts))
        own.append(_entry(code, severity, hosts, sorted(each, key=lambda case: -len(case["hosts"]))))
    own.sort(key=lambda problem: (problem["look"] != "critical", -len(problem["hosts"]), problem["code"]))
    return found + own


def _entry(code, severity, hosts, cases):
    more = sum(len(case["hosts"]) for case in cases[EXAMPLES:])
    return {"code": code, "look": LOOKS[severity], "hosts": hosts, "cases": cases[:EXAMPLES], "more": more}


def _ms(value, digits=3, sign=True):
    """A number of milliseconds for a table column, with a real minus sign."""
    if value is None:
        return None
    return (f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}").replace("-", "\u2212")


def _cells(host):
    """
    The texts of a host's row in the table, in the order of its columns. The script sorts and searches the displayed text; no
    text contains a tab or newline, because those of a view contain none.
    """
    stratum, expected = host["stratum"], host["expected_stratum"]
    if stratum is not None and expected not in (None, stratum):
        stratum = f"{stratum} not {expected}"
    codes = dict.fromkeys(problem["code"] for problem in host["problems"])
    texts = (
        host["health"],
        host["id"],
        host["tier"],
        host["source_host"] or host["source"],
        stratum,
        _ms(host["offset_ms"]),
        _ms(host["bound_ms"], 3, False),
        _sources(host),
        host["why"] or ", ".join(codes) or None,
    )
    return [str(_shown(text)) for text in texts]


def _sources(host):
    """How many of a host's sources are usable."""
    if host["health"] in ("silent", "unreadable") or not host["peers"]:
        return None
    return "{} of {}".format(sum(peer["usable"] for peer in host["peers"]), len(host["peers"]))


def _hosts(number):
    return f"{number:,} host" + ("" if number == 1 else "s")


def _look(text, figure=False):
    """
    The class of a cell: a text that may be broken anywhere, because a name of 200 letters must not widen the table, or an
    unknown number, which a phone leaves out.
    """
    if figure and text == _shown(None):
        return Markup(" class=unknown")
    return Markup(" class=long") if len(text) > 20 else ""


def _since(seconds):
    """An age in the largest unit that is precise enough."""
    if seconds is None:
        return None
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"
