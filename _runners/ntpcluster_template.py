"""
The report's page: its HTML with Jinja2, its style, and the script that sorts. ``ntpcluster.report`` fills it.

The text is here and not in a file of its own because Salt brings only Python files to a master's runners. The page
must stay whole without its script: that adds sorting, finding and the age, and opens what a link points to.
"""

# ruff: noqa: E501  (a tag is not broken where the white space would be seen)

__virtualname__ = "ntpcluster"
__load__ = ["report_template"]


def __virtual__():
    return __virtualname__


def report_template():
    """
    The parts of the report's page.

    Returns a dict of texts: ``page`` (Jinja2), ``style`` (CSS), ``script`` (JavaScript).

    CLI Example:

    .. code-block:: bash

        salt-run ntpcluster.report_template
    """
    return {"page": PAGE, "style": STYLE, "script": SCRIPT}


PAGE = r"""
{%- macro icon(word) -%}
<svg class="icon {{ word }}" viewBox="0 0 16 16" aria-hidden="true"><use href="#i-{{ word }}"/></svg>
{%- endmacro %}
{%- macro host(name) -%}
{% if name in numbers %}<a href="#{{ 'd' if numbers[name] < detailed|length else 'r' }}{{ numbers[name] }}">{{ name }}</a>{% else %}{{ name }}{% endif %}
{%- endmacro %}
{%- macro some(names) -%}
{% for name in names[:6] %}{{ host(name) }}{{ ', ' if not loop.last }}{% endfor %}{% if names|length > 6 %} and {{ (names|length - 6)|number }} more{% endif %}
{%- endmacro %}
{%- macro picture(tree, form) -%}
<svg class="tree {{ form }}" viewBox="0 0 {{ tree.width }} {{ tree.height }}" role="group"
aria-label="Tree: tiers from the top down, each host in a frame that names what it follows">
{% for band in tree.bands %}
<text class="band" x="{{ band.x }}" y="{{ band.y }}">{{ 'tier ' ~ band.name if band.name is not none else 'tier unknown' }}<tspan class="soft" dx="8">{{ band.hosts|hosts }}</tspan></text>
{% endfor %}
{% for frame in tree.frames %}
<rect class="frame{{ ' odd' if frame.odd }}" x="{{ frame.x }}" y="{{ frame.y }}" width="{{ frame.width }}"
height="{{ frame.height }}" rx="10"/>
{% endfor %}
{% for edge in tree.edges %}
<path class="edge{{ ' odd' if edge.odd }}" d="{{ edge.path }}"/>
<path class="head{{ ' odd' if edge.odd }}" d="{{ edge.head }}"/>
{% endfor %}
{% for frame in tree.frames %}
<g><text class="title{{ ' odd' if frame.odd }}" x="{{ frame.x + 10 }}" y="{{ frame.y + 17 }}">{{ frame.title }}</text>
{% for box in frame.boxes %}
<a href="#{{ 'd' if numbers[box.id] < detailed|length else 'r' }}{{ numbers[box.id] }}" aria-label="{{ box.id }}, {{ box.health }}">
<title>{{ box.id }}: {{ box.health }}, {{ health[box.health] }}</title>
<rect class="box {{ box.health }}" x="{{ box.x }}" y="{{ box.y }}" width="{{ box.width }}" height="{{ box.height }}" rx="7"/>
<use class="{{ box.health }}" href="#i-{{ box.health }}" x="{{ box.x + 9 }}" y="{{ box.y + 7 }}" width="15" height="15"/>
<text class="name" x="{{ box.x + 30 }}" y="{{ box.y + 19 }}">{{ box.name }}</text>
<text class="words" x="{{ box.x + 9 }}" y="{{ box.y + 37 }}">{{ box.words }}</text></a>
{% endfor %}
{% for count in frame.counts %}
<rect class="bar {{ count.health }}" x="{{ count.x }}" y="{{ frame.y + 28 }}" width="{{ count.width }}" height="14"/>
<use class="{{ count.health }}" href="#i-{{ count.health }}" width="15" height="15"
x="{{ frame.x + 10 }}" y="{{ frame.y + 51 + 22 * loop.index0 }}"/>
<text class="count" x="{{ frame.x + 33 }}" y="{{ frame.y + 63 + 22 * loop.index0 }}"><tspan class="name">{{ count.hosts|number }}</tspan> {{ count.health }}</text>
{% endfor %}
</g>
{% endfor %}
</svg>
{%- endmacro %}
{%- macro axis(view) -%}
<svg class="axis" height="22" aria-hidden="true">
{% for tick in view.ticks %}<text x="{{ tick.x }}%" y="15" text-anchor="middle">{{ tick.text }}</text>{% endfor %}
</svg>
{%- endmacro %}
{%- macro grid(view, height) -%}
{% for tick in view.ticks %}<line class="{{ 'zero' if tick.x == 50 else 'tick' }}" x1="{{ tick.x }}%" x2="{{ tick.x }}%" y1="0" y2="{{ height }}"/>{% endfor %}
{% for bound in view.bounds %}<line class="bound" x1="{{ bound }}%" x2="{{ bound }}%" y1="0" y2="{{ height }}"/>{% endfor %}
{%- endmacro %}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="ntpcluster">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none';
 img-src data:; style-src '{{ style_hash }}'; script-src '{{ script_hash }}'">
<link rel="icon" href="data:,">
<title>{{ verdict[1] }} – {{ view.time_utc }}</title>
<style>{{ style }}</style>
</head>
<body>
<svg class="symbols" aria-hidden="true" focusable="false">
<symbol id="i-ok" viewBox="0 0 16 16">
<circle class="fill" cx="8" cy="8" r="7.5"/><path class="cut" d="M4.5 8.2l2.4 2.5 4.6-5"/></symbol>
<symbol id="i-degraded" viewBox="0 0 16 16">
<path class="fill" d="M8 .8l7.6 13.7H.4z"/><path class="cut" d="M8 5.5v4.2M8 11.6v1"/></symbol>
<symbol id="i-settling" viewBox="0 0 16 16">
<circle class="ring" cx="8" cy="8" r="6.5"/><path class="ring" d="M8 4.2V8l2.6 1.8"/></symbol>
<symbol id="i-unsynchronized" viewBox="0 0 16 16">
<path class="fill" d="M8 0l8 8-8 8-8-8z"/><path class="cut" d="M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6"/></symbol>
<symbol id="i-stopped" viewBox="0 0 16 16">
<path class="fill" d="M1 1h14v14H1z"/><path class="cut" d="M5.8 5v6M10.2 5v6"/></symbol>
<symbol id="i-unreadable" viewBox="0 0 16 16">
<path class="fill" d="M8 0l7 4v8l-7 4-7-4V4z"/><path class="cut" d="M5.8 6.2a2.2 2.2 0 1 1 3 2c-.6.3-.8.7-.8 1.3M8 11.6v.9"/></symbol>
<symbol id="i-silent" viewBox="0 0 16 16">
<circle class="ring dashed" cx="8" cy="8" r="6.5"/><path class="ring" d="M5.5 8h5"/></symbol>
</svg>
<a class="skip" href="#hosts">Skip to the table</a>
<header class="{{ verdict[0] }}">
<p class="eyebrow">Time in the cluster</p>
<h1>{{ icon({'ok': 'ok', 'warning': 'degraded', 'critical': 'unsynchronized'}[verdict[0]]) }}{{ verdict[1] }}</h1>
<p class="when">As of <time datetime="{{ iso }}">{{ view.time_utc }}</time>
{%- if view.took_s is not none %}; every figure was gathered within {{ view.took_s }} s from then{% endif %}
<span id="age"></span>.</p>
</header>
<main>
<section class="cards" aria-label="Summary">
<div class="card"><b>{{ summary.synchronized|number }}<small> of {{ summary.hosts|number }}</small></b>synchronized</div>
<div class="card"><b>{{ summary.answered|number }}<small> of {{ summary.hosts|number }}</small></b>answered</div>
<div class="card"><b>{% if summary.spread_ms is none %}–{% else %}{{ summary.spread_ms|ms(3, false) }}<small> ms</small>{% endif %}</b>between the clocks
{%- if summary.spread_uncertainty_ms is not none %}, known to ±{{ summary.spread_uncertainty_ms|ms(3, false) }} ms{% endif %}</div>
<div class="card"><b>{{ summary.problems|number }}</b>{{ 'problem' if summary.problems == 1 else 'problems' }}</div>
<ul class="legend">
{% for word, meaning in health.items() %}
{% if summary.health[word] %}<li>{{ icon(word) }}<b>{{ summary.health[word]|number }}</b> {{ word }} <span class="soft">{{ meaning }}</span></li>
{% endif %}{% endfor %}
</ul>
</section>

<section id="problems">
<h2>Problems</h2>
{% for problem in problems %}
<article class="problem {{ 'critical' if problem.critical else 'warning' }}">
<h3>{{ icon('unsynchronized' if problem.critical else 'degraded') }}{{ problem.code }}
<span class="soft">{{ 'critical' if problem.critical else 'warning' }}, {{ problem.hosts|length|hosts }}{% if not problem.cases[0].hosts %}: {{ some(problem.hosts) }}{% endif %}</span></h3>
{% for case in problem.cases %}
<p class="message">{% if case.hosts %}{{ some(case.hosts) }}: {% endif %}{{ case.message }}</p>
{% if case.remedy and (loop.last or case.remedy != problem.cases[loop.index].remedy) %}<p class="remedy"><b>Remedy</b> {{ case.remedy }}</p>{% endif %}
{% endfor %}
{% if problem.more %}<p class="soft">and {{ problem.more|number }} more: find “{{ problem.code }}” in the table</p>{% endif %}
</article>
{% else %}
<p class="none">{{ icon('ok') }}{{ 'None.' if view.hosts else 'Nobody was asked.' }}</p>
{% endfor %}
</section>

<section>
<h2>Who follows whom</h2>
<p class="soft">Time flows along the arrows. {% if tree.wide.frames|selectattr('odd')|list %}A dashed line goes where it should not.{% endif %}</p>
{{ picture(tree.wide, 'wide') }}
{{ picture(tree.narrow, 'narrow') }}
</section>

<section>
<h2>Offsets to scale</h2>
{% if scale.views %}
<p class="soft">Each host’s offset to the source it follows: right of the middle its clock is slow, left of it fast.
{% if scale.views[0].lines %}
Thick line: half the round trip, which bounds this measurement.
Thin line: the root distance, which bounds the true time.
{% else %}
The height of a column is a number of hosts.
{% endif %}
{% if scale.views[0].bounds %}
Dashed: the bounds that the pillar sets.
{% endif %}
{% if scale.unknown %}
{{ scale.unknown|number }} {{ 'host has' if scale.unknown == 1 else 'hosts have' }} no offset.
{% endif %}</p>
<div class="scales">
{% for view in scale.views if scale.views|length > 1 %}
<input type="radio" name="scale" id="scale{{ loop.index }}"{{ ' checked' if loop.first }}><label for="scale{{ loop.index }}">{{ view.label }}</label>
{% endfor %}
{% for view in scale.views %}
<div class="scale scale{{ loop.index }}">
{% for line in view.lines %}
<div class="track"><span class="who">{{ icon(line.health) }}{{ host(line.id) }}</span>
<svg height="22" role="img" aria-label="{{ line.id }}: {{ line.text }}{% if line.doubt %}, {{ line.doubt }}{% endif %}">
<title>{{ line.text }}{% if line.doubt %}; {{ line.doubt }}{% endif %}</title>
{{ grid(view, 22) }}
{% if line.root %}<line class="root" x1="{{ line.root[0] }}%" x2="{{ line.root[1] }}%" y1="11" y2="11"/>{% endif %}
{% if line.half %}<line class="half" x1="{{ line.half[0] }}%" x2="{{ line.half[1] }}%" y1="11" y2="11"/>{% endif %}
{% if line.beyond %}
<svg x="{{ line.x }}%" overflow="visible"><path class="dot {{ line.health }}"
d="{{ 'M-2 11l-9-6v12z' if line.beyond > 0 else 'M2 11l9-6v12z' }}"/></svg>
{% else %}
<circle class="dot {{ line.health }}" cx="{{ line.x }}%" cy="11" r="4.5"/>
{% endif %}
</svg><span class="value">{{ line.text }}</span></div>
{% endfor %}
{% for tier in view.columns %}
<div class="track tall"><span class="who">{{ 'tier ' ~ tier.tier if tier.tier is not none else 'tier unknown' }}<small>{{ tier.hosts|hosts }}, median {{ tier.median }}</small></span>
<svg height="104" role="img" aria-label="Tier {{ tier.tier }}: {{ tier.hosts }} hosts, median {{ tier.median }}">{{ grid(view, 104) }}
<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="104">
{% for bar in tier.bars %}
<rect class="{{ 'over' if bar.over else 'under' }}" x="{{ bar.x }}" y="{{ 100 - bar.height }}"
width="{{ bar.width }}" height="{{ bar.height }}"><title>{{ bar.hosts|hosts }}: {{ bar.text }}</title></rect>
{% endfor %}
</svg></svg><span class="value">up to {{ tier.highest|number }}<small>in one column</small></span></div>
<p class="far soft">Farthest: {% for one in tier.far %}{{ host(one.id) }} {{ one.text }}{{ ', ' if not loop.last }}{% endfor %}{% if tier.beyond %}. {{ tier.beyond|number }} beyond the axis, counted at its ends{% endif %}</p>
{% endfor %}
<div class="track"><span class="who soft">fast ←</span>{{ axis(view) }}<span class="value soft">→ slow</span></div>
</div>
{% endfor %}
</div>
{% else %}
<p class="none">No host has an offset to show.</p>
{% endif %}
</section>

<section>
<h2 id="hosts">Hosts</h2>
<form id="find" hidden role="search">
<label>Find <input type="search" id="text" autocomplete="off" spellcheck="false"></label>
<label><input type="checkbox" id="sick"> only those that are not ok</label>
<output id="shown" aria-live="polite"></output>
</form>
<table id="table">
<caption class="hush">All hosts, the worst first. The buttons in the heads sort.</caption>
<thead><tr>
{% for key, text, kind in (('health', 'Health', 'n'), ('host', 'Host', 't'), ('tier', 'Tier', 't'),
('follows', 'Follows', 't'), ('stratum', 'Stratum', 'n'), ('offset', 'Offset ms', 'n'), ('doubt', 'Known to ± ms', 'n'),
('sources', 'Usable sources', 'n'), ('problems', 'Problems', 't')) %}
<th scope="col" data-kind="{{ kind }}"{{ ' class=figure' if kind == 'n' and key != 'health' }}{{ ' aria-sort=descending' if key == 'health' }}>{{ text }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for h in hosts %}
<tr id="r{{ loop.index0 }}"{{ ' hidden' if loop.index0 >= detailed|length }}>
<td data-v="{{ rank[h.health] }}" class="{{ h.health }}">{{ icon(h.health) }}{{ h.health }}</td>
<th scope="row"{{ h.id|wide }}>{% if loop.index0 < detailed|length %}<a href="#d{{ loop.index0 }}">{{ h.id }}</a>{% else %}{{ h.id }}{% endif %}</th>
<td data-l="Tier"{{ h.tier|wide }}>{{ h.tier }}</td>
<td data-l="Follows"{{ (h.source_host or h.source)|wide }}>{{ h.source_host or h.source }}</td>
<td data-l="Stratum" data-v="{{ h.stratum|plain }}">{{ h.stratum }}
{%- if h.stratum is not none and h.expected_stratum is not none and h.expected_stratum != h.stratum %} <small>not {{ h.expected_stratum }}</small>{% endif %}</td>
<td data-l="Offset ms" data-v="{{ h.offset_ms|plain }}">{{ h.offset_ms|ms }}</td>
<td data-l="Known to ± ms" data-v="{{ h.uncertainty_ms|plain }}">{{ h.uncertainty_ms|ms(3, false) }}</td>
<td data-l="Usable sources"{% if h|sources is none %} data-v=""{% endif %}>{{ h|sources }}</td>
<td data-l="Problems">{{ h.why or h.problems|map(attribute='code')|unique|join(', ') or none }}</td>
</tr>
{% endfor %}
</tbody>
</table>
<p><button type="button" id="all" hidden>Show all</button></p>
</section>

{% if detailed %}
<section>
<h2>Each host in full</h2>
{% if detailed|length < hosts|length %}<p class="soft">The {{ detailed|length }} worst; <code>salt HOST ntpcluster.status</code> tells the same of any other.</p>{% endif %}
{% for h in detailed %}
<details id="d{{ loop.index0 }}">
<summary>{{ icon(h.health) }}<b>{{ h.id }}</b>
<span class="soft">{{ h.health }}{% if h.tier is not none %}, tier {{ h.tier }}{% endif %}{% if h.offset_ms is not none %}, {{ h.offset_ms|ms }} ms{% endif %}</span></summary>
{% if h.why %}<p>{{ h.why }}</p>{% endif %}
{% for problem in h.problems %}
<p class="message"><b>{{ problem.code }}</b>: {{ problem.message }}</p>
{% if problem.remedy %}<p class="remedy"><b>Remedy</b> {{ problem.remedy }}</p>{% endif %}
{% endfor %}
{% if h.answered and not h.why %}
<dl>
<div><dt>Addresses</dt><dd>{{ h.addresses|join(', ') or none }}</dd></div>
<div><dt>Daemon</dt><dd>
{{ h.daemon.name }}{{ ', not running' if h.daemon.running is sameas false }}{{ ', not started at boot' if h.daemon.enabled is sameas false }}{% if h.daemon.uptime_s is not none %}, up {{ h.daemon.uptime_s|since }}{% endif %}</dd></div>
<div><dt>Version</dt><dd>{{ h.daemon.version }}</dd></div>
<div><dt>Jitter</dt><dd>{{ h.jitter_ms|ms(3, false) }} ms</dd></div>
<div><dt>Frequency</dt><dd>{{ h.frequency_ppm|ms }} ppm</dd></div>
<div><dt>Root delay, dispersion</dt><dd>{{ h.root_delay_ms|ms(3, false) }} ms, {{ h.root_dispersion_ms|ms(3, false) }} ms</dd></div>
<div><dt>Behind the top</dt><dd>{{ h.error_ms|ms }} ms{% if h.uncertainty_ms is not none %} ± {{ h.uncertainty_ms|ms(3, false) }} ms{% endif %}</dd></div>
<div><dt>Leap, refid</dt><dd>{{ h.leap }}, {{ h.refid }}</dd></div>
<div><dt>Followers</dt><dd>{{ h.followers }}</dd></div>
</dl>
{% if h.peers %}
<table class="peers"><caption class="hush">Sources of {{ h.id }}</caption>
<thead><tr><th scope="col">Source</th><th scope="col">Condition</th><th scope="col">Reach</th>
<th scope="col" class="figure">Stratum</th><th scope="col" class="figure">Offset ms</th><th scope="col" class="figure">Delay ms</th>
<th scope="col" class="figure">Jitter ms</th></tr></thead>
<tbody>
{% for p in h.peers %}
<tr><th scope="row">{{ p.host or p.remote or p.address }}{% if p.host and p.address %} <small>{{ p.address }}</small>{% endif %}</th>
<td data-l="Condition">{{ p.tally or '' }} {{ p.condition }}</td>
<td data-l="Reach">
{% if p.reach is not none %}
<svg class="reach" viewBox="0 0 62 12" aria-hidden="true">
{% for bit in range(8) %}
<rect class="{{ 'heard' if p.reach // 2 ** (7 - bit) % 2 else 'missed' }}" x="{{ 8 * bit + 0.5 }}" y="1.5" width="5" height="9"/>
{% endfor %}
</svg> {{ '%03o' % (p.reach % 256) }}
{% else %}
{{ p.reach }}
{% endif %}
</td>
<td data-l="Stratum">{{ p.stratum }}</td>
<td data-l="Offset ms">{{ p.offset_ms|ms }}</td>
<td data-l="Delay ms">{{ p.delay_ms|ms(3, false) }}</td>
<td data-l="Jitter ms">{{ p.jitter_ms|ms(3, false) }}</td></tr>
{% endfor %}
</tbody></table>
{% endif %}
{% endif %}
</details>
{% endfor %}
</section>
{% endif %}
</main>
<footer>Made by <code>salt-run ntpcluster.report</code>. This page is whole: it loads nothing, and tells nobody that it is read.</footer>
<script>{{ script }}</script>
</body>
</html>
""".lstrip()

