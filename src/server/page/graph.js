// The flow as a picture: a shape for each stage, rates on the edges, what waits inside, red where a
// stage is unwell. Stages are drawn once; a message changes texts and lengths.

import { byId, colour, html, setAttribute, setText, svg } from "./dom.js";
import * as format from "./format.js";
import { layout } from "./layout.js";
import { Motion } from "./motion.js";
import { liveStages, on, set, state } from "./state.js";

const WIDTH = 190;
const HEIGHT = 80;
const PADDING = 22;
const NAME = 16;
const SMALL = 13;
// Below this a node cannot be read on a projector: rather scroll.
const SCALE_MIN = 0.62;
const SCALE_MAX = 1.45;
// Where a graph would be smaller than this beside the list of stages, it stands alone.
const SCALE_GOOD = 1.05;
const HEIGHT_MIN = 260;
const HEIGHT_SELECTED = 440;
const KINDS = ["source", "enricher", "correlator", "batcher", "sink"];
// The outline of each kind: told apart without colour, too.
const OUTLINES = {
  source: `M${HEIGHT / 2} 0H${WIDTH - 10}q10 0 10 10V${HEIGHT - 10}q0 10 -10 10H${HEIGHT / 2}A${HEIGHT / 2} ${HEIGHT / 2} 0 0 1 ${HEIGHT / 2} 0Z`,
  enricher: `M12 0H${WIDTH - 12}q12 0 12 12V${HEIGHT - 12}q0 12 -12 12H12q-12 0 -12 -12V12Q0 0 12 0Z`,
  correlator: `M20 0H${WIDTH - 20}L${WIDTH} ${HEIGHT / 2}L${WIDTH - 20} ${HEIGHT}H20L0 ${HEIGHT / 2}Z`,
  batcher: `M0 0H${WIDTH}V${HEIGHT}H0ZM6 0V-5H${WIDTH + 5}V${HEIGHT - 6}H${WIDTH}`,
  sink: `M10 0H${WIDTH - HEIGHT / 2}A${HEIGHT / 2} ${HEIGHT / 2} 0 0 1 ${WIDTH - HEIGHT / 2} ${HEIGHT}H10q-10 0 -10 -10V10Q0 0 10 0Z`,
};
const INDENT = { source: 30, enricher: 16, correlator: 25, batcher: 15, sink: 15 };

const box = byId("graph");
const frame = box.parentElement;
const motion = new Motion();
let drawn = null;
let zoom = null;

/** Draws what the server told of the stages, and keeps it up to date. */
export function start() {
  byId("kinds").append(...KINDS.map((kind) => html("li", { class: `kind kind-${kind}` }, kind)));
  byId("zoom-fit").addEventListener("click", () => resize(whole()));
  byId("zoom-in").addEventListener("click", () => resize((zoom ?? fitting()) * 1.2));
  byId("zoom-out").addEventListener("click", () => resize((zoom ?? fitting()) / 1.2));
  new ResizeObserver(() => (isAcross() === drawn?.across ? fit() : draw())).observe(frame);
  new ResizeObserver(() => resize(zoom)).observe(box);
  document.addEventListener("theme", () => (motion.colour = colour("--accent")));
  on("graph", draw);
  on("live connection", update);
  on("selected", mark);
}

/** Whether the flow goes from left to right; on a narrow screen it goes down. */
const isAcross = () => frame.clientWidth >= 600;

function draw() {
  const across = isAcross();
  const size = across
    ? { along: WIDTH, across: HEIGHT, gap: 88, lane: 26 }
    : { along: HEIGHT, across: WIDTH, gap: 62, lane: 24 };
  const { stages } = state.graph;
  const plan = layout(stages, size);
  const at = (point) => (across ? [point.along, point.across] : [point.across, point.along]);
  const [width, height] = across ? [plan.along, plan.across] : [plan.across, plan.along];
  const view = [-PADDING, -PADDING, width + 2 * PADDING, height + 2 * PADDING];
  const root = svg("svg", { viewBox: view.join(" "), role: "group", "aria-label": "Stages in the order of the flow" });
  const edges = plan.edges.map((edge) => drawEdge(edge, across, size.along, at));
  const rates = [...new Set(plan.edges.map((edge) => edge.from))].map((name) => drawRate(plan, name, across, at));
  const nodes = new Map(plan.nodes.map((node, i) => [node.stage.stage, drawNode(node, i, across, at)]));
  root.append(...edges.map((edge) => edge.element), ...[...nodes.values()].map((node) => node.element), ...rates.map((rate) => rate.element));
  drawn = { across, root, edges, rates, nodes, width: view[2], height: view[3] };
  box.replaceChildren(html("div", { class: "picture" }, motion.canvas, root));
  motion.colour = colour("--accent");
  motion.lay(edges, view);
  nodes.values().next().value?.element.setAttribute("tabindex", "0");
  update();
  mark();
}

