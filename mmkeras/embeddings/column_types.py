"""`ColumnTypes`: which type a column of metadata has, by all values that stand in it."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
import math
import re
from collections.abc import Mapping
from typing import Any

_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")  # 00123 is a code, and no number
_NUMBER = re.compile(r"-?((0|[1-9]\d*)\.\d*|\.\d+|(0|[1-9]\d*)(?=[eE]))([eE][+-]?\d+)?")  # more digits are a code too


class ColumnTypes:
    """Looks at the metadata of all rows; says then of which type a column is, and makes its values that.

    Types are `string`, `int64`, `double`, `bool` and `strings`, a list of them. What mixes types is a string, as JSON
    where it is no text.

    Args:
        untyped: whether texts that are all numbers are numbers, as in CSV; elsewhere a text is one.

    Example:
        >>> types = ColumnTypes(untyped=True)
        >>> types.see({"price": "12.5", "code": "007"})
        >>> types.types()
        {'price': 'double', 'code': 'string'}
    """

    def __init__(self, untyped: bool = False) -> None:
        self.untyped = untyped
        self._kinds: dict[str, set[str]] = {}

    def see(self, metadata: Mapping[str, Any]) -> None:
        """Look at the metadata of a row."""
        for name, value in metadata.items():
            kinds = self._kinds.setdefault(name, set())
            if (kind := _kind(value, self.untyped)) is not None:
                kinds.add(kind)

    def types(self) -> dict[str, str]:
        """Return a dict from each column to its type; of a column without any value it is `string`."""
        return {name: _joined(kinds) for name, kinds in self._kinds.items()}


def plain_value(value: Any) -> Any:
    """Return a value as JSON has it: times as ISO writes them, decimals as numbers, what is no number as `None`."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return plain_value(float(value))
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [plain_value(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain_value(one) for key, one in value.items()}
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()


def as_type(value: Any, kind: str) -> Any:
    """Return a value, as `plain_value` returns it, in the type of its column; empty texts are `None` but in strings.

    Args:
        value: of the metadata of a row.
        kind: a type of `ColumnTypes`.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if kind == "int64":
        return int(value)
    if kind == "double":
        return float(value)
    if kind in ("bool", "strings"):
        return value
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _kind(value, untyped):
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        if untyped and _WHOLE.fullmatch(value):
            return "int64"
        if untyped and _NUMBER.fullmatch(value):
            with contextlib.suppress(OverflowError):
                return "double" if math.isfinite(float(value)) else "string"
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -(2**63) <= value < 2**63 else "string"
    if isinstance(value, float):
        return "double"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "strings"
    return "string"


def _joined(kinds):
    if kinds == {"int64", "double"}:
        return "double"
    return next(iter(kinds)) if len(kinds) == 1 else "string"
