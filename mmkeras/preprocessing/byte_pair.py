"""`BytePairTokenizer`: the token ids of CLIP, in the graph."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.byte_pairs import BytePairMerger
from mmkeras.preprocessing.characters import LETTER, NUMBER, WHITE_SPACE, class_of, clip_characters
from mmkeras.preprocessing.tokenizer import (
    UNKNOWN_TEXT,
    Tokenizer,
    checked_length,
    checked_vocabulary,
    framed,
    in_batches,
)
from mmkeras.tensors import Tensor, TensorLike

WORD_END = "</w>"
_APOSTROPHE = ord("'")


@keras.saving.register_keras_serializable("mmkeras")
class BytePairTokenizer(Tokenizer):
    """Turns strings into the ids of a published byte-level byte-pair vocabulary: CLIP's, OpenAI's and OpenCLIP's.

    A text is composed (NFC), white space parts its words, upper case goes; a word is a run of letters, one digit, a run
    of other signs, or one of 's 't 're 've 'm 'll 'd. The bytes of each word in UTF-8 are merged by the rules of the
    vocabulary. A row is the begin, the ids and the end; of a text that is too long the first ids stay, and its end.

    The ids are those of the published `tokenizer.json` in Hugging Face's `tokenizers` for every string, with two
    exceptions. What a text itself spells as a special token, such as "<|endoftext|>", is read as any other text. (There
    it is with `encode_special_tokens = True`.) Combining marks that came after Unicode 9, where they stand in another
    order than Unicode's, are put into it, which the tables there do not know.

    The graph keeps nothing between calls, whatever words clients send.

    Args:
        vocabulary: list of str, the piece of each id as `vocab.json` spells it, or such pieces as a text, one a line.
        merges: list of str, the rules in their order, two pieces with a space between, or the text of `merges.txt`.
        sequence_length: int of 3 or more, L, the number of ids of every row, begin and end included.
        begin: the token before every text.
        end: the token behind every text.
        pad: the token that fills a row; `None` is `end`.
        unknown: the token of a byte that the vocabulary does not have; `None` is `end`.

    Call arguments:
        texts: string tensor (N,), UTF-8. Works in `tf.data` (batch first), in an exported graph and eagerly.

    Returns:
        int32 tensor (N, L).

    Raises:
        MmkerasError: a vocabulary without a special token or with a piece twice, a rule of pieces that it does not
            have, or a length below 3.
        ImportError: tensorflow-text is not installed.

    Example:
        >>> vocabulary = json.loads(Path("vocab.json").read_text("utf-8"))
        >>> pieces = sorted(vocabulary, key=vocabulary.get)
        >>> tokenizer = BytePairTokenizer(pieces, Path("merges.txt").read_text("utf-8"), sequence_length=77)
        >>> tokenizer(["Two dachshunds!"])  # int32 (1, 77)

    References:
        Radford et al. 2021, CLIP (arXiv 2103.00020), section 2.4; Radford et al. 2019, "Language Models are
        Unsupervised Multitask Learners", section 2.2 (bytes); Sennrich et al. 2016 (arXiv 1508.07909).
    """

    def __init__(
        self,
        vocabulary: Sequence[str] | str,
        merges: Sequence[str] | str,
        sequence_length: int,
        begin: str = "<|startoftext|>",
        end: str = "<|endoftext|>",
        pad: str | None = None,
        unknown: str | None = None,
    ) -> None:
        self.vocabulary = checked_vocabulary(vocabulary)
        self.merges = _checked_merges(merges)
        self.sequence_length = checked_length(sequence_length, 3)
        self.begin, self.end, self.pad, self.unknown = begin, end, pad, unknown
        ids = {piece: number for number, piece in enumerate(self.vocabulary)}
        special = {"begin": begin, "end": end, "pad": end if pad is None else pad}
        special["unknown"] = end if unknown is None else unknown
        for name, token in special.items():
            if token not in ids:
                raise MmkerasError(
                    f"Expected a vocabulary with the special token {name}={token!r}. "
                    f"Received: {len(ids):,} pieces without it"
                )
        self.vocabulary_size = len(ids)
        self.begin_id, self.end_id, self.pad_id, self.unknown_id = (ids[token] for token in special.values())
        # OpenCLIP fills rows with "!", which is a sign of texts too.
        framing = {self.begin_id, self.end_id, self.unknown_id} | ({self.pad_id} if special["pad"] != "!" else set())
        self.special_ids = tuple(sorted(framing))
        self._merger = _merger(self.merges, ids)
        inner, last = ([ids.get(sign + tail, self.unknown_id) for sign in _SIGNS] for tail in ("", WORD_END))
        self._byte_ids = np.array([*inner, *last], np.int32)

    def __call__(self, texts: TensorLike) -> Tensor:
        # More words than a row has room for cannot reach it: each has an id or more.
        pieces = self._ids(texts, self.sequence_length - 2)
        return framed(pieces, self.sequence_length, self.begin_id, self.end_id, self.pad_id)

    def normalized(self, texts: Sequence[str]) -> list[str]:
        return [" ".join(words) for part in in_batches(texts) for words in self._words(part)]

    def count_ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        lengths = [self._ids(part).row_lengths() for part in in_batches(texts)]
        return np.concatenate([np.zeros(0, np.int64), *lengths]) + 2

    def words(self, token_ids: ArrayLike) -> list[tuple[str, range]]:
        words: list[tuple[str, range]] = []
        ids = np.asarray(token_ids).tolist()
        # Behind the last end there is padding, which may be a sign of texts.
        stop = len(ids) - ids[::-1].index(self.end_id) if self.end_id in ids else len(ids)
        start: int | None = None
        for place, token_id in enumerate(ids[:stop]):
            is_piece = token_id not in self.special_ids
            if is_piece and start is None:
                start = place
            behind = place + 1 if is_piece else place
            if start is not None and (not is_piece or behind == stop or self.vocabulary[token_id].endswith(WORD_END)):
                words.append((self._spelled(ids[start:behind]), range(start, behind)))
                start = None
        return words

    def get_config(self) -> dict[str, Any]:
        names = ("sequence_length", "begin", "end", "pad", "unknown")
        return {
            "vocabulary": "\n".join(self.vocabulary),
            "merges": "\n".join(self.merges),
            **{name: getattr(self, name) for name in names},
        }

    def _spelled(self, token_ids):
        """What the bytes of ids say."""
        signs = "".join(self.vocabulary[token_id].removesuffix(WORD_END) for token_id in token_ids)
        return bytes(_BYTES[sign] for sign in signs).decode("utf-8", "replace").replace("\ufffd", UNKNOWN_TEXT)

    def _ids(self, texts, room=None):
        """The ids of texts, of their first `room` words where that is given, a ragged int32 tensor (N, None)."""
        codes, row, begins = self._parted(texts)
        word = tf.cumsum(tf.cast(begins, tf.int32)) - 1
        row_of = tf.boolean_mask(row, begins)
        if room is not None:
            rows = tf.range(tf.size(row_of))
            first = tf.searchsorted(row_of, row_of)  # the first word of each word's text
            fits = tf.gather(rows - first < room, word)
            codes, word = tf.boolean_mask(codes, fits), tf.boolean_mask(word, fits)
        size = 1 + sum(tf.cast(codes >= limit, tf.int32) for limit in (0x80, 0x800, 0x10000))
        word = tf.repeat(word, size)
        # All bytes at once: of no characters the string is empty, which decodes to none.
        number = tf.cast(tf.io.decode_raw(tf.strings.unicode_encode(codes, "UTF-8"), tf.uint8), tf.int32)
        ends = tf.concat([word[1:] != word[:-1], [True]], 0)[: tf.size(word)]
        ids = tf.gather(tf.constant(self._byte_ids), number + 256 * tf.cast(ends, tf.int32))
        ids, word = self._merger(ids, word)
        lengths = tf.math.unsorted_segment_sum(tf.ones_like(ids), tf.gather(row_of, word), tf.size(texts))
        return tf.RaggedTensor.from_row_lengths(ids, lengths, validate=False)

    def _parted(self, texts):
        """The characters of texts but for white space, which text each is of, and whether it begins a word."""
        # A scalar or a matrix of strings must not reach a kernel of a server, which checks no shapes itself.
        texts = tf.ensure_shape(tf.convert_to_tensor(texts, tf.string), [None])
        decoded = clip_characters().decoded(self._text.normalize_utf8(texts, "NFC"))
        codes, row = decoded.values, tf.cast(decoded.value_rowids(), tf.int32)
        kind = class_of(codes)
        same = tf.concat([[False], tf.logical_and(row[1:] == row[:-1], kind[1:] == kind[:-1])], 0)[: tf.size(codes)]
        begins = tf.logical_or(tf.logical_not(same), kind == NUMBER)
        # What follows each character in its text, 0 at the end.
        one, two = _behind(codes, row, 1), _behind(codes, row, 2)
        apostrophe = tf.logical_and(codes == _APOSTROPHE, begins)
        short, long = tf.zeros_like(apostrophe), tf.zeros_like(apostrophe)
        for letter in "stmd":
            short = tf.logical_or(short, one == ord(letter))
        for first, second in ("re", "ve", "ll"):
            long = tf.logical_or(long, tf.logical_and(one == ord(first), two == ord(second)))
        short, long = tf.logical_and(apostrophe, short), tf.logical_and(apostrophe, long)
        joined = tf.logical_or(_moved(tf.logical_or(short, long), 1), _moved(long, 2))
        parted = tf.logical_or(_moved(short, 2), _moved(long, 3))
        parted = tf.logical_and(parted, tf.logical_and(same, kind == LETTER))
        begins = tf.logical_or(tf.logical_and(begins, tf.logical_not(joined)), parted)
        visible = kind != WHITE_SPACE
        return tf.boolean_mask(codes, visible), tf.boolean_mask(row, visible), tf.boolean_mask(begins, visible)

    def _words(self, texts):
        """The words of each text, a list of lists of str."""
        codes, row, begins = (part.numpy().tolist() for part in self._parted(texts))
        found: list[list[str]] = [[] for _ in range(len(texts))]
        for code, own, is_first in zip(codes, row, begins, strict=True):
            if is_first:
                found[own].append(chr(code))
            else:
                found[own][-1] += chr(code)
        return found

    @functools.cached_property
    def _text(self):
        try:
            import tensorflow_text
        except ImportError as error:
            raise ImportError(
                "BytePairTokenizer needs tensorflow-text of TensorFlow's own minor version: pip install tensorflow-text"
            ) from error
        return tensorflow_text


def _behind(values, row, distance):
    """The value `distance` places behind each, 0 where that is another text's or none."""
    count = tf.size(values)
    moved = tf.concat([values[distance:], tf.zeros(distance, values.dtype)], 0)[:count]
    of = tf.concat([row[distance:], tf.fill([distance], -1)], 0)[:count]
    return tf.where(of == row, moved, 0)


