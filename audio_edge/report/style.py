"""How the page looks and what its controls do: plain CSS and JavaScript, no library."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1c2024; --soft: #5c646d; --rule: #d9dde1; --card: #f6f7f8;
  --accent: #0b63a5; --on-accent: #fff; --line: #9aa3ad;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --ink: #e6e9ec; --soft: #a2abb4; --rule: #343a40; --card: #1d2125;
    --accent: #6cb4ee; --on-accent: #10151a; --line: #6c757e;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main, header, footer { max-width: 70rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 {
  font-size: 1.2rem; margin: 2.75rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--rule);
}
p { margin: .25rem 0 .75rem; max-width: 44rem; }
a { color: var(--accent); }
nav ul {
  display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; padding: 0;
  margin: 1rem 0 0;
}
.lead {
  font-size: 2.6rem; font-weight: 600; line-height: 1.1; color: var(--accent); margin: 1rem 0 0;
}
.lead small { display: inline-block; font-size: 1rem; font-weight: 400; color: var(--soft); }
dl {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr));
  gap: .75rem 1.5rem; margin: 1.25rem 0 0;
}
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.note, figcaption, caption, footer, .file { color: var(--soft); font-size: .85rem; }
.figures {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr));
  gap: 1rem 1.5rem;
}
.figures > * { min-width: 0; }
figure { margin: 0; }
figcaption strong { color: var(--ink); }
.chart { display: block; width: 100%; height: auto; }
.chart text {
  font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--soft);
  font-variant-numeric: tabular-nums;
}
.chart .grid { stroke: var(--rule); stroke-width: .7; }
.chart .line { fill: none; stroke: var(--line); stroke-width: 1.2; }
.chart circle.line { fill: var(--line); }
.chart .strong { stroke: var(--accent); stroke-width: 2.2; }
.chart circle.strong, .chart .dot { fill: var(--accent); }
.chart .guide { fill: none; stroke: var(--soft); stroke-dasharray: 4 4; }
.chart .whisker { stroke: var(--accent); stroke-width: 1.4; }
.chart .bar { fill: var(--rule); }
.key { white-space: nowrap; margin-left: .6rem; }
.key::before {
  content: ""; display: inline-block; width: 1.1rem; height: .2rem; margin-right: .3rem;
  vertical-align: middle; background: var(--line);
}
.key.selection::before { background: var(--accent); }
.scroll { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
th, td {
  padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap;
}
th { font-weight: 400; color: var(--soft); }
th[scope=row] {
  text-align: left; color: var(--ink); position: sticky; left: 0; background: var(--paper);
}
thead th:first-child { text-align: left; }
.confusion th, .confusion td { padding: .2rem .45rem; min-width: 2.2rem; text-align: center; }
.confusion th[scope=row] { text-align: right; }
.confusion thead th { vertical-align: bottom; }
.confusion thead span { writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion td[style] { background: color-mix(in srgb, var(--accent) var(--share), var(--paper)); }
.confusion .dark, .confusion .dark a { color: var(--on-accent); }
.confusion .none { color: var(--line); }
.confusion td a { color: inherit; display: block; }
.controls {
  display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; margin: .5rem 0 1rem;
}
select {
  font: inherit; padding: .2rem .4rem; max-width: 14rem; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 4px;
}
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.cards {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15.5rem), 1fr));
  gap: 1rem; list-style: none; padding: 0;
}
.card {
  background: var(--card); border: 1px solid var(--rule); border-radius: 6px; overflow: hidden;
  padding: 0 .8rem .6rem; min-width: 0;
}
.card[hidden] { display: none; }
.card img {
  display: block; width: calc(100% + 1.6rem); margin: 0 -.8rem; height: 7.5rem; background: #000;
}
.card h3 { font-size: 1rem; font-weight: 600; margin: .6rem 0 .4rem; overflow-wrap: anywhere; }
.card h3 span { font-weight: 400; color: var(--soft); font-size: .85rem; }
.card h3 em { font-style: normal; color: var(--accent); }
.scores {
  list-style: none; padding: 0; margin: 0 0 .6rem; font-size: .85rem;
  font-variant-numeric: tabular-nums;
}
.scores li {
  --bar: color-mix(in srgb, var(--accent) 25%, transparent);
  display: flex; justify-content: space-between; gap: .5rem; padding: .05rem .35rem;
  background: linear-gradient(to right, var(--bar) var(--share), transparent 0);
}
.scores li + li { margin-top: 2px; }
.scores span { overflow-wrap: anywhere; }
.scores .said { font-weight: 600; }
audio { display: block; width: 100%; height: 2.4rem; }
.file { overflow-wrap: anywhere; margin: .5rem 0 0; line-height: 1.3; }
@media (max-width: 32rem) {
  main, header, footer { padding-left: 1rem; padding-right: 1rem; }
  table { font-size: .9rem; }
  th, td { padding: .25rem .4rem; }
  dl { gap: .6rem 1rem; }
}
footer { margin-top: 3rem; padding-bottom: 2rem; }
"""

SCRIPT = """
const by = id => document.getElementById(id);
const cards = [...document.querySelectorAll(".card")];
function filter() {
  let shown = 0;
  for (const card of cards) {
    const fits = key => !by(key).value || card.dataset[key] === by(key).value;
    card.hidden = !(fits("said") && fits("heard"));
    shown += !card.hidden;
  }
  by("shown").textContent = `${shown} of ${cards.length} shown`;
}
for (const key of ["said", "heard"]) by(key)?.addEventListener("change", filter);
for (const cell of document.querySelectorAll(".confusion a")) {
  cell.addEventListener("click", () => {
    for (const key of ["said", "heard"]) by(key).value = cell.dataset[key];
    filter();
  });
}
by("class")?.addEventListener("change", () => {
  for (const line of document.querySelectorAll("[data-class]")) {
    const chosen = line.dataset.class === by("class").value;
    line.classList.toggle("strong", chosen);
    if (chosen) line.parentNode.parentNode.append(line.parentNode);
  }
});
document.addEventListener("play", event => {
  for (const player of document.querySelectorAll("audio")) {
    if (player !== event.target) player.pause();
  }
}, true);
"""
