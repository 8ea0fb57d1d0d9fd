"""
Internal. The layout of the report's two pictures: which host follows which source, and the offsets on one scale.

Geometry only, as plain data: the page (``salt/ntp/report/page.html``) turns it into SVG and escapes every text. A cluster of a
few dozen hosts is drawn host by host. A large one is drawn by tier, source and health: five thousand boxes cannot be read.
"""

import math
import re
import unicodedata

# The loader offers only this function; the tests call the others directly.
__load__ = ["geometry"]

#: Up to this many hosts in the cluster, or in one tier of a large cluster, each host gets a box.
BOXES, BOXES_IN_TIER = 60, 8
#: A tier with more sources than this is drawn as one group.
SOURCES = 8
#: Up to this many hosts each have a line on the scale; more are counted in columns.
LINES, BINS = 40, 96
#: The close-up is drawn if it magnifies at least this much.
CLOSER = 4
#: It shows this share of the hosts.
MANY = 0.9

#: The two forms of the tree: on a screen or on paper, and on a phone. Lengths are pixels at full size.
FORMS = {"wide": {"width": 1000, "columns": 4, "counts": 1}, "narrow": {"width": 360, "columns": 2, "counts": 2}}
SIDE, GAP, UNDER, PAD, HEAD, BAND, BETWEEN = 14, 14, 24, 8, 24, 38, 30
BOX, LINE, DETOUR = 46, 22, 60


def geometry(view):
    """
    Internal. The geometry of the report's pictures.

    view
        What ``ntpcluster.view`` returned.

    Returns a dict: ``tree`` {``wide``, ``narrow``: see ``tree``}, ``scale``: see ``scale``.
    """
    return {"tree": {name: tree(view, form) for name, form in FORMS.items()}, "scale": scale(view)}


# ---------------------------------------------------------------------------------------------------------
# Which host follows which source.


def tree(view, form):
    """
    The tiers from the top down, the hosts of each in frames by source, and the lines between.

    Returns a dict: ``width``, ``height``, ``bands`` [{x, y, name, hosts}], ``frames`` [{x, y, width, height, title, odd, boxes
    or counts}], ``edges`` [{path, head, odd}]. ``odd`` marks a mistake: following a host that is not in a tier above.
    """
    single = len(view["hosts"]) <= BOXES
    bands, frames, places, y = [], [], {}, 0
    for tier in view["tiers"]:
        bands.append({"x": SIDE, "y": y + 20, "name": tier["name"], "hosts": len(tier["hosts"])})
        y += BAND
        drawn = single or len(tier["hosts"]) <= BOXES_IN_TIER
        groups = _groups(view["hosts"], tier, places)
        row = _row_of_frames(view["hosts"], groups, drawn, form, y, list(view["summary"]["health"]))
        for frame in row:
            frame["tier"] = tier["name"]
            _remember(places, frame)
        frames += row
        y = max(frame["y"] + frame["height"] for frame in row) + BETWEEN
    return {
        "width": form["width"],
        "height": max(y - BETWEEN, 0) + 2,
        "bands": bands,
        "frames": frames,
        "edges": _edges(frames, places, form["width"]),
    }


def _groups(hosts, tier, places):
    """The hosts of a tier by source: [(kind, source, [id])], in the order of the sources' positions."""
    sources = {(hosts[name]["source_host"], hosts[name]["source"]) for name in tier["hosts"]}
    few = len(sources) <= SOURCES
    groups = {}
    for name in tier["hosts"]:
        above, source = hosts[name]["source_host"], hosts[name]["source"]
        if above:
            key = ("host", above) if few else ("tier", hosts[above]["tier"])
        elif source:
            key = ("outside", source) if few else ("outside", None)
        else:
            key = ("nobody", None)
        groups.setdefault(key, []).append(name)
    order = ("host", "tier", "outside", "nobody")

    def place(key):
        spot = places.get(key)
        return order.index(key[0]), spot["x"] if spot else 0, str(key[1])

    return [(*key, groups[key]) for key in sorted(groups, key=place)]


