"""What a score says: those of random pairs of a text and a picture, and the one below which nothing fits well."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mmkeras.errors import MmkerasError

FITTING = 0.9  # the share of the texts whose search has a best result of at least the threshold
_PICTURES_AT_A_TIME = 16_384  # whose scores with all texts are held


def score_scale(images: ArrayLike, texts: ArrayLike) -> dict[str, float]:
    """Return the mean and deviation of the scores of random pairs, and a threshold of searches that find something.

    Random pairs are all pairs of a text and a picture, right ones among them. Their mean is the product of the means,
    and their mean square follows from the second moments of both sides, so that nothing is drawn.

    The threshold is the highest score that the best results of nine searches in ten reach, by texts that have an answer
    among the pictures: a search whose best result is below it looks like the worst tenth of these. It is no balance of
    both mistakes, as an equal error rate would be. That rate follows how hard the data are: of a model that finds half
    of its pictures, it would call half of the searches with an answer unanswered.

    Args:
        images: float (N, D), unit norm, all that a search would look through.
        texts: float (M, D), unit norm, each with an answer among the pictures.

    Returns:
        dict of `random_mean`, `random_deviation` and `threshold`, floats in the unit of a score, the cosine.

    Raises:
        MmkerasError: no pictures or no texts, or shapes that do not fit.

    Example:
        >>> score_scale([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
        {'random_mean': 0.5, 'random_deviation': 0.5, 'threshold': 1.0}
    """
    images, texts = np.asarray(images), np.asarray(texts)
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1] or not (len(images) and len(texts)):
        raise MmkerasError(
            "Expected images of shape (N, D) and texts (M, D), at least one of each. "
            f"Received: shapes {images.shape} and {texts.shape}"
        )
    mean = float(images.mean(axis=0, dtype=np.float64) @ texts.mean(axis=0, dtype=np.float64))
    square = float(np.sum(_second_moments(images) * _second_moments(texts)))
    best = np.full(len(texts), -np.inf)
    for start in range(0, len(images), _PICTURES_AT_A_TIME):
        scores = texts @ images[start : start + _PICTURES_AT_A_TIME].T
        np.maximum(best, scores.max(axis=1), out=best)
    best.sort()
    return {
        "random_mean": mean,
        "random_deviation": math.sqrt(max(0.0, square - mean**2)),
        "threshold": float(best[len(best) - math.ceil(FITTING * len(best))]),
    }


def _second_moments(rows):
    rows = rows.astype(np.float64)
    return rows.T @ rows / len(rows)
