"""Filters of a request, columns with the values that are wanted, as an expression over the items."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from mmkeras.search_service.api_error import ApiError

Value: TypeAlias = str | int | float | bool

MOST_COLUMNS, MOST_VALUES = 20, 100


def checked_filters(filters: object) -> dict[str, list[Value]]:
    """Return what a request says under `filters`: a dict from column to a list of values, one of which is wanted.

    Raises:
        ApiError: 400, something else, or more columns or values than are allowed.
    """
    expected = (
        f"Expected filters to be an object of at most {MOST_COLUMNS} columns, each with a list of at most "
        f"{MOST_VALUES} texts, numbers or true and false."
    )
    if not isinstance(filters, dict) or len(filters) > MOST_COLUMNS:
        raise ApiError(400, f"{expected} Received: {_short(filters)}")
    for column, values in filters.items():
        if not isinstance(values, list) or len(values) > MOST_VALUES or not all(map(_is_value, values)):
            raise ApiError(400, f"{expected} Received: {column[:80]!r}: {_short(values)}")
    return filters


def filter_expression(filters: Mapping[str, Sequence[Value]], columns: Sequence[str], lists: Collection[str]) -> str:
    """Return the expression, as `EmbeddingIndex.where` takes it, that is true where each column has a wanted value.

    Args:
        filters: dict from column to values; a column without values is no filter.
        columns: names that there are.
        lists: names of the columns that hold lists, of which one element must be wanted.

    Returns:
        str, empty where nothing is filtered.

    Raises:
        ApiError: 400, a column that is not there.

    Example:
        >>> filter_expression({"kind": ["it's"]}, ["id", "kind"], [])
        '("kind" IN (\\'it\\'\\'s\\'))'
    """
    parts = []
    for column, values in filters.items():
        if column not in columns:
            raise ApiError(400, f"Expected columns among {', '.join(columns)}. Received: filters by {column[:80]!r}")
        if not values:
            continue
        name = '"' + column.replace('"', '""') + '"'
        wanted = f"IN ({', '.join(map(_literal, values))})"
        if column in lists:
            one_of = f"EXISTS (SELECT 1 FROM json_each({name}) WHERE value {wanted})"
            parts.append(f"(CASE WHEN json_valid({name}) THEN {one_of} ELSE {name} {wanted} END)")
        else:
            parts.append(f"({name} {wanted})")
    return " AND ".join(parts)


def _is_value(value):
    if isinstance(value, str):
        return len(value) <= 1000 and "\0" not in value
    return isinstance(value, (int, float)) and abs(value) < 2**63  # not a number is no less


def _literal(value):
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(int(value) if isinstance(value, bool) else value)


def _short(value):
    return repr(value)[:120]
