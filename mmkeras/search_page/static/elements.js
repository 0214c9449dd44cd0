/** Small means to build a page: every text goes in as text, so that no caption can become markup. */

const SVG = "http://www.w3.org/2000/svg";

/** The element of this page with an id. */
export const byId = (id) => document.getElementById(id);

/**
 * Make an element.
 * @param {string} tag name of the element.
 * @param {object} settings attributes; functions are listeners of the event of that name, `null` and `false` leave out.
 * @param {...(Node|string|null)} children nodes, and strings that become text.
 */
export function element(tag, settings = {}, ...children) {
  return filled(document.createElement(tag), settings, children);
}

/** Make an element of a drawing, as `element` does. */
export function drawn(tag, settings = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), settings, children);
}

/** A sign of 24 by 24 units, of one path. */
export function sign(path) {
  return drawn("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, drawn("path", { d: path }));
}

/** A cosine as people read it: `0.412`. */
export const decimal = (number) => number.toFixed(3);

/** A number with separators of thousands. */
export const counted = (number) => number.toLocaleString("en");

function filled(node, settings, children) {
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
