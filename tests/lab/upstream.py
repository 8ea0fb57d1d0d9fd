"""The lab's internet: NTP servers (RFC 5905, mode 4) that give the machine's time, or any false time that a test asks for.

They stand in for remote servers: real packets on port 123 from a separate namespace, without a daemon. A small JSON file, which
is read again for every packet, says how each address behaves, so a test can change it while clients run.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.images import FORBIDDEN, PROJECT
from tests.lab.network import Network

NTP_EPOCH = 2208988800  # seconds from 1900 to 1970
HONEST = {
    "offset": 0.0,  # seconds ahead of the true time
    "drift_ppm": 0.0,  # and growing by this, since `since`
    "since": 0.0,
    "stratum": 1,
    "leap": 0,
    "refid": "LAB",  # four letters, or the address of its source
    "root_delay": 0.0,
    "root_dispersion": 0.001,
    "kiss": None,  # a kiss code, e.g. RATE or DENY (RFC 5905, 7.4)
    "silent": False,
    "garbage": False,  # answers of random length and content
    "answers": None,  # stop answering after this many packets
    "way": 0.0,  # how many seconds longer a request takes than its answer; other requests wait meanwhile
}


def stamp(seconds: float) -> bytes:
    seconds += NTP_EPOCH
    return struct.pack("!II", int(seconds) & 0xFFFFFFFF, int(seconds % 1 * 2**32))


def answer(request: bytes, received: float, how: dict) -> bytes:
    """The answer of a server that behaves like `how`."""
    lie = how["offset"] + how["drift_ppm"] * 1e-6 * (received - how["since"] if how["drift_ppm"] else 0.0)
    stratum, leap, refid = how["stratum"], how["leap"], how["refid"].encode().ljust(4, b"\0")[:4]
    if how["refid"].count(".") == 3:
        refid = socket.inet_aton(how["refid"])
    if how["kiss"]:
        stratum, leap, refid = 0, 3, how["kiss"].encode()
    version, mode = request[0] & 0x38, {1: 2, 3: 4}[request[0] & 7]
    header = struct.pack(
        "!BBBbII4s", leap << 6 | version | mode, stratum, request[2], -20,
        int(how["root_delay"] * 65536), int(how["root_dispersion"] * 65536), refid,
    )  # fmt: skip
    if how["kiss"]:
        # As ntpd does it: every timestamp is the request's (fast_xmit in ntp_proto.c); clients check that.
        return header + request[16:24] + request[40:48] * 3
    reference = stamp(received + lie - 8)
    return header + reference + request[40:48] + stamp(received + lie) + stamp(time.time() + lie)


def serve(control: Path) -> None:
    """Answer for every address in the control file until the process ends."""
    sockets: dict[socket.socket, str] = {}
    for address in json.loads(control.read_text()):
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((address, 123))
        sockets[listener] = address
    sent = dict.fromkeys(sockets.values(), 0)
    print("ready", flush=True)
    while True:
        for listener in select.select(list(sockets), [], [])[0]:
            request, client = listener.recvfrom(2048)
            address = sockets[listener]
            try:
                how = {**HONEST, **json.loads(control.read_text())[address]}
            except ValueError:  # the file is being written
                how = HONEST
            if how["way"]:
                time.sleep(how["way"])
            received = time.time()
            if len(request) < 48 or request[0] & 7 not in (1, 3) or how["silent"]:
                continue
            if how["answers"] is not None and sent[address] >= how["answers"]:
                continue
            sent[address] += 1
            packet = answer(request, received, how)
            if how["garbage"]:
                packet = bytes((b * 131 + sent[address] * 17) & 0xFF for b in packet)[: sent[address] % 80]
            listener.sendto(packet, client)


class Upstream:
    """The test's interface to the stand-in. `addresses` are all on one port of the lab's network."""

    def __init__(self, network: Network, name: str, addresses: list[str], folder: Path) -> None:
        folder.mkdir(parents=True)
        self.name, self.addresses, self.control = name, addresses, folder / "behaviour.json"
        self.behaviour: dict[str, dict] = {address: {} for address in addresses}
        self._tell()
        namespace = network.plug(name, addresses[0])
        for address in addresses[1:]:
            subprocess.run(["ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0"], check=True)
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "setpriv", f"--bounding-set={FORBIDDEN}", "--inh-caps=-all",
             sys.executable, "-m", "tests.lab.upstream", str(self.control)],
            cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(folder / "log", "wb"),
            start_new_session=True,
        )  # fmt: skip
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the lab's internet does not start: {(folder / 'log').read_text()}")

    def behave(self, address: str | None = None, **how) -> None:
        """Make one address (or all) behave like this; anything that is not named is honest again."""
        unknown = set(how) - set(HONEST)
        if unknown:
            raise TypeError(f"no such behaviour: {', '.join(sorted(unknown))}")
        for each in [address] if address else self.addresses:
            self.behaviour[each] = how
        self._tell()

    def _tell(self) -> None:
        fresh = self.control.with_suffix(".new")
        fresh.write_text(json.dumps(self.behaviour))
        fresh.rename(self.control)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
