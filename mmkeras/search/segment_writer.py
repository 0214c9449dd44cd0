"""`SegmentWriter`: writes the items of one segment as they come, for more than fit into memory."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.array_writer import ArrayWriter
from mmkeras.search.item_batch import ItemBatch, Modality
from mmkeras.search.item_table_writer import ItemTableWriter
from mmkeras.search.precision import PRECISIONS, Precision, rounded

if TYPE_CHECKING:
    from mmkeras.search.segment import Segment

_COPIED = 4096  # items at a time


class SegmentWriter:
    """Writes a folder as `Segment` reads it. Used as a context: an error leaves the folder incomplete.

    Args:
        folder: path of a new folder.
        dim: length of an embedding.
        modalities: those that every item has an embedding of.
        precision: type of the embeddings' numbers, see `IndexWriter`.

    Attributes:
        count: items that were written.
    """

    def __init__(
        self, folder: str | os.PathLike[str], dim: int, modalities: Sequence[Modality], precision: Precision
    ) -> None:
        self.folder = Path(folder)
        self.dim = dim
        self.modalities = tuple(modalities)
        self.precision = precision
        self.count = 0
        self.folder.mkdir()
        self._open = contextlib.ExitStack()
        self._arrays: dict[tuple[str, str], ArrayWriter] = {}
        for modality in self.modalities:
            self._array(modality, "embeddings", PRECISIONS[precision], dim)
            if precision == "int8":
                self._array(modality, "scales", np.float32)
        self._offsets = self._array("items", "offsets", np.int64)
        self._offsets.append(np.zeros(1, np.int64))
        self._lines = self._open.enter_context(open(self.folder / "items.jsonl", "wb"))
        self._table = ItemTableWriter(self.folder / "items.sqlite")
        self._open.callback(self._table.discard)
        self._pictures: zipfile.ZipFile | None = None

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        with self._open:
            if kind is None:
                self._table.close()
                for array in self._arrays.values():
                    array.close()

    def append(self, batch: ItemBatch) -> None:
        """Write items behind those that are there.

        Raises:
            MmkerasError: what `ItemBatch.check` refuses, another dimension or other modalities, an item that is no
                JSON; when the context ends, two items of one id.
            OSError: a full disk.
        """
        batch.check()
        if set(batch.embeddings) != set(self.modalities) or batch.dim != self.dim:
            raise MmkerasError(
                f"{batch.origin or 'Items'}: expected {' and '.join(self.modalities)} embeddings of {self.dim} "
                f"dimensions. Received: {' and '.join(batch.embeddings)} of {batch.dim}"
            )
        lines = [
            json.dumps(item, ensure_ascii=False, default=_plain).encode(errors="surrogatepass") + b"\n"
            for item in batch.items
        ]
        self._append(lines, batch.items, {m: rounded(v, self.precision) for m, v in batch.embeddings.items()})
        for name, content in batch.pictures.items():
            self._add_picture(name, content)

    def copy(self, segment: Segment, rows: NDArray[np.int64] | None = None) -> None:
        """Write items of a segment, their embeddings to the bit where these have the same precision.

        Args:
            segment: `Segment` of the same dimension and modalities.
            rows: int64 (R,), sorted; all where None.
        """
        rows = np.arange(len(segment)) if rows is None else rows
        for start in range(0, len(rows), _COPIED):
            some = rows[start : start + _COPIED]
            lines = [segment.line(row) for row in some.tolist()]
            items = [json.loads(line) for line in lines]
            if segment.precision == self.precision:
                stored = {modality: segment.stored(modality, some) for modality in self.modalities}
            else:
                stored = {m: rounded(segment.floats(m, some), self.precision) for m in self.modalities}
            self._append(lines, items, stored)
            for item in items:
                if name := item.get("picture"):
                    self._add_picture(name, segment.picture(name))

    def _append(self, lines, items, stored):
        for modality, (values, scales) in stored.items():
            self._arrays[modality, "embeddings"].append(values)
            if scales is not None:
                self._arrays[modality, "scales"].append(scales)
        starts = self._lines.tell() + np.cumsum([len(line) for line in lines], dtype=np.int64)
        self._lines.writelines(lines)
        self._offsets.append(starts)
        self._table.append(items)
        self.count += len(lines)

    def _add_picture(self, name, content):
        if self._pictures is None:
            # Stored, with a fixed date: PNG and JPEG are compressed already, and equal items give equal bytes.
            archive = zipfile.ZipFile(self.folder / "pictures.zip", "w", zipfile.ZIP_STORED)
            self._pictures = self._open.enter_context(archive)
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o644 << 16  # without it `unzip` leaves files that nobody may read
        self._pictures.writestr(entry, content)

    def _array(self, name, kind, dtype, width=None):
        joined = f"{name}.{kind}.npy" if name == "items" else f"{name}_{kind}.npy"
        array = ArrayWriter(self.folder / joined, dtype, width)
        self._open.callback(array.discard)
        self._arrays[name, kind] = array
        return array


def _plain(value: Any) -> Any:
    """A number or an array of NumPy as JSON has it."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise MmkerasError(f"Expected items of strings, numbers and lists. Received: {value!r}")
