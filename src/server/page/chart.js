// One chart over time on a canvas: lines or stacked areas, an axis with round numbers, a line where
// someone points at a time, and a legend that reads the values there. Pointer and keyboard alike.

import { colour, html, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";

const LEFT = 58;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 24;
const STEPS_MS = [5, 10, 15, 30, 60, 120, 180, 300].map((seconds) => seconds * 1000);

export class Chart {
  /**
   * `series` are `{ name, colour, line | area, dash }`, `value` formats a value, `tick` one of the
   * axis; `point` is called with the time that someone points at, or null; `toggle` with the name of
   * a series that is to be hidden or shown.
   */
  constructor({ title, unit, value, tick, stacked = false, least = 0, point, toggle = null }) {
    Object.assign(this, { title, value, tick, stacked, least, point, toggle });
    this.canvas = html("canvas", {
      class: "plot", tabindex: "0", role: "slider", "aria-label": `${title}, ${unit}: arrow keys go through the values`,
      "aria-valuemin": "0", "aria-valuemax": "0", "aria-valuenow": "0", "aria-valuetext": "the latest values",
      onpointermove: (event) => this.#pointAt(event), onpointerleave: () => point(null), onpointerdown: (event) => this.#pointAt(event),
      onkeydown: (event) => this.#steer(event), onblur: () => point(null),
    });
    this.legend = html("ul", { class: "legend" });
    this.entries = new Map();
    this.element = html("figure", { class: "card chart" },
      html("figcaption", {}, html("b", {}, title), html("span", { class: "unit" }, unit)), html("div", { class: "plot-box" }, this.canvas), this.legend);
    this.data = null;
    this.pointed = null;
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Shows `{ times, from, to, step, series: [{ name, colour, values, hidden, ... }] }`. */
  show(data, pointed) {
    this.data = data;
    this.pointed = pointed === null ? null : nearest(data.times, pointed);
    this.draw();
    this.#readOut();
  }

  get width() {
    return Math.max(40, (this.canvas.clientWidth || 400) - LEFT - RIGHT);
  }

  #pointAt(event) {
    if (!this.data) return;
    const share = (event.offsetX - LEFT) / this.width;
    this.point(this.data.from + Math.min(1, Math.max(0, share)) * (this.data.to - this.data.from));
  }

  #steer(event) {
    const times = this.data?.times ?? [];
    const last = times.length - 1;
    const here = this.pointed ?? last;
    const next = { ArrowLeft: here - 1, ArrowDown: here - 1, ArrowRight: here + 1, ArrowUp: here + 1, Home: 0, End: last, PageUp: here - 10, PageDown: here + 10 }[event.key];
    if (event.key === "Escape") this.point(null);
    if (next === undefined || last < 0) return;
    event.preventDefault();
    this.point(times[Math.min(last, Math.max(0, next))]);
    const told = this.data.series.filter((one) => !one.hidden).map((one) => `${one.name} ${this.value(one.values[this.pointed])}`);
    setAttribute(this.canvas, "aria-valuemax", last);
    setAttribute(this.canvas, "aria-valuenow", this.pointed);
    setAttribute(this.canvas, "aria-valuetext", `${format.wallTime(times[this.pointed])}: ${told.join(", ")}`);
  }

  /** Writes the values beside the names: those pointed at, else the latest. */
  #readOut() {
    const { series, times } = this.data;
    const at = this.pointed ?? times.length - 1;
    const key = series.map((one) => one.name).join("\n");
    if (this.legend.dataset.key !== key) {
      this.legend.dataset.key = key;
      this.entries = new Map(series.map((one) => [one.name, this.#entry(one)]));
      this.legend.replaceChildren(...[...this.entries.values()].map((entry) => entry.item));
    }
    for (const one of series) {
      const entry = this.entries.get(one.name);
      setText(entry.value, this.value(one.values[at]));
      entry.swatch.style.setProperty("--swatch", `var(${one.colour})`);
      if (this.toggle) setAttribute(entry.item.firstChild, "aria-pressed", !one.hidden);
    }
  }

  #entry({ name, dash }) {
    const swatch = html("i", { class: dash ? "swatch is-dashed" : "swatch", "aria-hidden": "true" });
    const value = html("span", { class: "legend-value" }, "–");
    const parts = [swatch, html("span", { class: "legend-name" }, name), value];
    const item = this.toggle
      ? html("li", {}, html("button", { type: "button", "aria-pressed": "true", title: `Hide or show ${name}`, onclick: () => this.toggle(name) }, ...parts))
      : html("li", {}, html("span", {}, ...parts));
    return { item, value, swatch };
  }

  /** Draws everything anew, in the size and the colours of now. */
  draw() {
    const { canvas, data } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!data || !width) return;
    const scale = window.devicePixelRatio || 1;
    const size = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== size[0]) canvas.width = size[0];
    if (canvas.height !== size[1]) canvas.height = size[1];
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const shown = data.series.filter((one) => !one.hidden);
    const tops = this.stacked ? stack(shown, data.times.length) : shown.map((one) => one.values);
    const ticks = round(Math.max(this.least, ...tops.flat().filter(Number.isFinite)), height < 150 ? 3 : 4);
    const plot = { width: this.width, height: height - TOP - BOTTOM };
    const x = (time) => LEFT + ((time - data.from) / (data.to - data.from)) * plot.width;
    const y = (value) => TOP + plot.height * (1 - value / ticks.at(-1));
    this.#axes(pen, ticks, x, y, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, 0, plot.width + 1, height);
    pen.clip();
    if (this.stacked) areas(pen, shown, tops, data.times.map(x), y);
    else shown.forEach((one) => line(pen, one, data.times.map(x), y));
    this.#pointer(pen, shown, tops, x, y, height);
    pen.restore();
  }

  #axes(pen, ticks, x, y, width, height) {
    const { from, to } = this.data;
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    pen.lineWidth = 1;
    pen.strokeStyle = colour("--grid");
    pen.fillStyle = colour("--muted");
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const tick of ticks) {
      const at = Math.round(y(tick)) + 0.5;
      pen.beginPath();
      pen.moveTo(LEFT, at);
      pen.lineTo(width - RIGHT, at);
      pen.stroke();
      pen.fillText(this.tick(tick), LEFT - 8, at);
    }
    const fitting = Math.max(2, Math.floor(this.width / 90));
    const step = STEPS_MS.find((one) => (to - from) / one <= fitting) ?? STEPS_MS.at(-1);
    const label = step < 60_000 ? format.wallTime : format.wallMinute;
    pen.textAlign = "center";
    pen.textBaseline = "bottom";
    for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
      const at = x(time);
      if (at > LEFT + 14 && at < width - RIGHT - 14) pen.fillText(label(time), at, height - 4);
    }
  }

  #pointer(pen, shown, tops, x, y, height) {
    if (this.pointed === null) return;
    const at = Math.round(x(this.data.times[this.pointed])) + 0.5;
    pen.strokeStyle = colour("--text");
    pen.lineWidth = 1;
    pen.globalAlpha = 0.5;
    pen.beginPath();
    pen.moveTo(at, TOP);
    pen.lineTo(at, height - BOTTOM);
    pen.stroke();
    pen.globalAlpha = 1;
    if (this.stacked) return;
    shown.forEach((one, i) => {
      const value = tops[i][this.pointed];
      if (!Number.isFinite(value)) return;
      pen.fillStyle = colour(one.colour);
      pen.beginPath();
      pen.arc(at, y(value), 4, 0, 2 * Math.PI);
      pen.fill();
    });
  }
}

