// Keeps parts of a page fresh and draws the plots. Without it every page still works.
"use strict";

const away = document.getElementById("away");
let awaySince = null;

// reached notes whether the process answers, and says so on the page when it does not.
function reached(ok) {
  if (ok) {
    awaySince = null;
    away.hidden = true;
    return;
  }
  awaySince ??= new Date();
  away.textContent = `This process has not answered since ${awaySince.toLocaleTimeString()}. What you see is from before; trying again.`;
  away.hidden = false;
}

// ask fetches something of ours; who is not logged in any more goes to the form, and
// nothing of that is shown here.
async function ask(url, headers, seconds = 8) {
  const answer = await fetch(url, { headers, signal: AbortSignal.timeout(seconds * 1000) });
  if (answer.redirected) {
    location.reload();
    await new Promise(() => {});
  }
  if (!answer.ok) throw new Error(answer.statusText);
  return answer;
}

// again calls work now and then, never twice at once, and not while nobody looks.
function again(seconds, work) {
  const turn = async () => {
    if (!document.hidden) {
      try {
        await work();
        reached(true);
      } catch {
        reached(false);
      }
    }
    setTimeout(turn, seconds * 1000);
  };
  turn();
}

for (const part of document.querySelectorAll("[data-fresh]")) {
  let first = true;
  again(Number(part.dataset.every), async () => {
    if (first) {
      first = false; // it has just been loaded
      return;
    }
    const text = await (await ask(part.dataset.fresh, { "X-Part": "1" })).text();
    if (!part.contains(document.activeElement)) part.innerHTML = text;
  });
}

// Where the menu is a row, its entry of this page is in sight.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// A table that is wider than its place can be moved by the keyboard, too.
const wide = new ResizeObserver((boxes) => {
  for (const { target: box } of boxes) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
});
for (const box of document.querySelectorAll(".wide")) wide.observe(box);

// What takes its time is asked for when the page is there.
for (const part of document.querySelectorAll("[data-load]")) {
  part.ariaBusy = "true";
  ask(part.dataset.load, { "X-Part": "1" }, 60)
    .then((answer) => answer.text())
    .then((text) => { part.innerHTML = text; })
    .catch(() => { part.querySelector(".loading").textContent = "It could not be looked at. Is this process still there? Load the page again."; })
    .finally(() => { part.ariaBusy = null; });
}

// A form that is under way is not sent twice.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (e) => {
    const button = form.querySelector("button");
    if (button.ariaBusy) e.preventDefault();
    button.ariaBusy = "true";
  });
}
addEventListener("pageshow", () => { // also when somebody comes back to it
  for (const b of document.querySelectorAll("button[aria-busy]")) b.ariaBusy = null;
});

const span = 15 * 60, shortest = 2 * 60;
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const figure = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const show = (v) => (v == null ? "–" : v >= 100 ? Math.round(v).toLocaleString("en") : figure.format(v));

// lonely are the places of values that no line leads to.
const lonely = (values) => values.flatMap((v, i) => (v != null && values[i - 1] == null && values[i + 1] == null ? [i] : []));

// Plots are all figures of a page, and what they show.
class Plots {
  at = []; // seconds
  lines = {};
  drawn = [];

  constructor(root) {
    this.root = root;
    for (const box of root.querySelectorAll(".plot")) {
      const rows = [...box.querySelectorAll("[data-line]")];
      const canvas = box.querySelector(".canvas");
      if (canvas) this.drawn.push({ rows, canvas, names: rows.map((r) => r.dataset.line) });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.build());
    new ResizeObserver(() => this.resize()).observe(root);
  }

  async load() {
    const last = this.at.at(-1);
    const url = this.root.dataset.live + (last ? `?after=${Math.round(last * 1000)}` : "");
    const got = await (await ask(url)).json();
    this.at.push(...got.at.map((ms) => ms / 1000));
    for (const [name, values] of Object.entries(got.lines)) (this.lines[name] ??= []).push(...values);
    const old = this.at.findIndex((t) => t > this.at.at(-1) - span);
    if (old > 0) {
      this.at.splice(0, old);
      for (const values of Object.values(this.lines)) values.splice(0, old);
    }
    if (!this.at.length) return;
    if (!this.drawn[0]?.plot) this.build();
    this.draw();
  }

  build() {
    if (!this.at.length) return;
    const css = getComputedStyle(document.documentElement);
    const color = (name) => css.getPropertyValue(name).trim();
    const axis = { stroke: color("--dim"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    for (const d of this.drawn) {
      d.plot?.destroy();
      d.canvas.replaceChildren();
      d.plot = new uPlot({
        width: d.canvas.clientWidth, height: d.canvas.clientHeight,
        cursor: { show: false }, legend: { show: false },
        scales: { x: { range: (_, min, max) => [max - Math.min(span, Math.max(shortest, max - min)), max] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [{ ...axis, size: 24, space: 80, values: (_, all) => all.map((t) => clock.format(t * 1000)) }, { ...axis, size: 52, values: (_, all) => all.map(show) }],
        series: [{}, ...d.names.map((_, i) => ({
          stroke: color(`--plot-${i}`), width: 1.5, dash: i ? [5, 3] : [], points: { show: true, size: 4, width: 0, fill: color(`--plot-${i}`), filter: (u, s) => lonely(u.data[s]) },
        }))],
      }, this.data(d), d.canvas);
    }
  }

  data(d) {
    return [this.at, ...d.names.map((n) => this.lines[n])];
  }

  draw() {
    for (const d of this.drawn) {
      d.plot.setData(this.data(d));
      d.rows.forEach((row, i) => { row.querySelector("dd").textContent = show(this.lines[d.names[i]].at(-1)); });
    }
  }

  resize() {
    for (const d of this.drawn) d.plot?.setSize({ width: d.canvas.clientWidth, height: d.canvas.clientHeight });
  }
}

const root = document.querySelector("[data-live]");
if (root) {
  const script = document.createElement("script");
  script.src = root.dataset.script;
  script.onload = () => {
    const plots = new Plots(root);
    again(2, () => plots.load());
  };
  document.head.append(script);
}
