"""`ParquetEmbeddings`: embedded items in Parquet files, on their way into an index."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError
from mmkeras.search.item_batch import MODALITIES, ItemBatch, Modality

PART_FORMAT = "1"
_PART = re.compile(r"part-(\d+)-of-(\d+)\.parquet")
_OWN = {"id", "embedding", "error", "text", "picture", "thumbnail"}
_BATCH = 4096  # rows at a time
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
        described = None
        for file in self.files:
            parquet = _open(file)
            own = _described(file, parquet.schema_arrow)
            if described is not None and own != described:
                different = next(key for key in own if own[key] != described[key])
                raise MmkerasError(
                    f"{file}: expected {different} {_short(described[different])}, as in {self.files[0].name}. "
                    f"Received: {_short(own[different])}"
                )
            described = own
            self.rows += parquet.metadata.num_rows
        self.space_id: str = described["space_id"]  # type: ignore[index]  # there is one file at least
        self.dim: int = described["dim"]  # type: ignore[index]
        self.modality: Modality = described["modality"]  # type: ignore[index]

    def batches(self) -> Iterator[ItemBatch]:
        """Yield `ItemBatch` of the rows that have an embedding.

        Raises:
            MmkerasError: a file that is damaged, or whose rows are no items; the text names the file.
        """
        import pyarrow

        for file in self.files:
            parquet = _open(file)
            try:
                for batch in parquet.iter_batches(_BATCH):
                    there = batch.filter(batch.column("embedding").is_valid())
                    self.left_out += len(batch) - len(there)
                    if len(there):
                        yield self._batch(file, there)
            except (OSError, pyarrow.ArrowException) as error:
                raise MmkerasError(f"{file} is damaged: {_first_line(error)}") from error

    def _batch(self, file, rows):
        embeddings = rows.column("embedding")
        values = embeddings.flatten()
        if values.null_count or len(values) != len(rows) * self.dim:
            raise MmkerasError(f"{file}: expected embeddings of {self.dim} numbers each")
        values = np.asarray(values, np.float32).reshape(len(rows), self.dim)
        own = [name for name in rows.schema.names if name not in _OWN]
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
    parts = [_PART.fullmatch(file.name) for file in files]
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


def _open(file):
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPartError("Embeddings in Parquet files need pyarrow", "parquet") from error
    try:
        return parquet.ParquetFile(file)
    except (OSError, pyarrow.ArrowException) as error:
        raise MmkerasError(f"{file} is damaged: {_first_line(error)}") from error


def _described(file, schema):
    """Space, dimension and modality that a file says, checked."""
    told = {
        key.decode(errors="replace"): value.decode(errors="replace") for key, value in (schema.metadata or {}).items()
    }
    if told.get("mmkeras.format") != PART_FORMAT:
        has = told.get("mmkeras.format", "none")
        raise MmkerasError(
            f"{file}: expected embeddings of format {PART_FORMAT}, as mmkeras embed writes. Received: {has}"
        )
    space, dim, modality = (told.get(f"mmkeras.{key}", "") for key in ("space_id", "dim", "modality"))
    if not space or not dim.isdecimal() or modality not in MODALITIES or not {"id", "embedding"} <= set(schema.names):
        raise MmkerasError(
            f"{file} is damaged: expected its space, dimension and modality, and columns id and embedding"
        )
    return {"space_id": space, "dim": int(dim), "modality": modality}


def _named(name, content):
    """What an encoded picture is called: the item's name, with an ending that says what it is."""
    suffix = next((suffix for start, suffix in _SUFFIXES if content.startswith(start)), ".png")
    fits = name.lower().endswith(suffix) or (suffix == ".jpg" and name.lower().endswith(".jpeg"))
    return name if fits else name + suffix


def _short(value):
    return value[:12] if isinstance(value, str) else value


def _first_line(error):
    return (str(error).splitlines() or [""])[0]
