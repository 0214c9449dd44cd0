/** Texts to the ids that a text encoder takes: those of the served model. */

import { BytePairs } from "./byte_pairs.js";
import { Characters, wellFormed } from "./characters.js";
import { SentencePiece } from "./sentencepiece.js";
import { WordPiece } from "./wordpiece.js";

export class Tokenizer {
  /**
   * @param {object} described The content of `tokenizer.json`: `class`, `sequence_length`, `begin_id`, `end_id` (null
   *   where there is none), `pad_id`, and `config`, what the class is made of.
   * @param {Uint8Array} [model] Of a SentencePiece model its bytes.
   * @param {object} [tables] The content of `unicode_tables.json`, where the class or its normalisation needs it.
   */
  constructor(described, model, tables) {
    this.sequenceLength = described.sequence_length;
    this.frame = [described.begin_id, described.end_id].map((id) => (id === null ? [] : [id]));
    this.padId = described.pad_id;
    const { config } = described;
    const characters = new Characters(tables);
    const makers = {
      TextPreprocessor: () => new SentencePiece(model),
      SentencePieceTokenizer: () => new SentencePiece(model),
      WordPieceTokenizer: () => new WordPiece(config, characters),
      BytePairTokenizer: () => new BytePairs(config, characters),
    };
    const make = makers[described.class];
    if (!make) {
      throw new Error(`Expected a tokenizer of ${Object.keys(makers).join(", ")}. Received: ${described.class}`);
    }
    this.pieces = make();
    const normalizations = {
      none: (text) => text,
      lower: (text) => characters.lower(text),
      canonical: (text) => characters.canonical(text),
    };
    this.prepare = normalizations[config.normalization ?? "none"];
  }

  /**
   * @param {string} text Any text; a lone surrogate counts as U+FFFD.
   * @returns {Int32Array} As many ids as the encoder takes, of a long text the first.
   */
  encode(text) {
    const [before, behind] = this.frame;
    const room = this.sequenceLength - before.length - behind.length;
    const found = this.pieces.encode(this.prepare(wellFormed(text)));
    const row = new Int32Array(this.sequenceLength).fill(this.padId);
    row.set([...before, ...found.slice(0, room), ...behind]);
    return row;
  }
}
