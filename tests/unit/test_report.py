"""The report's page: complete, well-formed and harmless whatever minions return, and fast with 5,000 hosts."""

import copy
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _runners import ntpcluster, ntpcluster_page, ntpcluster_picture, ntpcluster_report, ntpcluster_view
from tests.unit.runners import TABLE

ROOT = Path(__file__).resolve().parents[2]
RECORDED = json.loads((ROOT / "tests/corpus/standing/four-hosts.json").read_text())
NOW = 1795341952.0
VOID = {"meta", "link", "input", "br", "hr", "img"}
#: SVG elements that this page writes as `<x/>`.
EMPTY = {"use", "circle", "path", "rect", "line"}


class Page(HTMLParser):
    """The page as a browser would read it; elements that are not closed in order are an error."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.ids, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in EMPTY, f"<{tag}/> closes nothing in HTML"
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def view(returns=None, expected=None):
    found = copy.deepcopy(RECORDED) if returns is None else returns
    return ntpcluster_view.build(found, expected, NOW, 1.25)


def changed(**changes):
    found = copy.deepcopy(RECORDED)
    for name, change in changes.items():
        found[name].update(change)
    return found


#: The page's files as they are in the tree; that a master serves them is tested in functional/test_runners.py.
PARTS = {
    part: "\n".join((ROOT / "salt/ntp/report" / name).read_text(encoding="utf-8").strip() for name in names)
    for part, names in ntpcluster_page.FILES.items()
}


def render(seen, day=None):
    return ntpcluster_report.render(seen, ntpcluster_picture.geometry(seen), PARTS, day)


def many(number):
    """Many copies of the recorded client, a few of them with problems, below the two recorded servers."""
    found = {name: RECORDED[name] for name in ("ntp180", "ntp189")}
    for count in range(number - 2):
        host = dict(RECORDED["node148"], addresses=[f"10.1.{count // 250}.{count % 250 + 1}"])
        host["offset_ms"] = (count % 41 - 20) / 10
        if count % 100 == 0:
            host.update(health="unsynchronized", synchronized=False, offset_ms=150.0 + count)
            host["problems"] = [{"code": "offset-high", "message": f"{count} ms off", "remedy": f"step node{count}"}]
        found[f"node{count}"] = host
    return found


def test_the_page_of_a_healthy_cluster_is_well_formed_and_says_so():
    page = Page(render(view()))
    assert "All 4 hosts have the right time" in page.text
    assert "2026-11-22 10:05:52 UTC" in page.text
    for name in RECORDED:
        assert name in page.text
    assert len(page.ids) == len(set(page.ids))


def test_every_link_inside_the_page_leads_somewhere():
    page = Page(render(view(expected=["ghost", *RECORDED])))
    assert {link[1:] for link in page.attributes("href") if link.startswith("#")} <= set(page.ids)


def test_nothing_is_loaded_from_anywhere():
    text = render(view())
    page = Page(text)
    assert "http://" not in text and "https://" not in text and "@import" not in text and "url(" not in text
    for name in ("src", "action", "srcset", "poster", "background", "data", "xlink:href"):
        assert page.attributes(name) == []
    assert {link for link in page.attributes("href") if not link.startswith("#")} == {"data:,"}


def test_the_policy_lets_only_the_script_and_the_style_of_the_page_in():
    policy = next(attrs["content"] for tag, attrs in Page(render(view())).tags if attrs.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2


#: As the view returns it.
HOSTILE = ntpcluster_view.printable(
    "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*1433 }}</style></textarea><!--&amp;\x00\u202e\ud800"
)


def poison(value):
    """The same structure with hostile texts and hostile list members everywhere."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {key: poison(each) for key, each in value.items()}
    if isinstance(value, list):
        return [poison(each) for each in value]
    return value


def test_no_field_of_the_view_gets_into_the_page_unescaped():
    seen = view(
        changed(node148={"problems": [{"code": "x", "message": "y", "remedy": "z"}]}), expected=["ghost", *RECORDED]
    )
    words = set(ntpcluster_report.HEALTH)
    bad = poison(seen)
    for name, host in seen["hosts"].items():
        # These texts come from the view, not from a minion.
        bad["hosts"][name].update(id=name, health=host["health"])
        bad["hosts"][name]["source_host"] = host["source_host"]
        assert host["health"] in words
    for problem, own in zip(bad["host_problems"], seen["host_problems"], strict=True):
        problem["hosts"] = own["hosts"]
    bad["tiers"] = [dict(tier, name=HOSTILE) for tier in seen["tiers"]]
    renamed = {name: f"{name}{HOSTILE}" for name in seen["hosts"]}
    text = json.dumps(bad)
    for name in renamed:
        text = text.replace(json.dumps(name), json.dumps(renamed[name]))
    page = render(json.loads(text))
    assert page.count("<script") == page.count("</script") == 1
    assert page.count("<style") == page.count("</style") == 1
    assert "<img" not in page and "<!--" not in page and "10031" not in page
    parsed = Page(page)
    assert not [name for _, attrs in parsed.tags for name in attrs if name.startswith("on")]
    assert "<script>alert(1)</script>" in parsed.text
    page.encode("utf-8")
    assert "\x00" not in page and "\u202e" not in page


