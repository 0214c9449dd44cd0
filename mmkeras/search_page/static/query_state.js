/** What is asked, and how it is written into the page's address so that a search can be shared. */

/** The state of a page on which nothing was asked; `picture` and `pictureName` are of a picture that only this browser has. */
export function blankQuery() {
  return { text: "", id: null, picture: null, pictureName: "", weight: 0.5, in: null, filters: {}, ranges: {}, where: "" };
}

/** Whether there is something to search for. */
export const asksSomething = (query) => Boolean(query.text.trim() || query.picture || query.id);

/** Which embeddings of the items are compared with the query: what was chosen, else those of their pictures. */
export function searchedIn(query, info) {
  if (info.modalities.includes(query.in)) return query.in;
  return info.modalities.includes("image") ? "image" : "text";
}

/** Whether a text is compared with pictures or a picture with texts, as the scores of random pairs are. */
export function crosses(query, info) {
  if (query.id || Boolean(query.picture) === Boolean(query.text.trim())) return false;
  return searchedIn(query, info) === (query.picture ? "text" : "image");
}

/** The fields of a search, `from` being how many results are there already. */
export function fieldsOf(query, info, k, offset) {
  return {
    text: query.text.trim() || null,
    picture: query.picture,
    id: query.id,
    weight: query.text.trim() && query.picture ? query.weight : null,
    where: query.where,
    filters: typed(query.filters, info),
    ranges: query.ranges,
    k,
    offset: offset || null,
    in: searchedIn(query, info),
  };
}

/** Values as the index has them: in the address, and in the page's boxes, all are text. */
function typed(filters, info) {
  const entries = Object.entries(filters).filter(([, values]) => values.length);
  return Object.fromEntries(
    entries.map(([name, values]) => {
      const known = info.columns.find((column) => column.name === name)?.values ?? [];
      return [name, values.map((value) => known.find((other) => String(other) === value) ?? value)];
    }),
  );
}

/** Read a query, and the id of an open item, from the part of an address behind its question mark. */
export function readAddress(search) {
  const query = blankQuery();
  let item = null;
  for (const [name, value] of new URLSearchParams(search)) {
    const column = name.slice(name.indexOf(".") + 1);
    if (name === "q") query.text = value;
    else if (name === "like") query.id = value;
    else if (name === "in") query.in = value;
    else if (name === "where") query.where = value;
    else if (name === "item") item = value;
    else if (name.startsWith("is.")) (query.filters[column] ??= []).push(value);
    else if (name.startsWith("from.")) (query.ranges[column] ??= [null, null])[0] = numberOrNull(value);
    else if (name.startsWith("to.")) (query.ranges[column] ??= [null, null])[1] = numberOrNull(value);
  }
  if (query.id) query.text = "";
  return { query, item };
}

/** The part of an address that `readAddress` reads: empty, or a question mark and more. A picture is not in it. */
export function writeAddress(query, item = null) {
  const address = new URLSearchParams();
  if (query.text.trim()) address.append("q", query.text.trim());
  if (query.id) address.append("like", query.id);
  if (query.in) address.append("in", query.in);
  if (query.where.trim()) address.append("where", query.where.trim());
  for (const [name, values] of Object.entries(query.filters)) for (const value of values) address.append(`is.${name}`, value);
  for (const [name, [least, most]] of Object.entries(query.ranges)) {
    if (least !== null) address.append(`from.${name}`, least);
    if (most !== null) address.append(`to.${name}`, most);
  }
  if (item) address.append("item", item);
  return address.size ? `?${address}` : "";
}

/** A number that somebody wrote, null where it is none. */
export function numberOrNull(text) {
  const number = Number(text);
  return text.trim() === "" || !Number.isFinite(number) ? null : number;
}
