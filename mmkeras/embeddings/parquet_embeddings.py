"""`ParquetEmbeddings`: embedded items in Parquet files, on their way into an index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.embeddings.part import OWN, read_info, read_part, row_count
from mmkeras.embeddings.part_info import PART, Modality
from mmkeras.errors import MmkerasError
from mmkeras.search.item_batch import ItemBatch

SHARED = ("space_id", "dim", "modality")  # what all parts of one whole have in common
# How encoded pictures begin, and what their names end in.
_SUFFIXES = ((b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"RIFF", ".webp"), (b"GIF8", ".gif"), (b"BM", ".bmp"))


class ParquetEmbeddings:
    """A folder of `part-00003-of-00064.parquet`, as `mmkeras embed` writes it, or one of these files.

    Its schema's metadata say format, space and modality (`mmkeras.format`, `mmkeras.space_id`, `mmkeras.dim`,
    `mmkeras.modality`). Its columns are `id`; `embedding`, a list of float32, null where an item could not be embedded;
    `text`, `picture` and `thumbnail`, an encoded picture, where there are any; the others are the items' own.

    Args:
        place: path of the folder, all parts of which must be there, or of a file.

    Attributes:
        space_id: identity of the space of the embeddings.
        dim: length of an embedding.
        modality: `"image"` or `"text"`.
        files: list of the files' paths.
        rows: number of rows of all files, those without an embedding among them.
        left_out: number of rows without an embedding, as far as `batches` came.

    Raises:
        MmkerasError: no such files, a missing part, a file that is damaged or no such file, parts of two spaces; the
            text names the file.
        MissingPartError: pyarrow is not installed.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        self.place = Path(place)
        self.files = _parts_of(self.place)
        self.rows = self.left_out = 0
        whole = read_info(self.files[0])
        for file in self.files:
            own = read_info(file)
            for key in SHARED:
                expected, received = getattr(whole, key), getattr(own, key)
                if expected != received:
                    raise MmkerasError(
                        f"{file}: expected {key} {_short(expected)}, as in {self.files[0].name}. "
                        f"Received: {_short(received)}"
                    )
            self.rows += row_count(file)
        self.space_id: str = whole.space_id
        self.dim: int = whole.dim
        self.modality: Modality = whole.modality

    def batches(self) -> Iterator[ItemBatch]:
        """Yield `ItemBatch` of the rows that have an embedding.

        Raises:
            MmkerasError: a file that is damaged, or whose rows are no items; the text names the file.
        """
        for file in self.files:
            for batch in read_part(file):
                there = batch.filter(batch.column("embedding").is_valid())
                self.left_out += len(batch) - len(there)
                if len(there):
                    yield self._batch(file, there)

    def _batch(self, file, rows):
        embeddings = rows.column("embedding")
        values = embeddings.flatten()
        if values.null_count or len(values) != len(rows) * self.dim:
            raise MmkerasError(f"{file}: expected embeddings of {self.dim} numbers each")
        values = np.asarray(values, np.float32).reshape(len(rows), self.dim)
        own = [name for name in rows.schema.names if name not in OWN]
        columns = {name: rows.column(name).to_pylist() for name in rows.schema.names if name != "embedding"}
        items, pictures = [], {}
        for row, name in enumerate(columns["id"]):
            item: dict[str, Any] = {"id": name, "text": (columns.get("text") or {row: None})[row] or ""}
            source = columns["picture"][row] if "picture" in columns else None
            if source is not None and source != name:
                item["picture_in_source"] = source
            if thumbnail := columns["thumbnail"][row] if "thumbnail" in columns else None:
                item["picture"] = _named(name, thumbnail)
                pictures[item["picture"]] = thumbnail
            items.append(item | {key: columns[key][row] for key in own if columns[key][row] is not None})
        return ItemBatch(items, {self.modality: values}, pictures, str(file))


def _parts_of(place):
    if place.is_file():
        return [place]
    files = sorted(place.glob("*.parquet")) if place.is_dir() else []
    if not files:
        raise MmkerasError(f"Expected a folder of Parquet files, as mmkeras embed writes it. Received: {place}")
    parts = [PART.fullmatch(file.name) for file in files]
    if all(parts):
        counts = {int(part[2]) for part in parts}
        if len(counts) > 1:
            of = " and of ".join(map(str, sorted(counts)))
            raise MmkerasError(f"{place}: expected the parts of one whole. Received: parts of {of}")
        (count,) = counts
        if missing := sorted(set(range(count)) - {int(part[1]) for part in parts}):
            raise MmkerasError(
                f"{place}: expected {count} parts. Received: {len(files)}; part {missing[0]} is missing. mmkeras embed "
                "goes on where it stopped; a part can be added by its own path"
            )
    return files


def _named(name, content):
    """What an encoded picture is called: the item's name, with an ending that says what it is."""
    suffix = next((suffix for start, suffix in _SUFFIXES if content.startswith(start)), ".png")
    fits = name.lower().endswith(suffix) or (suffix == ".jpg" and name.lower().endswith(".jpeg"))
    return name if fits else name + suffix


def _short(value):
    return value[:12] if isinstance(value, str) else value