def test_a_host_named_like_a_script_is_a_host_like_any_other():
    found = changed()
    found["<script>alert(1)</script>"] = found.pop("node148")
    page = Page(render(view(found)))
    assert "<script>alert(1)</script>" in page.text
    assert [tag for tag, _ in page.tags].count("script") == 1


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60)
@given(host=st.sampled_from(sorted(RECORDED)), key=st.sampled_from(sorted(RECORDED["node148"])), value=junk)
def test_no_junk_in_any_key_breaks_the_page(host, key, value):
    Page(render(view(changed(**{host: {key: value}}))))


@settings(max_examples=40)
@given(returns=st.dictionaries(st.text(), junk, max_size=4))
def test_no_junk_from_any_minion_breaks_the_page(returns):
    Page(render(view(returns)))


@settings(max_examples=40)
@given(offset=st.floats(-1e300, 1e300), bound=st.floats(-1e300, 1e300) | st.none())
def test_no_offset_however_large_breaks_the_scale(offset, bound):
    page = render(view(changed(node148={"offset_ms": offset, "max_offset_ms": bound})))
    assert "nan" not in re.sub(r"<script.*", "", page, flags=re.DOTALL).lower().replace("tenant", "")


def test_hosts_that_follow_each_other_are_drawn_with_a_dashed_line():
    found = changed(
        ntp180={"source": "10.0.0.189", "addresses": ["10.0.0.180"]},
        ntp189={"source": "10.0.0.180", "addresses": ["10.0.0.189"]},
    )
    for form in ntpcluster_picture.FORMS.values():
        tree = ntpcluster_picture.tree(view(found), form)
        assert [frame["odd"] for frame in tree["frames"]][:2] == [True, True]
        assert sum(edge["odd"] for edge in tree["edges"]) == 2


def test_every_host_has_one_box_in_the_picture_and_all_boxes_are_inside_and_apart():
    seen = view({name: said for name, said in list(many(58).items())}, expected=["ghost"])
    for form in ntpcluster_picture.FORMS.values():
        tree = ntpcluster_picture.tree(seen, form)
        boxes = [box for frame in tree["frames"] for box in frame["boxes"]]
        assert sorted(box["id"] for box in boxes) == sorted(seen["hosts"])
        spots = [(box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]) for box in boxes]
        assert all(
            left >= 0 and top >= 0 and right <= tree["width"] and low <= tree["height"]
            for left, top, right, low in spots
        )
        for number, one in enumerate(spots):
            for other in spots[number + 1 :]:
                assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_a_large_cluster_is_counted_by_health_and_its_servers_stay_hosts():
    seen = view(many(500))
    tree = ntpcluster_picture.tree(seen, ntpcluster_picture.FORMS["wide"])
    assert sorted(box["id"] for frame in tree["frames"] for box in frame["boxes"]) == ["ntp180", "ntp189"]
    counted = {}
    for frame in tree["frames"]:
        for count in frame["counts"]:
            counted[count["health"]] = counted.get(count["health"], 0) + count["hosts"]
    assert counted == {"ok": 493, "unsynchronized": 5}


def test_offsets_are_at_their_value_and_below_zero_is_left():
    found = changed(node148={"offset_ms": 60.0}, node149={"offset_ms": -60.0}, ntp180={"offset_ms": 5000.0})
    scale = ntpcluster_picture.scale(view(found))
    lines = {line["id"]: line for line in scale["views"][0]["lines"]}
    assert scale["views"][0]["reach_ms"] == pytest.approx(120.0)
    assert (lines["node148"]["x"], lines["node149"]["x"]) == (75.0, 25.0)
    assert scale["views"][0]["bounds"] == [pytest.approx(8.33), pytest.approx(91.67)]
    assert (lines["ntp180"]["x"], lines["ntp180"]["beyond"], lines["ntp180"]["text"]) == (100.0, 1, "+5.00 s")


def test_half_the_round_trip_and_the_root_distance_are_drawn_around_the_offset():
    found = changed(node148={"offset_ms": 10.0, "root_delay_ms": 8.0, "root_dispersion_ms": 20.0})
    for peer in found["node148"]["peers"]:
        peer["delay_ms"] = 12.0
    lines = {line["id"]: line for line in ntpcluster_picture.scale(view(found))["views"][0]["lines"]}
    ends = [50 + 50 * value / 120 for value in (10 - 6, 10 + 6, 10 - 24, 10 + 24)]
    assert lines["node148"]["half"] + lines["node148"]["root"] == pytest.approx(ends, abs=0.01)


def test_a_close_up_is_offered_where_the_bounds_hide_the_figures():
    views = ntpcluster_picture.scale(view())["views"]
    assert len(views) == 2
    assert views[1]["reach_ms"] * ntpcluster_picture.CLOSER <= views[0]["reach_ms"]


