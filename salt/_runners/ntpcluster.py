"""
The public runners about the whole cluster, called with ``salt-run ntpcluster.FUNCTION``.

Each function calls the file that does the work, and reports an error from it in one sentence. It does not raise an exception,
because Salt prints every exception of a runner as a traceback (``low`` of salt/client/mixins.py).
"""

import functools

from salt.exceptions import CommandExecutionError, SaltInvocationError

#: Names of the view's severities, as for the exit codes in the Monitoring Plugins Development Guidelines.
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


class _Unprinted(int):
    """An exit code that the ``txt`` outputter does not print: it prints each line of each value of a dict, and this value has
    no lines."""

    def splitlines(self):
        return []


def _sentence(word, line, code):
    """The return of a runner that prints one line: a word, a colon, the text. ``salt-run`` exits with the code."""
    return {"data": {word: str(line), "retcode": _Unprinted(code)}, "outputter": "txt"}


def _or_one_sentence(function):
    """Decorator: report an expected error in one sentence, with exit code 1."""

    @functools.wraps(function)
    def told(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except (CommandExecutionError, SaltInvocationError) as exc:
            return _sentence("Error", exc, 1)

    return told


@_or_one_sentence
def view(tgt="*", tgt_type="compound", timeout=None, anew=False):
    """
    Query all minions and combine their answers into one view of the cluster.

    tgt, tgt_type
        The target, as for ``salt``; all minions by default. The view contains the target only.
    timeout
        Seconds to wait for answers; default: the master's ``timeout``.
    anew
        True makes each minion judge by the master's current pillar, even if it has not been applied.

    If the target matches no minion, it prints one sentence and exits with code 1. Returns a dict:

    - ``time`` (seconds since 1970, by the master's clock, when the query began), ``time_utc`` (the same as text),
      ``took_s`` (how long the query took: no value is older)
    - ``tiers``: [{``name``, ``level``, ``hosts``: [id]}], top first; hosts of an unknown tier come last, in a
      tier named None; each has ``bound_ms``, ``apart_ms``, ``unbounded`` as in the summary
    - ``hosts``: {id: {...}}, see below
    - ``problems``: [{``code``, ``severity``, ``hosts``: [id], ``message``, ``remedy``}] of the cluster, worst first:
      ``loop``, ``disagreement``, ``silent``, ``unreadable``, ``unserved``, ``outside-tier``, ``unreachable-from``,
      ``unproven``, ``spread``, ``single-server``, ``outdated``
    - ``host_problems``: [{``code``, ``hosts``: [id], ``message``, ``remedy``}] as the hosts report them, equal
      ones combined
    - ``served``: the result when followers of each tier query its servers now, with one packet each: a list of dicts with
      ``host`` (the server's id; None: no host of the view has the address), ``addresses``, ``tier`` (of the hosts that query),
      ``asked`` and ``answered`` [id], ``closed`` (those of the addresses that answered nobody), ``open`` (bool: each address that
      was queried answered some host; None: no host could query), ``unknown`` [id] (chosen hosts that could not query), ``why``
      (text)
    - ``summary``: ``hosts``, ``answered``, ``synchronized`` (numbers), ``health`` {word: number, best first},
      ``problems`` (number of problems of hosts and cluster), ``severity`` (0 ok, 1 warning, 2 critical, of the worst host or
      problem of the cluster; 3: there is no host), ``healthy`` (bool: severity 0), ``spread_ms`` and ``spread_uncertainty_ms``
      (how far apart the clocks are, and the uncertainty of that), ``bound_ms`` (the worst of the known bounds of hosts),
      ``apart_ms`` (the largest possible difference between two clocks with a bound: the sum of the two worst), ``unbounded``
      (number of hosts without a bound)

    Each host has these keys, None if unknown:

    - ``id``, ``answered``, ``health`` (as in ``ntpcluster.status``, or ``silent``, ``unreadable``), ``severity`` (as in
      the summary), ``why`` (text, why there is no status), ``synchronized``
    - ``tier``, ``level``, ``addresses``, ``version`` of the modules, ``deployed`` (bool: applied, and not cleaned since),
      ``saltenv`` (the environment it was applied from)
    - ``source`` (address), ``source_host`` (id, if it is one of these hosts), ``followers`` (number of hosts that
      follow it), ``open`` (bool: each tier that queried it got an answer from each address it queried; None: not queried, or
      unknown), ``planned`` (the sources of its plan, names and addresses), ``planned_addresses`` (the addresses)
    - ``stratum``, ``expected_stratum``, ``leap``, ``refid``, ``offset_ms`` (the daemon's, or that of the row it
      follows, whichever is larger), ``jitter_ms``, ``root_delay_ms``,
      ``root_dispersion_ms``, ``frequency_ppm``, ``max_offset_ms``, ``bound_ms``, ``unbounded``, ``max_bound_ms`` (as in
      ``ntpcluster.status``; None in the pillar: any),
      ``daemon`` {name, version, running, enabled, uptime_s}
    - ``error_ms``: how far this clock is behind the top of its chain, the sum of the offsets up to there, and
      ``uncertainty_ms`` (half the root delay, and the root dispersion: RFC 5905, 11.2)
    - ``peers``: [{``remote``, ``address``, ``host`` (id or None), ``refid``, ``stratum``, ``reach``, ``condition``,
      ``tally``, ``type``, ``last_event``, ``offset_ms``, ``delay_ms``, ``jitter_ms``, ``when_s``, ``poll_s``,
      ``followed`` (the daemon follows it), ``heard`` (it answered one of the last four polls), ``usable`` (heard, and
      accepted by the daemon's selection)}]
    - ``problems``: [{``code``, ``message``, ``remedy``}] as the host reports them

    Unprintable characters in a minion's texts are escaped.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.view
        salt-run ntpcluster.view 'ntp*' --out=json
    """
    return __salt__["ntpcluster_view.take"](tgt=tgt, tgt_type=tgt_type, timeout=timeout, anew=anew, served=True)


@_or_one_sentence
def tree(tgt="*", tgt_type="compound", timeout=None):
    """
    Show the whole cluster: each host below its source, then the problems and their remedies.

    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.

    Returns text; with ``--out=json``, ``--out=yaml`` and the like, the view itself (see ``ntpcluster.view``).
    Colored if the output is a terminal and ``--no-color`` is not given. If the target matches no minion, it prints one sentence
    and exits with code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.tree
        salt-run ntpcluster.tree --out=json
    """
    seen = __salt__["ntpcluster_view.take"](tgt=tgt, tgt_type=tgt_type, timeout=timeout, served=True)
    if __opts__.get("output") not in (None, "", "txt", "text"):
        return seen
    return {"data": __salt__["ntpcluster_tree.show"](seen), "outputter": "txt"}


def check(tgt="*", tgt_type="compound", timeout=None):
    """
    Judge the whole cluster in one line and an exit code: 0 ok, 1 warning, 2 critical, 3 unknown.

    Critical: a host that is not synchronized or does not answer, or servers that disagree, follow each other or answer none of the
    followers that query them now. Warning: any other problem, and anything that could not be determined. Unknown: no host
    could be queried.

    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.

    Returns a dict: ``data`` {``NTP WORD``: the line, ``retcode``: the exit code}, ``outputter``.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.check
        salt-run ntpcluster.check 'ntp*' timeout=10 || mail -s 'NTP' root
    """
    try:
        seen = __salt__["ntpcluster_view.take"](tgt=tgt, tgt_type=tgt_type, timeout=timeout, served=True)
        code, line = seen["summary"]["severity"], __salt__["ntpcluster_tree.verdict"](seen)
    except SaltInvocationError as exc:
        code, line = WORDS.index("UNKNOWN"), exc
    return _sentence(f"NTP {WORDS[code]}", line, code)


@_or_one_sentence
def watch(tgt="*", tgt_type="compound", interval=5, count=None, timeout=None):
    """
    Show the tree repeatedly, until Ctrl-C: ``watch ntpq -p`` for the cluster. It uses only what the daemons report: if the hosts
    queried their servers this often, they would reach the servers' rate limits.

    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.
    interval
        Seconds between two updates.
    count
        Stop after this many updates; default: never.

    Prints the tree; returns only an error, if there is one.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.watch interval=10
    """
    __salt__["ntpcluster_tree.watch"](tgt=tgt, tgt_type=tgt_type, interval=interval, count=count, timeout=timeout)
    return {"data": {}, "outputter": "txt"}


@_or_one_sentence
def report(path, tgt="*", tgt_type="compound", timeout=None, saltenv=None, history=None):
    """
    Write a page about the whole cluster, atomically: the tree as a picture, every problem with its remedy,
    the offsets on one scale, and a table of all hosts. It is one self-contained HTML file: you can mail it,
    print it, archive it, or put it on any web server.

    path
        The file; its name must end with ``.html``. It is world readable.
    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.
    saltenv
        The environment that has the page's files (``salt://ntp/report``); default: ``base``, or the first one that has them.
    history
        The ``history`` file of ``ntpcluster.metrics``. The page then shows, for each tier and for the 20 worst hosts, for what
        share of each of the last 24 hours the clocks were within their bound (as ``ntpcluster.slo``), and the worst bound.

    Returns a dict: ``path``, ``hosts`` (number), ``bytes``. If the path is not the full path of an HTML
    file or cannot be written, if the history cannot be read, if the master does not serve the page's files, or if the target
    matches no minion, it prints one sentence and exits with code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.report path=/srv/ntp-figures/time.html
        salt-run ntpcluster.report /srv/ntp-figures/servers.html tgt='ntp*' timeout=10
        salt-run ntpcluster.report path=/srv/ntp-figures/time.html history=/srv/ntp-figures/history.sqlite
    """
    return __salt__["ntpcluster_report.write"](
        path, tgt=tgt, tgt_type=tgt_type, timeout=timeout, saltenv=saltenv, history=history
    )


@_or_one_sentence
def metrics(path, tgt="*", tgt_type="compound", timeout=None, history=None):
    """
    Write the metrics of the whole cluster to a file, atomically.

    path
        The file, in the directory that node_exporter reads: its ``--collector.textfile.directory``. Its name must end
        with ``.prom``, or node_exporter ignores it.
    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.
    history
        A file whose name ends with ``.sqlite``, in which each run records the data for ``ntpcluster.slo``; created if missing.

    Returns a dict: ``path``, ``hosts`` (number), ``bytes``. If node_exporter would not read the path,
    if it cannot be written, or if the target matches no minion, it prints one sentence and exits with code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.metrics path=/srv/ntp-figures/ntpcluster.prom
    """
    return __salt__["ntpcluster_metrics.write"](path, tgt=tgt, tgt_type=tgt_type, timeout=timeout, history=history)


@_or_one_sentence
def slo(path, days=30, prom=None):
    """
    Report for what share of the time each host was within its bound: its ``bound_ms`` did not exceed the pillar's
    ``sync:max_bound``, or ``sync:max_offset`` if that is not set. Time without a bound or an answer, and time between runs that
    are more than five minutes apart, is ``unknown`` and counts as neither.

    path
        The ``history`` file of ``ntpcluster.metrics``.
    days
        Number of days back from now, up to 92.
    prom
        A file for node_exporter, as the ``path`` of ``ntpcluster.metrics``; the shares are written there as well.

    Returns text, one line per host, worst first; with ``--out=json``, ``--out=yaml`` and the like a dict: ``start``,
    ``stop`` (seconds since 1970), ``hosts``: {id: {``tier``, ``within``, ``beyond``, ``unknown`` (shares, with a sum of 1),
    ``seconds`` (the time that they refer to), ``worst_ms`` (the largest bound)}}. If a file cannot be read or
    written, it prints one sentence and exits with code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.slo path=/srv/ntp-figures/history.sqlite
        salt-run ntpcluster.slo path=/srv/ntp-figures/history.sqlite days=7 prom=/srv/ntp-figures/slo.prom
    """
    found = __salt__["ntpcluster_slo.tell"](path, days, prom)
    if __opts__.get("output") not in (None, "", "txt", "text"):
        return found
    return {"data": __salt__["ntpcluster_slo.table"](found), "outputter": "txt"}


def rollout(target="*", resume=False, timeout=None, saltenv=None):
    """
    Plan a rollout: which hosts are deployed in which order, and what prevents it. For this the hosts get this tree's modules
    (``state.apply ntp.modules``); nothing else is changed on them. ``state.orchestrate orch.ntp`` calls this and carries it out.

    target
        Compound matcher of the hosts to deploy; all by default. Tiers and their sizes always refer to the whole cluster.
    resume
        True skips the hosts that follow their tier already and on which ``state.apply ntp test=True`` would change nothing, so
        that a rollout continues where it stopped.
    timeout
        Seconds to wait for minions that do not respond; default: the master's ``timeout``.
    saltenv
        The tree's environment, if it is not the minions' default one.

    Returns a dict: ``batches`` [{``name``, ``tier``, ``hosts``}] in order, ``skipped`` (hosts left out by
    ``resume``), ``problems`` (texts; if there are any, nothing may be deployed) and ``warnings`` (texts).

    A batch never has more than a third of a tier, and never a whole tier, unless that has only one host.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.rollout
        salt-run ntpcluster.rollout target='node* and not node148' resume=True
    """
    return __salt__["ntpcluster_rollout.work_out"](target=target, resume=resume, timeout=timeout, saltenv=saltenv)


@_or_one_sentence
def heal(minion, codes=None, every=3600, at_once=3):
    """
    Apply ``ntp`` to a host whose daemon has stopped or runs with other sources than configured.

    The event only says where to look: the host is queried first, and nothing is done unless it reports the problem itself. A host
    on which this tree is not deployed, or no longer (``ntp.clean``), is ignored.

    minion
        The host.
    codes
        Codes of the problems in the event, or a single code; without a curable one nothing is done.
    every
        Minimum number of seconds since this host was last healed.
    at_once
        Maximum number of hosts that are healed within ``every``, in the whole cluster; more of them suggest a common cause.

    Returns a dict: ``minion``, ``applied`` (bool), ``comment``, and ``synchronized`` afterwards (None: not applied). If the
    host is not a minion, it prints one sentence and exits with code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.heal node148 codes='[daemon-stopped]'
    """
    return __salt__["ntpcluster_heal.heal"](minion, codes=codes, every=every, at_once=at_once)


@_or_one_sentence
def set_island_time(source=None, offset=None, step=False, test=True, tier=None, timeout=None):
    """
    Correct the time of an island: move all its hosts by the same distance, the servers one by one, leader first, then the
    clients, a tier at a time. By default this is a dry run: it queries and checks everything, and changes nothing.

    source
        Name or address of a host that has the right time and serves it by NTP, such as a laptop with a GPS receiver. Each
        server queries it, one after the other; it must be synchronized, must not have its time from the island, and all servers
        must see the same time on it. The leader's difference from it is the distance.
    offset
        Instead of a source: the distance in seconds; above zero, the island is slow. To compare the island with a watch, see
        ``time_utc`` of a dry run with ``offset=0``.
    step
        False slews: the kernel of each host moves the clock at 500 ppm, 2000 s for each second, at most a day, without a step.
        The daemons keep running and keep following each other. It replaces a slew in progress; ``offset=0`` stops one.
        True steps: each host's daemon is stopped, the clock is stepped by 0.2 s or more, the daemon is started, and the
        hardware clock written. Within the pillar's ``step:limit``. Waits until all hosts are synchronized.
    test
        False moves the clocks.
    tier
        The island's top tier, if there are several islands.
    timeout
        As for ``ntpcluster.view``.

    It refuses unless all servers of the island answer, are synchronized, and pass a dry run. If a server fails, the changes to
    the servers before it are undone. A client that does not answer or fails is left out: its daemon follows its servers as
    usual, with a step if necessary; if the daemon has exited, ``state.apply ntp`` starts it again.

    Returns a dict: ``tier``, ``leader`` (id), ``differences_s`` {id: seconds by which the source is ahead of a server},
    ``offset_s``, ``servers`` and ``clients`` {id: what was done}, ``left`` {id: why it was left out}, ``takes_s`` (how long
    the slew takes), ``time_utc`` (the island's time now; in a dry run, with the offset added), ``done`` (bool), ``comment``. On a
    refusal or failure it prints one sentence and exits with code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.set_island_time source=10.0.0.77
        salt-run ntpcluster.set_island_time source=10.0.0.77 test=False
        salt-run ntpcluster.set_island_time offset=-90 step=True test=False
    """
    return __salt__["ntpcluster_island.set_time"](source, offset, step, test, tier, timeout)
