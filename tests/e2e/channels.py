"""The two channels to a virtual machine: to the agent inside it (programs, its clock) and to its emulator (its hardware).

Neither needs the machine's network, so they work with a closed firewall, with the cable unplugged, and across a step of its
clock.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path


class ChannelDown(Exception):
    """There is no answer: the machine is booting, or off."""


class Channel:
    """Lines of JSON over a Unix socket in `folder`, whose path may be longer than a socket's address allows."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.socket: socket.socket | None = None
        self.buffer = b""
        self.lock = threading.RLock()

    def connect(self) -> None:
        self.close()
        handle = os.open(self.folder, os.O_PATH)
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(f"/proc/self/fd/{handle}/{self.name}")
        except OSError as exc:
            self.close()
            raise ChannelDown(f"{self.name}: {exc}") from exc
        finally:
            os.close(handle)

    def send(self, message: dict, before: bytes = b"") -> None:
        try:
            self.socket.sendall(before + json.dumps(message).encode() + b"\n")
        except OSError as exc:
            raise ChannelDown(f"{self.name}: {exc}") from exc

    def receive(self, timeout: float) -> dict:
        """The next line that is JSON."""
        until = time.monotonic() + timeout
        while True:
            while b"\n" not in self.buffer:
                self.socket.settimeout(max(0.01, until - time.monotonic()))
                try:
                    data = self.socket.recv(1 << 16)
                except OSError as exc:
                    raise ChannelDown(f"{self.name}: no answer within {timeout:g} s") from exc
                if not data:
                    raise ChannelDown(f"{self.name}: closed")
                self.buffer += data
            line, self.buffer = self.buffer.split(b"\n", 1)
            try:
                return json.loads(line.lstrip(b"\xff"))
            except ValueError:
                continue

    def close(self) -> None:
        if self.socket:
            self.socket.close()
        self.socket, self.buffer = None, b""


class Emulator(Channel):
    """The emulator's own protocol, QMP."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "emulator")

    def call(self, command: str, timeout: float = 60, **arguments) -> object:
        with self.lock:
            if not self.socket:
                self.connect()
                self.receive(timeout)
                self.send({"execute": "qmp_capabilities"})
            self.send({"execute": command, "arguments": arguments, "id": command})
            while (answer := self.receive(timeout)).get("id") != command:
                pass
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def human(self, line: str) -> None:
        """A command of the human monitor, for which the protocol has no equivalent; it prints nothing on success."""
        said = self.call("human-monitor-command", **{"command-line": line}, timeout=120)
        if said.strip():
            raise RuntimeError(f"{line}: {said}")


class Agent(Channel):
    """qemu-guest-agent in the machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "agent")
        self.asked = 0

    def _exchange(self, message: dict, timeout: float, before: bytes = b"") -> dict:
        self.asked += 1
        self.send({**message, "id": self.asked}, before)
        while True:
            answer = self.receive(timeout)
            if answer.get("id") == self.asked or answer.get("return") == self.asked:
                return answer

    def greet(self, timeout: float = 2) -> None:
        """Make sure that the agent answers and that old answers are discarded. The agent of Debian 11 does not repeat ids
        here."""
        with self.lock:
            self.connect()
            try:
                number = self.asked + 1
                greeting = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
                self._exchange(greeting, timeout, before=b"\xff")
            except ChannelDown:
                self.close()
                raise

    def call(self, command: str, timeout: float = 30, **arguments) -> object:
        with self.lock:
            if not self.socket:
                self.greet()
            try:
                answer = self._exchange({"execute": command, "arguments": arguments}, timeout)
            except ChannelDown:
                self.close()
                raise
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def run(self, argv: list[str], stdin: str | None, timeout: float) -> tuple[int, str, str]:
        """Run a program in the machine: exit code (128 + signal if one ended it), output, errors."""
        words = {"path": argv[0], "arg": argv[1:], "capture-output": True}
        if stdin is not None:
            words["input-data"] = base64.b64encode(stdin.encode()).decode()
        pid = self.call("guest-exec", **words)["pid"]
        until, pause, seen = time.monotonic() + timeout, 0.03, {"exited": False}
        while not seen["exited"]:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(argv, timeout)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
            # A busy machine may not answer one request; the program continues nevertheless.
            with contextlib.suppress(ChannelDown):
                seen = self.call("guest-exec-status", pid=pid)
        out, err = (base64.b64decode(seen.get(key, "")).decode(errors="replace") for key in ("out-data", "err-data"))
        return seen.get("exitcode", 128 + seen.get("signal", 0)), out, err
