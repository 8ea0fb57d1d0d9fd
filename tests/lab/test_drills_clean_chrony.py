"""A host whose daemon has changed several times gets back what it had before the first deployment."""

from __future__ import annotations

import os

import pytest

from tests.lab.cluster import Cluster, changed, failed, ready
from tests.lab.solo import apply, call, set_pillar
from tests.lab.test_migration import KINDS, SERVICE, add, pillar

#: Diagnostic output for a daemon that does not start.
LOOK = (
    "ps -ef; ls -l /run/chrony /var/lib/chrony /etc/chrony; cat /run/chrony/chronyd.pid; timeout 3 chronyd -d -F 0 2>&1"
)


def belongings(host) -> dict:
    """What must be restored on a host: packages, configuration, services."""
    listed = "dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n' | grep -E 'ntp|chrony|timesync'"
    files = "find /etc/ntpsec /etc/chrony /etc/default -type f | sort | xargs md5sum; true"
    return {
        "packages": host.run(["sh", "-c", listed]).out.split("\n"),
        "files": host.run(["sh", "-c", files]).out.split("\n"),
        "services": {one: [call(host, f"service.{what}", one) for what in ("status", "enabled")]
                     for one in SERVICE.values()},
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", [True, False])
def test_clean_restores_the_state_before_the_first_daemon(kind, own):
    """`own`: the host had ntpsec before the first deployment, with its own configuration; else it had no time daemon."""
    ready(kinds=KINDS)
    with Cluster(prefix=f"ntplab{os.getpid()}m", master=False) as lab:
        host = add(lab, kind)
        if own:
            host.run(["apt-get", "-qq", "install", "ntpsec"]).check()
            host.run(["sh", "-c", "echo '# this site' >> /etc/ntpsec/ntp.conf"]).check()
            host.run(["service", "ntpsec", "restart"]).check()
        before = belongings(host)
        assert failed(apply(host)) == []
        for daemon in ("chrony", "ntpd", "chrony"):
            set_pillar(host, pillar(daemon))
            assert failed(apply(host)) == [], host.run(["sh", "-c", LOOK]).out
        said = apply(host, "test=True", sls="ntp.clean")
        done = apply(host, sls="ntp.clean")
        assert failed(done) == []
        assert [one["changes"] for one in said] == [one["changes"] for one in done]
        after = belongings(host)
        assert {key: (before[key], after[key]) for key in before if before[key] != after[key]} == {}
        again = apply(host, sls="ntp.clean")
        assert (failed(again), changed(again)) == ([], [])
