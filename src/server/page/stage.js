// Beside the graph: all stages as a list, or the figures and latest events of the one that is
// selected.

import { get } from "./api.js";
import { byId, html, regularly, setText } from "./dom.js";
import { openEvent } from "./drawer.js";
import { filterBy } from "./events.js";
import * as format from "./format.js";
import { liveStages, on, set, state } from "./state.js";

const panel = byId("stage");
let rows = new Map();
let shown = null;

/** Shows the stages beside the graph. */
export function start() {
  on("graph selected", build);
  on("live", update);
  const look = regularly(2000, read);
  on("selected", look);
}

function build() {
  const stage = state.graph.stages.find((one) => one.stage === state.selected);
  shown = null;
  if (stage) buildOne(stage);
  else buildAll();
  update();
}

function buildAll() {
  rows = new Map(state.graph.stages.map(({ stage, kind }) => {
    const name = html("button", { type: "button", class: "link", onclick: () => set({ selected: stage }) }, stage);
    const cells = { rate: html("td", { class: "figure" }), inside: html("td", { class: "figure" }), word: html("td") };
    const row = html("tr", {}, html("th", { scope: "row", class: `kind kind-${kind}`, title: stage }, name), cells.rate, cells.inside, cells.word);
    return [stage, { ...cells, row }];
  }));
  const head = ["Stage", "Events/s", "Inside", "State"].map((text, i) => html("th", { scope: "col", class: i === 1 || i === 2 ? "figure" : null }, text));
  panel.replaceChildren(html("table", { class: "stage-list" }, html("thead", {}, html("tr", {}, ...head)), html("tbody", {}, ...[...rows.values()].map((one) => one.row))));
}

function update() {
  const live = liveStages();
  if (shown) {
    const one = live.get(shown.name);
    if (one) showWord(shown.word, one);
    return;
  }
  for (const [name, row] of rows) {
    const one = live.get(name);
    if (!one) continue;
    setText(row.rate, format.rate(one.rate));
    setText(row.inside, format.short(one.backlog));
    showWord(row.word, one);
  }
}

function showWord(element, one) {
  element.className = `word ${one.healthy ? "is-well" : "is-unwell"}`;
  const waits = one.connection && one.connection !== "connected";
  setText(element, one.healthy ? (waits ? one.connection : "healthy") : (one.reason ?? "unwell"));
}

function buildOne({ stage, kind, component, inputs, when }) {
  shown = { name: stage, word: html("p", { class: "word" }), figures: html("dl", { class: "figures" }), events: html("ul", { class: "samples" }) };
  const from = inputs.length ? ` · from ${inputs.join(", ")}` : "";
  panel.replaceChildren(
    html("div", { class: "stage-head" },
      html("h3", {}, stage),
      html("button", { type: "button", class: "quiet", "aria-label": "Back to all stages", onclick: () => set({ selected: null }) }, "✕")),
    html("p", { class: `kind kind-${kind}` }, `${kind} · ${component}${from}${when ? " · only some events" : ""}`),
    shown.word, shown.figures,
    html("div", { class: "stage-head" },
      html("h4", {}, "Latest events"),
      html("button", { type: "button", class: "link", onclick: () => filterBy({ stage }) }, "in the table")),
    shown.events,
  );
}

async function read() {
  const looked = shown;
  if (!looked || state.connection !== "open") return;
  const [stats, recent] = await Promise.all([get("/stats"), get("/recent", { stage: looked.name, limit: 6 })]);
  if (looked !== shown) return;
  const one = stats.stages.find((stage) => stage.stage === looked.name);
  if (one) looked.figures.replaceChildren(...figuresOf(one).map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))));
  if (looked.events.matches(":hover, :focus-within")) return;
  const items = recent.events.map(({ event }) => html("li", {},
    html("button", { type: "button", class: "sample", onclick: () => openEvent(event.trace_id) },
      html("b", {}, event.event_type), " ", html("span", {}, format.summary(event.payload)))));
  looked.events.replaceChildren(...(items.length ? items : [html("li", { class: "empty" }, "none seen lately")]));
}

/** What there is to tell of a stage; what is zero and says nothing is left out. */
function figuresOf(one) {
  const figures = [];
  const add = (name, value, isTold = true) => isTold && figures.push([name, value]);
  const sum = (by) => Object.values(by ?? {}).reduce((all, value) => all + value, 0);
  add("events a second", format.rate(one.rate));
  add("received", format.count(one.received), one.kind !== "source");
  add(one.kind === "source" ? "generated" : "derived", format.count(one.derived), one.derived > 0);
  add("recovered", format.count(one.recovered), one.recovered > 0);
  add(one.kind === "sink" ? "delivered" : "sent on", format.count(one.sent));
  add("filtered", format.count(one.filtered), one.filtered > 0);
  add("kept in state", format.count(one.absorbed), one.absorbed > 0);
  add("inside", format.count(one.backlog));
  add("late", format.count(one.late), one.late > 0);
  add("dead letters", format.count(sum(one.dead_lettered)), sum(one.dead_lettered) > 0);
  add("dropped", format.count(sum(one.dropped)), sum(one.dropped) > 0);
  if (one.latency) {
    add("latency p50", format.seconds(one.latency.p50_seconds));
    add("latency p95", format.seconds(one.latency.p95_seconds));
    add("latency p99", format.seconds(one.latency.p99_seconds));
  }
  const delivery = one.delivery;
  if (delivery) {
    add("connection", one.connection, Boolean(one.connection));
    add("circuit breaker", delivery.circuit_breaker.replace("_", " "));
    add("breaker opened", `${format.count(delivery.circuit_breaker_trips)} times`, delivery.circuit_breaker_trips > 0);
    add("buffer", `${format.count(delivery.buffer_size)} of ${format.short(delivery.buffer_max_events)}`);
    add("buffer memory", `${format.bytes(delivery.buffer_bytes)} of ${format.bytes(delivery.buffer_max_bytes)}`);
    add("bytes sent", format.bytes(delivery.bytes_sent), delivery.bytes_sent > 0);
    add("failed attempts", format.count(delivery.attempts_failed), delivery.attempts_failed > 0);
    add("sent again", format.count(delivery.retried_events), delivery.retried_events > 0);
  }
  if (one.rule) {
    add("rule calls", format.count(one.rule.calls));
    add("failed calls", format.count(one.rule.errors), one.rule.errors > 0);
    add("keys held", format.count(one.rule.keys), one.rule.keys > 0);
  }
  for (const [name, metric] of Object.entries(one.metrics ?? {})) {
    const value = metric.kind === "histogram" ? metric.sum / metric.count : metric.value;
    add(name, `${format.short(value)} ${metric.unit}`.trim());
  }
  return figures;
}
