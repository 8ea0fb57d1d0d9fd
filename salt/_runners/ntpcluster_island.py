"""
Internal. Correct the time of an island. All its hosts are moved by the same distance, one server after the other, then the
clients: so no daemon sees its source move away, and none has to step.
"""

import math
import time

from salt.exceptions import SaltInvocationError

# The loader offers only this function; ``members`` and ``trusted`` stay plain functions for the tests.
__load__ = ["set_time"]

#: Packets to the source from each server; the one with the shortest round trip counts.
SAMPLES = 4

#: The servers have the same time, so their differences from the source agree within this plus half of both round trips.
AGREE_S = 0.05

#: A difference from the source below this is not worth a slew.
SMALL_S = 0.001

#: The time limit for the hosts to be synchronized again after a step. An ntpd that leads uses its own clock 27 s after its start.
#: The other servers query it again up to 64 s later (their daemons' own poll interval), the clients up to 16 s later (`polls`).
SYNCHRONIZED_S, AGAIN_S = 300, 5


def set_time(source, offset, step, test, tier, timeout):
    """
    Internal. Implements ``ntpcluster.set_island_time``.

    Raises SaltInvocationError with the reason of a refusal, and after a failure also with the hosts that have been moved.
    """
    _check(source, offset, step, test)
    hosts = __salt__["ntpcluster_view.take"](timeout=timeout)["hosts"]
    tier, servers, clients, left = members(hosts, tier, step)
    differences = {}
    if source is not None:
        # The servers query one by one, so that they cannot disturb each other at the source.
        for name in servers:
            differences[name] = _ask(name, "ntpcluster.query", {"servers": [source], "samples": SAMPLES}, timeout)
        offset = trusted(source, differences, hosts, servers)
    result = {
        "tier": tier,
        "leader": servers[0],
        "differences_s": {name: said["servers"][0]["offset_s"] for name, said in differences.items()},
        "offset_s": offset,
        "servers": {},
        "clients": {},
        "left": left,
        "done": False,
    }
    if source is not None and abs(offset) < SMALL_S:
        return {**result, "comment": f"the island is within {SMALL_S * 1000:g} ms of {source}: nothing to do"}
    told = _move(servers, clients, {"offset": offset, "step": step, "test": True}, result, timeout)
    told["comment"] = "dry run: nothing has been changed; test=False does it"
    if not test:
        told = _move(servers, clients, {"offset": offset, "step": step, "test": False}, result, timeout)
        told["done"] = True
        moved = [name for name in (*servers, *told["clients"]) if hosts[name]["synchronized"]]
        told["comment"] = _settle(moved, timeout) if step else _slewing(told["takes_s"], offset)
    return told


def _move(servers, clients, how, result, timeout):
    """Move the servers one by one, leader first, then the clients, a tier at a time; returns a copy of the result with their
    returns."""
    made = {**result, "servers": {}, "clients": {}, "left": dict(result["left"])}
    for name in servers:
        try:
            said = _ask(name, "ntpcluster.move", how, timeout)
        except SaltInvocationError as exc:
            raise SaltInvocationError(f"{exc}. {_undo(name, list(made['servers']), how, timeout)}") from exc
        made["servers"][name] = said["comment"]
        if name == servers[0]:
            # With the master's monotonic clock: the leader's time at the moment of printing.
            ahead = said["time_s"] - time.monotonic() + (how["offset"] if how["test"] else 0)
            made["takes_s"] = said["takes_s"]
    for names in clients:
        found = _answers(names, "ntpcluster.move", how, timeout)
        for name in names:
            said = found.get(name)
            if isinstance(said, dict) and "comment" in said:
                made["clients"][name] = said["comment"]
            else:
                made["left"][name] = _reason(said)
    made["time_utc"] = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ahead + time.monotonic()))
    return made


