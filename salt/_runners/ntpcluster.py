"""
The cluster as its master sees it: what people call with ``salt-run ntpcluster.FUNCTION``.

Nothing is decided here. Each function hands on to the file that does the work, and what goes wrong there is said in one
sentence. An exception would not do: Salt prints each one of a runner as a traceback (``low`` of salt/client/mixins.py).
"""

import functools

from salt.exceptions import CommandExecutionError, SaltInvocationError

#: What the severities of the view are called: as the exit codes of the Monitoring Plugins Development Guidelines.
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


class _Unprinted(int):
    """An exit code. The ``txt`` outputter prints each line of each value of a dict, and this has none."""

    def splitlines(self):
        return []


def _sentence(word, line, code):
    """What a runner returns to say one line: a word, a colon, the line. The code becomes that of ``salt-run``."""
    return {"data": {word: str(line), "retcode": _Unprinted(code)}, "outputter": "txt"}


def _or_one_sentence(function):
    """Decorator: an error that was foreseen is one sentence and exit code 1."""

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
    Ask the minions how they stand and put the answers together.

    tgt, tgt_type
        Whom to ask, as for ``salt``; everyone by default. Hosts that are not asked are not in the view.
    timeout
        Seconds to wait for answers; default: the master's ``timeout``.
    anew
        True has each minion judge by the pillar as it is on the master now, even if it has not been applied.

    A target that matches no minion is one sentence and exit code 1. Returns a dict:

    - ``time`` (seconds since 1970, the master's clock, when the asking began), ``time_utc`` (the same as text),
      ``took_s`` (how long the asking took: no figure is older than this)
    - ``tiers``: [{``name``, ``level``, ``hosts``: [id]}], top first; hosts whose tier is not known come last, in a
      tier named None; of each ``bound_ms``, ``apart_ms``, ``unbounded`` as in the summary
    - ``hosts``: {id: {...}}, see below
    - ``problems``: [{``code``, ``severity``, ``hosts``: [id], ``message``, ``remedy``}] of the cluster, worst first:
      ``loop``, ``disagreement``, ``silent``, ``unreadable``, ``unserved``, ``outside-tier``, ``unreachable-from``,
      ``unproven``, ``spread``, ``single-server``, ``outdated``
    - ``host_problems``: [{``code``, ``hosts``: [id], ``message``, ``remedy``}] as the hosts themselves see them, equal
      ones together
    - ``served``: what followers of each tier found that asked its servers just now, by one packet each: a list of dicts
      with ``host`` (the server's id; None: no host of the view has the address), ``addresses``, ``tier`` (of those who
      asked), ``asked`` and ``answered`` [id], ``open`` (bool: somebody got an answer; None: nobody could ask), ``unknown``
      [id] (who was to ask and could not), ``why`` (text)
    - ``summary``: ``hosts``, ``answered``, ``synchronized`` (numbers), ``health`` {word: number, best first},
      ``problems`` (number of problems of hosts and cluster), ``severity`` (0 ok, 1 warning, 2 critical, as the worst
      host or problem of the cluster; 3: there is no host), ``healthy`` (bool: severity 0), ``spread_ms`` and
      ``spread_uncertainty_ms`` (how far apart the clocks are, and how well that is known), ``bound_ms`` (the worst of the
      known bounds of hosts), ``apart_ms`` (the largest difference that two clocks with a bound can have: the sum of the two
      worst), ``unbounded`` (number of hosts without a bound)

    A host has, each None where unknown:

    - ``id``, ``answered``, ``health`` (as in ``ntpcluster.status``, or ``silent``, ``unreadable``), ``severity`` (as in
      the summary), ``why`` (text, why there is no status), ``synchronized``
    - ``tier``, ``level``, ``addresses``, ``version`` of the modules, ``deployed`` (bool: applied, and not cleaned since),
      ``saltenv`` (the environment it was applied from)
    - ``source`` (address), ``source_host`` (id, if it is one of these hosts), ``followers`` (number of hosts that
      follow it), ``open`` (bool: each tier that asked it got an answer; None: not asked, or not known), ``planned`` (the
      sources of its plan, names and addresses), ``planned_addresses`` (the addresses)
    - ``stratum``, ``expected_stratum``, ``leap``, ``refid``, ``offset_ms`` (the daemon's, or that of the row it
      follows, whichever is larger), ``jitter_ms``, ``root_delay_ms``,
      ``root_dispersion_ms``, ``frequency_ppm``, ``max_offset_ms``, ``bound_ms``, ``unbounded``, ``max_bound_ms`` (as in
      ``ntpcluster.status``; None in the pillar: any),
      ``daemon`` {name, version, running, enabled, uptime_s}
    - ``error_ms``: how far this clock is behind the top of its chain, the offsets on the way added up, and
      ``uncertainty_ms`` (half the root delay, and the root dispersion: RFC 5905, 11.2)
    - ``peers``: [{``remote``, ``address``, ``host`` (id or None), ``refid``, ``stratum``, ``reach``, ``condition``,
      ``tally``, ``type``, ``last_event``, ``offset_ms``, ``delay_ms``, ``jitter_ms``, ``when_s``, ``poll_s``,
      ``followed`` (the daemon follows it), ``heard`` (it answered one of the last four polls), ``usable`` (heard, and
      let through by the daemon's selection)}]
    - ``problems``: [{``code``, ``message``, ``remedy``}] as the host itself sees them

    What cannot be printed in a text of a minion (control characters and the like) is spelt out.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.view
        salt-run ntpcluster.view 'ntp*' --out=json
    """
    return __salt__["ntpcluster_view.take"](tgt=tgt, tgt_type=tgt_type, timeout=timeout, anew=anew, served=True)


@_or_one_sentence
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
    seen = __salt__["ntpcluster_view.take"](tgt=tgt, tgt_type=tgt_type, timeout=timeout, served=True)
    if __opts__.get("output") not in (None, "", "txt", "text"):
        return seen
    return {"data": __salt__["ntpcluster_tree.show"](seen), "outputter": "txt"}


def check(tgt="*", tgt_type="compound", timeout=None):
    """
    Judge the whole cluster in one line, and in the exit code: 0 ok, 1 warning, 2 critical, 3 unknown.

    Critical is a host that does not have the time or does not answer, and servers that disagree, follow each other or
    answer none of the followers that ask them now; a warning is whatever else is not as it should be, and what could not
    be found out. Unknown: nobody could be asked.

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
    Show the tree again and again, until Ctrl-C: the cluster's ``watch ntpq -p``. It goes by what the daemons say: to have
    hosts ask their servers so often would bring them to the limit of these.

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
    __salt__["ntpcluster_tree.watch"](tgt=tgt, tgt_type=tgt_type, interval=interval, count=count, timeout=timeout)
    return {"data": {}, "outputter": "txt"}


@_or_one_sentence
def report(path, tgt="*", tgt_type="compound", timeout=None, saltenv=None):
    """
    Write a page about the whole cluster, at once or not at all: the tree as a picture, every problem with its remedy,
    the offsets on one scale, and a table of all hosts. It is one HTML file that needs nothing but itself: it can be
    mailed, printed, archived, put on any web server.

    path
        The file; its name must end with ``.html``. Everyone may read it.
    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.
    saltenv
        The environment whose page is filled (``salt://ntp/report``); default: the first one that has it, ``base``
        before all.

    Returns a dict: ``path``, ``hosts`` (number), ``bytes``. A path that is not the full path of an HTML file or cannot
    be written, a page that the master does not serve, and a target that matches no minion are one sentence and exit
    code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.report path=/srv/ntp-figures/time.html
        salt-run ntpcluster.report /srv/ntp-figures/servers.html tgt='ntp*' timeout=10
    """
    return __salt__["ntpcluster_report.write"](path, tgt=tgt, tgt_type=tgt_type, timeout=timeout, saltenv=saltenv)


@_or_one_sentence
def metrics(path, tgt="*", tgt_type="compound", timeout=None, history=None):
    """
    Write the figures of the whole cluster into a file, at once or not at all.

    path
        The file, in the folder that node_exporter reads: its ``--collector.textfile.directory``. Its name must end
        with ``.prom``, or node_exporter passes it over.
    tgt, tgt_type, timeout
        As for ``ntpcluster.view``.
    history
        A file whose name ends with ``.sqlite``, to which each run adds what ``ntpcluster.slo`` tells; made if it is not there.

    Returns a dict: ``path``, ``hosts`` (number), ``bytes``. A path that would not be read or cannot be written and a
    target that matches no minion are one sentence and exit code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.metrics path=/srv/ntp-figures/ntpcluster.prom
    """
    return __salt__["ntpcluster_metrics.write"](path, tgt=tgt, tgt_type=tgt_type, timeout=timeout, history=history)


@_or_one_sentence
def slo(path, days=30, prom=None):
    """
    For what share of the time each host was within its bound: its ``bound_ms`` was not above the pillar's ``sync:max_bound``,
    or, where that is not set, ``sync:max_offset``. Time for which no bound is known, the host did not answer or nobody looked
    for more than five minutes is ``unknown``, and counts as neither.

    path
        The file that ``ntpcluster.metrics`` keeps: its ``history``.
    days
        So many days back from now, up to 92.
    prom
        A file for node_exporter, as the ``path`` of ``ntpcluster.metrics``, to which the shares are written as well.

    Returns text, a line for each host, the worst first; with ``--out=json``, ``--out=yaml`` and the like a dict: ``start``,
    ``stop`` (seconds since 1970), ``hosts``: {id: {``tier``, ``within``, ``beyond``, ``unknown`` (shares, together 1),
    ``seconds`` (of which they are shares), ``worst_ms`` (the largest bound)}}. A file that cannot be read or written is one
    sentence and exit code 1.

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
    Work out a rollout: who is deployed in which order, and what speaks against it. The hosts get this tree's
    modules for that (``state.apply ntp.modules``); nothing else is changed on them. ``state.orchestrate orch.ntp``
    asks this and does what it says.

    target
        Compound matcher: whom to deploy; everyone by default. Tiers and their sizes are always the whole cluster's.
    resume
        True leaves out the hosts that follow their tier already and for which ``state.apply ntp test=True`` would
        change nothing, so that a rollout which was stopped goes on where it stopped.
    timeout
        Seconds to wait for minions that show no sign of life; default: the master's ``timeout``.
    saltenv
        Where the tree is, if not in the environment that the minions take by default.

    Returns a dict: ``batches`` [{``name``, ``tier``, ``hosts``}] in order, ``skipped`` (hosts left out by
    ``resume``), ``problems`` (texts; with any, nothing may be deployed) and ``warnings`` (texts).

    Never more than a third of a tier is in one batch, and never a whole tier that has more than one host.

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

    The event only says where to look: the host is asked first, and is left alone unless it says the same itself. A host
    on which this tree is not deployed, or no more (``ntp.clean``), is none of its business.

    minion
        The host.
    codes
        Codes of the problems in the event, or one of them; without a curable one nothing is done.
    every
        Seconds that must have passed since this host was healed last.
    at_once
        Hosts that may be healed within ``every``, in the whole cluster; more than these have one common cause.

    Returns a dict: ``minion``, ``applied`` (bool), ``comment``, and ``synchronized`` afterwards (None: not applied). A
    host that is no minion is one sentence and exit code 1.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.heal node148 codes='[daemon-stopped]'
    """
    return __salt__["ntpcluster_heal.heal"](minion, codes=codes, every=every, at_once=at_once)
