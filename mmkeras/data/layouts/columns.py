"""What columns and keys of other people's files are called, and what they say here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

# By field: names in the order in which they are looked for, in small letters with `_` for blanks and hyphens.
COLUMNS = {
    "image": (
        *("image", "file_name", "filename", "filepath", "file_path", "image_path", "image_name", "image_file"),
        *("file", "path", "picture", "photo", "img"),
    ),
    "captions": (
        *("captions", "caption", "text", "texts", "title", "sentences", "sentence", "description", "alt_text", "raw"),
    ),
    "split": ("split", "partition", "subset"),
    "label": ("label", "class", "category", "class_name"),
    "labels": ("labels", "tags", "categories"),
}
_NUMBERED = re.compile(r"(caption|text|sentence|comment)_?\d+")


def named_columns(names: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Find the columns of each field by their names.

    Args:
        names: column names as they stand in a file.

    Returns:
        dict from a field, see `COLUMNS`, to its columns, several of captions where they are numbered (`caption_1`,
        `caption_2`, ...); and a list of the columns that say nothing here.
    """
    by_name: dict[str, str] = {}
    for name in names:
        by_name.setdefault(re.sub(r"[\s-]+", "_", name.strip().lower()), name)
    found = {}
    for field, known in COLUMNS.items():
        if column := next((by_name[name] for name in known if name in by_name), None):
            found[field] = [column]
    numbered = [column for name, column in by_name.items() if _NUMBERED.fullmatch(name)]
    if numbered and "captions" not in found:
        found["captions"] = numbered
    used = {column for columns in found.values() for column in columns}
    return found, [name for name in by_name.values() if name not in used]


def fields_of(record: Mapping[str, Any], columns: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the fields of a record of a table by the columns that `named_columns` found; empty cells are left out.

    Args:
        record: dict from a column to its value.
        columns: dict from a field to its columns.
    """
    fields: dict[str, Any] = {}
    for field, names in columns.items():
        values = [record[name] for name in names if not _empty(record.get(name))]
        if not values and field != "captions":
            continue
        if field == "captions":
            fields[field] = [text for value in values for text in (value if isinstance(value, list) else [value])]
        else:
            fields[field] = values[0]
    return fields


def _empty(value):
    return value is None or (isinstance(value, str) and not value.strip())
