/**
 * Unigram models of SentencePiece: a serialised model in, the ids of a text out.
 *
 * Kudo, "Subword Regularization", ACL 2018, section 3.2 (the model, Viterbi); the format of a model is
 * `sentencepiece_model.proto`, its rules of normalisation a double array (Aoe 1989) as Darts-clone keeps it.
 */

const UNIGRAM = 1; // trainer_spec.model_type
const NORMAL = 1;
const UNKNOWN = 2;
const USER_DEFINED = 4; // types of pieces
const UNKNOWN_PENALTY = 10; // how far below the rarest piece an unknown character is
const SPACE = "\u2581"; // a space in pieces

/** Makes the ids that SentencePiece itself makes. */
export class SentencePiece {
  /** @param {Uint8Array} bytes A serialised unigram model, as `tokenizer.model` holds it. */
  constructor(bytes) {
    const model = readModel(bytes);
    const refused = [
      [model.modelType !== UNIGRAM, `model_type ${model.modelType}, which is not unigram`],
      [model.byteFallback, "bytes for unknown characters"],
      [model.spaceBehind, "white space as a suffix"],
      [model.pieces.some((piece) => piece.type === USER_DEFINED), "pieces that are never cut"],
    ].find(([is]) => is);
    if (refused) throw new Error(`Expected a SentencePiece unigram model. Received: one with ${refused[1]}`);
    this.rules = new Rules(model.rules);
    this.dummyPrefix = model.dummyPrefix;
    this.removesSpaces = model.removesSpaces;
    this.space = model.escapesSpaces ? SPACE : " ";
    this.unknownId = model.pieces.findIndex((piece) => piece.type === UNKNOWN);
    this.ids = new Map();
    this.scores = model.pieces.map((piece) => piece.score);
    this.longest = 1; // characters of a piece
    let least = Infinity;
    model.pieces.forEach(({ text, score, type }, id) => {
      if (type !== NORMAL) return;
      this.ids.set(text, id);
      this.longest = Math.max(this.longest, [...text].length);
      least = Math.min(least, score);
    });
    this.unknownScore = Math.fround(least - UNKNOWN_PENALTY);
  }

  /**
   * @param {string} text A text without lone surrogates.
   * @returns {number[]} Its ids, without those of a begin or an end.
   */
  encode(text) {
    const characters = [...this.normalized(text)];
    const size = characters.length;
    // The best way to each place: its score in float32, sums too, where its last piece begins and which it is.
    const best = new Float32Array(size + 1);
    const from = new Int32Array(size + 1).fill(-1);
    const last = new Int32Array(size + 1);
    for (let start = 0; start < size; start++) {
      const before = best[start];
      let piece = "";
      let single = false;
      const reach = (end, score, id) => {
        const whole = Math.fround(score + before);
        if (from[end] !== -1 && whole <= best[end]) return;
        best[end] = whole;
        from[end] = start;
        last[end] = id;
      };
      for (let end = start + 1; end <= Math.min(size, start + this.longest); end++) {
        piece += characters[end - 1];
        const id = this.ids.get(piece);
        if (id === undefined) continue;
        reach(end, this.scores[id], id);
        single ||= end === start + 1;
      }
      if (!single) reach(start + 1, this.unknownScore, this.unknownId);
    }
    const ids = [];
    for (let end = size; end > 0; end = from[end]) {
      // Unknown characters beside each other are one unknown piece.
      if (last[end] !== this.unknownId || ids.at(-1) !== this.unknownId) ids.push(last[end]);
    }
    return ids.reverse();
  }

  /** The text as the model reads it: by its rules, its spaces put in order. */
  normalized(text) {
    const parts = this.rules.apply(new TextEncoder().encode(text));
    let first = 0;
    if (this.removesSpaces) while (first < parts.length && parts[first] === " ") first++;
    if (first === parts.length) return "";
    let result = this.dummyPrefix ? this.space : "";
    let behindSpace = this.removesSpaces;
    for (let part of parts.slice(first)) {
      if (behindSpace) part = part.replace(/^ +/, "");
      if (!part) continue;
      result += part.replaceAll(" ", this.space);
      behindSpace = this.removesSpaces && part.endsWith(" ");
    }
    if (this.removesSpaces) while (result.endsWith(this.space)) result = result.slice(0, -this.space.length);
    return result;
  }
}