def _undo(failed, moved, how, timeout):
    """Undo the changes to the servers before one failed; returns text that says what was undone."""
    if how["test"]:
        return "Nothing has been changed"
    # A slew that may have begun is stopped; only the host knows whether the clock was stepped.
    back, names = (-how["offset"], moved) if how["step"] else (0, [*moved, failed])
    found = _answers(names, "ntpcluster.move", {"offset": back, "step": how["step"], "test": False}, timeout)
    lost = [name for name in names if not isinstance(found.get(name), dict)]
    done = ", ".join(name for name in names if name not in lost)
    word = "Stepped back" if how["step"] else "The slew has been stopped on"
    said = f"{word}: {done}" if done else "No other host has been changed"
    return said + (". NOT taken back: {}".format(", ".join(lost)) if lost else "")


def _slewing(takes, offset):
    """Text that says what continues after a slew was begun."""
    if not offset:
        return "no host is slewed any more"
    return (
        f"all clocks are being slewed; ready in {takes:.0f} s. Until then do not step or restart hosts: a step ends a slew. "
        "offset=0 stops it"
    )


def _settle(names, timeout):
    """Wait until these hosts are synchronized again; returns text about the outcome."""
    until = time.monotonic() + SYNCHRONIZED_S
    while True:
        view = __salt__["ntpcluster_view.take"](tgt=names, tgt_type="list", timeout=timeout)["hosts"]
        waiting = [name for name in names if not view[name]["synchronized"]]
        if not waiting:
            return "all clocks have been stepped, and all hosts are synchronized"
        if time.monotonic() > until:
            said = "; ".join("{} is {}".format(name, view[name]["health"]) for name in waiting)
            raise SaltInvocationError(f"all clocks have been stepped, but after {SYNCHRONIZED_S} s {said}")
        time.sleep(AGAIN_S)


def _ask(name, fun, kwarg, timeout):
    """The return of one host, a dict; raises SaltInvocationError with the reason if it is something else."""
    said = _answers([name], fun, kwarg, timeout).get(name)
    if not isinstance(said, dict):
        raise SaltInvocationError(f"{name}: {_reason(said)}")
    return said


def _answers(names, fun, kwarg, timeout):
    """The returns of these hosts, by host."""
    if not names:
        return {}
    ask = __salt__["ntpcluster_ask.minions"]
    return ask(fun, kwarg=kwarg, tgt=list(names), tgt_type="list", timeout=timeout)["returns"]


# ---------------------------------------------------------------------------------------------------------
# From here on nothing is queried: all functions are pure.


def _check(source, offset, step, test):
    for name, value in (("step", step), ("test", test)):
        if not isinstance(value, bool):
            raise SaltInvocationError(f"{name}: {value!r} is neither True nor False")
    if (source is None) == (offset is None):
        raise SaltInvocationError("give either source=ADDRESS of a host with the right time, or offset=SECONDS")
    if source is not None and not (isinstance(source, str) and source):
        raise SaltInvocationError(f"source: {source!r} is not an address")
    number = isinstance(offset, (int, float)) and not isinstance(offset, bool)
    if offset is not None and not (number and math.isfinite(offset)):
        raise SaltInvocationError(f"offset: {offset!r} is not a number of seconds; above zero, the island is slow")


def _reason(said):
    """Why a host's return is not usable, in one line."""
    if said is None:
        return "no answer within the time limit"
    lines = str(said).strip().splitlines() or [""]
    return lines[-1 if "Traceback" in lines[0] else 0].removeprefix("ERROR: ")


