"""`Tokenizer`: what everything that turns strings into token ids has in common."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.tensors import Tensor, TensorLike

UNKNOWN_TEXT = (
    "\u2047"  # what stands for a part of a word that the vocabulary does not know, as SentencePiece writes it
)
_BATCH = 4096  # texts that are looked at together


class Tokenizer(abc.ABC):
    """Turns strings into token ids, the same ones in `tf.data`, in an exported graph and eagerly.

    A subclass is registered for Keras' saving, and its config holds its whole vocabulary: a model is saved with it.

    Attributes:
        vocabulary_size: ids are 0 to `vocabulary_size` - 1.
        sequence_length: int, L, the number of ids of every row.
        pad_id: the id that fills a row behind its text.
        special_ids: ids that stand for no part of a text: padding, begin, end, what is unknown or hidden.
        mask_id: the id that stands for a hidden word; `None` where the vocabulary has none.

    Call arguments:
        texts: string tensor (N,), UTF-8; batch first.

    Returns:
        int32 tensor (N, L).
    """

    vocabulary_size: int
    sequence_length: int
    pad_id: int
    special_ids: tuple[int, ...]
    mask_id: int | None = None

    @abc.abstractmethod
    def __call__(self, texts: TensorLike) -> Tensor:
        """Return the ids of texts, int32 (N, L)."""

    @abc.abstractmethod
    def normalized(self, texts: Sequence[str]) -> list[str]:
        """Return texts as they are before they are cut into pieces: two that are equal then are one to a model.

        Args:
            texts: list of str.
        """

    @abc.abstractmethod
    def count_ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return how many ids each text has before it is cut, those of its begin and its end included, int64 (N,).

        Args:
            texts: list of N str.
        """

    @abc.abstractmethod
    def words(self, token_ids: ArrayLike) -> list[tuple[str, range]]:
        """Tell which ids of a text make up each of its words.

        Args:
            token_ids: int (L,), a row of what a call returned.

        Returns:
            list of pairs, a word a pair and in the text's order: the word as the vocabulary spells it (what it does not
            know is U+2047), and the `range` of its places in the row. A word at which the text was cut has the ids that
            are left.
        """

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, for JSON."""

    def resources(self) -> list[Any]:
        """Return what an export has to track beside the constants of the graph: a list of trackable objects."""
        return []

    def count_cut(self, texts: Sequence[str]) -> int:
        """Return how many texts are longer than `sequence_length` ids, so that their ends are cut off.

        Args:
            texts: list of str.
        """
        return int((self.count_ids(texts) > self.sequence_length).sum())

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def checked_length(sequence_length: int, least: int = 1) -> int:
    """Return a sequence length as an int.

    Raises:
        MmkerasError: it is none, or below `least`.
    """
    is_int = isinstance(sequence_length, (int, np.integer)) and not isinstance(sequence_length, bool)
    if not is_int or sequence_length < least:
        raise MmkerasError(f"Expected an int of {least} or more. Received: sequence_length={sequence_length!r}")
    return int(sequence_length)


def checked_vocabulary(vocabulary: Sequence[str] | str) -> list[str]:
    """Return a vocabulary as a list of str.

    Args:
        vocabulary: the piece of each id, or a text of a piece a line.

    Raises:
        MmkerasError: a piece that is none, or one that is there twice.
    """
    if isinstance(vocabulary, str):
        vocabulary = [line.rstrip("\r") for line in vocabulary.removesuffix("\n").split("\n")]
    vocabulary = list(vocabulary)
    seen: set[str] = set()
    for number, piece in enumerate(vocabulary):
        if not isinstance(piece, str) or not piece or "\n" in piece:
            raise MmkerasError(
                f"Expected every piece of a vocabulary as str, in one line. Received: {number}: {piece!r}"
            )
        if piece in seen:
            raise MmkerasError(f"Expected every piece of a vocabulary once. Received: {number}: {piece!r} again")
        seen.add(piece)
    return vocabulary


def in_batches(texts: Sequence[str]) -> Iterator[Tensor]:
    """Yield texts as string tensors, some thousands a time. A lone surrogate, which UTF-8 cannot hold, is U+FFFD."""
    for start in range(0, len(texts), _BATCH):
        part = [text.encode("utf-8", "surrogatepass") for text in texts[start : start + _BATCH]]
        yield tf.constant(part, tf.string)


def framed(
    pieces: tf.RaggedTensor, sequence_length: int, begin_id: int | None, end_id: int | None, pad_id: int
) -> Tensor:
    """Return rows of ids between a begin and an end, cut and padded, int32 (N, L): of what is too long the end stays.

    Args:
        pieces: ragged int32 tensor (N, None).
        sequence_length: L.
        begin_id: the id before every row, or `None`.
        end_id: the id behind every row, or `None`.
        pad_id: what fills a row.
    """
    before, behind = int(begin_id is not None), int(end_id is not None)
    room = sequence_length - before - behind
    # One to_tensor cuts and pads: slicing a ragged tensor needs ops that no device runtime has.
    ids = pieces.to_tensor(pad_id, shape=[None, room])
    if not before + behind:
        return ids
    ids = tf.pad(ids, [[0, 0], [before, behind]], constant_values=pad_id)
    place = tf.range(sequence_length)
    if begin_id is not None:
        ids = tf.where(place == 0, begin_id, ids)
    if end_id is not None:
        last = before + tf.minimum(tf.cast(pieces.row_lengths(), tf.int32), room)
        ids = tf.where(place == last[:, tf.newaxis], end_id, ids)
    return tf.ensure_shape(ids, [None, sequence_length])
