"""`WordPieceTokenizer`: the token ids of BERT and of what was made of it, in the graph."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.characters import bert_characters
from mmkeras.preprocessing.tokenizer import (
    UNKNOWN_TEXT,
    Tokenizer,
    checked_length,
    checked_vocabulary,
    framed,
    in_batches,
)
from mmkeras.tensors import Tensor, TensorLike

LONGEST_WORD = 100  # characters; BERT reads a longer one as unknown
CONTINUED = "##"  # before a piece that does not begin a word


@keras.saving.register_keras_serializable("mmkeras")
class WordPieceTokenizer(Tokenizer):
    """Turns strings into the ids of a published WordPiece vocabulary: BERT, MiniLM, BGE, E5 and others.

    A text is cleaned of control characters, its Chinese characters stand alone, accents and upper case go where the
    vocabulary has none, words are parted at spaces and around punctuation, and each is cut into the longest pieces that
    the vocabulary has, from its beginning. A row is the begin, the pieces and the end; of a text that is too long the
    first pieces stay, and its end.

    The ids are those of Hugging Face's `tokenizers` for every string, with one exception, on purpose: what a text
    itself spells as a special token, such as "[MASK]", is read as any other text. (There it is with
    `encode_special_tokens = True`.) A server's clients cannot put an end into the middle of a text.

    Args:
        vocabulary: list of str, the piece of each id, or the text of `vocab.txt`, a piece a line.
        sequence_length: int of 3 or more, L, the number of ids of every row, begin and end included.
        lower: bool, whether the vocabulary is without upper case ("uncased").
        strip_accents: bool, whether it is without accents; `None` is as `lower`.
        split_chinese: bool, whether each Chinese character is a word.
        unknown: the token of what the vocabulary does not have.
        begin: the token before every text.
        end: the token behind every text.
        pad: the token that fills a row.
        mask: the token that stands for a hidden word; `None` or one that the vocabulary does not have: there is none.

    Call arguments:
        texts: string tensor (N,), UTF-8. Works in `tf.data` (batch first), in an exported graph and eagerly.

    Returns:
        int32 tensor (N, L).

    Raises:
        MmkerasError: a vocabulary without a special token or with a piece twice, or a length below 3.
        ImportError: tensorflow-text is not installed.

    Example:
        >>> tokenizer = WordPieceTokenizer(Path("vocab.txt").read_text("utf-8"), sequence_length=8)
        >>> tokenizer(["Two dachshunds!"])
        [[101, 2048, 4830, 18069, 17157, 5104, 999, 102]]

    References:
        Wu et al. 2016 (arXiv 1609.08144), section 4.1; Devlin et al. 2019 (arXiv 1810.04805), section 3; Song et al.
        2021, "Fast WordPiece Tokenization" (arXiv 2012.15524), the algorithm of the operation.
    """

    def __init__(
        self,
        vocabulary: Sequence[str] | str,
        sequence_length: int,
        lower: bool = True,
        strip_accents: bool | None = None,
        split_chinese: bool = True,
        unknown: str = "[UNK]",
        begin: str = "[CLS]",
        end: str = "[SEP]",
        pad: str = "[PAD]",
        mask: str | None = "[MASK]",
    ) -> None:
        for name, value in (("lower", lower), ("split_chinese", split_chinese)):
            if not isinstance(value, bool):
                raise MmkerasError(f"Expected a bool. Received: {name}={value!r}")
        if strip_accents is not None and not isinstance(strip_accents, bool):
            raise MmkerasError(f"Expected a bool or None. Received: strip_accents={strip_accents!r}")
        self.vocabulary = checked_vocabulary(vocabulary)
        self.sequence_length = checked_length(sequence_length, 3)
        self.lower = lower
        self.strip_accents = strip_accents
        self.split_chinese = split_chinese
        self.unknown, self.begin, self.end, self.pad, self.mask = unknown, begin, end, pad, mask
        ids = {piece: number for number, piece in enumerate(self.vocabulary)}
        for name in ("unknown", "begin", "end", "pad"):
            if getattr(self, name) not in ids:
                raise MmkerasError(
                    f"Expected a vocabulary with the special token {name}={getattr(self, name)!r}. "
                    f"Received: {len(ids):,} pieces without it"
                )
        self.vocabulary_size = len(ids)
        self.unknown_id, self.begin_id, self.end_id, self.pad_id = (ids[one] for one in (unknown, begin, end, pad))
        self.mask_id = None if mask is None else ids.get(mask)
        found = {self.pad_id, self.unknown_id, self.begin_id, self.end_id}
        self.special_ids = tuple(sorted(found if self.mask_id is None else found | {self.mask_id}))

    def __call__(self, texts: TensorLike) -> Tensor:
        return framed(self._pieces(texts), self.sequence_length, self.begin_id, self.end_id, self.pad_id)

    def normalized(self, texts: Sequence[str]) -> list[str]:
        joined = (tf.strings.reduce_join(self._words(part), axis=1, separator=" ") for part in in_batches(texts))
        return [text.decode() for part in joined for text in part.numpy()]

    def count_ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        lengths = [self._pieces(part).row_lengths() for part in in_batches(texts)]
        return np.concatenate([np.zeros(0, np.int64), *lengths]) + 2

    def words(self, token_ids: ArrayLike) -> list[tuple[str, range]]:
        words: list[tuple[str, range]] = []
        for place, token_id in enumerate(np.asarray(token_ids).tolist()):
            if token_id in self.special_ids and token_id != self.unknown_id:
                continue
            piece = UNKNOWN_TEXT if token_id == self.unknown_id else self.vocabulary[token_id]
            if piece.startswith(CONTINUED) and words and words[-1][1].stop == place:
                word, places = words[-1]
                words[-1] = (word + piece.removeprefix(CONTINUED), range(places.start, place + 1))
            else:
                words.append((piece, range(place, place + 1)))
        return words

    def get_config(self) -> dict[str, Any]:
        names = ("lower", "strip_accents", "split_chinese", "unknown", "begin", "end", "pad", "mask")
        return {
            "vocabulary": "\n".join(self.vocabulary),
            "sequence_length": self.sequence_length,
            **{name: getattr(self, name) for name in names},
        }

    def _words(self, texts):
        """The words of texts, normalised: a ragged string tensor (N, None)."""
        # A scalar or a matrix of strings must not reach a kernel of a server, which checks no shapes itself.
        texts = tf.ensure_shape(tf.convert_to_tensor(texts, tf.string), [None])
        strips = self.lower if self.strip_accents is None else self.strip_accents
        return tf.strings.split(bert_characters(self.lower, strips, self.split_chinese)(texts))

    def _pieces(self, texts):
        """The ids of the words of texts, a ragged int32 tensor (N, None)."""
        words = self._words(texts)
        is_long = tf.strings.length(words.values, "UTF8_CHAR") > LONGEST_WORD
        pieces = self._cutter.tokenize(tf.where(is_long, self._nowhere, words.values))
        return words.with_values(pieces).merge_dims(1, 2)

    @functools.cached_property
    def _nowhere(self):
        """A character that no piece has: a word that is unknown."""
        known = set("".join(self.vocabulary))
        return next(chr(code) for code in range(0xE000, 0x110000) if chr(code) not in known)

    @functools.cached_property
    def _cutter(self):
        try:
            import tensorflow_text
        except ImportError as error:
            raise ImportError(
                "WordPieceTokenizer needs tensorflow-text of TensorFlow's own minor version: "
                "pip install tensorflow-text"
            ) from error
        with tf.init_scope():  # first met while a graph is traced, its constants would belong to that graph alone
            return tensorflow_text.FastWordpieceTokenizer(
                self.vocabulary,
                suffix_indicator=CONTINUED,
                max_bytes_per_word=4 * LONGEST_WORD,  # characters are counted before
                token_out_type=tf.int32,
                unknown_token=self.unknown,
                no_pretokenization=True,
            )
