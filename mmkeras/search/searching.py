"""Which rows of an index a search looks at, and whether exactly or by candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.approximate import ApproximateSearch, candidates_for
from mmkeras.search.nearest import Found, Rows, best_of, check_unit_norm, nearest

# A filter that keeps fewer, or a smaller share, is searched exactly: faiss would look through much to meet them.
_FEW_ROWS, _SMALL_SHARE = 20_000, 0.1


def checked_queries(queries: ArrayLike, dim: int) -> NDArray[np.float32]:
    """Return queries as float32 (Q, dim).

    Raises:
        MmkerasError: queries of another shape, not finite or not of unit norm.
    """
    queries = np.asarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise MmkerasError(f"Expected queries of shape (Q, {dim}). Received: shape {queries.shape}")
    finite = np.isfinite(queries).all(axis=1)
    if not finite.all():
        raise MmkerasError(f"Expected finite queries. Received: NaN or infinity in row {int(finite.argmin())}")
    check_unit_norm("queries", queries)
    return queries


def check_k(k: Any) -> None:
    """Check a number of results.

    Raises:
        MmkerasError: no whole number of 1 or more.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise MmkerasError(f"Expected k as a whole number of 1 or more. Received: k={k!r}")


def found_rows(
    queries: NDArray[np.float32],
    parts: Sequence[Rows],
    approximate: ApproximateSearch | None,
    k: int,
    kept: NDArray[np.int64] | None,
    gone: NDArray[np.int64],
) -> Iterator[Found]:
    """Yield the nearest rows to each query: the nearest of all, or of the candidates of an approximate search.

    Where an approximate search comes to fewer than k candidates, the query is searched exactly.

    Args:
        queries: float32 (Q, D).
        parts: see `nearest`.
        approximate: None for an exact search.
        k: number of the rows that are searched at most.
        kept: sorted numbers of the rows to search, without those that are gone; None for all others.
        gone: sorted numbers of the rows that were removed.

    Yields:
        For each query (rows, scores), see `nearest`.

    Raises:
        MissingPartError: an approximate search where faiss is not installed.
    """
    count = sum(len(embeddings) for embeddings, _ in parts)
    if approximate is None or (kept is not None and len(kept) < max(_FEW_ROWS, _SMALL_SHARE * count)):
        yield from _exactly(queries, parts, k, kept, gone, count)
        return
    searched = None if kept is None and not len(gone) else _mask(count, kept, gone)
    candidates = approximate.candidates(queries, candidates_for(k), searched)
    for query, rows in zip(queries, candidates, strict=True):
        if len(rows) < k:
            yield from _exactly(query[np.newaxis], parts, k, kept, gone, count)
        else:
            yield best_of(query, parts, rows, k)


def _exactly(queries, parts, k, kept, gone, count):
    if kept is None:
        return nearest(queries, parts, k, gone=gone)
    if 2 * len(kept) < count:
        return nearest(queries, parts, k, kept=kept)
    return nearest(queries, parts, k, gone=np.flatnonzero(~_mask(count, kept, gone)))


def _mask(count, kept, gone):
    """Which rows are searched, bool (N,)."""
    searched = np.full(count, kept is None)
    searched[gone if kept is None else kept] = kept is not None
    return searched
