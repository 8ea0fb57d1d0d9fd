"""The report in a real Chromium: what a reader sees and can do, on a screen, on a phone, on paper."""

import struct
import zlib

import pytest
import salt.config
import salt.loader

from _runners import ntpcluster_history, ntpcluster_hours, ntpcluster_report
from tests.functional.browser import Browser, chromium
from tests.unit.test_report import NOW, ROOT, changed, many, render, view

#: The table as assistive technology sees it, in the order of the rows.
HEADS = (
    "[...document.querySelectorAll('#table thead th')].map(th => [th.innerText.trim(), th.getAttribute('aria-sort')])"
)
COLUMN = "[...document.querySelectorAll('#table tbody tr:not([hidden])')].map(tr => tr.cells[{}].innerText.trim())"
SICK = {
    "node148": {
        "health": "degraded",
        "offset_ms": -42.5,
        "problems": [
            {"code": "reach-gaps", "message": "10.0.0.189 missed a poll", "remedy": "see ntpcluster.diagnose"}
        ],
    },
    "node149": {"offset_ms": 7.25},
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A small cluster with problems, a hostile one, a large one, one with more hosts than the table, and a healthy one."""
    folder = tmp_path_factory.mktemp("pages")
    hostile = changed(**SICK)
    hostile["<script>alert(1)</script>"] = dict(hostile["node148"], tier="<img src=//x.test/a onerror=alert(1)>")
    clusters = {
        "small": changed(**SICK),
        "hostile": hostile,
        "large": many(5000),
        "huge": many(20000),
        "well": changed(),
    }
    for name, found in clusters.items():
        (folder / f"{name}.html").write_text(render(view(found, expected=["node150"])), encoding="utf-8")
    seen = view(hostile, expected=["node150"])
    history = past(str(folder / "history.sqlite"), seen)
    (folder / "day.html").write_text(render(seen, ntpcluster_hours.tell(history, seen)), encoding="utf-8")
    return folder


def past(path, seen):
    """Three hours of a cluster, a view every five minutes: node148 was beyond its bound, and for some time there was no
    view."""
    for number in range(-36, 0):
        if not -20 < number < -14:
            seen["hosts"]["node148"].update(bound_ms=16384.0 if number < -30 else 4.5, max_bound_ms=20.0)
            ntpcluster_history.keep(path, dict(seen, time=NOW + 300 * number))
    return path


@pytest.fixture
def small(browser, pages):
    browser.screen(1200, 900)
    browser.open(pages / "small.html")
    return browser


@pytest.fixture
def scriptless(browser):
    """A browser with scripts disabled."""
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    browser.screen(1200, 900)
    yield browser
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)


def heads(browser: Browser) -> dict[str, str | None]:
    return {text.split("\n")[0]: order for text, order in browser.run(HEADS)}


def picture(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the first line's pixels of an 8-bit PNG without interlacing (PNG, 5 and 7.2)."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) in ((8, 2), (8, 6))
    data, spot = b"", 8
    while spot < len(png):
        size, kind = struct.unpack(">I4s", png[spot : spot + 8])
        data += png[spot + 8 : spot + 8 + size] if kind == b"IDAT" else b""
        spot += 12 + size
    size = 3 if colour == 2 else 4
    line = zlib.decompress(data)[1 : 1 + size * width]
    return width, height, line[:size]


@pytest.mark.parametrize("name", ["small", "hostile", "large", "huge", "day"])
def test_a_page_opens_without_errors_and_loads_nothing(browser, pages, name):
    browser.screen(1200, 900)
    seconds = browser.open(pages / f"{name}.html")
    print(f"{name}: {seconds:.2f} s")
    assert browser.complaints() == []
    assert seconds < 10


def test_the_reader_sees_the_truth(small):
    text = small.run("document.body.innerText")
    assert "1 of 5 hosts does not have the right time" in text
    assert "2026-11-22 10:05:52 UTC" in text
    assert "10.0.0.189 missed a poll" in text and "see ntpcluster.diagnose" in text
    for name in ("ntp180", "ntp189", "node148", "node149", "node150"):
        assert name in text
    assert "ago" in small.run("document.getElementById('age').textContent") or "future" in small.run(
        "document.getElementById('age').textContent"
    )


def test_the_age_of_old_figures_stands_out(browser, pages):
    clock = "Date.now = () => Date.parse('2026-11-22T15:05:52Z');"
    script = browser.ask("Page.addScriptToEvaluateOnNewDocument", source=clock)["identifier"]
    browser.open(pages / "small.html")
    browser.ask("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    assert "5 hours ago" in browser.run("document.querySelector('#age.old').textContent")


def test_a_hostile_name_is_shown_as_it_is_and_runs_nothing(browser, pages):
    browser.open(pages / "hostile.html")
    assert "<script>alert(1)</script>" in browser.run("document.body.innerText")
    assert "<img src=//x.test/a onerror=alert(1)>" in browser.run("document.body.innerText")
    assert browser.run("document.images.length + document.scripts.length") == 1
    assert not [event for event in browser.events if event["method"] == "Page.javascriptDialogOpening"]


def test_the_policy_of_the_page_stops_a_script_that_would_slip_through(small):
    small.run("document.body.insertAdjacentHTML('beforeend', '<p onclick=\"window.hit=1\" id=bad>x</p>')")
    small.click("#bad")
    assert small.run("window.hit === undefined")
    assert any("Content Security Policy" in complaint for complaint in small.complaints())


def test_a_click_on_a_head_sorts_by_value_and_a_second_one_the_other_way(small):
    small.click("#table thead th:nth-child(6) button")
    figures = small.run(COLUMN.format(5))
    assert [figure[:5] for figure in figures][0] == "\u221242.5" and figures[-2] == "+7.250"
    assert figures[-1] == "\u2013"
    assert heads(small)["Offset ms"] == "ascending"
    small.click("#table thead th:nth-child(6) button")
    figures = small.run(COLUMN.format(5))
    assert figures[0] == "+7.250" and figures[-1] == "\u2013"
    assert [order for order in heads(small).values() if order] == ["descending"]


def test_the_table_is_sorted_by_keyboard_alone(small):
    small.run("document.getElementById('sick').focus()")
    for _ in range(2):
        small.press("Tab")
    assert small.run("document.activeElement.textContent") == "Host"
    assert small.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    small.press("Enter")
    assert small.run(COLUMN.format(1)) == ["node148", "node149", "node150", "ntp180", "ntp189"]
    small.press(" ")
    assert small.run(COLUMN.format(1)) == ["ntp189", "ntp180", "node150", "node149", "node148"]
    assert "sorted by Host, descending" in small.run("document.getElementById('shown').textContent")


def test_everything_that_can_be_used_is_reached_by_tab(small):
    reached = set()
    wanted = small.run(
        "[...document.querySelectorAll('a[href],button,input,summary')].filter(e => e.checkVisibility())"
        ".map((e, n) => (e.dataset.n = n)).length"
    )
    small.run("document.activeElement.blur()")
    for _ in range(wanted + 2):
        small.press("Tab")
        reached.add(small.run("document.activeElement.dataset && document.activeElement.dataset.n"))
    # The arrow keys select one of the scale's two buttons; Tab stops only once.
    assert len(reached - {None}) >= wanted - 1


def test_searching_shows_only_the_hosts_that_match(small):
    small.run("document.getElementById('text').focus()")
    small.write("client ntp1")
    assert small.run(COLUMN.format(1)) == ["node148", "node149"]
    assert small.run("document.getElementById('shown').textContent") == "2 hosts"
    small.click("#sick")
    assert small.run(COLUMN.format(1)) == ["node148"]


def test_a_box_in_the_picture_links_to_the_details_of_its_host(small):
    small.run("document.querySelector('.tree.wide a[aria-label^=node148]').focus()")
    small.press("Enter")
    small.run("new Promise((done) => setTimeout(done, 200))")
    assert small.run("document.querySelector('details:target').open")
    text = small.run("document.querySelector('details:target').innerText")
    assert "node148" in text and "see ntpcluster.diagnose" in text and "10.0.0.189" in text


def test_the_close_up_is_chosen_without_a_mouse_and_only_one_scale_is_shown(browser, pages):
    browser.open(pages / "well.html")
    shown = "[...document.querySelectorAll('.scale')].map(e => e.checkVisibility())"
    assert browser.run(shown) == [True, False]
    browser.run("document.getElementById('scale1').focus()")
    browser.press("ArrowRight")
    assert browser.run(shown) == [False, True]


def test_health_is_shown_by_words_and_shapes_and_not_by_colour_alone(small):
    cells = small.run(
        "[...document.querySelectorAll('#table tbody tr')].map(tr => [tr.cells[0].innerText.trim(),"
        " tr.cells[0].querySelector('use').getAttribute('href')])"
    )
    assert {tuple(cell) for cell in cells} == {("ok", "#i-ok"), ("degraded", "#i-degraded"), ("silent", "#i-silent")}
    shapes = small.run("[...document.querySelectorAll('symbol')].map(e => e.innerHTML)")
    assert len(set(shapes)) == len(shapes) == 7


@pytest.mark.parametrize("name", ["small", "hostile", "large", "huge", "day"])
@pytest.mark.parametrize("width", [320, 390, 768, 1024])
def test_no_screen_has_to_be_scrolled_sideways(browser, pages, name, width):
    browser.screen(width, 800, phone=True)
    browser.open(pages / f"{name}.html")
    browser.run("document.querySelectorAll('.hours').forEach(e => { e.open = true })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && !e.closest('svg, .hush')"
    wide += " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"
    assert browser.run(wide) == []


def test_text_on_a_phone_is_large_enough_to_read(browser, pages):
    browser.screen(390, 844, phone=True)
    browser.open(pages / "small.html")
    sizes = browser.run(
        "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && e.childNodes.length === 1 &&"
        " e.firstChild.nodeType === 3).map(e => parseFloat(getComputedStyle(e).fontSize) * "
        "(e.closest('.tree') ? e.closest('.tree').getBoundingClientRect().width / 360 : 1))"
    )
    assert len(sizes) > 50 and min(sizes) >= 10.5
    assert browser.run("document.querySelector('.tree.narrow').checkVisibility()")
    assert not browser.run("document.querySelector('.tree.wide').checkVisibility()")


CONTRAST = """(() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    if (!e.checkVisibility() || e.closest("svg") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
      continue;
    const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.push(e.outerHTML.slice(0, 80));
  }
  return poor;
})()"""


@pytest.mark.parametrize("name", ["small", "day"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_that_wcag_wants(browser, pages, scheme, name):
    browser.screen(1200, 900)
    browser.open(pages / f"{name}.html", prefers_color_scheme=scheme)
    browser.run("document.querySelectorAll('.hours').forEach(e => { e.open = true })")
    # WCAG 2.2, 1.4.3: 4.5 to 1.
    assert browser.run(CONTRAST) == []


def test_dark_mode_is_dark_and_light_mode_light(browser, pages, tmp_path):
    browser.screen(1200, 900)
    corners = {}
    for scheme in ("light", "dark"):
        browser.open(pages / "small.html", prefers_color_scheme=scheme)
        width, height, corner = picture(browser.photograph(tmp_path / f"{scheme}.png"))
        assert (width, height) == (1200, 900)
        corners[scheme] = sum(corner[:3]) / 3
    assert corners["light"] > 230 and corners["dark"] < 40


COLOURS = """(names => names.map(name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()))(
  ["--page", "--ink", "--ok", "--degraded", "--settling", "--unsynchronized", "--stopped", "--unreadable", "--silent"])"""


def test_paper_is_the_same_whatever_the_screen_prefers(browser, pages):
    seen = {}
    for scheme in ("light", "dark"):
        browser.open(pages / "small.html", prefers_color_scheme=scheme)
        screen = browser.run(COLOURS)
        browser.ask(
            "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        seen[scheme] = (screen, browser.run(COLOURS))
    assert seen["light"][0] != seen["dark"][0] and seen["light"][1] == seen["dark"][1]
    # White paper, and the light colours of the health words.
    assert seen["dark"][1][0] == "#fff" and seen["dark"][1][2:8] == seen["light"][0][2:8]


def test_the_page_is_printed_with_every_host_in_full(small):
    paper = small.paper()
    assert paper.startswith(b"%PDF") and paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") >= 2
    small.run("dispatchEvent(new Event('beforeprint'))")
    assert small.run("document.querySelectorAll('details:not([open])').length") == 0
    small.run("dispatchEvent(new Event('afterprint'))")
    assert small.run("document.querySelectorAll('details[open]').length") == 0


def test_a_day_is_readable_without_a_script_and_without_colours(scriptless, pages):
    scriptless.open(pages / "day.html")
    charts = scriptless.run("[...document.querySelectorAll('#day .past svg[role=img]')].map(e => e.ariaLabel)")
    # Four tiers, one with a hostile name and one unknown, and each of the six hosts.
    assert len(charts) == 10
    assert any(text.startswith("node148: within ") and text.endswith("worst bound 16,384.000 ms") for text in charts)
    assert "tier unknown: unknown 100.0\u00a0%; no bound was known" in charts
    hours = "[...document.querySelectorAll('#day details tbody')].map(e => e.rows.length)"
    assert scriptless.run(hours) == [24] * len(charts)
    scriptless.click("#day summary")
    assert scriptless.run("document.querySelector('#day table').checkVisibility()")
    # A bar is wide and filled, slim and filled, or wide and empty.
    looks = scriptless.run(
        "['within', 'beyond', 'unknown'].map(word => document.querySelector(`.past rect.${word}`)).map(e =>"
        " [Math.round(e.getAttribute('width')), getComputedStyle(e).fill === 'none'])"
    )
    assert looks == [[8, False], [3, False], [7, True]]


def test_a_printed_day_has_the_figures_of_every_hour(browser, pages):
    browser.screen(1200, 900)
    browser.open(pages / "day.html")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.querySelectorAll('#day details:not([open])').length") == 0
    assert browser.paper().startswith(b"%PDF")
    browser.run("dispatchEvent(new Event('afterprint'))")


#: The visible rows of the table.
VISIBLE = "[...document.querySelectorAll('#table tbody tr')].filter(e => e.checkVisibility()).length"


def test_without_its_script_the_page_still_shows_every_host(scriptless, pages):
    scriptless.open(pages / "large.html")
    assert scriptless.run(VISIBLE) == 5000
    assert not scriptless.run("document.getElementById('find').checkVisibility()")


def test_five_thousand_hosts_are_sorted_and_searched_quickly(browser, pages):
    browser.screen(1200, 900)
    browser.open(pages / "large.html")
    assert len(browser.run(COLUMN.format(1))) == 200
    took = browser.run(
        "(() => { const t = performance.now(); document.querySelector('#table thead th:nth-child(6) button').click();"
        " document.body.offsetHeight; return performance.now() - t })()"
    )
    print(f"sorted in {took:.0f} ms")
    assert took < 5000
    browser.click("#text")
    browser.write("node4997")
    assert browser.run(COLUMN.format(1)) == ["node4997"]


def test_in_a_large_cluster_only_the_displayed_hosts_are_rows(browser, pages):
    browser.screen(1200, 900)
    browser.open(pages / "huge.html")
    rows = "document.querySelectorAll('#table tbody tr').length"
    shown = "document.getElementById('shown').textContent"
    assert (browser.run(rows), browser.run(shown)) == (200, "200 of 20,000 hosts")
    browser.click("#table thead th:nth-child(2) button")
    assert browser.run(COLUMN.format(1))[:3] == ["node0", "node1", "node2"]
    browser.click("#table thead th:nth-child(6) button")
    browser.click("#table thead th:nth-child(6) button")
    assert browser.run(COLUMN.format(5))[:2] == ["+20,050.000", "+19,950.000"]
    assert browser.run(rows) == 200
    browser.click("#text")
    browser.write("node1234")
    assert sorted(browser.run(COLUMN.format(1))) == ["node1234", *(f"node1234{each}" for each in range(10))]
    browser.run("document.getElementById('text').value = ''")
    browser.click("#sick")
    assert browser.run(shown).startswith("200 hosts")
    browser.click("#sick")
    browser.click("#all")
    assert browser.run(rows) == 5200
    assert browser.run("document.getElementById('all').textContent") == "Show 5,000 more"


def test_a_row_made_from_a_line_equals_the_row_of_the_page(browser, tmp_path, monkeypatch):
    """The same cluster as rows and, except for its worst host, as lines; one host has a long name, another is unknown."""
    found = changed(
        **SICK, ntp180={"stratum": 3, "root_delay_ms": None}, ntp189={"tier": "<b>tier</b> with a long name"}
    )
    seen = view(found, expected=["ghost"])
    look = """[...document.querySelectorAll('#table tbody tr')].map(row => [row.id, [...row.cells].map(cell =>
      [cell.tagName, cell.className, cell.dataset.l, cell.innerText.trim(), cell.querySelector('svg')?.outerHTML])])"""
    monkeypatch.setattr(ntpcluster_report, "DETAILS", 1)
    looks = []
    browser.screen(1200, 900)
    for number in (5, 4):
        monkeypatch.setattr(ntpcluster_report, "ROWS", number)
        (tmp_path / "page.html").write_text(render(seen), encoding="utf-8")
        browser.open(tmp_path / "page.html")
        looks.append(browser.run(look))
    assert len(looks[0]) == 5 and looks[0] == looks[1]


def test_a_link_to_a_host_without_a_row_shows_and_marks_it(browser, pages):
    browser.screen(1200, 900)
    browser.open(pages / "huge.html")
    # The servers are ok, and therefore the last ones.
    browser.run("document.querySelector('.tree.wide a[aria-label^=ntp180]').focus()")
    browser.press("Enter")
    browser.run("new Promise((done) => setTimeout(done, 200))")
    assert "ntp180" in browser.run("document.querySelector('tr:target').innerText")
    top = "document.querySelector('tr:target').getBoundingClientRect().top"
    assert 0 <= browser.run(top) < 900
    assert browser.complaints() == []


def test_without_its_script_a_larger_table_is_followed_by_all_other_hosts_as_text(scriptless, pages):
    scriptless.open(pages / "huge.html")
    assert scriptless.run(VISIBLE) == 200
    scriptless.click("#rest summary")
    assert scriptless.run("document.querySelector('#rest pre').checkVisibility()")
    assert scriptless.run("document.querySelector('#rest pre').innerText.split('\\n').length") == 20000 - 200
    assert scriptless.run("document.documentElement.scrollWidth") <= 1200


#: A stand-in for the minions: the recorded returns of four of them. None of them queries its servers, so those are `unproven`.
#: Everything else is real.
ASK = """
import json
def minions(fun, kept=None, **how):
    if kept is None:
        return {{"returns": {{}}, "expected": []}}
    with open({recorded!r}) as returns:
        return {{"returns": {{name: kept(name, said) for name, said in json.load(returns).items()}}, "expected": []}}
