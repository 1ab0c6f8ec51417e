// Numbers, times and identifiers as people read them.

// A narrow space that does not break, as the program's own reports group digits.
const THIN = "\u202f";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const day = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC",
});
const localTime = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const localMinute = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** `5 181 722`; from 100 million on `123.4M`. */
export function count(value) {
  if (!known(value)) return "–";
  return Math.abs(value) < 1e8 ? whole.format(value).replaceAll(",", THIN) : short(value);
}

/** `4.96k`: three figures. */
export function short(value) {
  if (!known(value)) return "–";
  const size = Math.abs(value);
  const [unit, by] =
    size >= 999.5e6 ? ["G", 1e9] : size >= 999.5e3 ? ["M", 1e6] : size >= 999.5 ? ["k", 1e3] : ["", 1];
  const scaled = value / by;
  const digits = Math.abs(scaled) >= 99.95 ? 0 : Math.abs(scaled) >= 9.995 ? 1 : 2;
  return `${trim(scaled.toFixed(digits))}${unit}`;
}

const trim = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** Events a second: whole where there are many, else with a fraction. */
export const rate = (value) => (known(value) && value < 10 ? trim(value.toFixed(1)) : count(value));

/** Seconds in the unit that suits: `340 µs`, `12.4 ms`, `1.5 s`, `3 min`. */
export function seconds(value) {
  if (!known(value)) return "–";
  if (value === 0) return "0 ms";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 0.9995) return `${trim((value * 1e3).toPrecision(3))} ms`;
  if (value < 120) return `${trim(value.toPrecision(3))} s`;
  return `${trim((value / 60).toFixed(1))} min`;
}

/** Bytes in the unit that suits. */
export function bytes(value) {
  if (!known(value)) return "–";
  for (const [unit, by] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (value >= by) return `${trim((value / by).toPrecision(3))} ${unit}`;
  }
  return `${value} B`;
}

/** `42 %` of a share from 0 to 1. */
export function percent(share) {
  if (!known(share)) return "–";
  const value = share * 100;
  if (value > 0 && value < 0.01) return "< 0.01 %";
  return `${trim(value.toFixed(value < 10 ? 2 : value < 99.5 ? 1 : 0))} %`;
}

/** A span of time for people: `15 min 20 s`. */
export function span(ms) {
  if (!known(ms)) return "–";
  const all = Math.max(0, Math.floor(ms / 1000));
  const [d, h, m, s] = [all / 86400, (all / 3600) % 24, (all / 60) % 60, all % 60].map(Math.floor);
  const two = (value) => String(value).padStart(2, "0");
  if (d > 0) return `${d} d ${two(h)} h`;
  if (h > 0) return `${h} h ${two(m)} min`;
  return m > 0 ? `${m} min ${two(s)} s` : `${s} s`;
}

/** An event time, RFC 3339 in UTC: `Fri, 29 Nov 2024` and `15:39:41`. */
export function eventTime(text) {
  const time = new Date(text ?? NaN);
  if (Number.isNaN(time.getTime())) return null;
  return { date: day.format(time), time: time.toISOString().slice(11, 19) };
}

/** The time of an event within its day, to the millisecond. */
export const eventClock = (text) => String(text ?? "").slice(11, 23) || "–";

/** A moment of this machine's clock. */
export const wallTime = (ms) => localTime.format(ms);

/** The same to the minute. */
export const wallMinute = (ms) => localMinute.format(ms);

/** A speed: `60×` or `full speed`. */
export const speed = (value) => (typeof value === "number" ? `${short(value)}×` : value ? "full speed" : "–");

/** A trace id with its long middle left out. */
export const shortId = (id) => (id.length <= 24 ? id : `${id.slice(0, 13)}…${id.slice(-8)}`);

/** The first fields of a payload that say something: `store_id 12 · total 37.94`. */
export function summary(payload) {
  const parts = [];
  for (const [key, value] of Object.entries(payload ?? {})) {
    if (value === null || typeof value === "object") continue;
    parts.push(`${key} ${typeof value === "string" && value.length > 28 ? `${value.slice(0, 27)}…` : value}`);
    if (parts.length === 6) break;
  }
  return parts.join(" · ");
}
