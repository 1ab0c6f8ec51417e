// Which charts there are and what they show of the samples: counters as changes a second, levels as
// they were, in as many points as a chart has room for.

import { Chart } from "./chart.js";
import { byId, html, setText } from "./dom.js";
import * as format from "./format.js";
import { browser } from "./memory.js";
import { on, state } from "./state.js";
import { OTHER, ranked } from "./types.js";

const WINDOWS = [[60, "1 min"], [300, "5 min"], [900, "15 min"]];
const PIXELS_A_POINT = 3;
const STEPS = [1, 2, 3, 5, 6, 10, 15];
const YOUNG_MS = 30_000;
// Changes are over this many samples at least: sources give out in bursts, and a burst is no rate.
const CALM = 3;

const hidden = new Set();
let back = WINDOWS.some(([seconds]) => seconds === Number(browser.get("window"))) ? Number(browser.get("window")) : 300;
let pointed = null;

const common = { point: (time) => { pointed = time; show(); } };
const perSecond = { value: (value) => `${format.rate(value)}/s`, tick: format.short };
const number = { value: format.count, tick: format.short };

const charts = [
  {
    wide: "lead", chart: new Chart({ title: "Throughput by event type", unit: "events/s", stacked: true, least: 1, ...perSecond, ...common, toggle }),
    series: byType,
  },
  {
    chart: new Chart({ title: "Generated and delivered", unit: "events/s", least: 1, ...perSecond, ...common }),
    series: (points) => [
      { name: "generated", colour: "--series-1", values: changes(points, (one) => one.events) },
      { name: "delivered, all sinks", colour: "--series-2", dash: true, values: changes(points, (one) => one.delivered) },
    ],
  },
  {
    chart: new Chart({ title: "Latency", unit: "emission to delivered", least: 0.001, value: format.seconds, tick: format.seconds, ...common }),
    series: (points) => [
      { name: "p99", colour: "--series-4", values: levels(points, (one) => one.p99) },
      { name: "p50", colour: "--series-3", area: true, values: levels(points, (one) => one.p50) },
    ],
  },
  {
    wide: "third", chart: new Chart({ title: "Errors", unit: "a second", least: 1, ...perSecond, ...common }),
    series: (points) => [
      { name: "failed events", colour: "--bad", area: true, values: changes(points, (one) => one.failed) },
      { name: "failed attempts to deliver", colour: "--series-2", dash: true, values: changes(points, (one) => one.attempts_failed) },
    ],
  },
  {
    wide: "third", chart: new Chart({ title: "In buffers", unit: "events", least: 10, ...number, ...common }),
    series: (points) => [{ name: "waiting for delivery", colour: "--series-5", area: true, values: levels(points, (one) => one.buffer) }],
  },
  {
    wide: "third", chart: new Chart({ title: "Dead letters", unit: "events in this run", least: 4, ...number, ...common }),
    series: (points) => [{ name: "dead letters", colour: "--series-7", area: true, values: levels(points, (one) => one.dead_letters) }],
  },
];

/** Puts the charts on the page and keeps them up to date. */
export function start() {
  byId("charts").append(...charts.map(({ chart, wide }) => {
    if (wide) chart.element.classList.add(`is-${wide}`);
    return chart.element;
  }));
  byId("window").append(...WINDOWS.map(([seconds, text]) => html("label", {},
    html("input", { type: "radio", name: "window", value: seconds, checked: seconds === back, onchange: () => look(seconds) }), html("span", {}, text))));
  on("samples", show);
  document.addEventListener("theme", show);
}

function look(seconds) {
  back = seconds;
  browser.set("window", seconds);
  show();
}

function toggle(name) {
  if (!hidden.delete(name)) hidden.add(name);
  show();
}

function show() {
  const { samples } = state;
  if (document.hidden || samples.length < 2) return;
  const to = samples.at(-1).t;
  // A run that has just begun fills its charts, instead of drawing a line at their edge.
  const from = Math.max(to - back * 1000, Math.min(samples[0].t, to - YOUNG_MS));
  if (pointed !== null && pointed < from) pointed = null;
  for (const { chart, series } of charts) {
    const step = STEPS.find((one) => (to - from) / 1000 / one <= chart.width / PIXELS_A_POINT) ?? STEPS.at(-1);
    const points = gather(samples, from, step * 1000);
    chart.show({ times: points.map((point) => point.last.t), from, to, series: series(points) }, pointed);
  }
  setText(byId("charts-time"), pointed === null ? "" : `at ${format.wallTime(pointed)}`);
}

/** The samples of each step since `from`, with one some seconds before the last of them. */
function gather(samples, from, step) {
  const points = [];
  samples.forEach((sample, i) => {
    if (i === 0 || sample.t < from) return;
    const number = Math.floor(sample.t / step);
    if (points.at(-1)?.number !== number) points.push({ number, first: i, all: [] });
    const point = points.at(-1);
    point.all.push(sample);
    point.last = sample;
    point.before = samples[Math.max(0, Math.min(point.first - 1, i - CALM))];
  });
  return points;
}

/** A counter as its change a second in each step. */
const changes = (points, read) => points.map(({ before, last }) => Math.max(0, ((read(last) - read(before)) * 1000) / Math.max(1, last.t - before.t)));

/** A level: the highest in each step, so that no peak is lost. */
const levels = (points, read) => points.map(({ all }) => {
  const values = all.map(read).filter((value) => value !== null && value !== undefined);
  return values.length ? Math.max(...values) : NaN;
});

function byType(points) {
  const types = ranked();
  const series = types.flatMap((type, slot) => (type === null ? [] : [{
    name: type, colour: `--series-${slot + 1}`, hidden: hidden.has(type), values: changes(points, (one) => one.types[type] ?? 0),
  }]));
  const named = new Set(types);
  const rest = (one) => Object.entries(one.types).reduce((sum, [type, count]) => (named.has(type) ? sum : sum + count), 0);
  const last = points.at(-1)?.last;
  if (last && rest(last) > 0) series.push({ name: OTHER, colour: "--series-other", hidden: hidden.has(OTHER), values: changes(points, rest) });
  return series;
}
