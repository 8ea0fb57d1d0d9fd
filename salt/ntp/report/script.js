"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const FIRST = 200;
  const MORE = 5000;

  // The age of the data.
  const taken = Date.parse(document.querySelector("time").dateTime);
  const age = get("age");
  const ago = (n, unit) => `${n} ${unit}${n === 1 ? "" : "s"} ago`;
  const inWords = (minutes) => {
    if (minutes < 0) return "in the future, by this device\u2019s clock";
    if (minutes < 2) return "just now";
    if (minutes < 120) return ago(minutes, "minute");
    if (minutes < 2880) return ago(Math.floor(minutes / 60), "hour");
    return ago(Math.floor(minutes / 1440), "day");
  };
  const tell = () => {
    const minutes = Math.floor((Date.now() - taken) / 60000);
    age.textContent = ` \u2013 ${inWords(minutes)}`;
    age.className = minutes >= 60 || minutes < -1 ? "old" : "";
  };
  tell();
  setInterval(tell, 30000);

  // The hosts, the worst first: rows of the table and, in a large cluster, lines of text that become rows when shown.
  const UNKNOWN = "\u2013";
  const body = get("table").tBodies[0];
  const heads = [...get("table").tHead.rows[0].cells];
  const model = body.rows[0];
  let hosts = [...body.rows].map((row) => ({
    id: row.id,
    row,
    cells: [...row.cells].map((c) => c.textContent.trim()),
  }));
  const rest = get("rest");
  if (rest) {
    const lines = rest.querySelector("pre").textContent.split("\n");
    hosts = hosts.concat(lines.map((line, n) => ({ id: `r${hosts.length + n}`, cells: line.split("\t") })));
    rest.remove();
  }

  const made = ({ id, cells }) => {
    const row = model.cloneNode(true);
    row.id = id;
    const [health, ...others] = row.cells;
    health.className = cells[0];
    health.querySelector("svg").setAttribute("class", `icon ${cells[0]}`);
    health.querySelector("use").setAttribute("href", `#i-${cells[0]}`);
    health.lastChild.data = cells[0];
    others.forEach((cell, n) => {
      const text = cells[n + 1];
      cell.textContent = text;
      const unknown = text === UNKNOWN && heads[n + 1].dataset.kind === "n";
      cell.className = unknown ? "unknown" : text.length > 20 ? "long" : "";
    });
    return row;
  };

  // Sorting, searching, and a limited number of rows at a time.
  const order = new Intl.Collator("en", { numeric: true });
  const [text, sick, shown, all] = ["text", "sick", "shown", "all"].map(get);
  const number = (n) => n.toLocaleString("en");
  let most = FIRST;
  let said = "";

  // If a host is given, it is always among the rows.
  const show = (host) => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (each) => {
      if (sick.checked && each.cells[0] === "ok") return false;
      each.words ??= each.cells.join("\n").toLowerCase();
      return wanted.every((word) => each.words.includes(word));
    };
    const found = hosts.filter(fits);
    const seen = found.slice(0, most);
    if (host && !seen.includes(host)) seen.unshift(host);
    const rows = seen.map((each) => {
      each.row ??= made(each);
      each.row.hidden = false;
      return each.row;
    });
    body.replaceChildren(...rows);
    const left = found.length - seen.length;
    all.hidden = left <= 0;
    all.textContent = left <= MORE ? `Show all ${number(found.length)}` : `Show ${number(MORE)} more`;
    const part = left > 0 ? `${number(seen.length)} of ` : "";
    shown.textContent = `${part}${number(found.length)} host${found.length === 1 ? "" : "s"}${said}`;
  };

  const value = (raw, kind) => {
    if (raw === "" || raw === UNKNOWN) return null;
    if (kind === "t") return raw;
    // A displayed number, or one of some words in a fixed order.
    return kind === "n" ? parseFloat(raw.replaceAll(",", "").replace("\u2212", "-")) : kind.split(" ").indexOf(raw);
  };

  const sort = (column, down) => {
    const kind = heads[column].dataset.kind;
    const keyed = hosts.map((host) => [value(host.cells[column], kind), host]);
    keyed.sort(([a], [b]) => {
      // Unknown values come last in either direction.
      if (a === null || b === null) return (a === null) - (b === null);
      const way = kind === "t" ? order.compare(a, b) : a - b;
      return down ? -way : way;
    });
    hosts = keyed.map(([, host]) => host);
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    said = `, sorted by ${heads[column].textContent}${down ? ", descending" : ", ascending"}`;
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
  text.addEventListener("input", () => show());
  sick.addEventListener("change", () => show());
  all.addEventListener("click", () => {
    most += MORE;
    show();
  });
  get("find").addEventListener("submit", (event) => event.preventDefault());
  get("find").hidden = false;
  show();

  // Open and show the target of a link.
  const follow = () => {
    const id = /^#[dr]\d+$/.test(location.hash) && location.hash.slice(1);
    if (!id) return;
    const host = !get(id) && hosts.find((each) => each.id === id);
    if (host) {
      text.value = host.cells[1];
      sick.checked = false;
      show(host);
      // Only an element that exists can be marked as the target.
      location.replace(`#${id}`);
    }
    const target = get(id);
    if (!target) return;
    if (target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  // A second click on the same link does not change the hash.
  document.addEventListener("click", (event) => {
    if (event.target.closest("a[href^='#']")) setTimeout(follow);
  });
  follow();

  // Nothing can be opened on paper.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of closed) each.open = false;
  });
})();
