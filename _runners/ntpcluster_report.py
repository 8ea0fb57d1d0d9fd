"""
The whole cluster as one HTML page that needs nothing but itself: it can be mailed, printed, archived, put on any web
server. What it shows is what ``ntpcluster.view`` found; where things stand is ``ntpcluster.report_picture``'s work.

All texts come from minions and are not trusted. Jinja2 escapes each of them; should one ever slip through, the page's
own Content-Security-Policy lets no script run but the page's (known by its hash), and nothing be loaded.
"""

import base64
import functools
import hashlib
import os
import time

import jinja2
from markupsafe import Markup
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ntpcluster"
# The loader offers this alone; ``render`` stays a plain function for the tests.
__load__ = ["report"]

#: Every health, best first, with what it means.
HEALTH = {
    "ok": "the right time",
    "degraded": "the right time, something to repair",
    "settling": "daemon started a short while ago",
    "unsynchronized": "not the right time from its tier",
    "stopped": "daemon does not run",
    "unreadable": "the answer is no status",
    "silent": "no answer",
}

#: Problems of the cluster that are no emergency (as in ``ntpcluster.check``).
WARNINGS = ("single-server", "outdated", "spread")

#: Hosts whose sources are shown in full, the worst first; a page of all sources of 5,000 hosts would not open.
DETAILS = 200
#: Of each problem of hosts, so many wordings are shown; the table finds the rest.
EXAMPLES = 5


def __virtual__():
    return __virtualname__


def report(path, tgt="*", tgt_type="compound", timeout=None):
    """
    Write a page about the whole cluster, at once or not at all: the tree as a picture, every problem with its remedy,
    the offsets on one scale, and a table of all hosts.

    path
        The file; its name must end with ``.html``. Everyone may read it.
    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.

    Returns a dict: ``path``, ``hosts`` (number), ``bytes``. A path that is not the full path of an HTML file or cannot
    be written, and a target that matches no minion, are one sentence and exit code 1 (``ntpcluster.sentence``).

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.report path=/srv/ntp-figures/time.html
        salt-run ntpcluster.report /srv/ntp-figures/servers.html tgt='ntp*' timeout=10
    """
    try:
        if not isinstance(path, str) or not os.path.isabs(path) or not path.endswith(".html") or "\0" in path:
            raise SaltInvocationError(f"path: {path!r} is not the full path of a file whose name ends with .html")
        view = clean(__salt__["ntpcluster.seen"](tgt=tgt, tgt_type=tgt_type, timeout=timeout))
        page = render(view, __salt__["ntpcluster.report_picture"](view), __salt__["ntpcluster.report_template"]())
        data = page.encode("utf-8")
        __salt__["ntpcluster.publish"](path, data)
    except (CommandExecutionError, SaltInvocationError) as exc:
        return __salt__["ntpcluster.sentence"]("Error", exc, 1)
    return {"path": path, "hosts": len(view["hosts"]), "bytes": len(data)}


# ---------------------------------------------------------------------------------------------------------
# From here on everything is a pure function of its arguments.


def clean(value):
    """
    The same with every text fit to be shown: what cannot be printed (control characters, marks that turn the
    direction of writing, halves of characters) is spelt out.
    """
    if isinstance(value, str):
        return value if value.isprintable() else "".join(map(_printable, value))
    if isinstance(value, dict):
        return {clean(key): clean(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(each) for each in value]
    return value


def _printable(char):
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


def render(view, picture, template):
    """The page as text, of a view that is clean."""
    order = sorted(sorted(view["hosts"].values(), key=lambda host: host["id"]), key=_badness, reverse=True)
    numbers = {host["id"]: number for number, host in enumerate(order)}
    return _compiled(template["page"]).render(
        view=view,
        summary=view["summary"],
        verdict=verdict(view),
        health=HEALTH,
        rank={word: number for number, word in enumerate(HEALTH)},
        problems=problems(view),
        tree=picture["tree"],
        scale=picture["scale"],
        hosts=order,
        numbers=numbers,
        detailed=order[:DETAILS],
        iso=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(view["time"])),
        style=Markup(template["style"]),
        script=Markup(template["script"]),
        style_hash=_hash(template["style"]),
        script_hash=_hash(template["script"]),
    )