def _moved(flags, distance):
    """Flags `distance` places later. No text is left by it: what is moved stands before letters of its own."""
    return tf.concat([tf.zeros(distance, tf.bool), flags], 0)[: tf.size(flags)]


def _signs():
    """The sign that a byte-level vocabulary writes for each byte: printable ones stand for themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


_SIGNS = _signs()
_BYTES = {sign: byte for byte, sign in enumerate(_SIGNS)}


def _checked_merges(merges):
    """Rules as a list of str."""
    if isinstance(merges, str):
        merges = [line.rstrip("\r") for line in merges.split("\n")]
        merges = [line for number, line in enumerate(merges) if line and not (number == 0 and line[:8] == "#version")]
    merges = [" ".join(rule) if isinstance(rule, (list, tuple)) else rule for rule in merges]
    for number, rule in enumerate(merges):
        if not isinstance(rule, str) or len(rule.split(" ")) != 2:
            raise MmkerasError(f"Expected every rule of merges as two pieces. Received: {number}: {rule!r}")
    return merges


def _merger(merges, ids):
    rules: dict[tuple[int, int], tuple[int, int]] = {}
    for number, rule in enumerate(merges):
        left, right = rule.split(" ")
        for piece in (left, right, left + right):
            if piece not in ids:
                raise MmkerasError(
                    f"Expected rules of pieces that the vocabulary has. Received: {number}: {rule!r}, without {piece!r}"
                )
        rules[ids[left], ids[right]] = number, ids[left + right]
    ordered = sorted((rank, *pair, merged) for pair, (rank, merged) in rules.items())
    left, right, merged = ([rule[part] for rule in ordered] for part in (1, 2, 3))
    longest = max((len(piece.removesuffix(WORD_END)) for piece in ids), default=1)
    return BytePairMerger(left, right, merged, longest)