def _natural(name):
    """A sort key that puts node9 before node10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def _row_of_frames(hosts, groups, drawn, form, top, order):
    """The frames of one tier, from left to right, with a new line when one is full."""
    columns, frames = form["columns"], []
    spans = _spans([len(names) for _, _, names in groups], columns) if drawn else [form["counts"]] * len(groups)
    pitch = (form["width"] - 2 * SIDE + GAP) / columns
    column, y, tall, line = 0, top, 0, 0
    for (kind, source, names), span in zip(groups, spans):  # noqa: B905 (Python 3.9)
        if column + span > columns:
            column, y, tall, line = 0, y + tall + UNDER, 0, line + 1
        frame = {
            "x": round(SIDE + column * pitch, 1),
            "y": y,
            "width": round(span * pitch - GAP, 1),
            "line": line,
            "kind": kind,
            "source": source,
            "hosts": len(names),
            "boxes": [],
            "counts": [],
            "odd": _is_odd(hosts, kind, source, names),
        }
        frame["title"] = _title(hosts, frame, names)
        if drawn:
            frame["boxes"] = _boxes(hosts, names, frame, span)
            rows = -(-len(names) // span)
            frame["height"] = HEAD + rows * (BOX + PAD)
        else:
            frame["counts"] = _counts(hosts, names, frame, order)
            frame["height"] = HEAD + 40 + len(frame["counts"]) * LINE
        frames.append(frame)
        column, tall = column + span, max(tall, frame["height"])
    _centre(frames, form["width"])
    return frames


def _spans(sizes, columns):
    """
    How many columns each frame takes, so that the total height is small. An additional line of frames has an extra cost: lines
    that go around others are harder to follow than straight ones.
    """

    def height(most):
        total, column, tall = 0, 0, 0
        for size in sizes:
            span = min(size, most)
            if column + span > columns:
                total, column, tall = total + tall + UNDER + DETOUR, 0, 0
            column, tall = column + span, max(tall, HEAD + -(-size // span) * (BOX + PAD))
        return total + tall

    most = min(range(1, columns + 1), key=height)
    return [min(size, most) for size in sizes]


def _centre(frames, width):
    """Centre each line of frames."""
    for line in {frame["line"] for frame in frames}:
        row = [frame for frame in frames if frame["line"] == line]
        shift = round((width - row[0]["x"] - row[-1]["x"] - row[-1]["width"]) / 2, 1)
        for frame in row:
            for each in [frame, *frame["boxes"], *frame["counts"]]:
                each["x"] = round(each["x"] + shift, 1)


def _is_odd(hosts, kind, source, names):
    if kind != "host":
        return False
    level, own = hosts[source]["level"], hosts[names[0]]["level"]
    return level is None or own is None or level >= own


def _title(hosts, frame, names):
    """The title of a frame, shortened to the room there is."""
    kind, source = frame["kind"], frame["source"]
    if kind == "host":
        text = f"follow {source}" if len(names) > 1 else f"follows {source}"
    elif kind == "tier":
        text = f"follow hosts of tier {source}"
    elif kind == "outside":
        text = f"from {source}, external" if source else "from external servers"
    elif all(hosts[name]["health"] in ("silent", "unreadable") for name in names):
        text = "unknown source"
    else:
        text = "follow nobody now"
    return fit(text, frame["width"] - 2 * PAD, 12)


def _boxes(hosts, names, frame, span):
    """One box for each host, in the columns of the frame."""
    width = (frame["width"] - (span + 1) * PAD) / span
    boxes = []
    for number, name in enumerate(sorted(names, key=lambda name: (-hosts[name]["followers"], _natural(name)))):
        host = hosts[name]
        boxes.append(
            {
                "id": name,
                "x": round(frame["x"] + PAD + (number % span) * (width + PAD), 1),
                "y": frame["y"] + HEAD + (number // span) * (BOX + PAD),
                "width": round(width, 1),
                "height": BOX,
                "name": fit(name, width - 40, 13),
                "words": _words(host, width - 16),
                "health": host["health"],
            }
        )
    return boxes


def _words(host, room):
    """The second line in a box: the most important facts first, as many as fit."""
    words = []
    if host["health"] != "ok":
        words.append(host["health"])
    if host["offset_ms"] is not None:
        words.append(length(host["offset_ms"], sign=True))
    if host["health"] == "ok" and host["stratum"] is not None:
        words.append("stratum {}".format(host["stratum"]))
    while len(words) > 1 and fit(" · ".join(words), room, 11) != " · ".join(words):
        words.pop()
    return fit(" · ".join(words), room, 11)


def _counts(hosts, names, frame, order):
    """How many hosts of a frame have each health, in this order, and its part of the bar."""
    found = {}
    for name in names:
        found[hosts[name]["health"]] = found.get(hosts[name]["health"], 0) + 1
    x, room, counts = frame["x"] + PAD, frame["width"] - 2 * PAD, []
    for word in order:
        if word in found:
            # A few hosts among thousands must stay visible.
            width = max(3, room * found[word] / len(names))
            counts.append({"health": word, "hosts": found[word], "x": x, "width": width})
            x += width
    excess = (x - frame["x"] - PAD) / room if counts else 1
    for count in counts:
        count["x"] = round(frame["x"] + PAD + (count["x"] - frame["x"] - PAD) / excess, 1)
        count["width"] = round(count["width"] / excess, 1)
    return counts


def _remember(places, frame):
    """Record where lines may start: at a host's box, at the frame that counts the host, at all frames of a tier."""
    for box in frame["boxes"]:
        places["host", box["id"]] = box
    places.setdefault(("tier", frame["tier"]), frame)


