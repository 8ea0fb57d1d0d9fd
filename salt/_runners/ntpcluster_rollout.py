"""
Internal. The order in which a cluster is deployed: from the top tier down, within a tier a few hosts at a time.

``salt-run state.orchestrate orch.ntp`` calls ``ntpcluster.rollout`` and carries out its plan; all decisions are made here.
"""

import salt.utils.minions
from salt.exceptions import SaltInvocationError

# The loader offers only these functions; ``batches``, ``closed``, ``objections``, ``refusals`` and ``told`` stay plain
# functions for the tests.
__load__ = ["work_out", "stopped", "proven"]

#: At most one in this many hosts of a tier is deployed at a time; the others keep serving.
PART = 3


def work_out(target, resume, timeout, saltenv):
    """
    Internal. Work out a rollout.

    target, resume, timeout, saltenv
        As for ``ntpcluster.rollout``.

    Returns what ``ntpcluster.rollout`` returns; if no minion can be asked, that is one of its ``problems``.
    """
    plan = {"batches": [], "skipped": [], "problems": [], "warnings": []}
    found = salt.utils.minions.CkMinions(__opts__).check_minions(target, "compound")
    targets = sorted(found["minions"])
    if not targets:
        plan["problems"].append(f"no minion matches {target!r}: see salt-key --list=accepted")
        return plan
    try:
        ask = __salt__["ntpcluster_ask.minions"]
        where = {"saltenv": saltenv} if saltenv else {}
        # Not saltutil.sync_all: if the tree is in another environment, that removes its modules from the minions. During
        # another state run, it waits for the end of that run.
        how = dict(where, queue=True)
        synced = ask("state.apply", ["ntp.modules"], kwarg=how, tgt=targets, tgt_type="list", timeout=timeout)
        # With the pillar that will be applied: the minions' copy may be older.
        view = __salt__["ntpcluster_view.take"](timeout=timeout, anew=True)
    except SaltInvocationError as exc:
        plan["problems"].append(str(exc))
        return plan
    plan["problems"], plan["warnings"] = objections(view, targets)
    plan["problems"] = refusals(view, synced["returns"]) + plan["problems"]
    if not plan["problems"]:
        said = ask("ntpcluster.validate", tgt=targets, tgt_type="list", timeout=timeout)
        plan["problems"] += told(said["returns"], "error")
        plan["warnings"] += told(said["returns"], "warning")
    if resume and not plan["problems"]:
        dry = ask("state.apply", ["ntp"], kwarg=dict(where, test=True), tgt=targets, tgt_type="list", timeout=timeout)
        plan["skipped"] = [name for name in targets if finished(view["hosts"][name], dry["returns"].get(name))]
    if not plan["problems"]:
        plan["batches"] = batches(view, [name for name in targets if name not in plan["skipped"]])
    return plan


def stopped(batches, timeout=None):
    """
    Internal. Why a rollout stopped: the first batch that does not follow its tier, its hosts and their problems. ``orch.ntp``
    calls this after a failure.

    batches
        As in ``ntpcluster.rollout``.
    timeout
        As for ``ntpcluster.rollout``.

    Returns a dict with one key, ``Error``, by which a runner reports a failure to ``salt.runner``.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster_rollout.stopped '[{name: server 1 of 2, hosts: [ntp180]}]'
    """
    names = [name for batch in batches for name in batch["hosts"]]
    try:
        return {"Error": reason(__salt__["ntpcluster_view.take"](tgt=names, tgt_type="list", timeout=timeout), batches)}
    except SaltInvocationError as exc:
        return {"Error": str(exc)}


def proven(hosts):
    """
    Internal. Whether the servers among these hosts answer the tiers that follow them: some followers query them. ``orch.ntp``
    calls this after the last batch.

    hosts
        Ids of the hosts that were deployed, or skipped because they needed nothing.

    Returns a dict: ``servers`` [id] that answered; or, if one of them answered no follower or no follower could query it, with
    one key, ``Error``, as from ``stopped``.

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster_rollout.proven '[ntp180, ntp189]'
    """
    try:
        view = __salt__["ntpcluster_view.take"](served=True)
    except SaltInvocationError as exc:
        return {"Error": str(exc)}
    found = closed(view, hosts)
    open_ = sorted({server["host"] for server in view["served"] if server["open"] and server["host"] in hosts})
    return {"Error": "\n".join(found)} if found else {"servers": open_}


# ---------------------------------------------------------------------------------------------------------
# From here on nothing is queried: all functions are pure.


def refusals(view, synced):
    """
    Why hosts did not get the modules, each reason once, as texts; ``synced`` is what ``state.apply ntp.modules``
    returned. If Salt refuses to run any states, it does not return a mapping of states.
    """
    reasons = {}
    for name in sorted(synced):
        if not isinstance(synced[name], dict):
            lines = synced[name] if isinstance(synced[name], list) else str(synced[name]).splitlines()[-1:]
            reasons.setdefault(" ".join(" ".join(map(str, lines)).split())[:300], []).append(name)
    problems = []
    for text, names in reasons.items():
        if "No matching sls" in text:
            known = {view["hosts"][name]["saltenv"] for name in names if name in view["hosts"]} - {None}
            text += "; name the tree's environment: saltenv={}".format(" or ".join(sorted(known)) or "NAME")
        problems.append("{}: {}".format(", ".join(names), text))
    return problems


