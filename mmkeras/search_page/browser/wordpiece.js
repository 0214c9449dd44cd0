/** WordPiece, the ids of BERT's family: Wu et al. 2016 (arXiv 1609.08144), section 4.1. */

const LONGEST_WORD = 100; // characters; BERT reads a longer one as unknown
const CONTINUED = "##"; // before a piece that does not begin a word

export class WordPiece {
  /**
   * @param {object} config The config of a `WordPieceTokenizer`.
   * @param {Characters} characters The tables of characters.
   */
  constructor(config, characters) {
    this.ids = new Map(config.vocabulary.split("\n").map((piece, id) => [piece, id]));
    this.unknownId = this.ids.get(config.unknown);
    this.longest = Math.max(...[...this.ids.keys()].map((piece) => piece.length));
    this.characters = characters;
    this.normalization = {
      lower: config.lower,
      stripAccents: config.strip_accents ?? config.lower,
      splitChinese: config.split_chinese,
    };
  }

  /**
   * @param {string} text A text without lone surrogates.
   * @returns {number[]} Its ids, without those of a begin or an end.
   */
  encode(text) {
    const words = this.characters.bert(text, this.normalization).split(" ");
    return words.filter((word) => word).flatMap((word) => this.cut(word));
  }

  /** The longest pieces of a word from its beginning on; one that cannot be cut wholly is unknown. */
  cut(word) {
    if ([...word].length > LONGEST_WORD) return [this.unknownId];
    const found = [];
    for (let start = 0; start < word.length; ) {
      let end = Math.min(word.length, start + this.longest);
      const piece = () => (start ? CONTINUED : "") + word.slice(start, end);
      while (end > start && !this.ids.has(piece())) end--;
      if (end === start) return [this.unknownId];
      found.push(this.ids.get(piece()));
      start = end;
    }
    return found;
  }
}
