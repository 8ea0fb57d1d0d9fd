"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const FIRST = 200;

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

  // Sorting, finding, and not too many rows at once.
  const body = get("table").tBodies[0];
  const heads = [...get("table").tHead.rows[0].cells];
  let rows = [...body.rows];
  const kept = new Map();
  const words = (row) => {
    if (!kept.has(row)) kept.set(row, row.textContent.toLowerCase());
    return kept.get(row);
  };
  const order = new Intl.Collator("en", { numeric: true });
  const [text, sick, shown, all] = ["text", "sick", "shown", "all"].map(get);
  let whole = rows.length <= FIRST;
  let said = "";

  const show = () => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    let seen = 0;
    for (const row of rows) {
      const fits =
        wanted.every((word) => words(row).includes(word)) && !(sick.checked && row.cells[0].dataset.v === "0");
      found += fits;
      row.hidden = !fits || !(whole || found <= FIRST);
      seen += !row.hidden;
    }
    all.hidden = seen === found;
    all.textContent = `Show all ${found.toLocaleString("en")}`;
    const part = seen === found ? "" : `${seen.toLocaleString("en")} of `;
    shown.textContent = `${part}${found.toLocaleString("en")} host${found === 1 ? "" : "s"}${said}`;
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
  text.addEventListener("input", show);
  sick.addEventListener("change", show);
  all.addEventListener("click", () => {
    whole = true;
    show();
  });
  get("find").addEventListener("submit", (event) => event.preventDefault());
  get("find").hidden = false;
  show();

  // A link leads to something that is open and shown.
  const follow = () => {
    const target = /^#[dr]\d+$/.test(location.hash) && get(location.hash.slice(1));
    if (!target) return;
    if (target.tagName === "DETAILS") target.open = true;
    if (target.hidden) {
      whole = true;
      text.value = "";
      sick.checked = false;
      show();
    }
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
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of closed) each.open = false;
  });
})();
