"""The nearest rows to a query: found by a matrix product, then each scored by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.precision import cosines

# Embeddings (N, D) as `rounded` returns them, with the scales (N,) of `int8`, else None; may be mapped from a file.
Rows: TypeAlias = tuple[NDArray[Any], NDArray[np.float32] | None]
Found: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]

NORM_TOLERANCE = 1e-2  # float16 and what half precision computes are off by less than a tenth of it
_QUERIES = 256  # whose products are held at once: 4 bytes for each of them and each row ...
_PRODUCTS = 2**25  # ... of all of them so many at most, unless one query alone has more
_ROWS = 512  # scored at a time, in float64: a megabyte at 256 dimensions
_GATHERED = 4096  # kept rows that are copied together at a time
_BLOCK = 512  # scores whose maximum stands for them


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
    parts: Sequence[Rows],
    k: int,
    kept: NDArray[np.int64] | None = None,
    gone: NDArray[np.int64] | None = None,
) -> Iterator[Found]:
    """Return the k rows nearest to each query, best first; rows of equal score in their order, at the k-th place too.

    BLAS sums an element of a product in an order that depends on where it stands and on the processor, so that equal
    rows may differ in the last bit. Scores are therefore those of each row by itself in float64, rounded to float32,
    of every row that the error of a float32 product leaves among the k best: equal rows have equal scores, whatever
    the processor and whatever part they stand in.

    Args:
        queries: float32 (Q, D).
        parts: rows of unit norm in one or more arrays; a row's number counts through all of them.
        k: the number of rows that are searched at most.
        kept: sorted numbers of the rows to search; all where None. A few of many are fastest told so.
        gone: sorted numbers of the rows to leave out; a few of many are fastest told so. Not together with `kept`.

    Yields:
        For each query (rows, scores): int64 (k,) and float32 (k,).
    """
    count = sum(len(embeddings) for embeddings, _ in parts)
    held = max(1, min(_QUERIES, _PRODUCTS // max(1, count)))
    for start in range(0, len(queries), held):
        block = queries[start : start + held]
        products = _products(block, parts) if kept is None else _products_of(block, parts, kept)
        if gone is not None and len(gone):
            products[:, gone] = -np.inf
        for query, scores in zip(block, products, strict=True):
            # Higham, Accuracy and Stability of Numerical Algorithms, 3.1: a product of length D, summed in any order,
            # is off by D u / (1 - D u) of the norms' product at most, u = 2^-24. The k-th best score and another may be
            # off by it once each; doubled again for norms that are 1 but for rounding.
            margin = 4 * len(query) * 2.0**-24 * float(np.linalg.norm(query))
            rows = np.flatnonzero(scores >= _kth_best(scores, k) - margin)
            yield best_of(query, parts, rows if kept is None else kept[rows], k)


def best_of(query: NDArray[np.float32], parts: Sequence[Rows], rows: NDArray[np.int64], k: int) -> Found:
    """Score some rows, each by itself, and return the k best.

    Args:
        query: float32 (D,).
        parts: see `nearest`.
        rows: int64 (R,), sorted; of equal scores the first stands first.
        k: R at most.

    Returns:
        (rows, scores), int64 (k,) and float32 (k,), best first.
    """
    wide, scores, start = query.astype(np.float64), np.empty(len(rows), np.float32), 0
    for embeddings, scales in parts:
        first, end = np.searchsorted(rows, [start, start + len(embeddings)])
        if first < end:
            scores[first:end] = _one_by_one(wide, embeddings, scales, rows[first:end] - start)
        start += len(embeddings)
    best = np.argsort(-scores, kind="stable")[:k]
    return rows[best], scores[best]


def _products(queries, parts):
    """Scores (Q, N) of all rows."""
    if len(parts) == 1:
        return cosines(queries, *parts[0])
    return np.concatenate([cosines(queries, *part) for part in parts], axis=1)


def _products_of(queries, parts, kept):
    """Scores (Q, R) of some rows."""
    found, start = [np.empty((len(queries), 0), np.float32)], 0
    for embeddings, scales in parts:
        first, end = np.searchsorted(kept, [start, start + len(embeddings)])
        for place in range(first, end, _GATHERED):
            some = kept[place : min(place + _GATHERED, end)] - start
            found.append(cosines(queries, embeddings[some], None if scales is None else scales[some]))
        start += len(embeddings)
    return np.concatenate(found, axis=1)


def _kth_best(scores, k):
    """The k-th highest score. Of a million numbers most are passed over by the maxima of their blocks."""
    blocks = len(scores) // _BLOCK
    if blocks > 2 * k:
        maxima = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
        # k blocks hold a score that is as high, and so k scores at least are
        scores = scores[scores >= np.partition(maxima, blocks - k)[blocks - k]]
    place = len(scores) - k
    return np.partition(scores, place)[place]


def _one_by_one(query, embeddings, scales, rows):
    """Scores of some rows, float32: products in float64, where they are exact, each row summed in one and one order."""
    scores = np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):
        some = embeddings[rows[start : start + _ROWS]].astype(np.float64)
        scores[start : start + _ROWS] = (some * query).sum(axis=1)
    return (scores if scales is None else scores * scales[rows]).astype(np.float32)
