// What the page knows, in one place: who changes it says so by `set`, and who shows it listens.

/** How many seconds of samples are kept, as many as the server has. */
export const HISTORY_SECONDS = 900;

export const state = {
  /** `connecting`, `open`, `lost` or `ended`. */
  connection: "connecting",
  /** The pipeline's name and stages. */
  graph: { name: "", description: null, stages: [] },
  /** The latest message of the stream. */
  live: null,
  /** Samples, oldest first. */
  samples: [],
  /** The name of the stage that is looked at, if any. */
  selected: null,
};

const listeners = new Map();

/** Calls `listener` when one of these parts of the state was set. */
export function on(parts, listener) {
  for (const part of parts.split(" ")) {
    if (!listeners.has(part)) listeners.set(part, new Set());
    listeners.get(part).add(listener);
  }
}

/** Sets parts of the state; each listener is called once. */
export function set(parts) {
  const called = new Set();
  for (const [part, value] of Object.entries(parts)) {
    state[part] = value;
    for (const listener of listeners.get(part) ?? []) called.add(listener);
  }
  for (const listener of called) listener();
}

/** Takes in a message of the stream. */
export function take(live) {
  const { samples } = state;
  const last = samples.at(-1);
  // Another run, or one that began anew, does not go on from the samples before.
  const kept = last && live.sample.events < last.events ? [] : samples.filter((one) => one.t < live.sample.t);
  set({ live, samples: [...kept, live.sample].slice(-HISTORY_SECONDS) });
}

/** Takes in what the server remembers. */
export function remember(history) {
  const last = history.at(-1)?.t ?? 0;
  const later = state.samples.filter((one) => one.t > last && one.events >= (history.at(-1)?.events ?? 0));
  set({ samples: [...history, ...later].slice(-HISTORY_SECONDS) });
}

/** The latest figures of each stage by its name. */
export const liveStages = () => new Map((state.live?.stages ?? []).map((one) => [one.stage, one]));
