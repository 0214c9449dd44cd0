"""What the items of an index can be filtered by: their columns, and the values that are met most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict

ColumnKind: TypeAlias = Literal["text", "number", "list", "flag"]
MOST_VALUES = 30


class Column(TypedDict):
    """A key of items."""

    name: str
    kind: ColumnKind
    values: list[Any]


def columns_of(items: Iterable[Mapping[str, Any]], left_out: Iterable[str] = ("id", "text", "picture")) -> list[Column]:
    """Return the columns of items, in the order in which the items bring them.

    Args:
        items: dicts; a key may be missing in some of them.
        left_out: keys that are no columns.

    Returns:
        list of `name`, `kind` (`text` where values are of several kinds) and `values`, the most frequent ones, at most
        30, more frequent ones first. Of lists they are the entries.
    """
    skipped = set(left_out)
    kinds: dict[str, set[ColumnKind]] = {}
    counts: dict[str, Counter[Any]] = {}
    for item in items:
        for name, value in item.items():
            if name in skipped or value is None:
                continue
            kinds.setdefault(name, set()).add(_kind(value))
            entries = value if isinstance(value, list) else [value]
            counts.setdefault(name, Counter()).update(entry for entry in entries if isinstance(entry, _SIMPLE))
    return [
        {
            "name": name,
            "kind": next(iter(found)) if len(found) == 1 else "text",
            "values": [value for value, _ in counts[name].most_common(MOST_VALUES)],
        }
        for name, found in kinds.items()
    ]


_SIMPLE = (str, int, float)


def _kind(value) -> ColumnKind:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, (int, float)):
        return "number"
    return "list" if isinstance(value, list) else "text"
