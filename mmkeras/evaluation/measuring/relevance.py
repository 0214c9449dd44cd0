"""`Relevance`: which images and texts are right answers to each other, by item or by category."""

import dataclasses
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.paired import PairedData
from mmkeras.metrics.ids import related, related_candidates
from mmkeras.metrics.retrieval import ranks
from mmkeras.metrics.score_tiles import score_blocks

ROWS = 512  # of the matrix of all pairs at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Relevance:
    """What counts as a right answer between the images and the texts of a data set.

    Args:
        by: `"item"`, what belongs together, looks alike or has one caption, or `"category"`.
        image: ids or categories (P,), or int64 (P, S) for several ids a picture, relevant with one in common; or
            multi-hot bool or uint8 (P, C), relevant with a category in common.
        text: the same for the texts, ids (T,).
    """

    by: Literal["item", "category"]
    image: NDArray[Any]
    text: NDArray[Any]

    @classmethod
    def of(
        cls, data: PairedData, supervision: Literal["pairs", "categories", "pairs_and_categories"] = "pairs"
    ) -> Self:
        """Return what a system that was trained on `supervision` is asked for on a `PairedData`."""
        labelled = data.label is not None and data.text_label is not None
        if labelled and (supervision != "pairs" or not data.paired):
            return cls("category", data.label, data.text_label)  # type: ignore[arg-type]
        return cls("item", data.image_id, data.text_image_id)


def relevant(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Relevance of every row of `one` to every row of `other`, as `Relevance` holds them: bool (N, M)."""
    if _multi_hot(one):
        return one.astype(np.float32) @ other.astype(np.float32).T > 0
    return related(one, other)


def relevant_rows(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Relevance of each row of `one` to the same row of `other`, as `Relevance` holds them: bool (N,)."""
    if _multi_hot(one):
        return (one & other).any(axis=1)
    return related_candidates(one, other[:, None])[:, 0]


def answered(query: NDArray[Any], gallery: NDArray[Any]) -> NDArray[np.bool_]:
    """Which queries have a relevant item in the gallery, of what `Relevance` holds of both: bool (N,)."""
    if _multi_hot(query):
        return (query & gallery.any(axis=0)).any(axis=1)
    found = np.isin(query, gallery)
    return found.any(axis=1) if found.ndim == 2 else found


def _multi_hot(keys):
    return keys.ndim == 2 and keys.dtype.kind in "bu"


def best_ranks(
    query_embeddings: NDArray[np.float32],
    gallery_embeddings: NDArray[np.float32],
    query: NDArray[Any],
    gallery: NDArray[Any],
) -> NDArray[np.int64]:
    """Rank of each query's best relevant item, from 1, ties pessimistic, as `mmkeras.metrics.retrieval.ranks`.

    Args:
        query_embeddings: float32 (N, D).
        gallery_embeddings: float32 (M, D).
        query: what `Relevance` holds of the queries, each of which has a relevant item.
        gallery: the same of the gallery.

    Returns:
        int64 (N,).
    """
    if not _multi_hot(query):
        return ranks(query_embeddings, gallery_embeddings, query, gallery)
    found = np.empty(len(query), np.int64)
    for rows, score in score_blocks(query_embeddings, gallery_embeddings, ROWS):
        right = relevant(query[rows], gallery)
        best = np.max(score, axis=1, where=right, initial=-np.inf, keepdims=True)
        found[rows] = 1 + np.sum(~right & (score >= best), axis=1)
    return found


def map_of_chance(label: NDArray[Any], text_label: NDArray[Any]) -> float:
    """The mean average precision that a random order has, but for terms of the order of one over the gallery's size.

    It is the share of the gallery that is relevant to a query, in the mean over the queries that have a relevant item
    (the others have no average precision), and in the mean of both directions. Where all queries have one, that is the
    share of relevant pairs among all pairs of a picture and a text.

    Args:
        label: categories (P,) or multi-hot (P, C), with one picture at least relevant to a text.
        text_label: (T,) or (T, C).

    Returns:
        float in [0, 1].
    """
    # Rows of the same categories are counted once.
    kinds, counts = zip(*(np.unique(one, axis=0, return_counts=True) for one in (label, text_label)), strict=True)
    texts_of_picture, pictures_of_text = np.zeros(len(kinds[0])), np.zeros(len(kinds[1]))
    for start in range(0, len(kinds[0]), ROWS):
        chunk = slice(start, start + ROWS)
        right = relevant(kinds[0][chunk], kinds[1])
        texts_of_picture[chunk] = right @ counts[1]
        pictures_of_text += counts[0][chunk] @ right
    shares = [
        np.average(found / len(gallery), weights=weight * (found > 0))
        for found, weight, gallery in zip(
            (texts_of_picture, pictures_of_text), counts, (text_label, label), strict=True
        )
    ]
    return float(np.mean(shares))
