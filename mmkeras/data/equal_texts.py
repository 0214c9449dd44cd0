"""Equal texts of different pictures: right answers to all of these, and never negatives of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.paired import PairedData
from mmkeras.ids import NO_ID


class Normalizer(Protocol):
    """What knows which texts are one to a model: a `Tokenizer` and `StringPreprocessor`."""

    def normalized(self, texts: Sequence[str]) -> list[str]:
        """Return the texts as the model reads them."""


def relate_equal_texts(data: PairedData, normalizer: Normalizer | None = None) -> PairedData:
    """Let texts that are equal be right answers to all the pictures that one of them belongs to.

    A caption such as "a red shape" may stand at many pictures. By the pictures alone each of its copies would be a
    wrong answer to all pictures but one: a negative that training cannot push away, and a mistake that no model avoids.

    Args:
        data: `PairedData`. Features of texts, and data whose ids the user gave (`ids_given`), stay as they are.
        normalizer: the model's text preprocessor; without it texts are equal that are so letter by letter.

    Returns:
        `PairedData` with new ids: the texts' that stand at several pictures, and those of their pictures, one each or,
        where a picture has other texts too, several. The strict items stay. Without such texts, `data` itself.

    Example:
        >>> related = relate_equal_texts(data)  # of pictures 0 and 1, captions "a dog", "a dog", "two dogs" of 0, 1, 1
        >>> related.text_image_id.tolist(), related.image_id.tolist()
        ([2, 2, 1], [[2, -1], [1, 2]])
    """
    if data.text_features or data.ids_given or data.image_id.ndim == 2:
        return data
    content = _contents(data, normalizer)
    owners = np.unique(np.column_stack([content, data.text_image_id]), axis=0)
    shared = np.bincount(owners[:, 0]) > 1
    if not shared.any():
        return data
    first_new = 1 + max(int(ids.max()) for ids in (data.image_id, data.text_image_id))
    text_id = np.where(shared[content], first_new + content, data.text_image_id)
    owner, answer = np.unique(np.column_stack([data.text_image_id, text_id]), axis=0).T
    known, start, count = np.unique(owner, return_index=True, return_counts=True)
    answers = np.full((len(known), count.max()), NO_ID, np.int64)
    answers[np.repeat(np.arange(len(known)), count), np.arange(len(owner)) - np.repeat(start, count)] = answer
    row = np.clip(np.searchsorted(known, data.image_id), 0, len(known) - 1)
    alone = np.full((len(row), count.max()), NO_ID, np.int64)  # pictures without texts
    alone[:, 0] = data.image_id
    image_id = np.where((known[row] == data.image_id)[:, None], answers[row], alone)
    image_id = image_id[:, 0] if count.max() == 1 else image_id
    return dataclasses.replace(data, image_id=image_id, text_image_id=text_id)


def shared_texts(data: PairedData, normalizer: Normalizer | None = None) -> NDArray[np.int64]:
    """Return the rows of the texts that stand at several items, as `relate_equal_texts` finds them, int64.

    Args:
        data: `PairedData`.
        normalizer: the model's text preprocessor.
    """
    if data.text_features or data.ids_given:
        return np.zeros(0, np.int64)
    content = _contents(data, normalizer)
    owners = np.unique(np.column_stack([content, data.text_item]), axis=0)
    return np.flatnonzero((np.bincount(owners[:, 0]) > 1)[content])


def _contents(data, normalizer):
    """A number for each text, which texts share that are one to the model: int64 (T,)."""
    code: dict[str, int] = {}
    texts: list[str] = list(data.texts) if normalizer is None else normalizer.normalized(list(data.texts))
    return np.fromiter((code.setdefault(text, len(code)) for text in texts), np.int64, len(texts))
