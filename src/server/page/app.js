// The page as a whole: starts its parts, follows the run, and says when the connection is lost or the
// run has ended.

import { follow, get } from "./api.js";
import * as charts from "./charts.js";
import * as control from "./control.js";
import { byId, setText } from "./dom.js";
import * as drawer from "./drawer.js";
import * as events from "./events.js";
import * as failures from "./failures.js";
import * as figures from "./figures.js";
import * as graph from "./graph.js";
import * as stage from "./stage.js";
import { on, remember, set, state, take } from "./state.js";

for (const part of [figures, control, graph, stage, charts, events, failures, drawer]) part.start();

on("connection", () => {
  const banner = byId("banner");
  const texts = { lost: "Connection lost, trying again …", ended: "The run has ended. These are its final figures." };
  banner.hidden = !(state.connection in texts);
  banner.dataset.kind = state.connection;
  setText(byId("banner-text"), texts[state.connection] ?? "");
  byId("banner-again").hidden = state.connection !== "ended";
  document.documentElement.dataset.connection = state.connection;
});
byId("banner-again").addEventListener("click", () => location.reload());

/** What does not come with the stream: who the stages are, and what was before. */
async function catchUp() {
  const [shape, history] = await Promise.all([get("/graph"), get("/history")]);
  const isSame = JSON.stringify(shape) === JSON.stringify(state.graph);
  if (!isSame) set({ graph: shape });
  remember(history.samples);
}

follow({
  opened() {
    set({ connection: "open" });
    // Should this fail, the stream will, too, and it is tried again with the next connection.
    catchUp().catch(() => {});
  },
  stats: take,
  lost: () => set({ connection: "lost" }),
  ended: () => set({ connection: "ended" }),
});
