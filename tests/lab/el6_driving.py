"""How the tests of the EL6 host talk to it."""

import contextlib

from tests.lab.cluster import wait_until


def service(host, *words):
    """`service ...`: its return code and its output, stdout first."""
    done = host.run(["service", *words])
    return done.rc, done.out + done.err


def lines(host, *argv):
    return host.run(list(argv)).out.splitlines()


def wait_for_boot(host):
    """Until crond runs: the run level's services start one by one, and those we look at come before it."""
    wait_until(lambda: service(host, "crond", "status")[0] == 0, 20)
    return host


def reboot(host, **how):
    host.reboot(**how)
    wait_for_boot(host)


@contextlib.contextmanager
def changed(host, path, text):
    """A file with another text for a while; None = no such file."""
    host.run(["cp", "-p", path, "/root/kept"])
    if text is None:
        host.run(["rm", path])
    else:
        host.write(path, text)
    try:
        yield
    finally:
        host.run(["mv", "/root/kept", path])