def objections(view, targets):
    """Reasons against deploying these hosts of the cluster now: (problems, warnings), as lists of texts."""
    hosts, wanted = view["hosts"], set(targets)
    problems, warnings = [], []
    for name in targets:
        host = hosts.get(name)
        if host is None or host["health"] in ("silent", "unreadable"):
            why = host["why"] if host else "it was not queried"
            problems.append(f"{name}: {why}; repair it, or exclude it: target='* and not {name}'")
    faults = {}
    for name in targets:
        for item in hosts[name]["problems"] if name in hosts else ():
            if item["code"] in ("unknown-platform", "invalid-pillar", "no-tree"):
                faults.setdefault(item["message"], []).append(name)
    problems += ["{}: {}".format(", ".join(names), message) for message, names in faults.items()]
    members = {tier["name"]: [hosts[name] for name in tier["hosts"]] for tier in view["tiers"]}
    for tier, below in members.items():
        follows = {host["follows"] for host in below if host["id"] in wanted and host["follows"]}
        for above in sorted(follows):
            servers = members.get(above, [])
            if not servers:
                problems.append(f"tier {tier} follows tier {above}, which has no minion")
            elif not any(host["synchronized"] or host["id"] in wanted for host in servers):
                states = ", ".join("{} is {}".format(host["id"], host["health"]) for host in servers)
                problems.append(f"tier {tier} has no server to follow in tier {above}: {states}")
            known = {address for host in servers for address in host["addresses"]}
            planned = {address for host in below for address in host["planned_addresses"]}
            for address in sorted(planned - known) if servers and known else ():
                warnings.append(
                    f"{address}, which tier {tier} follows, is not an address of any minion of tier {above}"
                )
    return problems, warnings


def told(found, level):
    """
    The problems of this level in ``found``, the return of ``validate``, each once, with the hosts that report it.
    """
    said = {}
    for name in sorted(found):
        for item in found[name] if isinstance(found[name], list) else ():
            if isinstance(item, dict) and item.get("level") == level:
                said.setdefault(item.get("text"), []).append(name)
    who = {text: "every host" if len(names) == len(found) else ", ".join(names) for text, names in said.items()}
    return [f"{who[text]}: {text}" for text in sorted(said)]


def finished(host, states):
    """Whether a host needs nothing: it follows its tier, and a dry run found nothing to change and nothing wrong."""
    if not host["synchronized"] or not isinstance(states, dict) or not states:
        return False
    return all(isinstance(state, dict) and state.get("result") is True for state in states.values())


def reason(view, order):
    """Host and cause for the first batch that failed, as text."""
    for batch in order:
        sick = [view["hosts"][name] for name in batch["hosts"] if not view["hosts"][name]["synchronized"]]
        if not sick:
            continue
        lines = ["stopped at {}; later batches have not been touched".format(batch["name"])]
        for host in sick:
            causes = ["{code}: {message}. Remedy: {remedy}".format(**item) for item in host["problems"]]
            lines += ["{}: {}".format(host["id"], cause) for cause in causes or [host["why"] or host["health"]]]
        return "\n".join(lines + ["then go on: salt-run state.orchestrate orch.ntp pillar='{rollout: {resume: true}}'"])
    return "every host follows its tier; see the failed states of the first failed batch"


def closed(view, deployed):
    """
    What is wrong with the answers of the servers that were deployed, as texts. Other servers do not matter to a rollout: a
    server may have been left out because it is down.
    """
    ours = {server["open"] for server in view["served"] if server["host"] in deployed}
    found = []
    for problem in view["problems"]:
        if (problem["code"] == "unreachable-from" and set(problem["hosts"]) & set(deployed)) or (
            problem["code"] == "unproven" and None in ours
        ):
            found.append("{code}: {message}. Remedy: {remedy}".format(**problem))
    return found


def batches(view, targets):
    """
    The hosts in the order of their tiers, in batches of at most a third of a tier, but at least one host. The first server of
    an island leads, and the others step to its time.
    """
    wanted, found = set(targets), []
    for tier in view["tiers"]:
        names = sorted(
            (name for name in tier["hosts"] if name in wanted), key=lambda name: view["hosts"][name]["turn"] or 0
        )
        size = max(1, len(tier["hosts"]) // PART)
        parts = [names[start : start + size] for start in range(0, len(names), size)]
        for number, part in enumerate(parts, 1):
            found.append(
                {"name": "{} {} of {}".format(tier["name"], number, len(parts)), "tier": tier["name"], "hosts": part}
            )
    return found
