"""The order of results in which a model's opinion of query and item together counts beside their embeddings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmkeras.search.search_result import SearchResult

_CERTAIN = 1 - 2**-24  # the float32 before 1


def wanted_by_export(space: Mapping[str, Any]) -> tuple[int, float]:
    """Return how many results an export wants to be re-ranked, and the temperature over which the cosine counts.

    Args:
        space: dict of its `space.json`, see `exported_space`.

    Returns:
        (number, temperature), each 0 where the export says none.
    """
    return int(_number(space.get("rerank"), int)), float(_number(space.get("rerank_temperature"), float))


def reranked(results: Sequence[SearchResult], matches: Sequence[float], temperature: float) -> list[SearchResult]:
    """Return results in the order of the log-odds of `match` plus the cosine over the temperature.

    Args:
        results: `SearchResult`s in the order of their embeddings, in which equals stay.
        matches: what the model's signature `match` gives each with the query, in [0, 1].
        temperature: 0 where the cosine is not to count.

    Returns:
        list of `SearchResult`, ranked from 1, each with its `match`.
    """
    scores = [
        _log_odds(match) + (result.score / temperature if temperature else 0)
        for result, match in zip(results, matches, strict=True)
    ]
    order = sorted(range(len(results)), key=lambda row: (-scores[row], row))
    return [dataclasses.replace(results[row], rank=rank, match=matches[row]) for rank, row in enumerate(order, 1)]


def _number(value, kind):
    """A number of more than 0; 0 where it is none."""
    return max(0, value) if isinstance(value, (int, kind)) else 0


def _log_odds(probability):
    """Of a float32 in [0, 1], finite: of the nearest one between where it is 0 or 1."""
    probability = min(max(probability, 2**-149), _CERTAIN)
    return math.log(probability) - math.log1p(-probability)
