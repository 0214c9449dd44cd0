/** Filters by what is known of the items: boxes to tick for values, a least and a most for numbers, an expression. */

import { element } from "./elements.js";
import { numberOrNull } from "./query_state.js";

const SHOWN = 8; // values of a column before "more"
const NOT_FILTERED = new Set(["id", "text", "picture"]);

/** How many filters a query has. */
export function filterCount(query) {
  const ticked = Object.values(query.filters).reduce((sum, values) => sum + values.length, 0);
  const ranges = Object.values(query.ranges).filter(([least, most]) => least !== null || most !== null).length;
  return ticked + ranges + (query.where.trim() ? 1 : 0);
}

/** Whether there is anything to filter by. */
export const canFilter = (info, source) => Boolean(source.expressions || columnsOf(info, source).length);

/**
 * Fill a place with the filters that an index offers.
 * @param {HTMLElement} place
 * @param {object} info
 * @param {object} source
 * @param {object} query whose `filters`, `ranges` and `where` are shown, and changed.
 * @param {(typing: boolean) => void} changed
 */
export function showFilters(place, info, source, query, changed) {
  const clear = element("button", { type: "button", class: "quiet-button", click: () => {
    Object.assign(query, { filters: {}, ranges: {}, where: "" });
    showFilters(place, info, source, query, changed);
    changed(false);
  } }, "Clear all");
  place.replaceChildren(element("div", { class: "filters-top" }, element("h2", {}, "Filters"), clear));
  for (const column of columnsOf(info, source)) {
    place.append(column.kind === "number" ? range(column, query, changed) : values(column, query, changed));
  }
  if (source.expressions) place.append(expression(info, query, changed));
}

function columnsOf(info, source) {
  return info.columns.filter(({ name, kind, values: some }) => {
    if (NOT_FILTERED.has(name)) return false;
    if (kind === "number") return source.ranges;
    return some?.length > 1 && !some.every((value) => /^https?:/.test(value)); // addresses are each an item's own
  });
}

function values(column, query, changed) {
  const chosen = () => query.filters[column.name] ?? [];
  const all = [...column.values.map(String), ...chosen().filter((value) => !column.values.map(String).includes(value))];
  const rows = all.map((value, place) => {
    const box = element("input", { type: "checkbox", value, change: () => {
      const rest = chosen().filter((other) => other !== value);
      query.filters[column.name] = box.checked ? [...rest, value] : rest;
      changed(false);
    } });
    box.checked = chosen().includes(value);
    const hidden = place >= SHOWN && !box.checked;
    return element("label", { class: "tick", hidden }, box, element("span", {}, worded(column, value)));
  });
  const group = element("fieldset", { class: "facet" }, element("legend", {}, column.name), ...rows);
  const hidden = rows.filter((row) => row.hidden);
  if (hidden.length) {
    const more = element("button", { type: "button", class: "link-button", click: () => {
      hidden.forEach((row) => (row.hidden = false));
      hidden[0].querySelector("input").focus();
      more.remove();
    } }, `${hidden.length} more`);
    group.append(more);
  }
  return group;
}

function worded(column, value) {
  if (column.kind === "flag") return { true: "yes", 1: "yes", false: "no", 0: "no" }[value] ?? value;
  return value === "" ? "(empty)" : value;
}

function range(column, query, changed) {
  const end = (place, label) => {
    const box = element("input", { type: "number", step: "any", inputmode: "decimal", placeholder: label, "aria-label": `${column.name}, ${label}`, input: () => {
      const ends = [...(query.ranges[column.name] ?? [null, null])];
      ends[place] = numberOrNull(box.value);
      query.ranges[column.name] = ends;
      changed(true);
    } });
    box.value = query.ranges[column.name]?.[place] ?? "";
    return box;
  };
  return element("fieldset", { class: "facet" }, element("legend", {}, column.name),
    element("div", { class: "range" }, end(0, "from"), element("span", { "aria-hidden": "true" }, "–"), end(1, "to")));
}

function expression(info, query, changed) {
  const names = info.columns.map(({ name }) => name).join(", ");
  const box = element("input", { type: "text", id: "where", autocomplete: "off", spellcheck: "false", "aria-describedby": "where-names", change: () => {
    query.where = box.value;
    changed(false);
  } });
  box.value = query.where;
  return element("div", { class: "facet" }, element("label", { for: "where" }, "Expression"), box,
    element("p", { id: "where-names", class: "note" }, `As SQLite has it behind WHERE, over ${names || "id, text"}. Enter applies it.`));
}
