/*
 * Search an index for devices by its layout alone, with nothing but JavaScript.
 *
 *     node read_index.mjs device/index query.json 5         query.json: an embedding, a list of numbers
 */
import { readFileSync } from "node:fs";

/** The numbers of an .npy file: ten bytes, the last two the length of a header, and that header first. */
function readNumbers(path) {
  const content = readFileSync(path);
  const start = 10 + content.readUInt16LE(8);
  const types = { "|i1": Int8Array, "<f4": Float32Array, "<i8": BigInt64Array };
  const name = Object.keys(types).find((each) => content.subarray(0, start).includes(each));
  return new types[name](Uint8Array.from(content.subarray(start)).buffer);
}

const [, , folder, file, k] = process.argv;
const query = JSON.parse(readFileSync(file));
const manifest = JSON.parse(readFileSync(`${folder}/index.json`));
const found = [];
for (const { name, count, removed } of manifest.segments) {
  const values = readNumbers(`${folder}/${name}/image_embeddings.npy`);
  const scales = readNumbers(`${folder}/${name}/image_scales.npy`);
  const gone = new Set(removed ? Array.from(readNumbers(`${folder}/${removed}`), Number) : []);
  const lines = readFileSync(`${folder}/${name}/items.jsonl`, "utf8").split("\n");
  for (let row = 0; row < count; row++) {
    if (gone.has(row)) continue;
    const product = query.reduce((sum, part, place) => sum + values[row * manifest.dim + place] * part, 0);
    found.push({ id: JSON.parse(lines[row]).id, score: Math.fround(product * scales[row]) });
  }
}
found.sort((one, other) => other.score - one.score); // a stable sort: equal scores stay in the items' order
for (const result of found.slice(0, k)) console.log(JSON.stringify(result));
