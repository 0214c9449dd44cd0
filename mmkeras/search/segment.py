"""`Segment`: some items of an index, in files that are never changed."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.archives import read_member
from mmkeras.errors import MmkerasError
from mmkeras.search.item_batch import Modality
from mmkeras.search.item_table import ItemTable
from mmkeras.search.nearest import Rows
from mmkeras.search.precision import PRECISIONS, Precision


class Segment:
    """Some items of an index, in a folder whose files are never changed. Its layout, which any language can read:

        image_embeddings.npy, text_embeddings.npy   (count, dim), of the modalities that the index has
        image_scales.npy, text_scales.npy           float32 (count,), with the precision int8 only
        items.jsonl                                 an item a line, UTF-8
        items.offsets.npy                           int64 (count + 1,): item i is the bytes offsets[i] to offsets[i + 1]
        items.sqlite                                the items as a table, see `ItemTable`
        pictures.zip                                the items' pictures by name, stored; only where there are any

    Every file is opened at once, and mapped where it is large: what another process deletes stays readable here.

    Args:
        folder: path of the folder.
        count: number of items.
        dim: length of an embedding.
        modalities: those that the items have embeddings of.
        precision: type of the embeddings' numbers.

    Attributes:
        embeddings: dict from modality to `nearest.Rows`, mapped from their files.
        table: `ItemTable`.

    Raises:
        MmkerasError: a file that is missing, damaged, or does not fit.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        count: int,
        dim: int,
        modalities: Sequence[Modality],
        precision: Precision,
    ) -> None:
        self._opened = contextlib.ExitStack()
        self.folder = Path(folder)
        self.count = count
        self.dim = dim
        self.modalities = tuple(modalities)
        self.precision = precision
        self.embeddings: dict[Modality, Rows] = {modality: self._open(modality) for modality in self.modalities}
        file = self.folder / "items.jsonl"
        self._offsets = _mapped(self.folder / "items.offsets.npy", (count + 1,), np.dtype(np.int64))
        try:
            with open(file, "rb") as stream:
                self._lines = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise MmkerasError(f"{file} is damaged: {error}") from error
        if len(self._lines) != self._offsets[-1]:
            raise MmkerasError(f"{file}: expected {self._offsets[-1]} bytes. Received: {len(self._lines)}")
        self.table = self._opened.enter_context(contextlib.closing(ItemTable(self.folder / "items.sqlite")))
        self._lock = threading.Lock()
        self._archive: zipfile.ZipFile | None = None
        self._pictures = None
        with contextlib.suppress(FileNotFoundError):
            self._pictures = self._opened.enter_context(open(self.folder / "pictures.zip", "rb"))

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Close what was opened but not mapped, as happens when nobody holds this segment any more."""
        self._opened.close()

    def __del__(self) -> None:
        self._opened.close()

    def line(self, row: int) -> bytes:
        """Return an item as its line of `items.jsonl`."""
        return self._lines[self._offsets[row] : self._offsets[row + 1]]

    def item(self, row: int) -> dict[str, Any]:
        """Return an item.

        Raises:
            MmkerasError: its line is damaged.
        """
        try:
            item = json.loads(self.line(row))
            if isinstance(item, dict):
                return item
        except ValueError:
            pass
        raise MmkerasError(f"{self.folder / 'items.jsonl'} is damaged: line {row + 1} is no item")

    def stored(self, modality: Modality, rows: NDArray[np.int64]) -> Rows:
        """Return some rows of the embeddings as they are stored, and their scales."""
        values, scales = self.embeddings[modality]
        return values[rows], None if scales is None else scales[rows]

    def floats(self, modality: Modality, rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return some rows of the embeddings, float32 (R, D)."""
        values, scales = self.embeddings[modality]
        floats = np.asarray(values[rows], np.float32)
        return floats if scales is None else floats * scales[rows, np.newaxis]

    def picture(self, name: str) -> bytes:
        """Return a picture as encoded bytes.

        Raises:
            MmkerasError: `pictures.zip` is missing, damaged or lacks the picture.
        """
        file = self.folder / "pictures.zip"
        try:
            with self._lock:
                if self._archive is None:
                    if self._pictures is None:
                        raise KeyError("there is no such file")
                    self._archive = zipfile.ZipFile(self._pictures)
            return read_member(self._archive, name)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise MmkerasError(f"{file}: the picture {name} could not be read: {error}") from error

    def _open(self, modality):
        """The embeddings of a modality and their scales."""
        file = self.folder / f"{modality}_embeddings.npy"
        embeddings = _mapped(file, (self.count, self.dim), PRECISIONS[self.precision])
        if self.precision != "int8":
            return embeddings, None
        return embeddings, _mapped(self.folder / f"{modality}_scales.npy", (self.count,), PRECISIONS["float32"])


def removed_rows(file: Path, of_segment: Mapping[str, Any]) -> NDArray[np.int64]:
    """Read which rows of a segment were removed, int64 (R,), sorted.

    Raises:
        MmkerasError: the file is missing, damaged or does not fit.
    """
    try:
        rows = np.load(file)
    except (OSError, ValueError, EOFError) as error:
        raise MmkerasError(f"{file} is damaged: {error}") from error
    fits = rows.dtype == np.int64 and rows.shape == (of_segment["removed_count"],)
    if not fits or (np.diff(rows, prepend=-1, append=of_segment["count"]) < 1).any():
        raise MmkerasError(f"{file} is damaged: expected {of_segment['removed_count']} rows, sorted")
    return rows


def _mapped(file, shape, dtype):
    try:
        values = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise MmkerasError(f"{file} is damaged: {error}") from error
    if values.shape != shape or values.dtype != dtype:
        raise MmkerasError(
            f"{file}: expected {dtype} of shape {shape}. Received: {values.dtype} of shape {values.shape}"
        )
    return values
