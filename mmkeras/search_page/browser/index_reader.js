/**
 * An index of embedded pictures, searched here.
 *
 * It is an index of format 2 at precision int8 (docs/search-index.md), but that items and pictures lie in small files:
 * a host of files needs neither ranges of bytes nor a program. `layout.json` beside `index.json` says how many items a
 * block has. `items-N.jsonl` holds a line for each of them, {"item": {...}, "picture": [block, offset, bytes] or null}
 * and where there are several "captions"; `pictures-N.bin` holds pictures one after the other.
 */

import { parseNpy } from "./npy.js";

const FORMAT = 2;
const DECODER = new TextDecoder();

export class IndexReader {
  /**
   * Open an index: its embeddings are read, items and pictures when they are asked for.
   * @param {(name: string) => Promise<Uint8Array>} read Reads one of its files, by its name in the folder.
   */
  static async open(read) {
    const [manifest, layout] = await Promise.all(
      ["index.json", "layout.json"].map(async (name) => JSON.parse(DECODER.decode(await read(name)))),
    );
    const { format, precision, modalities, dim, segments } = manifest;
    if (format !== FORMAT || precision !== "int8" || !modalities.includes("image") || segments.length !== 1) {
      throw new Error(`Expected an index of format ${FORMAT}, int8, in one segment. Received: ${format}, ${precision}`);
    }
    const [{ name, count }] = segments;
    const [embeddings, scales] = await Promise.all(
      ["embeddings", "scales"].map(async (kind) => parseNpy(await read(`${name}/image_${kind}.npy`))),
    );
    if (embeddings.shape.join() !== `${count},${dim}` || scales.shape.join() !== `${count}`) {
      throw new Error(`Expected ${count} embeddings of ${dim} numbers. Received: ${embeddings.shape.join(" x ")}`);
    }
    return new IndexReader({ read, manifest, layout, embeddings: embeddings.values, scales: scales.values });
  }

  constructor({ read, manifest, layout, embeddings, scales }) {
    this.manifest = manifest;
    this.count = manifest.segments[0].count;
    this.dim = manifest.dim;
    this.itemsOfBlock = layout.items_of_block;
    this.embeddings = embeddings;
    this.scales = scales;
    this.read = read;
    this.blocks = new Map();
    this.rows = null;
  }

  /**
   * Find the items nearest to a query. A score is the cosine: the inner product of query and item in float64, times
   * the item's scale, rounded to float32. Equal scores stand in the items' order.
   * @param {Float32Array} query An embedding of unit length.
   * @param {number} k How many at most.
   * @param {(row: number) => boolean} [isSearched] Which items are searched; all where it is left out.
   * @returns {{rows: number[], scores: number[], total: number}} `total` is the number of items that were searched.
   */
  search(query, k, isSearched = () => true) {
    const wide = Float64Array.from(query);
    const { dim, embeddings, scales } = this;
    const rows = [];
    const scores = new Float32Array(this.count);
    for (let row = 0; row < this.count; row++) {
      if (!isSearched(row)) continue;
      let sum = 0;
      for (let place = 0, at = row * dim; place < dim; place++, at++) sum += embeddings[at] * wide[place];
      scores[row] = sum * scales[row];
      rows.push(row);
    }
    const total = rows.length;
    if (total > k) {
      const ordered = Float32Array.from(rows, (row) => scores[row]).sort();
      const least = ordered[total - k];
      rows.splice(0, total, ...rows.filter((row) => scores[row] >= least).sort(byScore(scores)).slice(0, k));
    } else {
      rows.sort(byScore(scores));
    }
    return { rows, scores: rows.map((row) => scores[row]), total };
  }

  /** The embedding of an item, as a query for what is like it. */
  embedding(row) {
    const stored = this.embeddings.subarray(row * this.dim, (row + 1) * this.dim);
    return Float32Array.from(stored, (value) => value * this.scales[row]);
  }

  /** An item by its row. */
  async item(row) {
    return (await this.block(row)).item;
  }

  /** The bytes of an item's picture, null where it has none. */
  async picture(row) {
    const { picture } = await this.block(row);
    if (!picture) return null;
    const [number, offset, length] = picture;
    const bytes = await this.read(`${this.manifest.segments[0].name}/pictures-${number}.bin`);
    return bytes.subarray(offset, offset + length);
  }

  /** All items, in their order. */
  async items() {
    const starts = Array.from({ length: Math.ceil(this.count / this.itemsOfBlock) }, (_, n) => n * this.itemsOfBlock);
    return (await Promise.all(starts.map((row) => this.lines(row)))).flat().map(({ item }) => item);
  }

  /** The row of an item by its id, -1 where there is none. */
  async rowOf(id) {
    this.rows ??= new Map((await this.items()).map((item, row) => [String(item.id), row]));
    return this.rows.get(String(id)) ?? -1;
  }

  async block(row) {
    return (await this.lines(row))[row % this.itemsOfBlock];
  }

  /** The lines of the block that a row is in; a block that could not be read is read again when it is asked for. */
  lines(row) {
    const number = Math.floor(row / this.itemsOfBlock);
    if (!this.blocks.has(number)) {
      const lines = this.read(`${this.manifest.segments[0].name}/items-${number}.jsonl`).then((bytes) =>
        DECODER.decode(bytes).trimEnd().split("\n").map((line) => JSON.parse(line)),
      );
      lines.catch(() => this.blocks.delete(number));
      this.blocks.set(number, lines);
    }
    return this.blocks.get(number);
  }
}

const byScore = (scores) => (one, other) => scores[other] - scores[one] || one - other;
