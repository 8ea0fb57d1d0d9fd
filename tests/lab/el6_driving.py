"""Shared code of the tests of the EL6 host."""

import contextlib

from tests.lab.cluster import wait_until


def service(host, *words):
    """`service ...`: its return code and its output, stdout first."""
    done = host.run(["service", *words])
    return done.rc, done.out + done.err


def lines(host, *argv):
    return host.run(list(argv)).out.splitlines()


def wait_for_boot(host):
    """Wait until crond runs: the run level's services start one by one, and those under test start before it."""
    wait_until(lambda: service(host, "crond", "status")[0] == 0, 20)
    return host


def reboot(host, **how):
    host.reboot(**how)
    wait_for_boot(host)


@contextlib.contextmanager
def changed(host, path, text):
    """Replace a file's text until the block ends; None: the file is absent before."""
    host.run(["cp", "-p", path, "/root/kept"])
    if text is None:
        host.run(["rm", path])
    else:
        host.write(path, text)
    try:
        yield
    finally:
        host.run(["mv", "/root/kept", path])
