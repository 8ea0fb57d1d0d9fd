"""
Internal. For how long each host was within its bound: the sums of many views, in one SQLite file.

Each view adds the seconds since the previous view to one of three sums for each host and hour: within, beyond, unknown. So
30 days of 5,000 hosts are 3.6 million rows and not 216 million, and a view writes a few hundred kilobytes.
"""

import contextlib
import sqlite3
import time

from salt.exceptions import CommandExecutionError

# The loader offers only these functions; the tests use ``state`` and ``GAP_S`` directly.
__load__ = ["keep", "shares", "hours"]

ENDING = ".sqlite"
HOUR_S = 3600
#: If two views are further apart than this, the time between them is unknown.
GAP_S = 300
#: Older data is deleted: a quarter of a year is kept.
DAYS = 92

TABLES = """
CREATE TABLE IF NOT EXISTS hosts (number INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, tier TEXT, first REAL NOT NULL);
CREATE TABLE IF NOT EXISTS sums (
    hour INTEGER NOT NULL, host INTEGER NOT NULL, within REAL NOT NULL, beyond REAL NOT NULL, unknown REAL NOT NULL,
    worst_ms REAL, PRIMARY KEY (hour, host)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gaps (start REAL NOT NULL, stop REAL NOT NULL);
CREATE TABLE IF NOT EXISTS last (only INTEGER PRIMARY KEY CHECK (only = 0), look REAL NOT NULL);
"""
#: SQLite's max() of two values is null if one of them is.
ADD = """
INSERT INTO sums SELECT ?, number, ?, ?, ?, ? FROM hosts WHERE name = ? AND first < ?
ON CONFLICT (hour, host) DO UPDATE SET within = within + excluded.within, beyond = beyond + excluded.beyond,
    unknown = unknown + excluded.unknown, worst_ms = coalesce(max(worst_ms, excluded.worst_ms), worst_ms, excluded.worst_ms)
"""
ASKED_TABLE = (
    "CREATE TEMP TABLE IF NOT EXISTS asked (name TEXT NOT NULL, place INTEGER NOT NULL, number INTEGER UNIQUE)"
)
#: A host that was in no view has no row.
ASK = "INSERT INTO asked SELECT ?1, ?2, (SELECT number FROM hosts WHERE name = ?1)"
#: A host's sums for an hour exceed its length only if the master's clock was set back in that hour. CROSS JOIN: SQLite reads
#: the sums in order, each once.
BY_PLACE = """
SELECT place, hour, count(*), sum(within), sum(beyond), sum(max(within + beyond + unknown, min(3600, :stop - hour))), max(worst_ms)
FROM sums CROSS JOIN asked ON number = host WHERE hour >= :start AND hour < :stop GROUP BY place, hour
"""
WORST = """
SELECT name FROM asked LEFT JOIN (
    SELECT host, sum(within) AS within, sum(beyond) AS beyond, max(worst_ms) AS worst_ms FROM sums
    WHERE hour >= :start AND hour < :stop GROUP BY host) ON host = number
ORDER BY coalesce(beyond, 0) DESC, coalesce(within, 0), worst_ms DESC, name LIMIT :most
"""
SUMS = """
SELECT name, tier, first, hour, within, beyond, unknown, worst_ms FROM hosts JOIN (
    SELECT host, max(hour) AS hour, sum(within) AS within, sum(beyond) AS beyond, sum(unknown) AS unknown,
        max(worst_ms) AS worst_ms FROM sums WHERE hour >= ? GROUP BY host) ON host = number
"""


def keep(path, view):
    """
    Internal. Add a view to the sums.

    path
        Full path of the file, which is created if missing. Its name must end with ``.sqlite``.
    view
        As ``ntpcluster.view``.

    Raises SaltInvocationError for another path, CommandExecutionError if the file cannot be written.
    """
    __salt__["ntpcluster_publish.check"](path, ENDING)
    now, hosts = view["time"], view["hosts"]
    with _opened(path) as file:
        [last] = file.execute("SELECT max(look) FROM last").fetchone()
        file.execute("REPLACE INTO last VALUES (0, ?)", [now])
        file.executemany(
            "INSERT INTO hosts (name, tier, first) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET tier = excluded.tier WHERE excluded.tier IS NOT NULL AND tier IS NOT excluded.tier",
            [(name, host["tier"], now) for name, host in hosts.items()],
        )
        # After a backward step of the master's clock, the time up to its old value has been counted already.
        passed = 0.0 if last is None or now <= last else now - last
        if passed > GAP_S:
            file.execute("INSERT INTO gaps VALUES (?, ?)", [last, now])
        elif passed:
            rows = [(state(host), host["bound_ms"], name) for name, host in hosts.items()]
            file.executemany(
                ADD,
                [
                    (hour, *(seconds * (word == each) for each in ("within", "beyond", "unknown")), bound, name, now)
                    for hour, seconds in _by_hours(last, now)
                    for word, bound, name in rows
                ],
            )
        oldest = now - DAYS * 24 * HOUR_S
        file.execute("DELETE FROM sums WHERE hour < ?", [oldest])
        file.execute("DELETE FROM gaps WHERE stop < ?", [oldest])