/** Which of the times, in rising order, is nearest. */
function nearest(times, time) {
  if (!times.length) return null;
  const after = times.findIndex((one) => one >= time);
  if (after <= 0) return after === 0 ? 0 : times.length - 1;
  return time - times[after - 1] < times[after] - time ? after - 1 : after;
}

/** The upper edge of each series when they stand on each other. */
function stack(series, length) {
  const sums = new Array(length).fill(0);
  return series.map((one) => one.values.map((value, i) => (sums[i] += Number.isFinite(value) ? value : 0)));
}

/** Round numbers from 0 to beyond `most`, about `parts` apart. */
function round(most, parts) {
  const rough = (most || 1) / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const number = Math.max(1, Math.ceil((most || 1) / step - 1e-9));
  return Array.from({ length: number + 1 }, (_, i) => i * step);
}

function areas(pen, series, tops, xs, y) {
  series.forEach((one, n) => {
    const under = n ? tops[n - 1] : null;
    pen.beginPath();
    xs.forEach((x, i) => pen.lineTo(x, y(tops[n][i])));
    for (let i = xs.length - 1; i >= 0; i--) pen.lineTo(xs[i], y(under ? under[i] : 0));
    pen.closePath();
    pen.fillStyle = colour(one.colour);
    pen.fill();
  });
  // A thin line in the card's colour parts neighbours, also for who cannot tell their colours.
  pen.strokeStyle = colour("--card");
  pen.lineWidth = 1;
  for (const top of tops) {
    pen.beginPath();
    xs.forEach((x, i) => pen.lineTo(x, y(top[i])));
    pen.stroke();
  }
}

function line(pen, { values, colour: name, area, dash }, xs, y) {
  const runs = [];
  values.forEach((value, i) => {
    if (!Number.isFinite(value)) return;
    if (i === 0 || !Number.isFinite(values[i - 1])) runs.push([]);
    runs.at(-1).push([xs[i], y(value)]);
  });
  pen.strokeStyle = colour(name);
  pen.fillStyle = colour(name);
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.setLineDash(dash ? [6, 4] : []);
  for (const run of runs) {
    pen.beginPath();
    run.forEach(([x, top]) => pen.lineTo(x, top));
    pen.stroke();
    if (!area) continue;
    pen.lineTo(run.at(-1)[0], y(0));
    pen.lineTo(run[0][0], y(0));
    pen.globalAlpha = 0.16;
    pen.fill();
    pen.globalAlpha = 1;
  }
  pen.setLineDash([]);
}