"""


@pytest.fixture(scope="module")
def runners(tmp_path_factory):
    """The report's runners as a Salt master's own loader finds them."""
    folder = tmp_path_factory.mktemp("master")
    (folder / "runners").mkdir()
    for path in (ROOT / "_runners").glob("ntpcluster*.py"):
        (folder / "runners" / path.name).write_text(path.read_text())
    recorded = str(ROOT / "tests/corpus/standing/four-hosts.json")
    (folder / "runners" / "ntpcluster_ask.py").write_text(ASK.format(recorded=recorded))
    opts = salt.config.master_config(None)
    opts.update(cachedir=str(folder), extension_modules=str(folder / "none"), runner_dirs=[str(folder / "runners")])
    opts.update(file_roots={"base": [str(ROOT / "salt")]})
    return salt.loader.runner(opts)


def test_salt_writes_a_page_that_a_browser_opens(runners, browser, tmp_path):
    history = str(tmp_path / "history.sqlite")
    assert runners["ntpcluster.metrics"](path=str(tmp_path / "ntp.prom"), history=history)["hosts"] == 4
    done = runners["ntpcluster.report"](path=str(tmp_path / "ntp.html"), history=history)
    assert done["hosts"] == 4
    browser.screen(1200, 900)
    browser.open(tmp_path / "ntp.html")
    assert browser.complaints() == []
    assert sorted(browser.run(COLUMN.format(1))) == ["node148", "node149", "ntp180", "ntp189"]
    assert "Last 24 hours" in browser.run("document.getElementById('day').innerText")
