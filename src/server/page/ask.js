// The one small dialog: a question with a text, perhaps a field, and an answer that may be refused.

import { byId, setText } from "./dom.js";

const dialog = byId("ask");
const form = byId("ask-form");
const input = byId("ask-input");
let done = null;

/**
 * Asks; `accept` gets what was typed and may throw, whose message is shown. Resolves to what `accept`
 * answered, or to null when the dialog was left.
 */
export function ask({ title, text, label = null, type = "text", value = "", action, isDanger = false, accept }) {
  setText(byId("ask-title"), title);
  setText(byId("ask-text"), text);
  setText(byId("ask-label"), label ?? "");
  byId("ask-field").hidden = label === null;
  input.type = type;
  input.value = value;
  input.required = label !== null;
  const ok = byId("ask-ok");
  setText(ok, action);
  ok.classList.toggle("danger", isDanger);
  setText(byId("ask-error"), "");
  dialog.showModal();
  (label === null ? byId("ask-cancel") : input).focus();
  return new Promise((resolve) => {
    done = { resolve, accept };
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = done;
  try {
    const answer = await asked.accept(input.value.trim());
    asked.resolve(answer);
    done = null;
    dialog.close();
  } catch (error) {
    setText(byId("ask-error"), error.help ? `${error.message}: ${error.help}` : error.message);
  }
});
byId("ask-cancel").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  done?.resolve(null);
  done = null;
  input.value = "";
});