STYLE = """
:root{color-scheme:light dark;--page:#f4f6f8;--card:#fff;--ink:#17202b;--soft:#5b6777;--line:#d9e0e7;--link:#1d56b8;
--ok:#187a48;--degraded:#a15c00;--settling:#2166b5;--unsynchronized:#c32a2a;--stopped:#96195a;--unreadable:#6a4bab;
--silent:#5b6777}
@media (prefers-color-scheme:dark){:root{--page:#0e1319;--card:#161d25;--ink:#e7ecf2;--soft:#9aa8b7;--line:#2b3642;
--link:#7fb2ff;--ok:#4ac489;--degraded:#f0b03a;--settling:#6db3f7;--unsynchronized:#ff7a70;--stopped:#ff8cbc;
--unreadable:#c4a7ff;--silent:#9aa8b7}}
.ok{--h:var(--ok)}.degraded,.warning{--h:var(--degraded)}.settling{--h:var(--settling)}
.unsynchronized,.critical{--h:var(--unsynchronized)}.stopped{--h:var(--stopped)}.unreadable{--h:var(--unreadable)}
.silent{--h:var(--silent)}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:3.5rem}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,"Noto Sans",sans-serif}
header,main,footer{max-width:1100px;margin:0 auto;padding:0 20px}
a{color:var(--link);text-underline-offset:2px;text-decoration-thickness:1px}
:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:3px}
.soft,small{color:var(--soft)}
.hush,.skip:not(:focus){position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip:focus{position:absolute;top:8px;left:8px;padding:8px 14px;background:var(--card);z-index:3}
.symbols{position:absolute;width:0;height:0}
.fill{fill:var(--h)}.cut{fill:none;stroke:var(--card);stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}
.ring{fill:none;stroke:var(--h);stroke-width:1.9;stroke-linecap:round}.dashed{stroke-dasharray:3 3.2}
.icon{width:1em;height:1em;vertical-align:-.12em;margin-right:.45em;flex:none}
header{padding-top:34px}
.eyebrow{margin:0;color:var(--soft);font-size:13px;letter-spacing:.09em;text-transform:uppercase}
h1{margin:4px 0 6px;font-size:clamp(22px,4.5vw,34px);line-height:1.2;letter-spacing:-.01em;color:var(--h)}
h1 .icon{vertical-align:-.1em}
.when{margin:0;color:var(--soft)}.old{color:var(--unsynchronized);font-weight:600}
section{margin:34px 0}
h2{margin:0 0 8px;font-size:20px;letter-spacing:-.005em}
h2+p{margin:0 0 14px}
.cards{display:grid;grid-template-columns:repeat(4,1fr);gap:14px;margin-top:24px}
.card,.problem,details,.scales,#table,.tree{background:var(--card);border:1px solid var(--line);border-radius:12px}
.card{padding:14px 18px;color:var(--soft);font-size:13px}
.card b{display:block;color:var(--ink);font-size:26px;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums}
.card b small{font-size:14px;font-weight:400}
.legend{grid-column:1/-1;display:flex;flex-wrap:wrap;gap:4px 26px;margin:0;padding:0;list-style:none;font-size:14px}
.problem{margin:10px 0;padding:12px 18px;border-left:5px solid var(--h)}
.problem h3{margin:0 0 4px;font-size:16px;color:var(--h)}
.problem h3 span{font-weight:400;font-size:13px}
.problem p,details p{margin:4px 0;overflow-wrap:anywhere}
.remedy{padding:6px 12px;border-radius:8px;background:var(--page);font-size:14px}
.remedy b{margin-right:.5em;font-size:12px;letter-spacing:.05em;text-transform:uppercase;color:var(--soft)}
.remedy:not(:last-child){margin-bottom:12px}
.none{color:var(--soft)}
.tree{display:block;width:100%;height:auto;padding:12px 10px 16px}
.tree.narrow{display:none}
.tree text{fill:var(--ink);font-size:13px}.tree .band{font-size:14px;font-weight:650}
.tree .band .soft{font-weight:400;font-size:12px}
.tree .soft,.axis text{fill:var(--soft)}
.tree .title{font-size:12px;fill:var(--soft)}.tree .title.odd{fill:var(--unsynchronized)}
.tree .name{font-weight:600}.tree .words{font-size:11px;fill:var(--soft)}
.frame{fill:var(--page);stroke:var(--line)}.frame.odd{stroke:var(--unsynchronized);stroke-dasharray:5 4}
.box{fill:var(--card);stroke:var(--h);stroke-width:1.3}.box:not(.ok){stroke-width:2.2}
.tree a{text-decoration:none;cursor:pointer}.tree a:hover .box,.tree a:focus .box{stroke-width:3.5}
.tree a:focus{outline:none}
.bar{fill:var(--h);stroke:var(--page);stroke-width:1}
.edge{fill:none;stroke:var(--soft);stroke-width:1.6;stroke-opacity:.75;stroke-linejoin:round}
.head{fill:var(--soft)}
.edge.odd{stroke:var(--unsynchronized);stroke-dasharray:6 4;stroke-opacity:1}.head.odd{fill:var(--unsynchronized)}
.scales{padding:14px 18px}
.scales>input{position:absolute;opacity:0}
.scales>label{display:inline-block;margin:0 6px 12px 0;padding:4px 14px;border:1px solid var(--line);border-radius:99px;
font-size:14px;cursor:pointer}
.scales>input:checked+label{background:var(--ink);color:var(--card);border-color:var(--ink)}
.scales>input:focus-visible+label{outline:3px solid var(--link);outline-offset:2px}
#scale1:checked~.scale2,#scale2:checked~.scale1{display:none}
.track{line-height:22px;display:grid;grid-template-columns:minmax(120px,210px) 1fr 110px;gap:12px;align-items:center}
.track>svg{width:100%;overflow:hidden;display:block}
.who{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.who small,.value small{display:block;font-size:12px;white-space:normal}
.value{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;font-size:14px}
.tick{stroke:var(--line)}.zero{stroke:var(--soft)}
.bound{stroke:var(--unsynchronized);stroke-dasharray:4 3;stroke-width:1.5}
.root{stroke:var(--soft);stroke-width:1.5}.half{stroke:var(--ink);stroke-width:5;stroke-opacity:.35}
.dot{fill:var(--h);stroke:var(--card);stroke-width:1.2}
.under{fill:var(--settling)}.over{fill:var(--unsynchronized)}
.axis text{font-size:12px}.far{margin:2px 0 14px;font-size:13px;overflow-wrap:anywhere}
#find{display:flex;flex-wrap:wrap;gap:8px 22px;align-items:center;margin-bottom:10px}#find[hidden]{display:none}
#text{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:5px 10px;
width:min(18em,60vw)}
output{color:var(--soft)}
table{width:100%;border-collapse:separate;border-spacing:0;font-size:14px}
td,th{padding:7px 10px;text-align:left;vertical-align:top;border-top:1px solid var(--line)}
thead th{border-top:0;color:var(--soft);font-weight:600;font-size:13px;vertical-align:bottom}
#table thead th{position:sticky;top:0;background:var(--card);z-index:1;box-shadow:0 1px var(--line);padding:4px}
#table thead th:first-child{border-top-left-radius:12px}#table thead th:last-child{border-top-right-radius:12px}
#table thead:not(.sorts) th{padding:9px 10px}
thead button{font:inherit;color:inherit;background:none;border:0;border-radius:6px;padding:5px 6px;cursor:pointer;
text-align:inherit}
thead button:hover{background:var(--page)}
thead button::after{content:"\\2195";opacity:.35;margin-left:.3em}
[aria-sort=ascending] button::after{content:"\\2191";opacity:1}
[aria-sort=descending] button::after{content:"\\2193";opacity:1}
[aria-sort] button{color:var(--ink)}
tbody th{font-weight:600}
.long,#table td[data-l=Problems]{min-width:10em;overflow-wrap:anywhere}
#table td:first-child{color:var(--h);white-space:nowrap}
td[data-v]:not(:first-child),td[data-l="Usable sources"],.figure,.peers td:nth-child(n+4){text-align:right;
font-variant-numeric:tabular-nums}
tr:target>*{background:var(--page)}
#all,summary{cursor:pointer}
#all{font:inherit;padding:7px 18px;color:var(--ink);background:var(--card);border:1px solid var(--line);border-radius:8px}
details{margin:8px 0;padding:0 18px}
summary{margin:0 -18px;padding:9px 18px;border-radius:12px;overflow-wrap:anywhere}
details[open]{padding-bottom:14px}
details:target{border-color:var(--link)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(230px,100%),1fr));gap:8px 22px;margin:8px 0 12px}
dt{color:var(--soft);font-size:12px}dd{margin:0;overflow-wrap:anywhere}
.reach{width:62px;height:12px;vertical-align:-1px}.heard{fill:var(--ok)}.missed{fill:none;stroke:var(--unsynchronized)}
footer{padding-top:6px;padding-bottom:40px;color:var(--soft);font-size:13px}
code{font-family:ui-monospace,"SF Mono",Consolas,"DejaVu Sans Mono",monospace;font-size:.92em}
@media screen and (max-width:1000px){
#table,#table tbody,#table thead,.peers,.peers tbody{display:block}
#table{border:0;background:none}
#table thead tr{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:8px}
#table thead th{position:static;padding:0;border:1px solid var(--line);border-radius:8px;box-shadow:none}
#table thead:not(.sorts),.peers thead{display:none}
thead button{padding:7px 9px}
#table tbody tr,.peers tr{display:grid;grid-template-columns:repeat(auto-fill,minmax(130px,1fr));gap:2px 14px;
padding:10px 14px;margin-bottom:8px}
#table tbody tr{background:var(--card);border:1px solid var(--line);border-radius:12px}
#table tbody tr[hidden],#table td[data-v=""]{display:none}
.peers tr{padding:8px 0;border-top:1px solid var(--line)}
#table tbody td,#table tbody th,.peers td,.peers th{display:block;border:0;padding:0;text-align:left!important;
overflow-wrap:anywhere;min-width:0}
#table tbody th,.peers th,#table td[data-l=Problems]{grid-column:1/-1}#table tbody th{order:-1;font-size:16px}
[data-l]::before{content:attr(data-l);display:block;color:var(--soft);font-size:12px}
}
@media screen and (max-width:720px){
header,main,footer{padding-left:12px;padding-right:12px}header{padding-top:20px}section{margin:26px 0}
.cards{grid-template-columns:1fr 1fr;gap:10px}.card{padding:10px 14px}.card b{font-size:22px}
.legend{flex-direction:column}
.tree.wide{display:none}.tree.narrow{display:block;padding:8px 0}
.scales{padding:12px}
.track{grid-template-columns:1fr auto;gap:0 10px;padding-bottom:6px}
.track>svg{grid-column:1/-1;grid-row:2}.value small{display:inline}
}
@media (scripting:none){#table tbody tr[hidden]{display:table-row}}
@media print{
:root{color-scheme:light;--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--link:#000;--ok:#187a48;
--degraded:#a15c00;--settling:#2166b5;--unsynchronized:#c32a2a;--stopped:#96195a;--unreadable:#6a4bab;--silent:#444}
body{font-size:11pt}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
header,main,footer{max-width:none;padding:0}
.skip,#find,#all,.scales>label,.scales>input,thead button::after{display:none}
#table thead th{position:static}a{text-decoration:none}
.problem,details,.card,.track,tr{break-inside:avoid}h2,h3{break-after:avoid}
#table{font-size:7.5pt}#table thead th,#table thead button{font-size:7pt}td,th{padding:3px 4px}
#table thead th,thead button{padding:1px}.long,#table td[data-l=Problems]{min-width:6em}
}
""".strip()

