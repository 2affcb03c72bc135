"""How the page of the review looks, and what its keys and buttons do: no library."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1c2024; --soft: #5c646d; --rule: #d9dde1; --card: #f6f7f8;
  --accent: #0b63a5; --on-accent: #fff; --wash: #e3eef7; --warn: #a0461c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --ink: #e6e9ec; --soft: #a2abb4; --rule: #343a40; --card: #1d2125;
    --accent: #6cb4ee; --on-accent: #10151a; --wash: #1c3244; --warn: #f0a27c;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
header, main, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.1rem; }
h1 { font-size: 1.15rem; margin: 0; font-weight: 600; }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: .3rem 1rem; }
.bar h1 { flex: 1; overflow-wrap: anywhere; }
.bar span { color: var(--soft); font-variant-numeric: tabular-nums; }
.bar button { min-height: 0; padding: .25rem .5rem; font-size: .9rem; }
progress {
  display: block; width: 100%; height: .4rem; margin: .5rem 0 1rem; border: 0; border-radius: 1rem;
  overflow: hidden; appearance: none; background: var(--rule); color: var(--accent);
}
progress::-webkit-progress-bar { background: var(--rule); }
progress::-webkit-progress-value { background: var(--accent); }
progress::-moz-progress-bar { background: var(--accent); }
.facts { display: flex; flex-wrap: wrap; gap: .3rem .9rem; margin: 0 0 .6rem; color: var(--soft); }
.facts b { color: var(--ink); font-weight: 600; }
.why {
  background: var(--wash); color: var(--accent); border-radius: 1rem; padding: 0 .7rem;
  font-weight: 600;
}
.sound { position: relative; background: #000004; border-radius: 8px 8px 0 0; overflow: hidden; }
.sound img { display: block; width: 100%; height: 16rem; cursor: pointer; }
.sound i {
  position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: #fff;
  opacity: .85; pointer-events: none;
}
.sound small {
  position: absolute; left: .5rem; color: #fff; opacity: .8; font-size: .75rem;
  text-shadow: 0 0 3px #000; pointer-events: none;
}
.sound .high { top: .3rem; }
.sound .low { bottom: .3rem; }
.player {
  display: flex; flex-wrap: wrap; align-items: center; gap: .4rem 1rem; background: var(--card);
  border: 1px solid var(--rule); border-top: 0; border-radius: 0 0 8px 8px; padding: .4rem .8rem;
}
audio { flex: 1 1 18rem; height: 2.4rem; }
.answer { display: grid; grid-template-columns: 1fr 17rem; gap: 1rem 1.75rem; margin-top: 1.1rem; }
h2 { font-size: .95rem; font-weight: 600; color: var(--soft); margin: 0 0 .5rem; }
.labels {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .5rem;
}
button {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--rule);
  border-radius: 8px; padding: .55rem .7rem; cursor: pointer; display: flex; align-items: center;
  gap: .6rem; text-align: left; overflow-wrap: anywhere; min-height: 2.9rem;
}
button:hover { border-color: var(--accent); }
button:disabled { opacity: .45; cursor: default; border-color: var(--rule); }
button.guess { border-color: var(--accent); background: var(--wash); font-weight: 600; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
kbd {
  flex: none; font: 600 .85rem ui-monospace, "DejaVu Sans Mono", monospace; min-width: 1.65rem;
  text-align: center; background: var(--paper); border: 1px solid var(--rule);
  border-bottom-width: 2px; border-radius: 5px; padding: .08rem .35rem; color: var(--ink);
}
.tools { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: .9rem; }
.scores { list-style: none; margin: 0; padding: 0; font-variant-numeric: tabular-nums; }
.scores li {
  display: flex; justify-content: space-between; gap: .5rem; padding: .2rem .5rem;
  margin-bottom: 2px; border-radius: 4px;
  background: linear-gradient(to right, var(--wash) var(--share), transparent 0);
}
.scores li:first-child { font-weight: 600; }
.scores span { overflow-wrap: anywhere; }
.none { color: var(--soft); }
.done { text-align: center; padding: 4rem 0 2rem; }
.done strong { font-size: 1.6rem; }
.error { color: var(--warn); min-height: 1.5em; margin: .6rem 0 0; }
footer { color: var(--soft); font-size: .9rem; padding-bottom: 2rem; margin-top: 1.2rem; }
footer p { display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; margin: 0; }
footer p > span { white-space: nowrap; }
label { white-space: nowrap; }
@media (max-width: 46rem) {
  header, main, footer { padding: 0 .9rem; }
  header { padding-top: .8rem; }
  .answer { grid-template-columns: 1fr; }
  .sound img { height: 11rem; }
}
"""

