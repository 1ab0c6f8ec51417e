// The latest failures: when, where, why, and what became of the event.

import { get } from "./api.js";
import { byId, html, regularly, setText } from "./dom.js";
import { openEvent } from "./drawer.js";
import * as format from "./format.js";
import { state } from "./state.js";

const SHOWN = 60;
const FATES = { dead_letter: "dead letter", dropped: "dropped", retried: "tried again", stage_failed: "stage failed" };
let newest = "";

/** Reads the list now and then. */
export function start() {
  regularly(2000, async () => {
    if (state.connection !== "open") return;
    const { failures } = await get("/failures");
    const key = JSON.stringify([failures.length, failures[0] ?? null]);
    if (key === newest) return;
    newest = key;
    byId("failures-rows").replaceChildren(...failures.slice(0, SHOWN).map(item));
    byId("failures-empty").hidden = failures.length > 0;
    setText(byId("failures-note"), failures.length ? `the last ${failures.length}` : "");
  })();
}

function item({ time, stage, category, reason, trace_id: id, event_type: type, fate }) {
  const event = id ? html("button", { type: "button", class: "link mono", title: id, onclick: () => openEvent(id) }, `${type ?? "event"} ${format.shortId(id)}`) : null;
  return html("li", { class: `failure is-${fate}` },
    html("p", { class: "failure-head" },
      html("time", { datetime: time }, format.wallTime(Date.parse(time))), html("b", {}, stage), html("span", { class: "tag" }, category), html("span", { class: "fate" }, FATES[fate] ?? fate)),
    html("p", { class: "failure-reason" }, reason), event);
}
