/** The source of a page that comes from `mmkeras serve --ui` or `mmkeras search-server`: their HTTP API. */

import { allOf, columnName, snippetsOf } from "./query_snippets.js";
import { SourceError } from "./source_error.js";

const PASSING = new Set([429, 502, 503, 504]);

export const source = {
  /** Where it is, for the status line. */
  label: location.host,
  /** Whether `search` takes `where`, an expression as SQLite has it, and `ranges` of numbers. */
  expressions: true,
  ranges: true,

  /** What is searched: model, version, number of items, columns, scores of random pairs. */
  info: (signal) => asked("api/info", { signal }),

  /**
   * Search by a text, a picture (Blob), an item's id, or a text and a picture together.
   * `ranges` is {column: [least or null, most or null]}; the other fields are those of the API.
   */
  async search({ picture, ranges, ...query }, signal) {
    const body = { ...query, where: expressionOf(query.where, ranges) };
    if (picture) body.picture = await base64(picture);
    return asked("api/search", { signal, ...json(body) });
  },

  /** One item: {item, captions, picture}. */
  async item(id, signal) {
    const answer = await asked(`api/item?id=${encodeURIComponent(id)}`, { signal });
    if (answer.item && typeof answer.item === "object") return answer;
    const { captions = [], ...item } = answer;
    return { item, captions, picture: item.picture ? `api/picture?id=${encodeURIComponent(id)}` : null };
  },

  /** The address of a result's picture, null where it has none. */
  pictureUrl(result) {
    if (!result.picture) return null;
    const url = new URL(result.picture, document.baseURI);
    return url.origin === location.origin ? url.href : null;
  },

  /** Keep what somebody says of a result: {text or query_id, id, verdict: 1 or -1}. */
  feedback: (verdict) => asked("api/feedback", json(verdict)),

  /** The same query for a terminal and a program: a list of {name, says, code}. */
  snippets: (query, info) => snippetsOf(bodyOf(query), info, new URL(".", document.baseURI).href),
};

/** The fields that the API is sent, without those that say nothing. */
function bodyOf({ ranges, ...query }) {
  return withoutBlanks({ ...query, where: expressionOf(query.where, ranges) });
}

function withoutBlanks(fields) {
  const said = ([, value]) =>
    value !== null && value !== undefined && value !== "" && (value.constructor !== Object || Object.keys(value).length);
  return Object.fromEntries(Object.entries(fields).filter(said));
}

/** Ranges and an expression as one expression of SQLite. */
function expressionOf(where, ranges) {
  const parts = Object.entries(ranges ?? {}).flatMap(([column, [least, most]]) => [
    least === null ? "" : `${columnName(column)} >= ${least}`,
    most === null ? "" : `${columnName(column)} <= ${most}`,
  ]);
  return allOf([where, ...parts]);
}

function json(body) {
  const headers = { "Content-Type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(withoutBlanks(body)) };
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { credentials: "same-origin", ...options });
    if (response.ok) return response.status === 204 ? null : await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new SourceError("The server does not answer.", { passing: true });
  }
  const { status } = response;
  const told = await response.json().catch(() => ({}));
  const message = typeof told.error === "string" ? told.error : `The server answered with status ${status}.`;
  const seconds = Number(response.headers.get("Retry-After")) || 0;
  throw new SourceError(message, { passing: PASSING.has(status), status, seconds });
}

async function base64(blob) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new SourceError("The picture could not be read."));
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(",") + 1);
}
