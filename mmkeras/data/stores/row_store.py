"""`RowStore`: pictures that stand in a column of tables."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mmkeras.data.stores.arrow_file import ArrowFile
from mmkeras.data.stores.parquet_file import ParquetFile
from mmkeras.data.stores.picture_store import PictureStore
from mmkeras.data.stores.stored_picture import StoredPicture
from mmkeras.errors import MmkerasError


class RowStore(PictureStore):
    """Pictures by table and row: `train.parquet/12` is the one in row 12, from 0, of the table `train.parquet`.

    Args:
        tables: dict from a name to `ParquetFile` or `ArrowFile`.
        column: what the column of the pictures is called, in each table.
    """

    def __init__(self, tables: Mapping[str, ParquetFile | ArrowFile], column: Mapping[str, str]) -> None:
        self.tables, self.column = dict(tables), dict(column)
        self._stamps = {}
        for name, table in self.tables.items():
            status = os.stat(table.path)
            self._stamps[name] = (os.path.realpath(table.path), status.st_size, status.st_mtime_ns)

    def find(self, name: str) -> StoredPicture:
        table, _, row = name.rpartition("/")
        if table not in self.tables or not row.isdecimal() or int(row) >= self.tables[table].count:
            raise MmkerasError(f"there is no picture {name}, a row of {', '.join(self.tables)[:200]}")
        return _Row(self, table, int(row))


class _Row(StoredPicture):
    """The picture in one row."""

    __slots__ = ("row", "store", "table")

    def __init__(self, store, table, row):
        self.store, self.table, self.row = store, table, row

    def __str__(self):
        return f"{self.store.tables[self.table].path}/{self.row}"

    def read_bytes(self):
        value = self.store.tables[self.table].cell(self.store.column[self.table], self.row)
        content = value["bytes"] if isinstance(value, dict) else value
        if content is None:
            raise MmkerasError(f"Expected a picture in row {self.row} of {self.table}. Received: none")
        return content

    def stamp(self):
        # The bytes are those of the whole table: a picture's own are not known before it is read.
        path, size, time = self.store._stamps[self.table]
        return f"{path}::{self.row}", size, time

    def place(self):
        kind = "parquet" if isinstance(self.store.tables[self.table], ParquetFile) else "arrow"
        return [kind, self.store._stamps[self.table][0], self.store.column[self.table], self.row]

    def own_size(self):
        return None
