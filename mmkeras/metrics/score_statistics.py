"""What a score says: those of random pairs of a text and a picture, and the one below which nothing fits well."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mmkeras.errors import MmkerasError

FITTING = 0.9  # the share of the texts whose own picture scores at least the threshold


def score_scale(images: ArrayLike, texts: ArrayLike, pairs: ArrayLike) -> dict[str, float]:
    """Return the mean and deviation of the scores of random pairs, and a threshold of fitting ones.

    Random pairs are all pairs of a text and a picture, right ones among them. Their mean is the product of the means,
    and their mean square follows from the second moments of both sides, so that nothing is drawn.

    The threshold is the highest score that the best right picture of nine texts in ten reaches: a search whose best
    result is below it looks like the worst tenth of the searches that have an answer. It is no balance of both
    mistakes, as an equal error rate would be. That rate follows how hard the data are: of a model that finds half of
    its pictures, it would call half of the searches with an answer unanswered.

    Args:
        images: float (N, D), unit norm.
        texts: float (M, D), unit norm.
        pairs: int (K, 2), rows (picture, text) that belong together, at least one.

    Returns:
        dict of `random_mean`, `random_deviation` and `threshold`, floats in the unit of a score, the cosine.

    Raises:
        MmkerasError: no pairs, or shapes that do not fit.

    Example:
        >>> score_scale([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], [[0, 0], [1, 1]])
        {'random_mean': 0.5, 'random_deviation': 0.5, 'threshold': 1.0}
    """
    images, texts, pairs = np.asarray(images, np.float64), np.asarray(texts, np.float64), np.asarray(pairs)
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1] or pairs.shape[1:] != (2,):
        raise MmkerasError(
            "Expected images of shape (N, D), texts (M, D) and pairs (K, 2). "
            f"Received: shapes {images.shape}, {texts.shape} and {pairs.shape}"
        )
    if not len(pairs):
        raise MmkerasError("Expected at least one pair. Received: none")
    mean = float(images.mean(axis=0) @ texts.mean(axis=0))
    square = float(np.sum((images.T @ images / len(images)) * (texts.T @ texts / len(texts))))
    best = np.full(len(texts), -np.inf)
    np.maximum.at(best, pairs[:, 1], (images[pairs[:, 0]] * texts[pairs[:, 1]]).sum(axis=1))
    right = np.sort(best[np.isfinite(best)])
    return {
        "random_mean": mean,
        "random_deviation": math.sqrt(max(0.0, square - mean**2)),
        "threshold": float(right[len(right) - math.ceil(FITTING * len(right))]),
    }
