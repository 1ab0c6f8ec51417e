// Elements from a line of code. Text only ever becomes text: nothing here reads markup, so what a
// payload holds cannot become part of the page.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Makes an HTML element. Attributes that are functions listen, such as `onclick`. */
export function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  // `append` makes text nodes of strings.
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets a text only where it differs, so that nothing is laid out or read aloud anew for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets or removes an attribute, only where it differs. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

const probe = html("span", { hidden: true });
document.documentElement.append(probe);

/** A colour of the style sheet, in the theme of now, as a canvas takes it. */
export function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** Calls `work` now and then every `ms` milliseconds while the page is looked at; calls never overlap. */
export function regularly(ms, work) {
  let busy = false;
  const once = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      await work();
    } catch {
      // The connection's own banner tells that the server is away.
    } finally {
      busy = false;
    }
  };
  setInterval(once, ms);
  return once;
}
