// One event in full, at the side: where it was seen, its causes and effects as a tree in which one can
// go from event to event, and its JSON.

import { get, Refused } from "./api.js";
import { byId, html, setText } from "./dom.js";
import * as format from "./format.js";
import { coloured } from "./json.js";
import { colourOf } from "./types.js";

const drawer = byId("drawer");
const body = byId("drawer-body");
const back = byId("drawer-back");
let way = [];

/** Makes the drawer's own buttons work. */
export function start() {
  byId("drawer-close").addEventListener("click", () => drawer.close());
  back.addEventListener("click", () => {
    way.pop();
    show(way.at(-1));
  });
  // A click beside it closes it.
  drawer.addEventListener("click", (event) => event.target === drawer && drawer.close());
  drawer.addEventListener("close", () => (way = []));
}

/** Opens the event with this trace id. */
export function openEvent(id) {
  if (way.at(-1) !== id) way.push(id);
  if (!drawer.open) drawer.showModal();
  show(id);
}

async function show(id) {
  back.hidden = way.length < 2;
  let chain = null;
  try {
    chain = await get(`/chain/${encodeURIComponent(id)}`);
  } catch (error) {
    chain = error instanceof Refused && error.status === 404 ? error.body : null;
    if (!chain) return fail(id, error);
  }
  // Someone may have gone on in the meantime.
  if (way.at(-1) !== id) return;
  const event = chain.event?.event ?? null;
  setText(byId("drawer-title"), event?.event_type ?? "Event");
  body.replaceChildren(
    html("p", { class: "drawer-id mono" }, id),
    ...(event ? head(chain, event) : [html("p", { class: "empty" }, "This event is not held any more. Events are kept for a short while only.")]),
    html("h3", {}, "Cause and effect"),
    tree(chain, id),
    ...correlated(chain),
    ...(event ? [html("h3", {}, "Event"), coloured(event)] : []),
  );
  body.scrollTop = 0;
}

function fail(id, error) {
  setText(byId("drawer-title"), "Event");
  body.replaceChildren(html("p", { class: "drawer-id mono" }, id), html("p", { class: "error" }, error.message));
}

function head(chain, event) {
  const time = format.eventTime(event.ingest_timestamp);
  const facts = [
    ["event time, UTC", time ? `${time.date}, ${format.eventClock(event.ingest_timestamp)}` : "–"],
    ["seen", format.wallTime(chain.event.seen)],
    ["partition", event.partition_key],
    ["session", event.session_id],
    ["correlation", event.correlation_id],
  ].filter(([, value]) => value);
  return [
    html("dl", { class: "facts" }, ...facts.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value)))),
    html("p", { class: "way" }, html("span", { class: "way-name" }, "seen at"), ...chain.stages.map((stage) => html("span", { class: "tag" }, stage))),
  ];
}

/** Parents from the root down, the event itself, and beneath it what it caused. */
function tree(chain, id) {
  const children = new Map();
  for (const { event } of chain.children) {
    const parent = event.parent_event_id ?? id;
    children.set(parent, [...(children.get(parent) ?? []), event]);
  }
  const seen = new Set();
  const under = (parent) => (children.get(parent) ?? []).filter((event) => !seen.has(event.trace_id) && seen.add(event.trace_id));
  const branch = (event) => html("li", {}, link(event), list(under(event.trace_id).map(branch)));
  const own = chain.event
    ? html("span", { class: "event-link is-own", "aria-current": "true" }, ...name(chain.event.event))
    : html("span", { class: "event-link is-own" }, id);
  let item = html("li", {}, own, list(under(id).map(branch)));
  for (const { event } of chain.parents) item = html("li", {}, link(event), list([item]));
  const root = chain.parents.at(-1)?.event ?? chain.event?.event;
  const missing = root?.parent_event_id ? html("p", { class: "note" }, `caused by ${root.parent_event_id}, which is not held any more`) : null;
  const alone = !chain.parents.length && !chain.children.length && !missing ? html("p", { class: "note" }, "No cause and no effect of it is known.") : null;
  return html("div", { class: "tree" }, missing, html("ul", {}, item), alone);
}

const list = (items) => (items.length ? html("ul", {}, ...items) : null);

function correlated(chain) {
  if (!chain.correlated.length) return [];
  const items = chain.correlated.map(({ event }) => html("li", {}, link(event)));
  return [html("h3", {}, `Same correlation, ${items.length}`), html("ul", { class: "related" }, ...items)];
}

function link(event) {
  return html("button", { type: "button", class: "event-link", onclick: () => openEvent(event.trace_id) }, ...name(event));
}

function name(event) {
  const swatch = html("i", { class: "swatch", "aria-hidden": "true" });
  swatch.style.setProperty("--swatch", `var(${colourOf(event.event_type)})`);
  return [swatch, html("b", {}, event.event_type), html("span", { class: "figure" }, format.eventClock(event.ingest_timestamp)), html("span", { class: "summary" }, format.summary(event.payload))];
}
