// The table of recent events: live, held while someone points at it, by stage and type, searched by
// trace id or text. A row opens the event.

import { get } from "./api.js";
import { byId, html, regularly, setAttribute, setText } from "./dom.js";
import { openEvent } from "./drawer.js";
import * as format from "./format.js";
import { on, state } from "./state.js";
import { colourOf } from "./types.js";

const ROWS = 60;
const TRACE_ID = /^TR_\d+_\d{5,}$/;
const search = byId("events-search");
const stage = byId("events-stage");
const type = byId("events-type");
const pause = byId("events-pause");
const body = byId("events-rows");

let isHeld = false;
let asked = "";
let again = () => {};

/** Fills the table and listens to its filters. */
export function start() {
  const box = body.closest(".table-box");
  let isSeen = true;
  new IntersectionObserver(([one]) => (isSeen = one.isIntersecting), { rootMargin: "200px" }).observe(box);
  again = regularly(1000, async () => {
    const isPointedAt = body.matches(":hover") || body.contains(document.activeElement);
    // Out of sight it is filled only once, so that nobody scrolls to an empty table.
    const isWanted = (isSeen || body.children.length === 0) && !isHeld && !(isPointedAt && asked === key());
    if (isWanted && state.connection === "open") await read();
    note(isPointedAt);
  });
  byId("events-filter").addEventListener("submit", (event) => {
    event.preventDefault();
    const id = search.value.trim();
    if (TRACE_ID.test(id)) openEvent(id);
    else read();
  });
  for (const field of [stage, type]) field.addEventListener("change", read);
  search.addEventListener("input", () => {
    clearTimeout(search.waiting);
    search.waiting = setTimeout(read, 250);
  });
  pause.addEventListener("click", () => {
    isHeld = !isHeld;
    setAttribute(pause, "aria-pressed", isHeld);
    setText(pause, isHeld ? "Go on" : "Hold");
    again();
  });
  on("graph", () => choices(stage, "every stage", state.graph.stages.map((one) => one.stage)));
  on("samples", () => choices(type, "every type", Object.keys(state.samples.at(-1)?.types ?? {}).sort()));
}

/** Shows only the events of a stage, and brings the table into view. */
export function filterBy(wanted) {
  stage.value = wanted.stage;
  read();
  byId("events-title").scrollIntoView({ behavior: "smooth" });
  stage.focus({ preventScroll: true });
}

function choices(field, all, names) {
  const known = names.join("\n");
  if (field.dataset.known === known) return;
  field.dataset.known = known;
  const { value } = field;
  field.replaceChildren(html("option", { value: "" }, all), ...names.map((name) => html("option", { value: name }, name)));
  field.value = names.includes(value) ? value : "";
}

const key = () => JSON.stringify([stage.value, type.value, search.value.trim()]);

let turn = 0;

async function read() {
  asked = key();
  const mine = ++turn;
  const text = search.value.trim();
  const isId = TRACE_ID.test(text);
  const { events, kept, of } = await get("/recent", {
    stage: stage.value, event_type: type.value, [isId ? "trace_id" : "text"]: text, limit: ROWS,
  });
  // An answer that was overtaken by a later question is not shown.
  if (mine !== turn) return;
  fill(events);
  held = `${format.short(kept)} of ${format.short(of)} held`;
  note(false);
}

let held = "";

function note(isPointedAt) {
  setText(byId("events-note"), isHeld ? "held" : isPointedAt ? "held while you look" : held);
}

/** Rows that are there already are used again. */
function fill(events) {
  const rows = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const wanted = new Map(events.map((seen) => [`${seen.stage} ${seen.event.trace_id}`, seen]));
  body.replaceChildren(...[...wanted].map(([name, seen]) => rows.get(name) ?? row(name, seen)));
  const empty = byId("events-empty");
  empty.hidden = events.length > 0;
  setText(empty, search.value || stage.value || type.value ? "Nothing that is still held matches" : "Waiting for events");
}

function row(name, { stage: at, event }) {
  const swatch = html("i", { class: "swatch", "aria-hidden": "true" });
  swatch.style.setProperty("--swatch", `var(${colourOf(event.event_type)})`);
  const open = () => openEvent(event.trace_id);
  return html("tr", { "data-key": name, onclick: open },
    html("td", { class: "figure" }, format.eventClock(event.ingest_timestamp)),
    html("td", { class: "type" }, swatch, event.event_type),
    html("td", {}, at),
    html("td", {}, html("button", { type: "button", class: "link mono", title: event.trace_id, onclick: (click) => { click.stopPropagation(); open(); } }, format.shortId(event.trace_id))),
    html("td", { class: "summary" }, format.summary(event.payload)),
  );
}
