"""Parquet files of embeddings, the hand-over to indexes and databases: how one is written, and read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.atomic import replacing_file
from mmkeras.data.stores.arrow_file import import_pyarrow, telling
from mmkeras.embeddings.column_types import plain_value
from mmkeras.embeddings.corpus_row import CorpusRow
from mmkeras.embeddings.part_info import PART, PartInfo
from mmkeras.errors import MmkerasError

OWN = ("id", "embedding", "error", "text", "picture", "thumbnail")
ROWS_OF_GROUP = 1024  # rows that are packed together, and held in memory before they are written


class PartWriter:
    """Writes the rows of one file, some at a time; `writing_part` opens it.

    Args:
        stream: `pyarrow.parquet.ParquetWriter`.
        schema: `pyarrow.Schema` of the file.
        dim: D of the embeddings.
    """

    def __init__(self, stream: Any, schema: Any, dim: int) -> None:
        self._stream, self._schema, self._dim = stream, schema, dim
        self._waiting: list[dict[str, Any]] = []
        self._embeddings: list[NDArray[np.float32]] = []

    def add(
        self,
        rows: Sequence[CorpusRow],
        embeddings: NDArray[np.float32],
        errors: Sequence[str | None],
        thumbnails: Sequence[bytes | None] | None = None,
    ) -> None:
        """Add N rows.

        Args:
            rows: list of `CorpusRow`, their metadata as the file's columns have them.
            embeddings: float32 (N, D); what stands in a row with an error is not written.
            errors: why a row has no embedding, `None` where it has one.
            thumbnails: encoded pictures to be looked at, or `None` of those that have none.
        """
        for place, (row, error) in enumerate(zip(rows, errors, strict=True)):
            known = {"id": row.id, "error": plain_value(error), "text": row.text, "picture": row.picture}
            if thumbnails is not None:
                known["thumbnail"] = thumbnails[place]
            self._waiting.append({**row.metadata, **known})
        self._embeddings.append(embeddings)
        if len(self._waiting) >= ROWS_OF_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what waits, as a group of rows."""
        pyarrow = import_pyarrow()
        if not self._waiting:
            return
        failed = np.array([row["error"] is not None for row in self._waiting])
        values = np.concatenate(self._embeddings).astype(np.float32, copy=False)
        columns = []
        for field in self._schema:
            if field.name == "embedding":
                ends = np.concatenate([[0], np.cumsum(~failed) * self._dim]).astype(np.int32)
                mask = pyarrow.array(failed)
                columns.append(pyarrow.ListArray.from_arrays(ends, values[~failed].ravel(), mask=mask))
            else:
                columns.append(pyarrow.array([row.get(field.name) for row in self._waiting], field.type))
        self._stream.write_table(pyarrow.Table.from_arrays(columns, schema=self._schema))
        self._waiting, self._embeddings = [], []


@contextlib.contextmanager
def writing_part(
    file: str | os.PathLike[str], info: PartInfo, columns: Mapping[str, str], thumbnails: bool = False
) -> Iterator[PartWriter]:
    """Open a file of embeddings to be written; it is there, whole, when the context ends without an error.

    Args:
        file: path, see `part_name`.
        info: what all its rows have in common.
        columns: dict from a metadata column to its type: `string`, `int64`, `double`, `bool` or `strings`, a list.
        thumbnails: whether the file has a column of pictures to be looked at.

    Yields:
        `PartWriter`.

    Raises:
        MmkerasError: it cannot be written, on a full disk for example; pyarrow is not installed.
    """
    pyarrow = import_pyarrow()
    schema = _schema(info, columns, thumbnails)
    # A dictionary of what differs in every row is the column a second time.
    repeated = [name for name, kind in columns.items() if kind == "string"]
    with replacing_file(file) as beside:
        with pyarrow.parquet.ParquetWriter(beside, schema, use_dictionary=repeated) as stream:
            writer = PartWriter(stream, schema, info.dim)
            yield writer
            writer.flush()
        _to_disk(beside)


