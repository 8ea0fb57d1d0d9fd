"""The real daemons, each run in a world of its own: how one is started, and when it followed whom.

The programs are those of the lab. They are unpacked from the lab's packages and run with the libraries of the release that they
were built for, in a network namespace where nothing arrives, without the right to set the machine's clock.
"""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.images import FORBIDDEN, IMAGES

FOLDER = Path(__file__).resolve().parent
SERVERS = ("10.99.0.1", "10.99.0.2")

#: The daemons find an interface with an address beside those of the servers. IPv6 would only add messages.
NETWORK = """sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip link add d0 type veth peer name d1 && ip link set d1 up
ip addr add 10.99.0.100/24 dev d0 && ip link set d0 up
until ip link show d0 | grep -q 'state UP'; do sleep 0.01; done
exec "$@"
"""

NTPD = """driftfile {folder}/drift
restrict default
statsdir {folder}/
filegen protostats file events type none enable
{sources}"""
CHRONYD = """driftfile {folder}/drift
pidfile {folder}/pid
cmdport 0
bindcmdaddress /
makestep 0.128 3
rtcsync
{sources}"""


class Missing(Exception):
    """A daemon cannot be run here; why."""


@dataclass(frozen=True)
class Daemon:
    """One daemon: its package in an image of the lab, and the image whose loader and libraries it uses."""

    name: str
    package: str  # a pattern, below the topmost layer of `image`
    image: str
    program: str
    libraries: str = ""  # an image; "": this machine's

    def argv(self, work: Path) -> list[str]:
        """The program with its options, unpacked below `work` when it is first used."""
        image = IMAGES[self.image]
        if not image.built:
            raise Missing(f"the lab's image {self.image} is not built (make test builds it)")
        packages = sorted((image.path / "layer").glob(self.package))
        if not packages:
            raise Missing(f"no {self.package} in the lab's image {self.image}")
        unpacked = work / self.name.replace(" ", "-")
        if not unpacked.exists():
            subprocess.run(["dpkg-deb", "-x", packages[0], unpacked], check=True)
        loader = []
        if self.libraries:
            lib = [layer / "usr/lib/x86_64-linux-gnu" for layer in IMAGES[self.libraries].layers()]
            lib += [layer / "lib/x86_64-linux-gnu" for layer in IMAGES[self.libraries].layers()]
            found = next(path for folder in lib for path in sorted(folder.glob("ld-[l2]*.so*")))
            loader = [found, "--library-path", ":".join(map(str, lib))]
        return [*map(str, loader), str(unpacked / self.program)]

    @property
    def is_chrony(self) -> bool:
        return self.program.endswith("chronyd")


DAEMONS = (
    Daemon("ntpd 4.2.8p15", "var/cache/lab/debs/ntp_*.deb", "el6", "usr/sbin/ntpd", "el6"),
    Daemon("ntpsec 1.2.2", "srv/apt/ntpsec_1*.deb", "apt12", "usr/sbin/ntpd", "modern"),
    Daemon("chrony 4.3", "srv/apt/chrony_4*.deb", "apt12", "usr/sbin/chronyd"),
    Daemon("chrony 4.6.1", "srv/apt/chrony_4*.deb", "debian13", "usr/sbin/chronyd", "debian13"),
)


@dataclass(frozen=True)
class World:
    """The world's numbers, in the order in which world.c reads them."""

    seed: int
    end_s: float = 6 * 3600
    offset_s: float = 0.03  # the clock's first error
    ppm: float = 23  # the oscillator's first error
    wander_ppb: float = 3  # its random walk: ppb for the root of a second
    delay_us: float = 100  # one way through the network, at least
    jitter_us: float = 50  # and on average so much more
    spike_share: float = 0.01  # so many packets meet a queue
    spike_us: float = 1000  # that takes so much more on average
    dead_s: float = 0  # when the first server falls silent for good; 0: never

    def text(self) -> str:
        return " ".join(f"{value:g}" for value in vars(self).values())


@dataclass(frozen=True)
class Life:
    """What happened: the clock's errors as (s, s), requests as (s, number of the server), follows as (s, address)."""

    clock: list[tuple[float, float]]
    asked: list[tuple[float, int]]
    followed: list[tuple[float, str]]
    steps: int


@functools.cache
def library(work: Path) -> Path:
    """The preloaded library, built from its sources."""
    built = work / "worldsim.so"
    subprocess.run(["make", "-s", "-C", FOLDER, f"OUT={built}"], check=True)
    return built


def live(daemon: Daemon, world: World, polls: tuple[int, int], work: Path, servers: int = 2) -> Life:
    """Let a daemon live through a world. `polls` are its minpoll and maxpoll; the first server is preferred."""
    preload, program = library(work), daemon.argv(work)
    folder = work / "life"
    subprocess.run(["rm", "-rf", folder], check=True)
    folder.mkdir()
    words = f"iburst {{}}minpoll {polls[0]} maxpoll {polls[1]}"
    lines = [f"server {one} {words.format('prefer ' * (i == 0))}\n" for i, one in enumerate(SERVERS[:servers])]
    text = (CHRONYD if daemon.is_chrony else NTPD).format(folder=folder, sources="".join(lines))
    (folder / "conf").write_text(text)
    options = ["-F", "0", "-u", "root", "-d", "-f"] if daemon.is_chrony else ["-4", "-n", "-g", "-c"]
    argv = ["unshare", "--net", "sh", "-c", NETWORK, "world",
            "setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all",
            "env", "-i", "TZ=UTC", f"LD_PRELOAD={preload}", f"WORLD={world.text()}", f"WORLD_RECORD={folder}/record",
            *program, *options, str(folder / "conf")]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    record = (folder / "record").read_text() if (folder / "record").exists() else ""
    if done.returncode or not record.endswith("end\n"):
        raise RuntimeError(f"{daemon.name} died early ({done.returncode}): {(done.stdout + done.stderr)[-2000:]}")
    said = done.stderr + done.stdout if daemon.is_chrony else (folder / "events").read_text()
    rows = [line.split() for line in record.splitlines()]
    if not any(row[0] == "ask" for row in rows):
        raise RuntimeError(f"{daemon.name} asked nobody: {said[-2000:]}")
    return Life(
        clock=[(float(row[1]), float(row[2])) for row in rows if row[0] == "clock"],
        asked=[(float(row[1]), int(row[2])) for row in rows if row[0] == "ask"],
        followed=list((chrony_followed if daemon.is_chrony else ntpd_followed)(said)),
        steps=sum(row[0] == "step" for row in rows),
    )


#: 2025-06-15T15:06:40Z, when the world begins (BEGIN_S in world.c), as seconds of that day. Six hours do not reach midnight.
BEGIN_OF_DAY_S = 15 * 3600 + 6 * 60 + 40


def chrony_followed(said: str) -> Iterator[tuple[float, str]]:
    """From what chronyd tells on its standard error, to the second."""
    for hour, minute, second, address in re.findall(r"T(\d\d):(\d\d):(\d\d)Z Selected source (\S+)", said):
        yield int(hour) * 3600 + int(minute) * 60 + int(second) - BEGIN_OF_DAY_S, address


def ntpd_followed(said: str) -> Iterator[tuple[float, str]]:
    """From ntpd's protostats: day, second of the day, source, status word, event code and its name."""
    for second, address in re.findall(r"^\d+ (\S+) (\S+) \S+ \S+ sys_peer", said, re.MULTILINE):
        yield float(second) - BEGIN_OF_DAY_S, address
