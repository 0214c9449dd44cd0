"""What the columns of an index hold, for who offers filters."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np

from mmkeras.search.index import EmbeddingIndex

LOOKED_AT = 5000  # items, spread over the index
MOST_VALUES = 30
_LONGEST_VALUE = 200  # characters of a text that is offered
_OWN = {"id", "text", "picture", "images", "picture_in_source"}  # what an item is, and no property of several


def column_facts(index: EmbeddingIndex) -> list[dict[str, Any]]:
    """Return what the columns of an index hold, by 5,000 items spread over it.

    Args:
        index: `EmbeddingIndex`.

    Returns:
        list of dicts, one a column that is no item's own: `name`; `kind`, `text`, `number`, `list` or `flag`;
        `values`, the most frequent, at most 30, in the order of how many items have them. There are none where no
        value was seen twice.
    """
    rows = np.unique(np.linspace(0, index.count - 1, min(LOOKED_AT, index.count)).astype(np.int64))
    seen: dict[str, list[Any]] = {name: [] for name in index.columns if name not in _OWN}
    for row in rows.tolist():
        for name, value in index.item(row).items():
            if name in seen and value is not None:
                seen[name].append(value)
    return [{"name": name, "kind": _kind(values), "values": _frequent(values)} for name, values in seen.items()]


def keeps_pictures(index: EmbeddingIndex) -> bool:
    """Return whether one of the first items of an index, a hundred at most, has a picture."""
    return any(index.item(row).get("picture") for row in range(min(100, index.count)))


def _kind(values):
    if any(isinstance(value, list) for value in values):
        return "list"
    if values and all(isinstance(value, bool) for value in values):
        return "flag"
    if values and all(isinstance(value, (int, float)) for value in values):
        return "number"
    return "text"


def _frequent(values):
    each = [one for value in values for one in (value if isinstance(value, list) else [value])]
    each = [one for one in each if isinstance(one, (bool, int, float)) or _is_offered(one)]
    # True equals 1, and is another value.
    counts = collections.Counter((isinstance(one, bool), one) for one in each)
    most = counts.most_common(MOST_VALUES)
    return [one for (_, one), _ in most] if most and most[0][1] > 1 else []


def _is_offered(value):
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_VALUE
