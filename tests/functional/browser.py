"""A real headless Chromium, controlled through a pipe with the DevTools protocol: no port, no driver, no network."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
KEYS = {"ArrowRight": (39, ""), "Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " ")}


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A new browser with an empty profile, removed afterwards."""
    program = shutil.which("chromium")
    assert program, "Debian's package chromium is missing: make ready installs it"
    to_browser, our_end = os.pipe()
    our_other_end, from_browser = os.pipe()
    # Chromium reads from descriptor 3 and writes to 4; do not overwrite the pipes while they are moved there.
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (to_browser, from_browser)]
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", program]
            + ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", *QUIET]
            + [f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
            pass_fds=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (to_browser, from_browser, *theirs):
            os.close(end)
        try:
            browser = Browser(our_end, our_other_end)
            yield browser
            browser.ask("Browser.close", page=False)
            process.wait(timeout=20)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(our_end)
            os.close(our_other_end)
            # Chromium's helper processes may still write while they end.
            shutil.rmtree(profile, ignore_errors=True)
            Path(profile).mkdir(exist_ok=True)


class Browser:
    """One page, and all its errors in ``complaints``."""

    def __init__(self, out: int, back: int) -> None:
        self.out, self.back, self.rest, self.number, self.session = out, back, b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", page=False, url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", page=False, targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(domain + ".enable")
        self.ask("Page.setLifecycleEventsEnabled", enabled=True)

    def ask(self, method: str, page: bool = True, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; events that arrive meanwhile are kept."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": params}
        if page:
            command["sessionId"] = self.session
        os.write(self.out, json.dumps(command).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self.number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.events.append(message)

    def _read(self, seconds: float = 60) -> dict[str, Any]:
        while b"\0" not in self.rest:
            assert select.select([self.back], [], [], seconds)[0], "the browser does not answer"
            more = os.read(self.back, 1 << 20)
            assert more, "the browser has ended"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, **emulated: str) -> float:
        """Load a file as a new page and return the seconds that it took; ``emulated`` are CSS media features."""
        self.ask("Emulation.setEmulatedMedia", media="", features=[])
        if emulated:
            features = [{"name": name.replace("_", "-"), "value": value} for name, value in emulated.items()]
            self.ask("Emulation.setEmulatedMedia", features=features)
        # With a fragment in the address, a second visit would not reload the page.
        self._load("about:blank")
        self.events.clear()
        began = time.monotonic()
        self._load(path.as_uri())
        return time.monotonic() - began

    def _load(self, url: str) -> None:
        loader = self.ask("Page.navigate", url=url)["loaderId"]
        loaded = {"name": "load", "loaderId": loader}
        while not any(loaded.items() <= event["params"].items() for event in self.events):
            self.events.append(self._read())

    def complaints(self) -> list[str]:
        """Console messages, uncaught errors, refused scripts, and every request except that for the page."""
        found = []
        self.run("0")
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
            elif event["method"] == "Runtime.consoleAPICalled":
                found.append("console: {}".format(params["args"]))
            elif event["method"] == "Log.entryAdded":
                found.append(params["entry"]["text"])
            elif event["method"] == "Network.requestWillBeSent" and params["request"]["url"] != params["documentURL"]:
                found.append("request: " + params["request"]["url"])
        return found

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        done = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def screen(self, width: int, height: int, phone: bool = False, scale: float = 1) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )

    def press(self, key: str, shift: bool = False) -> None:
        """Press one key."""
        code, text = KEYS[key]
        named = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, modifiers=8 * shift, **named)
        self.ask("Input.dispatchKeyEvent", type="keyUp", modifiers=8 * shift, **named)

    def write(self, text: str) -> None:
        self.ask("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click in the middle of an element."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def photograph(self, path: Path, whole: bool = False) -> bytes:
        """The screen, or the whole page, as PNG."""
        data = base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
        if whole:
            size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
            data = base64.b64decode(shot["data"])
        path.write_bytes(data)
        return data

    def paper(self) -> bytes:
        """The page as printed, in PDF."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=False)["data"])
