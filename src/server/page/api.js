// The server as functions: JSON read and posted, and the stream of figures, which is connected again
// for as long as the run has not ended.

/** An answer that is no success; `message` and `help` are the server's. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.error ?? `the engine answered with ${status}`);
    this.status = status;
    this.help = body?.help ?? "";
    this.body = body;
  }
}

async function answer(response) {
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

/** Reads JSON; parameters without a value are left out. */
export async function get(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = given.length ? `?${new URLSearchParams(given)}` : "";
  return answer(await fetch(path + query, { cache: "no-store" }));
}

/** Asks for a change of the run. */
export async function post(path, token, body) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return answer(await fetch(path, { method: "POST", headers, body: JSON.stringify(body ?? {}) }));
}

// Figures come once a second, so this long without any is a lost connection, too.
const SILENCE_MS = 2500;
const AGAIN_MS = 1000;
// A run that has ended may have a successor, as with `--watch`: it is looked for so often, and then
// whenever somebody comes back to the page.
const KNOCK_MS = 2000;
const KNOCKS = 15;

const passed = (ms) => new Promise((done) => setTimeout(done, ms));
const attention = () => new Promise((done) => window.addEventListener("focus", done, { once: true }));

/**
 * Whether an engine answers. Browsers write each request that fails to the console, whatever a script
 * does about it; not so a frame that stays without its content, which no script can look into then.
 */
async function isThere() {
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.src = "/live";
  const loaded = new Promise((done) => frame.addEventListener("load", done, { once: true }));
  document.body.append(frame);
  await Promise.race([loaded, passed(KNOCK_MS)]);
  const answers = frame.contentDocument?.contentType === "application/json";
  frame.remove();
  return answers;
}

/**
 * Follows the run. `opened` is called for each new connection, `stats` for each message, `lost` when
 * there is no connection, `ended` when the run has ended, after which another one is waited for.
 */
export function follow({ opened, stats, lost, ended }) {
  let source = null;
  let heard = 0;
  let again = null;

  const drop = () => {
    source?.close();
    source = null;
    lost();
    again ??= setTimeout(connect, AGAIN_MS);
  };
  setInterval(() => {
    if (source && !document.hidden && performance.now() - heard > SILENCE_MS) drop();
  }, 250);

  function connect() {
    again = null;
    heard = performance.now();
    source = new EventSource("/stream");
    source.addEventListener("open", () => opened());
    source.addEventListener("stats", (message) => {
      heard = performance.now();
      stats(JSON.parse(message.data));
    });
    source.addEventListener("end", () => {
      source.close();
      source = null;
      ended();
      seek();
    });
    source.addEventListener("error", drop);
  }

  async function seek() {
    for (let left = KNOCKS; ; left--) {
      await (left > 0 ? passed(KNOCK_MS) : attention());
      if (await isThere()) return connect();
    }
  }
  connect();
}
