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

/**
 * Follows the run. `opened` is called for each new connection, `stats` for each message, `lost` when
 * there is no connection, `ended` when the run has ended, after which nothing more is asked.
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
  const watch = setInterval(() => {
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
      clearInterval(watch);
      source.close();
      source = null;
      ended();
    });
    source.addEventListener("error", drop);
  }
  connect();
}
