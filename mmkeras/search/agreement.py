"""How much of what an exact search finds a search by rounded embeddings finds too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.nearest import nearest
from mmkeras.search.precision import Precision, rounded


def recall_of_rounded(
    embeddings: NDArray[np.float32],
    queries: NDArray[np.float32],
    precision: Precision,
    k: int = 10,
) -> float:
    """Search by embeddings as they are and by rounded ones, and compare.

    Args:
        embeddings: float32 (N, D), unit norm.
        queries: float32 (Q, D), unit norm.
        precision: see `IndexWriter`.
        k: results a query, N at most.

    Returns:
        The share of the exact search's k best that is among the k best by rounded embeddings, mean over the queries.

    Raises:
        MmkerasError: no queries, or k not in 1..N.
    """
    if not len(queries) or not 1 <= k <= len(embeddings):
        raise MmkerasError(
            f"Expected queries, and k from 1 to {len(embeddings)}. Received: {len(queries)} queries, k={k}"
        )
    embeddings, queries = np.asarray(embeddings, np.float32), np.asarray(queries, np.float32)
    exact, compact = nearest(queries, [(embeddings, None)], k), nearest(queries, [rounded(embeddings, precision)], k)
    found = sum(len(np.intersect1d(ours, theirs)) for (ours, _), (theirs, _) in zip(exact, compact, strict=True))
    return found / (k * len(queries))
