/** The text encoder of a model in this browser, by LiteRT.js. */

import { ROOT, kept, readData, readFile } from "./files.js";
import { Tokenizer } from "./tokenizer.js";

const RUNTIME = "litert/";
const SLOW = 5; // milliseconds of a text; below, a graphics card has nothing to gain
const SAME = 0.9999; // the least cosine of a graphics card's embedding with WebAssembly's
const DECODER = new TextDecoder();

export class TextNetwork {
  /**
   * Load the runtime, the network and what makes its ids.
   * @param {{tokenizer: {model: boolean, tables: boolean}, probe: string}} settings `text` of `info.json`.
   */
  static async load({ tokenizer: needs, probe }) {
    const json = async (name) => JSON.parse(DECODER.decode(await readData(name)));
    const [litert, network, described, model, tables] = await Promise.all([
      loadRuntime(),
      readData("text_encoder.tflite"),
      json("tokenizer.json"),
      needs.model ? readData("tokenizer.model") : undefined,
      needs.tables ? json("unicode_tables.json") : undefined,
    ]);
    const compiled = await litert.loadAndCompile(network, { accelerator: "wasm" });
    const made = new TextNetwork(litert, compiled, new Tokenizer(described, model, tables));
    made.quicken(network, probe); // meanwhile WebAssembly answers
    return made;
  }

  constructor(litert, compiled, tokenizer) {
    this.litert = litert;
    this.compiled = compiled;
    this.tokenizer = tokenizer;
    this.accelerator = "WebAssembly";
    this.last = Promise.resolve();
  }

  /**
   * Embed a text.
   * @param {string} text
   * @returns {Promise<Float32Array>} Of unit length.
   */
  embed(text) {
    const ids = this.tokenizer.encode(text);
    return this.next(() => this.run(this.compiled, ids));
  }

  /** Do some work behind all that was asked for before: a network has one set of buffers. */
  next(work) {
    this.last = this.last.catch(() => {}).then(work);
    return this.last;
  }

  async run(compiled, ids) {
    const input = new this.litert.Tensor(ids, [1, ids.length]);
    const outputs = [];
    try {
      outputs.push(...(await compiled.run([input])));
      return Float32Array.from(await outputs[0].data());
    } finally {
      for (const tensor of [input, ...outputs]) tensor.delete();
    }
  }

  /** Take the graphics card where WebAssembly is slow, the card is faster, and it computes the same. */
  async quicken(network, probe) {
    try {
      const ids = this.tokenizer.encode(probe);
      const expected = await this.next(() => this.run(this.compiled, ids));
      const here = await this.milliseconds(this.compiled, ids);
      if (here < SLOW || !this.litert.getWebGpuDevice()) return;
      const compiled = await this.litert.loadAndCompile(network, { accelerator: "webgpu" });
      const received = await this.next(() => this.run(compiled, ids));
      const cosine = expected.reduce((sum, value, place) => sum + value * received[place], 0);
      if (compiled.isFullyAccelerated && cosine >= SAME && (await this.milliseconds(compiled, ids)) < here) {
        this.compiled = compiled;
        this.accelerator = "WebGPU";
      } else {
        compiled.delete();
      }
    } catch (error) {
      console.info(`WebAssembly computes: WebGPU could not (${error.message})`);
    }
  }

  /** The least milliseconds of three runs. */
  async milliseconds(compiled, ids) {
    let least = Infinity;
    for (let round = 0; round < 3; round++) {
      await this.next(async () => {
        const begun = performance.now();
        await this.run(compiled, ids);
        least = Math.min(least, performance.now() - begun);
      });
    }
    return least;
  }
}

/** Load LiteRT.js with the WebAssembly that this browser runs, from this folder. */
async function loadRuntime() {
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
