// Which event types have a colour of their own: the most frequent ones, each with the same colour for
// as long as it is among them.

import { state } from "./state.js";

/** How many types have one; the rest are `other`. */
export const COLOURS = 8;
export const OTHER = "other";

const slots = new Array(COLOURS).fill(null);
let rankedAt = 0;
let rankedOf = 0;

/** The types by their colour's number, 0 to 7; null where a colour is free. */
export function ranked() {
  const { samples } = state;
  const last = samples.at(-1);
  if (!last) return slots;
  const known = Object.keys(last.types).length;
  const isNew = known !== rankedOf && slots.includes(null);
  // Ranks are looked at again once a minute, so that colours do not flicker.
  if (!isNew && last.t - rankedAt < 60_000 && last.t >= rankedAt) return slots;
  rankedAt = last.t;
  rankedOf = known;
  const first = samples[0].types;
  const most = Object.entries(last.types)
    .map(([type, count]) => [type, count - (samples.length > 1 ? (first[type] ?? 0) : 0)])
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .slice(0, COLOURS)
    .map(([type]) => type);
  for (let i = 0; i < COLOURS; i++) if (!most.includes(slots[i])) slots[i] = null;
  for (const type of most) if (!slots.includes(type)) slots[slots.indexOf(null)] = type;
  return slots;
}

/** The name of a type's colour in the style sheet. */
export function colourOf(type) {
  const slot = ranked().indexOf(type);
  return slot < 0 ? "--series-other" : `--series-${slot + 1}`;
}