SCRIPT = r"""
"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const FIRST = 200;

  // The age of the data.
  const taken = Date.parse(document.querySelector("time").dateTime);
  const age = get("age");
  const say = (n, unit) => n + " " + unit + (n === 1 ? "" : "s");
  const tell = () => {
    const minutes = Math.floor((Date.now() - taken) / 60000);
    age.textContent = " \u2013 " + (
      minutes < 0 ? "in the future, by this device\u2019s clock" :
      minutes < 2 ? "just now" :
      minutes < 120 ? say(minutes, "minute") + " ago" :
      minutes < 2880 ? say(Math.floor(minutes / 60), "hour") + " ago" :
      say(Math.floor(minutes / 1440), "day") + " ago");
    age.className = minutes >= 60 || minutes < -1 ? "old" : "";
  };
  tell();
  setInterval(tell, 30000);

  // Sorting, finding, and not too many rows at once.
  const body = get("table").tBodies[0];
  const heads = [...get("table").tHead.rows[0].cells];
  let rows = [...body.rows];
  const kept = new Map();
  const words = (row) => {
    if (!kept.has(row)) kept.set(row, row.textContent.toLowerCase());
    return kept.get(row);
  };
  const order = new Intl.Collator("en", {numeric: true});
  const text = get("text"), sick = get("sick"), shown = get("shown"), all = get("all");
  let whole = rows.length <= FIRST, said = "";

  const show = () => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0, seen = 0;
    for (const row of rows) {
      const fits = wanted.every((word) => words(row).includes(word)) &&
        !(sick.checked && row.cells[0].dataset.v === "0");
      found += fits;
      row.hidden = !fits || !(whole || found <= FIRST);
      seen += !row.hidden;
    }
    all.hidden = seen === found;
    all.textContent = "Show all " + found.toLocaleString("en");
    shown.textContent = (seen === found ? "" : seen.toLocaleString("en") + " of ") + found.toLocaleString("en") +
      (found === 1 ? " host" : " hosts") + said;
  };

  const value = (row, column, kind) => {
    const cell = row.cells[column];
    const raw = cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
    if (raw === "" || raw === "\u2013") return null;
    return kind === "n" ? parseFloat(raw) : raw;
  };

  const sort = (column, down) => {
    const kind = heads[column].dataset.kind;
    const keyed = rows.map((row) => [value(row, column, kind), row]);
    keyed.sort(([a], [b]) => {
      // What is unknown comes last, whichever way.
      if (a === null || b === null) return (a === null) - (b === null);
      const way = kind === "n" ? a - b : order.compare(a, b);
      return down ? -way : way;
    });
    rows = keyed.map(([, row]) => row);
    // Out of the page, nothing has to be laid out between one row and the next.
    body.remove();
    body.append(...rows);
    get("table").append(body);
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    said = ", sorted by " + heads[column].textContent + (down ? ", descending" : ", ascending");
    show();
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(column, head.getAttribute("aria-sort") === "ascending"));
  });
  get("table").tHead.className = "sorts";
  text.addEventListener("input", show);
  sick.addEventListener("change", show);
  all.addEventListener("click", () => { whole = true; show(); });
  get("find").addEventListener("submit", (event) => event.preventDefault());
  get("find").hidden = false;
  show();

  // A link leads to something that is open and shown.
  const follow = () => {
    const target = /^#[dr]\d+$/.test(location.hash) && get(location.hash.slice(1));
    if (!target) return;
    if (target.tagName === "DETAILS") target.open = true;
    if (target.hidden) { whole = true; text.value = ""; sick.checked = false; show(); }
    target.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  // A second click on the same link changes no hash.
  document.addEventListener("click", (event) => {
    if (event.target.closest("a[href^='#']")) setTimeout(follow);
  });
  follow();

  // On paper nothing can be opened.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
})();
""".strip()