def _edges(frames, places, width):
    """One line from each source to each frame of hosts that follow it."""
    edges, used = [], {"left": 0, "right": 0}
    for frame in frames:
        if frame["kind"] == "host":
            starts = [places.get(("host", frame["source"]))]
        elif frame["kind"] == "tier":
            starts = [other for other in frames if other["tier"] == frame["source"]]
        else:
            starts = []
        for start in starts:
            if start:
                edges.append(_edge(start, frame, width, used))
    return edges


def _edge(start, frame, width, used):
    """A curve down to the frame, or a line around other frames that are in the way."""
    sx, sy = start["x"] + start["width"] / 2, start["y"] + start["height"]
    x, y = frame["x"] + frame["width"] / 2, frame["y"]
    head = f"M{x - 5:.1f} {y - 8:.1f}h10l-5 8z"
    if y > sy and not frame["line"]:
        bend = (y - sy) / 2
        path = f"M{sx:.1f} {sy:.1f}C{sx:.1f} {sy + bend:.1f} {x:.1f} {y - 6 - bend:.1f} {x:.1f} {y - 6:.1f}"
        return {"path": path, "head": head, "odd": frame["odd"]}
    side = "left" if 3 * sx + x < 2 * width else "right"
    lane = 2 + 4 * (used[side] % 3)
    above = y - 10 - 4 * (used[side] % 3)
    used[side] += 1
    lane = lane if side == "left" else width - lane
    points = [(sx, sy), (sx, sy + 4), (lane, sy + 4), (lane, above), (x, above), (x, y - 6)]
    path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    return {"path": path, "head": head, "odd": frame["odd"]}


# ---------------------------------------------------------------------------------------------------------
# The offsets on one scale.


def scale(view):
    """
    Every known offset to its source on one linear axis, up to the bounds that the pillar sets, and in a close-up if that shows
    more. An offset above zero means that the host's clock is slow.

    The offset itself is known to within half the round trip to the source; the true time to within the bound (docs/bound.md)
    or, for a host that reports no bound, the root distance (half the root delay plus the root dispersion: RFC 5905, 11.2). Both
    are drawn if they are known.

    Returns a dict: ``hosts`` (how many have an offset), ``unknown`` (how many have none), ``views``: [{``label``, ``reach_ms``
    (the axis goes from minus to plus this), ``ticks``, ``bounds``, ``lines`` or ``columns``}]. Positions are in per cent of the
    axis.
    """
    known = sorted((host for host in view["hosts"].values() if host["offset_ms"] is not None), key=_level)
    found = {"hosts": len(known), "unknown": len(view["hosts"]) - len(known), "views": []}
    if not known:
        return found
    bounds = sorted({bound for bound in (host["max_offset_ms"] for host in known) if bound and bound > 0})
    largest = max(abs(host["offset_ms"]) + (_half_trip(host) or 0) for host in known)
    whole = 1.2 * bounds[-1] if bounds else _nice(1.1 * largest)
    found["views"].append(_axis("up to the limits" if bounds else "all of it", known, whole, bounds))
    # The close-up shows most hosts; the few that are far off are at its ends.
    sizes = sorted(abs(host["offset_ms"]) + (_half_trip(host) or 0) for host in known)
    close = _nice(1.1 * sizes[math.ceil(MANY * (len(sizes) - 1))])
    if bounds and close * CLOSER <= whole:
        factor = f"{whole / close:,.0f}"
        found["views"].append(_axis(f"{factor} times magnified", known, close, bounds))
    return found


def _level(host):
    return 99 if host["level"] is None else host["level"]


def _half_trip(host):
    """Half the round trip to the selected source, if known."""
    for peer in host["peers"]:
        if peer["followed"] and peer["delay_ms"] is not None:
            return abs(peer["delay_ms"]) / 2.0
    return None


def _nice(value):
    """The smallest of 1, 2, 5, 10, ... that is not below this value; at least a microsecond."""
    value = max(value, 0.001)
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999999)


