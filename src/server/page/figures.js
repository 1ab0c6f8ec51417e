// The head of the page and the big numbers: what someone at the back of the room reads.

import { byId, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { on, state } from "./state.js";

const PHASES = { running: "running", paused: "paused", draining: "draining", keeping: "keeping what is left", ended: "ended" };

/** Keeps head and numbers up to date. */
export function start() {
  on("graph", () => {
    setText(byId("name"), state.graph.name || "engine");
    setAttribute(byId("name"), "title", state.graph.description);
    document.title = `${state.graph.name || "engine"} · engine`;
  });
  on("live connection", update);
}

function update() {
  const { live, connection } = state;
  const phase = connection === "ended" ? "ended" : connection === "lost" ? "no connection" : live ? (PHASES[live.state.phase] ?? live.state.phase) : "connecting";
  setText(byId("phase"), phase);
  setAttribute(byId("phase"), "data-phase", connection === "lost" ? "lost" : connection === "ended" ? "ended" : (live?.state.phase ?? "connecting"));
  if (!live) return;
  const time = format.eventTime(live.state.event_time);
  setText(byId("event-time"), time ? `${time.date}  ${time.time} UTC` : "–");
  setText(byId("speed-now"), format.speed(live.state.speed));
  setText(byId("run-time"), format.span(live.state.elapsed_seconds * 1000));
  showHealth(live, connection);
  showNumbers(live);
}

function showHealth(live, connection) {
  const isKnown = connection === "open" || connection === "ended";
  const word = !isKnown ? "Health unknown" : live.health ? "Healthy" : "Unhealthy";
  const [first = "", ...rest] = live.reasons;
  const reason = rest.length ? `${first}, and ${rest.length} more` : first;
  setAttribute(byId("health"), "data-health", !isKnown ? "unknown" : live.health ? "well" : "unwell");
  setText(byId("health-word"), word);
  setText(byId("health-reason"), isKnown && !live.health ? reason : "");
  setAttribute(byId("health"), "title", live.reasons.join("\n") || null);
}

function showNumbers({ sample, totals }) {
  const tile = (name, number, note, isAlarming = false) => {
    setText(byId(`tile-${name}`), number);
    setText(byId(`tile-${name}-note`), note);
    byId(`tile-${name}`).parentElement.classList.toggle("is-alarming", isAlarming);
  };
  const peak = Math.max(...state.samples.map((one) => one.rate));
  const back = format.span(sample.t - (state.samples[0]?.t ?? sample.t));
  const share = totals.events_generated ? totals.events_failed / totals.events_generated : 0;
  tile("rate", format.rate(sample.rate), `at most ${format.rate(peak)} in ${back}`);
  tile("generated", format.count(totals.events_generated), `${Object.keys(sample.types).length} event types`);
  tile("delivered", format.count(totals.events_sent_successfully), `${format.count(totals.batches_sent)} batches, ${format.bytes(totals.bytes_sent)}`);
  tile("p99", format.seconds(sample.p99), `half within ${format.seconds(sample.p50)}`);
  const trips = totals.circuit_breaker_trips;
  const breaker = trips ? `, breaker ${format.count(trips)}×` : " of generated";
  tile("failed", format.count(totals.events_failed), `${format.percent(share)}${breaker}`, totals.events_failed > 0);
  const before = state.samples.findLast((one) => one.t <= sample.t - 60_000) ?? state.samples[0] ?? sample;
  const grown = sample.dead_letters - before.dead_letters;
  tile("dead", format.count(totals.dead_letter_queue_size), grown > 0 ? `${format.count(grown)} more in a minute` : "none in the last minute", totals.dead_letter_queue_size > 0);
}