SCRIPT = """
const by = id => document.getElementById(id);
const player = by("player");
const all = selector => [...document.querySelectorAll(selector)];
let item = null, busy = false;
by("alone").checked = localStorage.getItem("alone") !== "no";
by("alone").addEventListener("change", () =>
  localStorage.setItem("alone", by("alone").checked ? "yes" : "no"));

function text(id, value) { by(id).textContent = value; by(id).parentNode.hidden = !value; }

function show(state) {
  const before = item && item.sha256;
  item = state.item;
  const {label, drop, open, skip, labels} = state.progress;
  const decided = label + drop;
  by("progress").max = Math.max(1, decided + open);
  by("progress").value = decided;
  by("counts").textContent = `${decided} of ${decided + open} decided` +
    (drop ? `, ${drop} of no use` : "") + (skip ? `, ${skip} skipped` : "");
  by("undo").disabled = !state.undo;
  by("done").hidden = Boolean(item);
  by("clip").hidden = !item;
  if (!item) {
    player.pause();
    by("sums").textContent =
      Object.entries(labels).map(([name, n]) => `${name} ${n}`).join(", ");
    by("empty").textContent = decided ? "Every clip is decided." : "The queue is empty.";
    return;
  }
  by("why").textContent = item.why;
  text("source", item.source);
  text("model", item.model);
  text("given", item.given);
  by("picture").src = item.picture;
  by("high").textContent = `${item.high_khz} kHz`;
  by("low").textContent = `50 Hz, ${item.seconds.toFixed(2)} s`;
  by("head").hidden = true;
  const scores = Object.entries(item.scores).sort((a, b) => b[1] - a[1]);
  const guess = scores.length ? scores[0][0] : "";
  by("scores").replaceChildren(...scores.slice(0, 6).map(([name, score]) => {
    const row = document.createElement("li"), left = document.createElement("span");
    const right = document.createElement("span");
    row.style.setProperty("--share", `${Math.round(100 * score)}%`);
    left.textContent = name; right.textContent = score.toFixed(3);
    row.append(left, right);
    return row;
  }));
  by("unheard").hidden = scores.length > 0;
  for (const button of all(".labels button")) {
    const chosen = button.dataset.label === guess;
    button.classList.toggle("guess", chosen);
    if (chosen) button.setAttribute("aria-description", "what the model heard");
    else button.removeAttribute("aria-description");
  }
  by("accept").disabled = !all(".labels button.guess").length;
  if (item.sha256 !== before) {
    player.src = item.sound;
    if (by("alone").checked) player.play().catch(() => {});
  }
}

async function ask(path, body) {
  if (busy) return;
  busy = true;
  try {
    const sent = body === undefined ? {} : {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
    };
    const answer = await fetch(path, sent), state = await answer.json();
    by("error").textContent = answer.ok ? "" : state.error;
    if (answer.ok) show(state);
  } catch {
    by("error").textContent = "The command behind this page has ended; start it again.";
  } finally {
    busy = false;
  }
}

const decide = (kind, label = "") => item && ask("/decide", {sha256: item.sha256, kind, label});
const play = () => {
  if (player.paused || player.ended) { player.currentTime = 0; player.play().catch(() => {}); }
  else player.pause();
};
const actions = {
  play, undo: () => ask("/undo", {}), skip: () => decide("skip"), drop: () => decide("drop"),
  accept: () => document.querySelector(".labels button.guess")?.click(),
};
for (const [id, action] of Object.entries(actions)) by(id)?.addEventListener("click", action);
for (const button of all(".labels button"))
  button.addEventListener("click", () => decide("label", button.dataset.label));
const keys = {
  " ": play, ArrowRight: actions.skip, ArrowLeft: actions.undo, Backspace: actions.undo,
  Delete: actions.drop, Enter: actions.accept,
};
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const there = event.target.closest?.("button, input, audio");
  if (there && ([" ", "Enter"].includes(event.key) || there === player)) return;
  const own = all(".labels button").find(button => button.dataset.key === event.key.toLowerCase());
  const action = own ? () => decide("label", own.dataset.label) : keys[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
document.addEventListener("click", event => {  // by mouse: the next Enter is not for this button
  if (event.detail) document.activeElement?.blur();
});
function follow() {
  const share = player.duration ? player.currentTime / player.duration : 0;
  by("head").hidden = !share;
  by("head").style.left = `${100 * share}%`;
  if (!player.paused) requestAnimationFrame(follow);
}
for (const name of ["play", "seeked", "pause", "ended"]) player.addEventListener(name, follow);
by("picture").addEventListener("click", event => {
  if (!player.duration) return;
  player.currentTime = player.duration * event.offsetX / by("picture").clientWidth;
  player.play().catch(() => {});
});
ask("/next");
"""