def _axis(label, known, reach, bounds):
    def place(offset):
        return round(50 + 50 * max(-1.0, min(1.0, offset / reach)), 2)

    step = _nice(reach / 2.5)
    ticks = [number * step for number in range(-2, 3) if abs(number * step) <= reach * 0.95]
    axis = {
        "label": label,
        "reach_ms": reach,
        "ticks": [{"x": place(tick), "text": length(tick, sign=True, short=True)} for tick in ticks],
        "bounds": [place(sign * bound) for bound in bounds if bound < reach for sign in (-1, 1)],
        "lines": [],
        "columns": [],
    }
    if len(known) <= LINES:
        order = sorted(known, key=lambda host: (_level(host), _natural(host["id"])))
        axis["lines"] = [_line(host, reach, place) for host in order]
    else:
        axis["columns"] = _columns(known, reach)
    return axis


def _line(host, reach, place):
    """One host's mark, with its uncertainty."""
    offset, half, bound = host["offset_ms"], _half_trip(host), host["bound_ms"]
    # The bound includes the offset; older modules report only the root distance.
    root = host["uncertainty_ms"] if bound is None else bound - abs(offset)
    return {
        "id": host["id"],
        "health": host["health"],
        "x": place(offset),
        "text": length(offset, sign=True),
        "beyond": 0 if abs(offset) <= reach else math.copysign(1, offset),
        "half": None if half is None else [place(offset - half), place(offset + half)],
        "root": None if root is None else [place(offset - root), place(offset + root)],
        "doubt": "; ".join(
            words
            for words in (
                None if half is None else f"half the round trip {length(half)}",
                None
                if root is None
                else f"root distance {length(root)}"
                if bound is None
                else f"bound {length(bound)}",
            )
            if words
        ),
    }


def _columns(known, reach):
    """For each tier, how many hosts have which offset; and the names of the hosts that are farthest off."""
    tiers = {}
    for host in known:
        tiers.setdefault(host["tier"], []).append(host)
    found = []
    for name, hosts in tiers.items():
        bins = {}
        for host in hosts:
            part = min(1.0, max(-1.0, host["offset_ms"] / reach))
            number = min(BINS - 1, int((part + 1) / 2 * BINS))
            over = abs(host["offset_ms"]) > (host["max_offset_ms"] or math.inf)
            bins.setdefault((number, over), 0)
            bins[number, over] += 1
        highest = max(bins.values())
        far = sorted(hosts, key=lambda host: -abs(host["offset_ms"]))[:5]
        middle = sorted(host["offset_ms"] for host in hosts)
        found.append(
            {
                "tier": name,
                "hosts": len(hosts),
                "median": length(middle[len(middle) // 2], sign=True),
                "highest": highest,
                "bars": [
                    {
                        "x": round(100 * number / BINS, 2),
                        "width": round(100 / BINS, 2),
                        "hosts": count,
                        # A single host among thousands must stay visible.
                        "height": round(max(3.0, 100 * count / highest), 1),
                        "over": over,
                        "text": " to ".join(
                            length((2 * end / BINS - 1) * reach, sign=True) for end in (number, number + 1)
                        ),
                    }
                    for (number, over), count in sorted(bins.items())
                ],
                "far": [{"id": host["id"], "text": length(host["offset_ms"], sign=True)} for host in far],
                "beyond": sum(abs(host["offset_ms"]) > reach for host in hosts),
            }
        )
    return found


# ---------------------------------------------------------------------------------------------------------
# Words.


def length(value_ms, sign=False, short=False):
    """A time in milliseconds as people write it: ``−12.345 ms``, ``+4.20 s``. ``short``: without unneeded digits."""
    size, unit = abs(value_ms), "ms"
    if size >= 1000:
        size, unit = size / 1000, "s"
    text = f"{size:,.10g}" if short else f"{size:,.3f}" if unit == "ms" else f"{size:,.2f}"
    mark = "\u2212" if value_ms < 0 else "+" if sign and value_ms else ""
    return f"{mark}{text} {unit}"


def fit(text, room, size):
    """A text shortened in its middle to fit into ``room`` pixels at this font size; its width is a conservative estimate."""
    text = text if len(text) <= 500 else text[:250] + text[-250:]
    widths = [size * (1.0 if unicodedata.east_asian_width(char) in "WF" else 0.62) for char in text]
    if sum(widths) <= room:
        return text
    half = max(0.0, (room - size * 0.8) / 2)
    head, tail, used = 0, len(widths), 0.0
    while head < len(widths) and used + widths[head] <= half:
        used += widths[head]
        head += 1
    used = 0.0
    while tail > head and used + widths[tail - 1] <= half:
        used += widths[tail - 1]
        tail -= 1
    return text[:head] + "\u2026" + text[tail:]
