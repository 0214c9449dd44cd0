"""What Parquet and Arrow have in common: columns of a table, and pictures that may lie in one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmkeras.data.layouts.columns import checked_columns, fields_of
from mmkeras.data.stores.arrow_file import import_pyarrow, telling
from mmkeras.errors import MmkerasError


class ArrowColumns:
    """The columns of one file of a table.

    Args:
        where: the file, for messages.
        schema: `pyarrow.Schema`.
        corpus: whether it is read to be embedded, see `Layout`.

    Attributes:
        columns: dict from a field to its columns, see `named_columns`.
        unused: the columns that say nothing here.
        others: those among them that are read for a corpus: of strings, numbers, times, or lists of strings.
        picture: the column of the pictures; `None` where a corpus has texts alone.
        kind: `"names"` of files, `"bytes"`, or `"both"` in a struct, as `datasets` has them.

    Raises:
        MmkerasError: there are no columns of pictures and of captions or categories.
    """

    def __init__(self, where: Path, schema: Any, corpus: bool = False) -> None:
        types = import_pyarrow().types
        with telling(where, "is no readable table"):
            inside = {field.name: [one.name for one in field.type] for field in schema if types.is_struct(field.type)}
        self.columns, self.unused = checked_columns(str(where), schema.names, corpus)
        self.others = [name for name in self.unused if corpus and _is_plain(schema.field(name).type, types)]
        self.categories = _categories(schema)
        self.picture = self.columns.get("image", [None])[0]
        if self.picture is None:
            self.kind = "names"
            return
        kind = schema.field(self.picture).type
        if {"bytes", "path"} <= set(inside.get(self.picture, ())):
            self.kind = "both"
        elif types.is_binary(kind) or types.is_large_binary(kind):
            self.kind = "bytes"
        elif types.is_string(_plain(kind, types)) or types.is_large_string(_plain(kind, types)):
            self.kind = "names"
        else:
            raise MmkerasError(
                f"{where}: expected the column {self.picture!r} to hold names of files, encoded pictures, or both as "
                f"`datasets` keeps them. Received: {kind}"
            )

    @property
    def names(self) -> list[str]:
        """All columns that are used but that of the pictures."""
        return [column for field, of in self.columns.items() for column in of if field != "image"]

    def fields(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a record, categories by their names."""
        fields = fields_of(record, self.columns)
        for key in ("label", "labels", "split"):
            if key in fields and (names := self.categories.get(self.columns[key][0])):
                fields[key] = _named(fields[key], names)
        return fields


def _plain(kind, types):
    """The type of the values of a column, each of which may be kept once, as `pandas` keeps its categories."""
    return kind.value_type if types.is_dictionary(kind) else kind


def _is_plain(kind, types):
    """Whether a column says something that an embedding's row can say too."""
    kind = _plain(kind, types)
    if types.is_list(kind) or types.is_large_list(kind):
        return types.is_string(kind.value_type) or types.is_large_string(kind.value_type)
    known = (
        *(types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean),
        *(types.is_decimal, types.is_temporal),
    )
    return any(is_kind(kind) for is_kind in known)


def _categories(schema):
    """Names of categories by column, as `datasets` writes them into a schema beside the numbers."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        kinds = {column: kind.get("feature", kind) for column, kind in features.items() if isinstance(kind, dict)}
        return {column: kind["names"] for column, kind in kinds.items() if kind.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _named(value, names):
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
