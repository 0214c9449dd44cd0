/** Searches a folder of blocks: prints {results, items, pictures, total, like, missing} of a query, as JSON. */
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [, , reader, folder, queryFile, k] = process.argv;
const { IndexReader } = await import(pathToFileURL(reader));
const asked = [];
const read = async (name) => {
  asked.push(name);
  return new Uint8Array(await readFile(`${folder}/${name}`));
};
const index = await IndexReader.open(read);
const opened = [...asked];
const query = Float32Array.from(JSON.parse(await readFile(queryFile)));
const { rows, scores, total } = index.search(query, Number(k));
const own = await index.rowOf("7.png");
const like = index.search(index.embedding(own), 3, (row) => row !== own);
const some = index.search(query, 1e9, (row) => row % 100 === 3);
const picture = async (row) => Buffer.from((await index.picture(row)) ?? []).toString("base64");
console.log(
  JSON.stringify({
    opened,
    results: rows.map((row, place) => [row, scores[place]]),
    items: await Promise.all(rows.map((row) => index.item(row))),
    pictures: await Promise.all(rows.map(picture)),
    total,
    like: like.rows.map((row, place) => [row, like.scores[place]]),
    some: some.rows,
    missing: await index.rowOf("no such id"),
  }),
);