/** Gives the graph its height, and the room of the list beside it where it needs that. */
function fit() {
  if (!drawn) return;
  const selects = state.selected !== null;
  const least = selects ? HEIGHT_SELECTED : HEIGHT_MIN;
  const most = Math.max(least, window.innerHeight * 0.56);
  const alone = Math.min(SCALE_MAX, Math.max(SCALE_MIN, frame.clientWidth / drawn.width));
  const height = Math.min(Math.max(least, drawn.height * alone), most);
  const beside = (frame.clientWidth - (byId("stage").offsetWidth || frame.clientWidth / 4)) / drawn.width;
  const isSqueezed = beside < SCALE_GOOD && beside < Math.min(alone, most / drawn.height);
  frame.classList.toggle("is-alone", drawn.across && isSqueezed && !selects);
  frame.style.setProperty("--graph-height", drawn.across ? `${Math.round(height)}px` : "auto");
  resize(zoom);
}

function drawEdge(edge, across, along, at) {
  const points = edge.points.map((point, i, all) => {
    const side = i === 0 ? 1 : i === all.length - 1 ? -1 : 0;
    return { along: point.along + (side * along) / 2, across: point.across };
  });
  let path = `M${at(points[0])}`;
  points.slice(1).forEach((point, i) => {
    const before = points[i];
    const middle = (before.along + point.along) / 2;
    path += `C${at({ along: middle, across: before.across })} ${at({ along: middle, across: point.across })} ${at(point)}`;
  });
  const element = svg("path", { d: path, class: "edge-line" });
  return { ...edge, path: element, rate: 0, element };
}

/** The rate of what leaves a stage stands once, where its edges begin. */
function drawRate(plan, name, across, at) {
  const node = plan.nodes.find((one) => one.stage.stage === name);
  const [x, y] = at(node);
  const text = across
    ? svg("text", { class: "edge-rate", x: x + WIDTH / 2 + 10, y: y - 8 })
    : svg("text", { class: "edge-rate", x: x + 8, y: y + HEIGHT / 2 + 18 });
  return { name, element: text };
}

function drawNode(node, number, across, at) {
  const { stage, kind, component, when } = node.stage;
  const [x, y] = at(node);
  const left = INDENT[kind] ?? 18;
  const clip = `node-clip-${number}`;
  const name = svg("text", { class: "node-name", x: left, y: 27 }, cut(stage, WIDTH - left - (kind === "sink" ? 34 : 20), NAME, { tail: 5 }));
  const type = cut(`${kind} · ${component}`, WIDTH - left - 10, SMALL, { weight: 400 });
  const note = svg("text", { class: "node-note", x: left, y: 65 });
  const level = svg("rect", { class: "node-level", y: HEIGHT - 6, height: 6, width: 0 });
  const title = svg("title", {}, stage);
  const element = svg("g", {
    class: `node kind-${kind}`, transform: `translate(${x - WIDTH / 2} ${y - HEIGHT / 2})`, role: "button", tabindex: "-1", "data-stage": stage,
    onclick: () => set({ selected: state.selected === stage ? null : stage }), onkeydown: steer,
  },
    title,
    svg("clipPath", { id: clip }, svg("path", { d: OUTLINES[kind].split("ZM")[0] })),
    svg("path", { class: "node-shape", d: OUTLINES[kind] }),
    svg("g", { "clip-path": `url(#${clip})` }, level),
    name,
    svg("text", { class: "node-type", x: left, y: 46 }, type),
    note,
    svg("g", { class: "node-alarm", transform: `translate(${WIDTH - (kind === "source" ? 16 : 30)} 20)` },
      svg("circle", { r: 9 }), svg("path", { d: "M0 -4.5V1.2M0 4.2V4.4" })),
  );
  // A stage that takes only some of the events has a small gate where they come in.
  if (when) element.append(svg("path", { class: "node-gate", d: across ? `M-7 ${HEIGHT / 2}l7 -7l7 7l-7 7Z` : `M${WIDTH / 2 - 7} 0l7 -7l7 7l-7 7Z` }));
  return { ...node.stage, element, note, level, title, noteRoom: WIDTH - left - 12 };
}

