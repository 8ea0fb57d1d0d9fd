"""Enter a host of a lab that was left running: python -m tests.lab.enter HOST [PROGRAM ARGUMENT ...]

The host may be `master`: then the program runs in the Salt master's namespace, and `salt` finds the master without further
options.
"""

from __future__ import annotations

import json
import os
import sys

from tests.lab.cluster import NONE_UP, require_root
from tests.lab.host import enter
from tests.lab.images import CACHE, FORBIDDEN
from tests.lab.master import MASTER_SCRIPTS


def main() -> None:
    require_root()
    labs = sorted((CACHE / "run").glob("*/hosts.json"))
    if not labs:
        raise SystemExit(f"{NONE_UP}; `make demo KEEP=1` leaves one.")
    hosts = json.loads(labs[-1].read_text())
    there = f"the hosts are master, {', '.join(hosts)}."
    if not sys.argv[1:]:
        raise SystemExit(f"Usage: python -m tests.lab.enter HOST [PROGRAM ARGUMENT ...]; {there}")
    name, *argv = sys.argv[1:]
    if name == "master":
        folder = labs[-1].parent
        # With the usual prompt this would look like a shell of the machine.
        argv = argv or ["env", r"PS1=root@lab-master:\w# ", "bash", "--norc"]
        environment = ["env", f"PATH={MASTER_SCRIPTS}:{os.environ['PATH']}", f"SALT_CONFIG_DIR={folder}/master/etc"]
        confined = ["setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all"]
        os.execvp("ip", ["ip", "netns", "exec", f"{folder.name}-master", *confined, *environment, *argv])
    if name not in hosts:
        raise SystemExit(f"No host {name!r}: {there}")
    words = [*enter(hosts[name]), *(argv or ["bash", "-l"])]
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
