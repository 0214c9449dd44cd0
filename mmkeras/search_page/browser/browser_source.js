/** The source of a page without a server: model and index lie beside it, and this browser searches. */

import { keepPage, readData } from "./files.js";
import { IndexReader } from "./index_reader.js";
import { SourceError } from "./source_error.js";
import { TextNetwork } from "./text_network.js";

const MOST_PICTURES = 500; // addresses of pictures that are held at a time

const told = once(async () => JSON.parse(new TextDecoder().decode(await readData("info.json"))));
const network = once(async () => TextNetwork.load((await told()).tokenizer));
// Pictures are compressed as they are.
const index = once(() => IndexReader.open((name) => readData(`index/${name}`, !name.endsWith(".bin"))));
const addresses = new Map(); // from an item's id to what an <img> shows

export const source = {
  /** Where it is, for the status line. */
  label: "in this browser",
  /** `search` takes `filters` and `ranges` of numbers; an expression of SQLite needs a server. */
  expressions: false,
  ranges: true,
  feedback: null,
  snippets: null,

  /** What is searched; meanwhile the encoder and the index are loaded. */
  async info() {
    const info = await told();
    network().catch(() => {}); // who searches is told
    index().catch(() => {});
    return info.page;
  },

  /** Search by a text or by an item's id: the fields and the answer are those of `POST api/search`. */
  async search({ text, id, picture, where, in: modality, filters = {}, ranges = {}, k = 24, offset = 0 }, signal) {
    const begun = performance.now();
    const refused = [
      [picture, "Expected a text: this page has no encoder of pictures. Received: a picture"],
      [where, "Expected filters: an expression needs a server. Received: where"],
      [modality && modality !== "image", `Expected a search among pictures. Received: in=${modality}`],
      [!text === (id === undefined || id === null), "Expected a text or an item's id, one of the two"],
    ].find(([is]) => is);
    if (refused) throw new SourceError(refused[1]);
    const [opened, { page }] = await Promise.all([index(), told()]);
    let own = -1;
    let query;
    if (text) {
      const encoder = await network();
      query = await encoder.embed(text);
    } else {
      own = await rowOf(opened, id);
      query = opened.embedding(own);
    }
    signal?.throwIfAborted();
    const embedded = performance.now();
    const isKept = await kept(opened, filters, ranges);
    const found = opened.search(query, offset + k, (row) => row !== own && isKept(row));
    const searched = performance.now();
    const rows = found.rows.slice(offset);
    const results = await Promise.all(rows.map((row) => answer(opened, row)));
    signal?.throwIfAborted();
    return {
      results: results.map((result, place) => ({
        rank: offset + place + 1,
        score: found.scores[offset + place],
        match: null,
        ...result,
      })),
      total: found.total,
      more: found.total > offset + k,
      milliseconds: { embed: embedded - begun, search: searched - embedded, all: performance.now() - begun },
      model: page.model,
      version: page.version,
      space_id: page.space_id,
      generation: opened.manifest.generation,
    };
  },

  /** One item: {item, captions, picture}. */
  async item(id) {
    const opened = await index();
    return answer(opened, await rowOf(opened, id));
  },

  /** The address of a result's picture, null where it has none. */
  async pictureUrl({ item: { id }, picture }) {
    if (!picture) return null;
    if (!addresses.has(id)) {
      const opened = await index();
      const bytes = await opened.picture(await opened.rowOf(id));
      const url = URL.createObjectURL(new Blob([bytes], { type: bytes[0] === 0x89 ? "image/png" : "image/jpeg" }));
      addresses.set(id, url);
      if (addresses.size > MOST_PICTURES) {
        const [oldest, shown] = addresses.entries().next().value;
        addresses.delete(oldest);
        URL.revokeObjectURL(shown);
      }
    }
    return addresses.get(id);
  },
};

keepPage();

async function answer(opened, row) {
  const { item, captions = item.text ? [item.text] : [], picture } = await opened.block(row);
  return { item, captions, picture: picture ? item.picture : null };
}

async function rowOf(opened, id) {
  const row = await opened.rowOf(id);
  if (row < 0) throw new SourceError(`Expected the id of an item of this index. Received: id=${id}`, { status: 404 });
  return row;
}

/** Which items filters and ranges keep, by their rows. */
async function kept(opened, filters, ranges) {
  // As texts: a page's boxes hold no numbers, and a flag may be asked for as 1 or 0.
  const chosen = Object.entries(filters)
    .filter(([, values]) => values.length)
    .map(([column, values]) => [column, new Set(values.map(String))]);
  const bounds = Object.entries(ranges);
  if (!chosen.length && !bounds.length) return () => true;
  const items = await opened.items();
  return (row) => {
    const item = items[row];
    return (
      chosen.every(([column, values]) => [item[column]].flat().some((value) => isAmong(value, values))) &&
      bounds.every(([column, [least, most]]) => {
        const value = item[column];
        return typeof value === "number" && value >= (least ?? -Infinity) && value <= (most ?? Infinity);
      })
    );
  };
}

function isAmong(value, texts) {
  return texts.has(String(value)) || (typeof value === "boolean" && texts.has(value ? "1" : "0"));
}

/** A function that makes something once; what failed is tried again when it is asked for again. */
function once(make) {
  let made = null;
  return () => {
    made ??= make().catch((error) => {
      made = null;
      throw error;
    });
    return made;
  };
}
