"""What columns and keys of other people's files are called, and what they say here."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mmkeras.data.layouts.picture_walk import is_picture
from mmkeras.errors import MmkerasError

# By field: names in the order in which they are looked for, in small letters with `_` for blanks and hyphens.
COLUMNS = {
    "image": (
        *("image", "file_name", "filename", "filepath", "file_path", "image_path", "image_name", "image_file"),
        *("file", "path", "picture", "photo", "img", "jpg", "jpeg", "png", "webp"),
    ),
    "captions": (
        *("captions", "caption", "text", "texts", "title", "sentences", "sentence", "description", "alt_text", "raw"),
        *("comment", "txt"),
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
        `caption_2`, ...; `caption`, `caption_2`); and a list of the columns that say nothing here.
    """
    found, unused = _named(tuple(names))
    return dict(found), list(unused)


@functools.lru_cache(1024)  # records of one file have the same keys
def _named(names):
    by_name: dict[str, str] = {}
    for name in names:
        by_name.setdefault(re.sub(r"[\s-]+", "_", name.strip().lower()), name)
    found = {}
    for field, known in COLUMNS.items():
        if column := next((by_name[name] for name in known if name in by_name), None):
            found[field] = [column]
    # `caption` and `caption_2` are two captions; `caption` beside `text_2` is one, and something else.
    own = next((name for name in COLUMNS["captions"] if name in by_name), "")
    numbers = {column: _NUMBERED.fullmatch(name) for name, column in by_name.items()}
    if numbered := [column for column, number in numbers.items() if number and own in ("", number[1])]:
        found["captions"] = [*found.get("captions", []), *numbered]
    used = {column for columns in found.values() for column in columns}
    return found, [name for name in by_name.values() if name not in used]


def checked_columns(where: str, names: Iterable[str], corpus: bool = False) -> tuple[dict[str, list[str]], list[str]]:
    """Return what `named_columns` finds.

    Args:
        where: file and line, for messages.
        names: column names as they stand in a file.
        corpus: whether pictures alone are enough, or captions alone.

    Raises:
        MmkerasError: no column of pictures, or none of captions or categories.
    """
    names = list(names)
    columns, unused = named_columns(names)
    said = {"captions", "label", "labels"} & set(columns)
    if ("image" in columns or "captions" in columns) if corpus else ("image" in columns and said):
        return columns, unused
    known = {re.sub(r"[\s_-]+", "", name.lower()) for name in names}
    hint = ""
    if "image" not in columns and known & {"url", "imageurl", "photoimageurl"}:
        hint = "; URLs are not fetched: img2dataset fetches them and writes tars that are read"
    elif any(map(is_picture, names)):
        hint = "; a line of names is missing: write image,caption above the first one"
    elif "image" not in columns and "imageid" in known:
        hint = "; an id, as in Open Images, is no name of a file: add a column of names"
    raise MmkerasError(
        f"{where}: expected the names of columns, one of pictures (image, file, filename, filepath ...) and one of "
        f"captions (caption, text, title ...). Received: {', '.join(names)[:200]!r}{hint}"
    )


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
            fields[field] = [text for value in values for text in _texts(value)]
        else:
            fields[field] = values[0]
    return fields


def _texts(value):
    """A caption or several: texts, or objects that hold one, as `{"raw": "...", "tokens": [...]}`."""
    texts = []
    for one in value if isinstance(value, list) else [value]:
        texts += fields_of(one, named_columns(one)[0]).get("captions", [None]) if isinstance(one, dict) else [one]
    return texts


def _empty(value):
    return value is None or (isinstance(value, str) and not value.strip())
