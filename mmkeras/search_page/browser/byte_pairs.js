/** Byte-level byte pairs, the ids of CLIP: Sennrich et al. 2016 (arXiv 1508.07909), over bytes. */

const WORD_END = "</w>";
const [OTHER, LETTER, NUMBER, WHITE_SPACE] = [0, 1, 2, 3];
const SHORT = /^'(?:re|ve|ll|[stmd])/; // what stands behind an apostrophe as a word of its own

export class BytePairs {
  /**
   * @param {object} config The config of a `BytePairTokenizer`.
   * @param {Characters} characters The tables of characters.
   */
  constructor(config, characters) {
    const ids = new Map(config.vocabulary.split("\n").map((piece, id) => [piece, id]));
    const unknown = ids.get(config.unknown ?? config.end);
    this.size = ids.size;
    this.room = config.sequence_length - 2;
    this.characters = characters;
    this.rules = new Map(); // from a pair of ids to its rank and what it becomes
    config.merges.split("\n").forEach((rule, rank) => {
      if (!rule) return;
      const [left, right] = rule.split(" ");
      this.rules.set(ids.get(left) * this.size + ids.get(right), [rank, ids.get(left + right)]);
    });
    const all = signs();
    this.inner = all.map((sign) => ids.get(sign) ?? unknown);
    this.last = all.map((sign) => ids.get(sign + WORD_END) ?? unknown);
  }

  /**
   * @param {string} text A text without lone surrogates.
   * @returns {number[]} The ids of its first words, without those of a begin or an end.
   */
  encode(text) {
    // More words than a row has room for cannot reach it: each has an id or more.
    return this.words(text).slice(0, this.room).flatMap((word) => this.merged(new TextEncoder().encode(word)));
  }

  /** The words of a text: runs of letters, single digits, runs of other signs, and 's 't 're 've 'm 'll 'd. */
  words(text) {
    const [letter, number, space] = ["letter", "number", "white_space"].map((name) => this.characters.class(name));
    const kindOf = (character) => {
      const code = character.codePointAt(0);
      return space[code] ? WHITE_SPACE : letter[code] ? LETTER : number[code] ? NUMBER : OTHER;
    };
    const all = [...this.characters.lower(text.normalize("NFC"))];
    const words = [];
    for (let place = 0; place < all.length; ) {
      const kind = kindOf(all[place]);
      const short = all[place] === "'" && SHORT.exec(all.slice(place, place + 3).join(""));
      let end = place + 1;
      if (short) end = place + short[0].length;
      else if (kind !== NUMBER) while (end < all.length && kindOf(all[end]) === kind) end++;
      if (kind !== WHITE_SPACE) words.push(all.slice(place, end).join(""));
      place = end;
    }
    return words;
  }

  /** The ids of a word's bytes, merged by the first rule that fits until none does. */
  merged(bytes) {
    const ids = Array.from(bytes, (byte, place) => (place === bytes.length - 1 ? this.last : this.inner)[byte]);
    for (;;) {
      let best = [Infinity];
      let at = -1;
      for (let place = 0; place + 1 < ids.length; place++) {
        const rule = this.rules.get(ids[place] * this.size + ids[place + 1]);
        if (rule && rule[0] < best[0]) [best, at] = [rule, place];
      }
      if (at < 0) return ids;
      ids.splice(at, 2, best[1]);
    }
  }
}

/** The sign that a byte-level vocabulary writes for each byte: printable ones stand for themselves. */
function signs() {
  const printable = (byte) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}