const measure = document.createElement("canvas").getContext("2d");

/** A text that is cut to its room; of a name the end stays, since names often differ only there. */
function cut(text, room, size, { weight = 600, tail = 0 } = {}) {
  measure.font = `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;
  if (measure.measureText(text).width <= room) return text;
  const end = tail ? text.slice(-tail) : "";
  let length = text.length - tail - 1;
  while (length > 1 && measure.measureText(`${text.slice(0, length)}…${end}`).width > room) length--;
  return `${text.slice(0, length)}…${end}`;
}

/** Takes the figures of a message over. */
function update() {
  if (!drawn) return;
  const live = liveStages();
  for (const { name, element } of drawn.rates) {
    const one = live.get(name);
    setText(element, one ? `${format.short(one.rate)}/s` : "");
  }
  for (const edge of drawn.edges) edge.rate = state.connection === "open" ? (live.get(edge.from)?.rate ?? 0) : 0;
  for (const node of drawn.nodes.values()) {
    const one = live.get(node.stage);
    if (one) show(node, one);
  }
}

function show(node, one) {
  const { element, note, level, title } = node;
  const fill = one.buffer ? one.buffer[0] / Math.max(1, one.buffer[1]) : Math.log10(1 + one.backlog) / 5;
  const parts = [];
  if (one.connection && one.connection !== "connected") parts.push(one.connection);
  if (one.circuit_breaker && one.circuit_breaker !== "closed") parts.push(`breaker ${one.circuit_breaker.replace("_", " ")}`);
  if (node.kind === "sink" && !parts.length) parts.push(`${format.short(one.rate)}/s`);
  if (one.buffer) parts.push(`buffer ${format.percent(Math.round(fill * 100) / 100)}`);
  else if (one.backlog > 0) parts.push(`${format.short(one.backlog)} inside`);
  if (one.failed > 0 && !one.buffer) parts.push(`${format.short(one.failed)} failed`);
  // A breaker that is not closed says it shorter than its reason, which the panel and the head tell.
  const isBroken = Boolean(one.circuit_breaker) && one.circuit_breaker !== "closed";
  const text = one.healthy || isBroken ? parts.join(" · ") : (one.reason ?? "unwell");
  if (note.dataset.text !== text) {
    note.dataset.text = text;
    setText(note, cut(text, node.noteRoom, SMALL));
  }
  setAttribute(level, "width", (WIDTH * Math.min(1, Math.max(0, fill))).toFixed(1));
  level.classList.toggle("is-high", Boolean(one.buffer) && fill >= 0.7);
  element.classList.toggle("is-unwell", !one.healthy);
  element.classList.toggle("is-waiting", one.connection === "connecting");
  const label = `${node.stage}, ${node.kind} ${node.component}${node.when ? ", only some events" : ""}, ${one.healthy ? "healthy" : `unwell: ${one.reason ?? "no reason told"}`}, ${[`${format.rate(one.rate)} events a second`, ...parts].join(", ")}`;
  setAttribute(element, "aria-label", label);
  setText(title, label);
}

function mark() {
  for (const [name, node] of drawn?.nodes ?? []) {
    setAttribute(node.element, "aria-pressed", name === state.selected);
    node.element.classList.toggle("is-selected", name === state.selected);
  }
  fit();
}

/** Enter selects; arrows go through the stages in their order. */
function steer(event) {
  const nodes = [...drawn.nodes.values()].map((node) => node.element);
  const here = nodes.indexOf(event.currentTarget);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step) {
    const next = nodes[(here + step + nodes.length) % nodes.length];
    nodes[here].setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  } else if (event.key === "Enter" || event.key === " ") {
    event.currentTarget.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  } else {
    return;
  }
  event.preventDefault();
}

/** The scale at which all of it is seen. */
const whole = () => Math.min(SCALE_MAX, (box.clientWidth - 2) / drawn.width, drawn.across ? (box.clientHeight - 2) / drawn.height : Infinity);

/** The same, but never so small that nothing can be read. */
const fitting = () => Math.max(SCALE_MIN, whole());

/** Draws at this scale; with null at the one that fits. */
function resize(scale) {
  if (!drawn || !state.graph.stages.length) return;
  zoom = scale === null ? null : Math.min(2.5, Math.max(0.3, scale));
  const now = zoom ?? fitting();
  const [width, height] = [Math.round(drawn.width * now), Math.round(drawn.height * now)];
  setAttribute(drawn.root, "width", width);
  setAttribute(drawn.root, "height", height);
  motion.resize(width, height);
}