@functools.lru_cache(maxsize=1)
def _compiled(text):
    frame = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_shown
    )
    frame.filters.update(ms=_ms, plain=_plain, sources=_sources, since=_since, wide=_wide)
    frame.filters.update(number="{:,}".format, hosts=_hosts)
    return frame.from_string(text)


def _hash(text):
    """What Content-Security-Policy knows an inline text by (CSP level 2, 4.2.5)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _shown(value):
    """How an unknown value looks."""
    return "\u2013" if value is None else value


def _badness(host):
    """Worst first in the table: by health, then by what is wrong, then by the offset."""
    return list(HEALTH).index(host["health"]), len(host["problems"]), abs(host["offset_ms"] or 0.0)


def verdict(view):
    """The cluster in one sentence, and how bad it is: ok, warning, critical."""
    summary = view["summary"]
    number, without = summary["hosts"], summary["hosts"] - summary["synchronized"]
    if not number:
        return "critical", "There is no host to tell of"
    if without:
        text = "No host has the right time" if without == number > 1 else f"{without:,} of {number:,} hosts "
        return "critical", text if without == number > 1 else text + ("does" if without == 1 else "do") + (
            " not have the right time"
        )
    everyone = f"All {number:,} hosts have the right time" if number > 1 else "The host has the right time"
    if summary["healthy"]:
        return "ok", everyone
    critical = any(problem["code"] not in WARNINGS for problem in view["problems"])
    return "critical" if critical else "warning", everyone + ", but not all is well"


def problems(view):
    """
    What is wrong: that of the cluster first, then that of hosts, equal ones together, the worst first.

    Returns a list of dicts: ``code``, ``critical`` (bool), ``hosts`` [id], ``cases`` [{message, remedy, hosts}],
    ``more`` (hosts of further cases).
    """
    found = []
    for problem in view["problems"]:
        case = {"message": problem["message"], "remedy": problem["remedy"], "hosts": []}
        found.append(
            {
                "code": problem["code"],
                "critical": problem["code"] not in WARNINGS,
                "hosts": problem["hosts"],
                "cases": [case],
                "more": 0,
            }
        )
    groups = {}
    for host in view["hosts"].values():
        for problem in host["problems"]:
            cases = groups.setdefault(problem["code"], {})
            cases.setdefault((problem["message"], problem["remedy"]), []).append(host)
    own = []
    for code, cases in groups.items():
        ranked = sorted(cases.items(), key=lambda item: -len(item[1]))
        hosts = [host for _, members in ranked for host in members]
        own.append(
            {
                "code": code,
                "critical": any(not host["synchronized"] and host["health"] != "settling" for host in hosts),
                "hosts": sorted({host["id"] for host in hosts}),
                "cases": [
                    {"message": text, "remedy": remedy, "hosts": [host["id"] for host in members]}
                    for (text, remedy), members in ranked[:EXAMPLES]
                ],
                "more": sum(len(members) for _, members in ranked[EXAMPLES:]),
            }
        )
    own.sort(key=lambda problem: (not problem["critical"], -len(problem["hosts"]), problem["code"]))
    return found + own


def _ms(value, digits=3, sign=True):
    """A figure in milliseconds for a column of such, with a real minus."""
    if value is None:
        return None
    return (f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}").replace("-", "\u2212")


def _plain(value):
    """A number for the script that sorts; nothing if there is none."""
    return "" if value is None else f"{value:.10g}"


def _sources(host):
    """How many of a host's sources could be followed."""
    if host["health"] in ("silent", "unreadable") or not host["peers"]:
        return None
    return "{} of {}".format(sum(peer["usable"] for peer in host["peers"]), len(host["peers"]))


def _hosts(number):
    return f"{number:,} host" + ("" if number == 1 else "s")


def _wide(text):
    """The class of a cell whose text may be broken anywhere: a name of 200 letters must not widen the table."""
    return Markup(" class=long") if text and len(text) > 20 else ""


def _since(seconds):
    """An age in the largest unit that says enough."""
    if seconds is None:
        return None
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"
