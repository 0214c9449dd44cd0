/**
 * Classes and mappings of characters by `unicode_tables.json`, the tables that a served model has in its graph: ids do
 * not follow from the browser's version of Unicode.
 */

const CODES = 0x110000;
// Hangul syllables are computed: the Unicode standard, section 3.12.
const [HANGUL, LEADING, VOWEL, TRAILING] = [0xac00, 0x1100, 0x1161, 0x11a7];
const HANGUL_COUNT = 19 * 21 * 28;
// Final sigma: the Unicode standard, section 3.13, table 3-17: cased letters before, none behind.
const CASED =
  "\\p{Lu}\\p{Ll}\\p{Lt}ªºⅠ-ⅿⒶ-ⓩ\\u{1F130}-\\u{1F149}\\u{1F150}-\\u{1F169}\\u{1F170}-\\u{1F189}";
const IGNORED =
  "\\p{Mn}\\p{Me}\\p{Cf}\\p{Lm}\\p{Sk}'.:·\\u{387}\\u{55F}\\u{5F4}‘’․‧\\u{FE13}\\u{FE52}\\u{FE55}＇．：";
const FINAL_SIGMA = new RegExp(`([${CASED}][${IGNORED}]*)Σ([${IGNORED}]*(?:[^${CASED}${IGNORED}]|$))`, "gu");
const PUNCTUATION = /[!-/:-@[-`{-~]/g;
const WHITE_SPACE =
  /[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g; // as Python has it

export class Characters {
  /** @param {Object<string, string>} tables The content of `unicode_tables.json`. */
  constructor(tables) {
    this.tables = tables;
    this.made = new Map();
  }

  /** Return which characters are of a class: an array of 0 and 1, by their numbers. */
  class(name) {
    return this.once(`class ${name}`, () => {
      const found = new Uint8Array(CODES);
      for (const part of this.tables[name].split(" ")) {
        const [first, last] = part.split("-").map((code) => parseInt(code, 16));
        found.fill(1, first, (last ?? first) + 1);
      }
      return found;
    });
  }

  /** Return what replaces each character that a mapping changes: a map from number to numbers. */
  mapping(name) {
    return this.once(`mapping ${name}`, () => {
      const pairs = this.tables[name].split(" ").map((part) => part.split("="));
      const numbers = (text) => text.split("+").map((code) => parseInt(code, 16));
      return new Map(pairs.map(([code, text]) => [parseInt(code, 16), numbers(text)]));
    });
  }

  /** Return a text with each character in lower case, whatever stands beside it. */
  lower(text) {
    const lower = this.mapping("lower");
    return mapped(text, (code) => lower.get(code) ?? [code]);
  }

  /** Return a text in lower case, without ASCII punctuation, with one space for white space and none at the ends. */
  canonical(text) {
    const lower = this.mapping("lower");
    const lowered = mapped(text, (code) => (code === 0x3a3 ? [code] : (lower.get(code) ?? [code])));
    const folded = lowered.replace(FINAL_SIGMA, "$1ς$2").replaceAll("Σ", "σ");
    return folded.replace(PUNCTUATION, "").replace(WHITE_SPACE, " ").replace(/^ | $/g, "");
  }

  /** Return what BERT's normaliser makes of a text, with spaces around each punctuation mark. */
  bert(text, { lower, stripAccents, splitChinese }) {
    const [removed, space, isolated, punctuation, mark] = ["removed", "space", "isolated", "punctuation", "mark"].map(
      (name) => this.class(name),
    );
    const [lowered, stripped] = ["lower", "stripped"].map((name) => this.mapping(name));
    const bare = (code) => {
      if (!stripAccents) return [code];
      if (code >= HANGUL && code < HANGUL + HANGUL_COUNT) return syllable(code - HANGUL);
      return mark[code] ? [] : (stripped.get(code) ?? [code]);
    };
    return mapped(text, (code) => {
      if (removed[code]) return [];
      if (space[code]) return [32];
      const whole = bare(code)
        .flatMap((part) => (lower ? (lowered.get(part) ?? [part]) : [part]))
        .flatMap((part) => (punctuation[part] ? [32, part, 32] : [part]));
      return splitChinese && isolated[code] ? [32, ...whole, 32] : whole;
    });
  }

  once(name, make) {
    if (!this.made.has(name)) this.made.set(name, make());
    return this.made.get(name);
  }
}

/** Return a text without lone surrogates, which UTF-8 cannot hold: U+FFFD stands for each. */
export function wellFormed(text) {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

function mapped(text, replace) {
  let result = "";
  for (const character of text) result += String.fromCodePoint(...replace(character.codePointAt(0)));
  return result;
}

function syllable(index) {
  const trailing = index % 28;
  const vowel = ((index - trailing) / 28) % 21;
  const leading = Math.floor(index / (21 * 28));
  return [LEADING + leading, VOWEL + vowel, ...(trailing ? [TRAILING + trailing] : [])];
}