def _to_disk(file):
    """A name must not be there before its bytes are, where the machine stops."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _schema(info, columns, thumbnails):
    pyarrow = import_pyarrow()
    types = {
        "string": pyarrow.string(),
        "int64": pyarrow.int64(),
        "double": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "strings": pyarrow.list_(pyarrow.string()),
    }
    fields = [
        pyarrow.field("id", pyarrow.string(), nullable=False),
        # As a list of fixed size Arrow writes nulls that it cannot read until version 25 (apache/arrow#35692); in the
        # file both are the same.
        pyarrow.field("embedding", pyarrow.list_(pyarrow.float32())),
        *(pyarrow.field(name, pyarrow.string()) for name in ("error", "text", "picture")),
        *([pyarrow.field("thumbnail", pyarrow.binary())] if thumbnails else []),
        *(pyarrow.field(name, types[kind]) for name, kind in columns.items()),
    ]
    return pyarrow.schema(fields, metadata=info.to_metadata())


def read_info(file: str | os.PathLike[str]) -> PartInfo:
    """Return what all embeddings of a file have in common; its end alone is read.

    Raises:
        MmkerasError: it is damaged, or no file of embeddings.
    """
    return PartInfo.of_metadata(file, _opened(file).schema_arrow.metadata)


def has_thumbnails(file: str | os.PathLike[str]) -> bool:
    """Return whether a file has a column of pictures to be looked at.

    Raises:
        MmkerasError: it is damaged.
    """
    return "thumbnail" in _opened(file).schema_arrow.names


def row_count(file: str | os.PathLike[str]) -> int:
    """Return how many rows a file has; its end alone is read.

    Raises:
        MmkerasError: it is damaged.
    """
    return _opened(file).metadata.num_rows


def count_rows(file: str | os.PathLike[str]) -> tuple[int, int]:
    """Return how many rows a file has, and how many of them have no embedding; its end alone is read.

    Raises:
        MmkerasError: it is damaged.
    """
    metadata = _opened(file).metadata
    place = metadata.schema.to_arrow_schema().get_field_index("error")
    failed = 0
    # A column of Parquet is a leaf; those before `error` are of strings and of numbers, one leaf each.
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(place).statistics
        failed += metadata.row_group(group).num_rows - statistics.null_count
    return metadata.num_rows, failed


def first_error(file: str | os.PathLike[str]) -> str:
    """Return the first row of a file that has no embedding, and why; empty where all have one."""
    for batch in read_part(file, ["id", "error"]):
        for name, error in zip(batch["id"].to_pylist(), batch["error"].to_pylist(), strict=True):
            if error is not None:
                return f"{name}: {error}"
    return ""


def read_part(file: str | os.PathLike[str], columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Yield the rows of a file, as `pyarrow.RecordBatch` of at most 1,024 rows.

    Args:
        file: path.
        columns: those to read; all where `None`.

    Raises:
        MmkerasError: it is damaged, or no file of embeddings.

    Example:
        >>> batch = next(read_part("embeddings/part-00000-of-00001.parquet", ["id", "embedding"]))
        >>> batch["embedding"].drop_null().values.to_numpy().reshape(-1, 128).shape
        (1000, 128)
    """
    read_info(file)
    with telling(Path(file), "cannot be read"):
        yield from _opened(file).iter_batches(ROWS_OF_GROUP, columns=None if columns is None else list(columns))


def list_parts(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the files of embeddings in a folder, in the order of their shards; none where there is no folder.

    Raises:
        MmkerasError: they are not all of one number of shards, `part-00000-of-00064` beside `part-00000-of-00065`.
    """
    files = sorted(file for file in Path(folder).glob("part-*") if PART.fullmatch(file.name))
    counts = sorted({file.name.rpartition("-")[2] for file in files})
    if len(counts) > 1:
        told = [next(file.name for file in files if file.name.endswith(count)) for count in counts[:2]]
        raise MmkerasError(
            f"{folder}: expected files of one number of shards. Received: {told[0]} and {told[1]}. Remove those of one "
            "of the two"
        )
    return files


def _opened(file):
    pyarrow = import_pyarrow()
    with telling(Path(file), "is no readable Parquet file; remove it, and it is made again"):
        return pyarrow.parquet.ParquetFile(file)
