"""The page's look and its one script, which sorts tables."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1c1e; --faint: #5c636a; --line: #d7dce0; --good: #0a7a3f;
  --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181a; --ink: #e6e8ea; --faint: #9aa3ab; --line: #343a40;
  --good: #5fd08f; --bad: #ff8a80; } figure svg { filter: brightness(1.5); } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 78rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption, small { color: var(--faint); font-size: .8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
  vertical-align: top; }
th { vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child, table:not(.corrupted) :is(th, td):nth-child(2) { text-align: left; }
td small { display: block; font-size: .72rem; } td:nth-child(2) small { display: inline; }
small.better { color: var(--good); font-weight: 600; } small.worse { color: var(--bad); font-weight: 600; }
th button { all: unset; cursor: pointer; font-weight: 600; } th button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tr.fp32 { background: color-mix(in srgb, var(--ink) 7%, transparent); }
pre { overflow-x: auto; font-size: .8rem; } summary { cursor: pointer; }
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => head.firstChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const key = row => row.cells[place].dataset.order ?? row.cells[place].textContent;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      const numbers = x !== "" && y !== "" && isFinite(x) && isFinite(y);
      return (numbers ? x - y : x.localeCompare(y)) * (down ? -1 : 1);
    });
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  }));
}
"""
