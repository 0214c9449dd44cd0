/** Reads {described, model, tables, texts} as JSON from standard input, writes the ids of the texts. */
import { pathToFileURL } from "node:url";
import { text } from "node:stream/consumers";

const { Tokenizer } = await import(pathToFileURL(process.argv[2]));
const { described, model, tables, texts } = JSON.parse(await text(process.stdin));
const tokenizer = new Tokenizer(described, model && Uint8Array.from(Buffer.from(model, "base64")), tables);
process.stdout.write(JSON.stringify(texts.map((one) => [...tokenizer.encode(one)])));
