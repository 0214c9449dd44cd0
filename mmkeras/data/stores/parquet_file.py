"""`ParquetFile`: a table in Parquet, read a row group at a time."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.data.stores.arrow_file import import_pyarrow, telling

MOST_GROUPS = 4  # row groups of a file that are kept in memory


class ParquetFile:
    """A Parquet file, whose rows are packed in groups: to read one row is to read its group.

    The last groups are kept. In the order of the file each is read once; in any other order a picture costs a group,
    100 to 1,000 pictures, so `mmkeras data pack` makes of a large set what can be read by row.

    Args:
        path: of the file.

    Raises:
        MmkerasError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        pyarrow = import_pyarrow()
        with telling(path, "is no readable Parquet file"):
            self._file = pyarrow.parquet.ParquetFile(path)
            self.schema = self._file.schema_arrow
        metadata = self._file.metadata
        self.count = metadata.num_rows
        self._starts = np.cumsum([0] + [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)])
        self._groups: collections.OrderedDict[tuple[str, int], Any] = collections.OrderedDict()
        self._lock = threading.Lock()  # pictures are read by several threads

    def records(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows as dicts of some columns."""
        with telling(self.path, "cannot be read"):
            for batch in self._file.iter_batches(columns=list(columns)):
                yield from batch.to_pylist() if columns else ({} for _ in range(batch.num_rows))

    def cell(self, column: str, row: int) -> Any:
        """Return the value of one column in one row.

        Raises:
            MmkerasError: it cannot be read.
        """
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        with self._lock, telling(self.path, "cannot be read"):
            values = self._groups.pop((column, group), None)
            if values is None:
                values = self._file.read_row_group(group, columns=[column])[column]
            self._groups[column, group] = values
            if len(self._groups) > MOST_GROUPS:
                self._groups.popitem(last=False)
            return values[row - int(self._starts[group])].as_py()
