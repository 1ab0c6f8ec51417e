// The theme before anything is drawn, so that a dark page never flashes light: `?theme=dark` of the
// address, else what was chosen here before, else what the system prefers.
"use strict";
(() => {
  const asked = new URLSearchParams(location.search).get("theme");
  let chosen = null;
  try {
    chosen = localStorage.getItem("engine.theme");
  } catch {
    // Storage may be forbidden; then nothing is remembered.
  }
  const theme = ["light", "dark"].find((one) => one === (asked ?? chosen));
  if (theme) document.documentElement.dataset.theme = theme;
})();
