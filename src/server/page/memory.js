// What is remembered for this tab or this browser. Storage may be forbidden or full; then the page
// works and forgets.

const attempt = (work) => {
  try {
    return work();
  } catch {
    return null;
  }
};

const keeper = (storage) => ({
  get: (key) => attempt(() => storage().getItem(`engine.${key}`)),
  set: (key, value) => attempt(() => storage().setItem(`engine.${key}`, value)),
  remove: (key) => attempt(() => storage().removeItem(`engine.${key}`)),
});

/** Until the tab is closed. */
export const tab = keeper(() => sessionStorage);

/** For this engine's pages in this browser. */
export const browser = keeper(() => localStorage);
