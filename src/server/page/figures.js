// The head of the page and the big numbers: what someone at the back of the room reads.

import { health } from "./api.js";
import { byId, regularly, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { on, state } from "./state.js";

const PHASES = { running: "running", paused: "paused", draining: "draining", keeping: "ended, figures are kept", ended: "ended" };
let resources = null;

/** Keeps head and numbers up to date. */
export function start() {
  on("graph", () => {
    setText(byId("name"), state.graph.name || "engine");
    document.title = `${state.graph.name || "engine"} · engine`;
  });
  on("live connection", update);
  // Which stage is unwell comes with the stream; whether the process itself is has to be asked for.
  regularly(2000, async () => {
    const isUnexplained = state.live && !state.live.health && state.live.stages.every((one) => one.healthy);
    resources = isUnexplained ? await health() : null;
  });
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
  setText(byId("run-time"), format.span(live.sample.t - Date.parse(live.state.started)));
  showHealth(live, connection);
  showNumbers(live);
}

function showHealth(live, connection) {
  const unwell = live.stages.filter((one) => !one.healthy).map((one) => [one.stage, one.reason ?? "unwell"]);
  if (!unwell.length && !live.health) {
    const components = Object.entries(resources?.components ?? {});
    unwell.push(...components.filter(([, one]) => !one.healthy).map(([name, one]) => [name, one.reason ?? "unwell"]));
  }
  const isKnown = connection === "open" || connection === "ended";
  const word = !isKnown ? "Health unknown" : live.health ? "Healthy" : "Unhealthy";
  const [first, ...rest] = unwell;
  const reason = first ? `${first[0]}: ${first[1]}${rest.length ? `, and ${rest.length} more` : ""}` : "";
  setAttribute(byId("health"), "data-health", !isKnown ? "unknown" : live.health ? "well" : "unwell");
  setText(byId("health-word"), word);
  setText(byId("health-reason"), isKnown && !live.health ? reason : "");
  setAttribute(byId("health"), "title", reason || null);
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
