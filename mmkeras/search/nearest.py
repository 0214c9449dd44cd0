"""The nearest rows to a query: found by a matrix product, then each scored by itself."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.precision import cosines

NORM_TOLERANCE = 1e-2  # float16 and what half precision computes are off by less than a tenth of it
_QUERIES = 256  # whose products are held at once: 4 bytes for each of them and each row
_ROWS = 512  # scored at a time, in float64: a megabyte at 256 dimensions


def check_unit_norm(name: str, vectors: NDArray[np.float32]) -> None:
    """Check that vectors (N, D) have unit norm, but for rounding: their inner products are cosines then.

    Raises:
        MmkerasError: one that has not, with its row.
    """
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    off = np.abs(norms - 1) > NORM_TOLERANCE
    if off.any():
        row = int(off.argmax())
        raise MmkerasError(
            f"Expected {name} of unit norm. Received: a norm of {norms[row]:.4g} in row {row}; divide a row by its norm"
        )


def nearest(
    queries: NDArray[np.float32],
    embeddings: NDArray[Any],
    scales: NDArray[np.float32] | None,
    k: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Return the k rows nearest to each query, best first; rows of equal score in their order, at the k-th place too.

    BLAS sums an element of a product in an order that depends on where it stands and on the processor, so that equal
    rows may differ in the last bit. Scores are therefore those of each row by itself in float64, rounded to float32,
    of every row that the error of a float32 product leaves among the k best: equal rows have equal scores, whatever
    the processor.

    Args:
        queries: float32 (Q, D).
        embeddings: (N, D), as `rounded` returns them, rows of unit norm; may be mapped from a file.
        scales: float32 (N,) of `int8`, else None.
        k: N at most.

    Yields:
        For each query (rows, scores): int64 (k,) and float32 (k,).
    """
    for start in range(0, len(queries), _QUERIES):
        block = queries[start : start + _QUERIES]
        for query, scores in zip(block, cosines(block, embeddings, scales), strict=True):
            # Higham, Accuracy and Stability of Numerical Algorithms, 3.1: a product of length D, summed in any order,
            # is off by D u / (1 - D u) of the norms' product at most, u = 2^-24. The k-th best score and another may be
            # off by it once each; doubled again for norms that are 1 but for rounding.
            margin = 4 * len(query) * 2.0**-24 * float(np.linalg.norm(query))
            place = len(scores) - k
            rows = np.flatnonzero(scores >= np.partition(scores, place)[place] - margin)
            scores = _one_by_one(query, embeddings, scales, rows)
            best = np.argsort(-scores, kind="stable")[:k]
            yield rows[best], scores[best]


def _one_by_one(query, embeddings, scales, rows):
    """Scores of some rows, float32: products in float64, where they are exact, each row summed in one and one order."""
    query, scores = query.astype(np.float64), np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):
        some = embeddings[rows[start : start + _ROWS]].astype(np.float64)
        scores[start : start + _ROWS] = (some * query).sum(axis=1)
    return (scores if scales is None else scores * scales[rows]).astype(np.float32)