def members(hosts, tier, step):
    """
    The hosts of an island, and whether it may be moved.

    hosts
        The view's.
    tier
        Name of the island's top tier; None: there is only one.
    step
        Whether it will be stepped.

    Returns (name of the tier, servers [id] with the leader first, clients as a list of lists [id], one for each tier from the top
    down, hosts that are left out {id: why}).

    Raises SaltInvocationError if there is no such island, or a server is missing or not synchronized.
    """
    of_island = {name: row for name, row in hosts.items() if row["reference"] == "island"}
    tops = sorted({row["tier"] for row in of_island.values() if not row["follows"]})
    if tier is None and len(tops) > 1:
        raise SaltInvocationError("there are several islands; name one: tier={}".format(" or tier=".join(tops)))
    if not tops or tier not in (None, *tops):
        there = "the islands here are {}".format(", ".join(tops)) if tops else "no host answers that it is on one"
        raise SaltInvocationError("{} is no island: {}".format(tier or "this cluster", there))
    tier = tier or tops[0]
    above = {row["tier"]: row["follows"] for row in of_island.values()}
    mine = {name: row for name, row in of_island.items() if _top(row["tier"], above) == tier}
    servers = {name: row for name, row in mine.items() if row["tier"] == tier}
    leader = _leader(hosts, servers, step)
    left = {name: f"not asked: {row['why']}" for name, row in hosts.items() if row["why"]}
    left.update({name: "its daemon does not run" for name, row in mine.items() if row["health"] == "stopped"})
    levels = {}
    for name, row in mine.items():
        if name not in left and name not in servers:
            levels.setdefault(row["level"], []).append(name)
    order = sorted(servers, key=lambda name: (name != leader, servers[name]["turn"] or 0, name))
    return tier, order, [sorted(levels[level]) for level in sorted(levels)], left


def _top(tier, above):
    """The top tier of the chain that begins with this tier."""
    for _ in above:
        tier = above.get(tier) or tier
    return tier


def _leader(hosts, servers, step):
    """The server that leads; raises SaltInvocationError unless all other servers are certainly present and follow it."""
    known = {address for row in servers.values() for address in row["addresses"]}
    planned = {address for row in servers.values() for address in row["planned_addresses"]}
    if planned - known:
        silent = ", ".join(name for name, row in hosts.items() if row["why"]) or "none"
        said = "the servers {} of the island are not among the hosts that answer; silent minions: {}"
        raise SaltInvocationError(said.format(", ".join(sorted(planned - known)), silent))
    sick = sorted(name for name, row in servers.items() if not row["synchronized"])
    leaders = [name for name, row in servers.items() if row["source"] is None]
    if sick or len(leaders) != 1:
        what = f"{', '.join(sick)} not synchronized" if sick else f"{len(leaders)} servers lead"
        raise SaltInvocationError(f"the island is not one time: {what}; see salt-run ntpcluster.tree")
    astray = [name for name, row in servers.items() if row["source"] and row["source_host"] != leaders[0]]
    if step and astray:
        # The leader's ntpd, just restarted, would take the old time from a server that does not follow it.
        said = f"{', '.join(sorted(astray))} do not follow {leaders[0]}, which leads: try again later, or slew"
        raise SaltInvocationError(said)
    return leaders[0]


def trusted(source, said, hosts, servers):
    """
    The leader's difference from the source, if all servers agree about the source and its time does not come from this island.

    source
        Name or address.
    said
        What ``ntpcluster.query`` returned on each server, by host.
    hosts, servers
        The view's hosts, and the ids of the servers, leader first.

    Returns seconds; above zero the island is slow.

    Raises SaltInvocationError with the reason why the source is not trusted.
    """
    found = {name: said[name]["servers"][0] for name in servers}
    island = {address for row in hosts.values() if row["reference"] == "island" for address in row["addresses"]}
    for name, one in found.items():
        if one["offset_s"] is None:
            why = "does not answer"
            if one["reachable"]:
                why = f"refuses ({one['kiss']})" if one["kiss"] else "says that it is not synchronized"
            raise SaltInvocationError(f"{name}: {source} {one['message'] or why}")
        if one["address"] in island or one["refid"] in island:
            raise SaltInvocationError(f"{source} has its time from this island: it cannot tell a better one")
    best = found[servers[0]]
    for name, one in found.items():
        apart = abs(one["offset_s"] - best["offset_s"])
        if apart > AGREE_S + (one["delay_s"] + best["delay_s"]) / 2:
            raise SaltInvocationError(f"{name} and {servers[0]} see {source} {apart:.3f} s apart: one of them is wrong")
    return best["offset_s"]