@pytest.mark.parametrize("number", [3, 300])
def test_the_problems_of_hosts_are_grouped_and_none_is_lost(number):
    seen = view(many(number))
    found = [one for one in ntpcluster_report.problems(seen) if one["code"] == "offset-high"]
    sick = [name for name, host in seen["hosts"].items() if host["problems"]]
    assert len(found) == 1 and sorted(found[0]["hosts"]) == sorted(sick)
    assert found[0]["more"] + sum(len(case["hosts"]) for case in found[0]["cases"]) == len(sick)


@pytest.mark.parametrize(
    "change, level, words",
    [
        ({}, "ok", "All 4 hosts have the right time"),
        (
            {"health": "stopped", "synchronized": False},
            "critical",
            "1 of 4 hosts does not have the right time",
        ),
        ({"version": "0.0.1"}, "warning", "All 4 hosts have the right time, but there are problems"),
        ({"health": "settling", "synchronized": False}, "warning", "1 of 4 hosts does not have the right time"),
    ],
)
def test_the_headline_is_the_truth(change, level, words):
    seen = view(changed(node148=change))
    assert ntpcluster_report.verdict(seen) == (level, words)
    # The page and the check have the same judgement.
    assert ntpcluster.WORDS[seen["summary"]["severity"]] == level.upper()


def test_a_problem_of_a_host_that_settles_is_a_warning():
    settling = {"health": "settling", "synchronized": False}
    settling["problems"] = [{"code": "settling", "message": "started 5 s ago", "remedy": "wait"}]
    [problem] = ntpcluster_report.problems(view(changed(node148=settling)))
    assert (problem["look"], problem["hosts"]) == ("warning", ["node148"])


def test_a_cluster_without_hosts_is_not_healthy():
    assert ntpcluster_report.verdict(view({}))[0] == "critical"
    Page(render(view({})))


def test_five_thousand_hosts_make_a_page_of_less_than_4_mb_in_three_seconds_and_300_mb(tmp_path):
    (tmp_path / "returns.json").write_text(json.dumps(many(5000)))
    done = subprocess.run(
        [sys.executable, "-c", SCALE, tmp_path / "returns.json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["seconds"] < 3.0
    assert found["megabytes"] < 300
    assert found["bytes"] < 4e6


#: In a separate process, to measure the memory of the page alone.
SCALE = """
import json, sys, time
from _runners import ntpcluster_picture, ntpcluster_report, ntpcluster_view
from tests.unit.test_report import PARTS
returns = json.load(open(sys.argv[1]))
began = time.process_time()
view = ntpcluster_view.build(returns)
page = ntpcluster_report.render(view, ntpcluster_picture.geometry(view), PARTS)
took = time.process_time() - began
# Not ru_maxrss: a process begins with the peak of the one that started it.
peak = int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024
print(json.dumps({"seconds": took, "megabytes": peak, "bytes": len(page.encode())}))
"""


def test_the_table_of_a_large_cluster_has_every_host_and_the_details_the_worst():
    seen = view(many(1000))
    page = Page(render(seen))
    rows = [attrs for tag, attrs in page.tags if tag == "tr" and attrs.get("id", "").startswith("r")]
    assert len(rows) == 1000
    assert [tag for tag, _ in page.tags].count("details") == ntpcluster_report.DETAILS
    shown = "".join(page.words).split("Details")[1]
    assert all(name in shown for name, host in seen["hosts"].items() if host["health"] != "ok")


@pytest.mark.parametrize("path", ["report.html", "/tmp/report.txt", "", None, 3, "/tmp/a\0.html"])
def test_a_path_that_is_no_full_path_of_a_page_is_refused(path, runners):
    said = ntpcluster.report(path)["data"]
    assert "html" in said["Error"] and said["retcode"] == 1 and runners == []


@pytest.fixture
def runners(monkeypatch):
    asked = []
    table = {
        "ntpcluster_view.take": lambda **how: asked.append(how) or view(),
        "ntpcluster_page.parts": lambda saltenv: PARTS,
    }
    for file in (ntpcluster, ntpcluster_report):
        monkeypatch.setattr(file, "__salt__", {**TABLE, **table})
    return asked


def test_the_page_is_published_at_the_path(tmp_path, runners):
    path = tmp_path / "ntp.html"
    done = ntpcluster.report(str(path), tgt="ntp*", timeout=3)
    assert done == {"path": str(path), "hosts": 4, "bytes": path.stat().st_size}
    assert runners == [{"tgt": "ntp*", "tgt_type": "compound", "timeout": 3, "served": True}]
    Page(path.read_text(encoding="utf-8"))


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path, runners):
    said = ntpcluster.report(str(tmp_path / "none" / "ntp.html"))["data"]
    assert said == {"Error": f"{tmp_path}/none/ntp.html cannot be written: No such file or directory", "retcode": 1}