def shares(path, days):
    """
    Internal. The shares of the time for which each host was within its bound, beyond it, and for which this is unknown.

    path
        As for ``keep``.
    days
        Number of days back from now; only whole hours are counted.

    Returns a dict: ``start``, ``stop`` (seconds since 1970), ``hosts``: {id: {``tier``, ``within``, ``beyond``, ``unknown``
    (shares, with a sum of 1), ``seconds`` (the time that they refer to), ``worst_ms``}}

    Raises SaltInvocationError for another path, CommandExecutionError if the file does not exist, is not such a file, or has no
    data about that time.
    """
    __salt__["ntpcluster_publish.check"](path, ENDING)
    stop = time.time()
    start = (stop - days * 24 * HOUR_S) // HOUR_S * HOUR_S
    with _opened(path, new=False) as file:
        gaps = file.execute("SELECT start, stop FROM gaps WHERE stop > ?", [start]).fetchall()
        [last] = file.execute("SELECT max(look) FROM last").fetchone()
        if last is not None and stop - last > GAP_S:
            gaps.append((last, stop))
        hosts = {row[0]: _shares(row, gaps, start) for row in file.execute(SUMS, [start])}
    if not hosts:
        said = f"{path} has no two views of the last {days:g} days that are at most {GAP_S} s apart"
        raise CommandExecutionError(said)
    return {"start": start, "stop": stop, "hosts": {name: hosts[name] for name in sorted(hosts)}}


def hours(path, groups, now, most):
    """
    Internal. The last 24 hours, including the present one, hour by hour: for groups of hosts, and for the worst hosts.

    path
        As for ``keep``.
    groups
        Lists of hosts; each host is in one list.
    now
        The end of the period, in seconds since 1970. If a view is at most 300 s from this, its time is the end instead.
    most
        How many hosts to return individually: first those that were beyond the pillar's limit for the longest time, then those
        that were within it for the shortest time.

    Returns a dict: ``start``, ``stop`` (seconds since 1970), ``groups`` (for each its hours), ``hosts`` {id: its hours}. Each
    hour is a dict: ``start``, ``within``, ``beyond``, ``unknown`` (seconds, the sum of all hosts of the group), ``worst_ms``
    (None: no bound was known). Time without a record is unknown.

    Raises SaltInvocationError for another path, CommandExecutionError if the file does not exist or is not such a file.
    """
    __salt__["ntpcluster_publish.check"](path, ENDING)
    with _opened(path, new=False) as file:
        [last] = file.execute("SELECT max(look) FROM last").fetchone()
        stop = now if last is None or abs(now - last) > GAP_S else last
        span = {"start": int(-(-stop // HOUR_S) - 24) * HOUR_S, "stop": stop}
        told = _of_groups(file, groups, span)
        worst = [name for [name] in file.execute(WORST, {**span, "most": most})]
        return {**span, "groups": told, "hosts": dict(zip(worst, _of_groups(file, [[name] for name in worst], span)))}  # noqa: B905


def _of_groups(file, groups, span):
    """The hours of each group of hosts; leaves the hosts in the table ``asked``."""
    file.execute(ASKED_TABLE)
    file.execute("DELETE FROM asked")
    file.executemany(ASK, ((name, place) for place, names in enumerate(groups) for name in names))
    rows = {(place, hour): row for place, hour, *row in file.execute(BY_PLACE, span)}
    hours = range(span["start"], span["start"] + 24 * HOUR_S, HOUR_S)
    return [
        [_hour(hour, len(names), span["stop"], rows.get((place, hour))) for hour in hours]
        for place, names in enumerate(groups)
    ]


@contextlib.contextmanager
def _opened(path, new=True):
    """The open file, with a transaction that is committed unless an exception occurs."""
    try:
        mode = "rwc" if new else "ro"
        uri = "file:{}?mode={}".format(path.replace("%", "%25").replace("?", "%3f").replace("#", "%23"), mode)
        with contextlib.closing(sqlite3.connect(uri, timeout=30, uri=True, isolation_level=None)) as file:
            if new:
                file.executescript(TABLES)
            file.execute("BEGIN IMMEDIATE" if new else "BEGIN")
            yield file
            file.execute("COMMIT")
    except sqlite3.Error as exc:
        raise CommandExecutionError(f"{path} cannot be {'written' if new else 'read'}: {exc}") from exc


# ---------------------------------------------------------------------------------------------------------
# From here on all functions are pure.


def state(host):
    """
    Whether a host's clock is within its pillar's limit: its bound against ``sync:max_bound`` or, if that is not set, against
    ``sync:max_offset``. The state of a host without a bound is unknown.
    """
    allowed = host["max_offset_ms"] if host["max_bound_ms"] is None else host["max_bound_ms"]
    if host["bound_ms"] is None or allowed is None:
        return "unknown"
    return "within" if host["bound_ms"] <= allowed else "beyond"


def _by_hours(since, until):
    """The time between two views, which is less than an hour, divided between the hours that it lies in: [(hour, seconds)]."""
    edge = int(until // HOUR_S) * HOUR_S
    parts = ((edge - HOUR_S, edge - since), (edge, until - max(since, edge)))
    return [(hour, seconds) for hour, seconds in parts if seconds > 0]


def _hour(start, number, stop, row):
    """One hour of a number of hosts, from the sums of those that have any."""
    some, within, beyond, whole, worst = row or (0, 0.0, 0.0, 0.0, None)
    whole += (number - some) * min(HOUR_S, stop - start)
    # The sums are floats, and their last digits may be wrong; two views are never only a few milliseconds apart.
    unknown = max(0.0, whole - within - beyond)
    if unknown < 1e-6 * whole:
        unknown = 0.0
    return {"start": start, "within": within, "beyond": beyond, "unknown": unknown, "worst_ms": worst}


def _shares(row, gaps, start):
    """One host's shares; the time between two views that are far apart is unknown."""
    _, tier, first, hour, within, beyond, unknown, worst = row
    begin = max(start, first)
    missed = [stop - max(begin, since) for since, stop in gaps if since < hour + HOUR_S and stop > begin]
    unknown += sum(missed)
    whole = within + beyond + unknown
    return {
        "tier": tier,
        "within": within / whole,
        "beyond": beyond / whole,
        "unknown": unknown / whole,
        "seconds": whole,
        "worst_ms": worst,
    }
