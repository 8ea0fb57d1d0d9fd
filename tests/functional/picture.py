"""Draw docs/report.png, the picture in the README: python -m tests.functional.picture

An invented cluster of eleven hosts, from the recorded returns of the unit tests, drawn by the real report in a real browser.
"""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path

from tests.functional.browser import chromium
from tests.unit.test_report import RECORDED, ROOT, ntpcluster_view, render

WIDTH, HEIGHT = 1240, 1165
OFFSETS = (-0.429, 1.886, 0.144, -1.768, 0.647, -0.083, 0.83, -0.312)


def cluster() -> dict:
    """Two servers and nine clients, of which one is degraded and one silent."""
    found = {name: copy.deepcopy(RECORDED[name]) for name in ("ntp180", "ntp189")}
    for number, offset in enumerate(OFFSETS, start=141):
        host = copy.deepcopy(RECORDED["node148"])
        host.update(addresses=[f"10.0.0.{number}"], offset_ms=offset)
        if number % 4 == 0:
            host["source"] = found["ntp180"]["addresses"][0]
        found[f"node{number}"] = host
    for name, host in found.items():
        delay, dispersion = (0.4, 1.1) if name.startswith("ntp") else (0.9, 2.6)
        bound = delay / 2 + dispersion + abs(host["offset_ms"])
        host.update(root_delay_ms=delay, root_dispersion_ms=dispersion, bound_ms=bound, unbounded=None)
    found["node143"].update(
        health="degraded",
        problems=[
            {
                "code": "reach-gaps",
                "message": "10.0.0.189 has not answered all of its last eight polls with a time (reach 356)",
                "remedy": "packets are lost: check the network and the source's load",
            }
        ],
    )
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        page = Path(folder) / "report.html"
        view = ntpcluster_view.build(cluster(), ["node149"], time.time(), 1.25)
        page.write_text(render(view), encoding="utf-8")
        browser.screen(WIDTH, HEIGHT)
        browser.open(page)
        browser.photograph(ROOT / "docs/report.png")


if __name__ == "__main__":
    main()
