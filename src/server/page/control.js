// The controls: pause, resume, speed, stop and the theme. What changes the run needs the token, which
// is asked for once and kept for as long as the tab.

import { post, Refused } from "./api.js";
import { ask } from "./ask.js";
import { byId, html, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { browser, tab } from "./memory.js";
import { on, set, state } from "./state.js";

const TOKEN = "token";
const SPEEDS = [1, 10, 60, 300, 600, 3600];
const OTHER = "other";
const pause = byId("pause");
const speed = byId("speed");
const stop = byId("stop");

/** Takes the token of the address and makes the buttons work. */
export function start() {
  takeToken();
  pause.addEventListener("click", () => change(state.live.state.phase === "paused" ? "/resume" : "/pause"));
  stop.addEventListener("click", askStop);
  speed.addEventListener("change", changeSpeed);
  on("live connection", update);
  startTheme();
}

/** `#token=...` is taken out of the address, so that nobody reads it there or sends it on. */
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  tab.set(TOKEN, token);
  history.replaceState(null, "", location.pathname + location.search);
}

function update() {
  const run = state.live?.state;
  const isOpen = state.connection === "open" && (run?.phase === "running" || run?.phase === "paused");
  const can = Boolean(isOpen && run.can_control);
  const why = isOpen && !run.can_control ? "set `monitoring.token` in the pipeline to control the run from here" : null;
  setText(pause, run?.phase === "paused" ? "Resume" : "Pause");
  pause.disabled = !can;
  stop.disabled = !can;
  speed.disabled = !can || typeof run.speed !== "number";
  for (const element of [pause, stop, speed]) setAttribute(element, "title", why);
  if (run && can && run.speed === "max") setAttribute(speed, "title", "a run at full speed has no speed to change");
  if (run && document.activeElement !== speed) showSpeeds(run.speed);
}

function showSpeeds(now) {
  const choices = typeof now === "number" ? [...new Set([...SPEEDS, now])].sort((a, b) => a - b) : [now];
  const key = choices.join();
  if (speed.dataset.choices !== key) {
    speed.dataset.choices = key;
    const options = choices.map((one) => html("option", { value: one }, format.speed(one)));
    speed.replaceChildren(...options, html("option", { value: OTHER }, "other…"));
  }
  speed.value = String(now);
}

async function changeSpeed() {
  const chosen = speed.value;
  speed.blur();
  if (chosen !== OTHER) return change("/speed", { speed: Number(chosen) });
  const now = state.live.state.speed;
  speed.value = String(now);
  const wanted = await ask({
    title: "Speed", text: "How many simulated seconds pass in a real one?", label: "Speed", type: "number", value: String(now), action: "Set",
    accept: (text) => {
      const value = Number(text);
      if (!(value > 0)) throw new Error("a speed is a number above 0");
      return value;
    },
  });
  return wanted === null ? undefined : change("/speed", { speed: wanted });
}

function askStop() {
  return ask({
    title: "Stop the run?", action: "Stop", isDanger: true,
    text: "Sources stop, and what is on its way is still delivered. This page cannot start the run again.",
    accept: () => true,
  }).then((sure) => sure && change("/stop"));
}

/** Asks the engine for a change; for the token first where there is none, and again where it is wrong. */
async function change(path, body) {
  const send = async (token) => {
    const run = await post(path, token, body);
    tab.set(TOKEN, token);
    return run;
  };
  let run = null;
  try {
    const token = tab.get(TOKEN);
    run = token ? await send(token) : await askToken(send);
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      tab.remove(TOKEN);
      run = await askToken(send);
    } else {
      await tell(error);
    }
  }
  if (run && state.live) set({ live: { ...state.live, state: { ...state.live.state, ...run } } });
}

function askToken(send) {
  return ask({
    title: "Token", text: "Changing the run needs its token: the one of the spec's `monitoring.token`, or the one that the terminal showed at the start.",
    label: "Token", type: "password", action: "Go on", accept: send,
  });
}

function tell(error) {
  const text = error.help ? `${error.message}: ${error.help}` : error.message;
  return ask({ title: "That did not work", text, action: "Understood", accept: () => true });
}

/** Auto, light, dark, and auto again. */
function startTheme() {
  const button = byId("theme");
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const signs = { auto: "◐", light: "☀", dark: "☾" };
  const show = () => {
    const now = root.dataset.theme ?? "auto";
    setText(button, signs[now]);
    setAttribute(button, "aria-label", `Theme: ${now}`);
    setAttribute(button, "title", `Theme: ${now}`);
    document.dispatchEvent(new Event("theme"));
  };
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? "auto") + 1) % themes.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    browser.set("theme", next);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}