/** What replaces which beginning of a text: the longest one that there is. */
class Rules {
  /** @param {Uint8Array} map `precompiled_charsmap`: the bytes of a double array, the array, texts that end in NUL. */
  constructor(map) {
    this.units = new Uint32Array(0);
    if (map.length < 4) return;
    const size = new DataView(map.buffer, map.byteOffset).getUint32(0, true);
    this.units = new Uint32Array(map.slice(4, 4 + size).buffer);
    this.texts = map.slice(4 + size);
  }

  /** Return what a text in UTF-8 becomes, a list of strings: one for each beginning that was looked up. */
  apply(bytes) {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const parts = [];
    for (let place = 0; place < bytes.length; ) {
      const [length, target] = this.longest(bytes, place);
      if (length) {
        parts.push(decoder.decode(this.texts.subarray(target, this.texts.indexOf(0, target))));
        place += length;
      } else {
        const byte = bytes[place];
        const size = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
        parts.push(decoder.decode(bytes.subarray(place, place + size)));
        place += size;
      }
    }
    return parts;
  }

  /** Return the length of the longest rule that a text begins with at a place, and where its replacement stands. */
  longest(bytes, place) {
    let found = [0, 0];
    if (!this.units.length) return found;
    let node = offset(this.units[0]);
    for (let end = place; end < bytes.length; end++) {
      node ^= bytes[end];
      const unit = this.units[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== bytes[end]) break;
      node ^= offset(unit);
      if ((unit >>> 8) & 1) found = [end + 1 - place, this.units[node] & 0x7fffffff];
    }
    return found;
  }
}

/** How far a node's children are, as Darts-clone packs it. */
function offset(unit) {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** What of a `ModelProto` the ids follow from. */
function readModel(bytes) {
  const model = {
    pieces: [],
    modelType: UNIGRAM,
    byteFallback: false,
    spaceBehind: false,
    rules: new Uint8Array(0),
    dummyPrefix: true,
    removesSpaces: true,
    escapesSpaces: true,
  };
  for (const [field, value] of fields(bytes)) {
    if (field === 1) {
      const piece = { text: "", score: 0, type: NORMAL };
      for (const [part, content] of fields(value)) {
        if (part === 1) piece.text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(content);
        else if (part === 2) piece.score = content;
        else if (part === 3) piece.type = content;
      }
      model.pieces.push(piece);
    } else if (field === 2) {
      for (const [part, content] of fields(value)) {
        if (part === 3) model.modelType = content;
        else if (part === 24) model.spaceBehind = content !== 0;
        else if (part === 35) model.byteFallback = content !== 0;
      }
    } else if (field === 3) {
      for (const [part, content] of fields(value)) {
        if (part === 2) model.rules = content;
        else if (part === 3) model.dummyPrefix = content !== 0;
        else if (part === 4) model.removesSpaces = content !== 0;
        else if (part === 5) model.escapesSpaces = content !== 0;
      }
    }
  }
  return model;
}

/** Yield the number and the value of each field of a protobuf message; a float where it has four bytes. */
function* fields(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let place = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[place++];
      if (byte === undefined) throw new Error("Expected a SentencePiece model. Received: one that is cut off");
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (place < bytes.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === 0) {
      yield [Math.floor(key / 8), varint()];
    } else if (kind === 2) {
      const length = varint();
      yield [Math.floor(key / 8), bytes.subarray(place, place + length)];
      place += length;
    } else if (kind === 5) {
      yield [Math.floor(key / 8), view.getFloat32(place, true)];
      place += 4;
    } else if (kind === 1) {
      place += 8;
    } else {
      throw new Error(`Expected a SentencePiece model. Received: a field of type ${kind}`);
    }
  }
}
