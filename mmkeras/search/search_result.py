"""`SearchResult`: one found item."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """One found item.

    Args:
        rank: from 1.
        score: cosine with the query, -1 to 1.
        item: the item's entry in `items.jsonl`: `id`, `text`, `picture`, `seen` and whatever was written with it.
        match: what a model that looked at query and item together gives the pair, where results were ranked anew by it.
    """

    rank: int
    score: float
    item: dict[str, Any]
    match: float | None = None
