/**
 * The text encoder of a model in this browser, by LiteRT.js on WebAssembly.
 *
 * WebGPU is not asked: of these networks LiteRT.js 2.5.3 runs there neither the look-up of ids (GATHER of two-dimensional
 * indices) nor the norm (L2_NORMALIZATION), and a network in two parts fails with the WebAssembly that other browsers run.
 */

import { ROOT, kept, readData, readFile } from "./files.js";
import { Tokenizer } from "./tokenizer.js";

const RUNTIME = "litert/";
const DECODER = new TextDecoder();

export class TextNetwork {
  /**
   * Load the runtime, the network and what makes its ids.
   * @param {{model: boolean, tables: boolean}} needs Which files the tokenizer has, `tokenizer` of `info.json`.
   */
  static async load(needs) {
    const json = async (name) => JSON.parse(DECODER.decode(await readData(name)));
    const [litert, network, described, model, tables] = await Promise.all([
      loadRuntime(),
      readData("text_encoder.tflite"),
      json("tokenizer.json"),
      needs.model ? readData("tokenizer.model") : undefined,
      needs.tables ? json("unicode_tables.json") : undefined,
    ]);
    const compiled = await litert.loadAndCompile(network, { accelerator: "wasm" });
    return new TextNetwork(litert, compiled, new Tokenizer(described, model, tables));
  }

  constructor(litert, compiled, tokenizer) {
    this.litert = litert;
    this.compiled = compiled;
    this.tokenizer = tokenizer;
    this.last = Promise.resolve();
  }

  /**
   * Embed a text.
   * @param {string} text
   * @returns {Promise<Float32Array>} Of unit length.
   */
  embed(text) {
    const ids = this.tokenizer.encode(text);
    // One after the other: the network has one set of buffers.
    this.last = this.last.catch(() => {}).then(() => this.run(ids));
    return this.last;
  }

  async run(ids) {
    const input = new this.litert.Tensor(ids, [1, ids.length]);
    const outputs = [];
    try {
      outputs.push(...(await this.compiled.run([input])));
      return Float32Array.from(await outputs[0].data());
    } finally {
      for (const tensor of [input, ...outputs]) tensor.delete();
    }
  }
}

let loading = null;

/** Load LiteRT.js, which a page can do once; what failed is tried again when it is asked for again. */
function loadRuntime() {
  loading ??= startRuntime().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

/** Start LiteRT.js with the WebAssembly that this browser runs, from this folder. */
async function startRuntime() {
  const litert = await import(new URL(`${RUNTIME}index.js`, ROOT));
  const name = (await litert.supportsFeature("relaxedSimd")) ? "litert_wasm_internal" : "litert_wasm_compat_internal";
  const [wasmBinary] = await Promise.all([
    readFile(`${RUNTIME}${name}.wasm`),
    ...["index.js", "wasm-utils.js", `${name}.js`].map((file) => kept(new URL(RUNTIME + file, ROOT))),
  ]);
  // Where LiteRT's loader looks for what it should not load itself. What it only remarks is not told as an error.
  const printErr = (line) => (/^(INFO|WARNING)/.test(line) ? console.debug(line) : console.error(line));
  globalThis.Module = { wasmBinary, printErr };
  try {
    await litert.loadLiteRt(new URL(`${RUNTIME}${name}.js`, ROOT).href);
  } finally {
    delete globalThis.Module;
  }
  return litert;
}
