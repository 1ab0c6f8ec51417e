// JSON as coloured text.

import { html } from "./dom.js";

const PIECES = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

/** A `pre` with the value, a field a line, coloured by kind. */
export function coloured(value) {
  const text = JSON.stringify(value, null, 2);
  const pre = html("pre", { class: "json", tabindex: "0" });
  let done = 0;
  for (const piece of text.matchAll(PIECES)) {
    const [all, string, colon, word] = piece;
    const kind = string ? (colon ? "key" : "string") : word ? "word" : "number";
    pre.append(text.slice(done, piece.index), html("span", { class: `json-${kind}` }, string ?? all));
    done = piece.index + (string ?? all).length;
  }
  pre.append(text.slice(done));
  return pre;
}
