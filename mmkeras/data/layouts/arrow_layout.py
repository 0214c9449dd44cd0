"""`ArrowLayout`: what the layouts in tables of Arrow's have in common."""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmkeras.data.layouts.arrow_columns import ArrowColumns
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.row import Row
from mmkeras.data.stores import PictureStore
from mmkeras.data.stores.arrow_file import ArrowFile
from mmkeras.data.stores.parquet_file import ParquetFile
from mmkeras.data.stores.row_store import RowStore
from mmkeras.errors import MmkerasError


class ArrowLayout(Layout):
    """One table or several, with pictures in a column, or their names.

    Columns are found by their names; categories that are numbers get the names that `datasets` keeps with them.
    """

    expected = "columns such as image and caption"

    @functools.cached_property
    @abc.abstractmethod
    def tables(self) -> Mapping[str, ParquetFile | ArrowFile]:
        """The tables by name."""

    def split_of(self, name: str) -> str | None:
        """Return the split of all of a table, `None` where nobody says it."""

    def rows(self) -> Iterator[Row]:
        unused: dict[str, None] = {}
        for name, table in self.tables.items():
            columns = self._columns[name]
            unused |= dict.fromkeys(columns.unused)
            inside = self._holds_pictures(name)
            split = self.split_of(name)
            pictures = [] if inside or columns.picture is None else [columns.picture]
            wanted = [*columns.names, *pictures, *columns.others]
            for row, record in enumerate(table.records(wanted)):
                fields = columns.fields(record)
                if inside:
                    fields["image"] = f"{name}/{row}"
                elif columns.kind == "both" and isinstance(record[columns.picture], dict):
                    fields["image"] = record[columns.picture]["path"]
                if split:
                    fields.setdefault("split", split)
                metadata = {column: record[column] for column in columns.others}
                yield Row(f"{name}, row {row}", fields, str(record)[:200], metadata=metadata)
        self.unused = list(unused)

    def store(self, place: Path | None, outside: bool = False) -> PictureStore:
        filled = [name for name, table in self.tables.items() if table.count]
        inside = {name: self._columns[name].picture for name in filled if self._holds_pictures(name)}
        if not inside:
            return super().store(place, outside)
        if place is not None or len(inside) < len(filled):
            raise MmkerasError(
                f"The pictures lie in {self.source} itself. "
                + (f"Received: image_folder={str(place)!r}" if place else "Received: one table with and one without")
            )
        return RowStore(self.tables, inside)

    @functools.cached_property
    def _columns(self):
        return {name: ArrowColumns(table.path, table.schema, self.corpus) for name, table in self.tables.items()}

    def _holds_pictures(self, name):
        """Whether a column holds bytes; with paths beside, the first picture that is there says which of the two."""
        columns, table = self._columns[name], self.tables[name]
        if columns.kind != "both":
            return columns.kind == "bytes"
        values = (table.cell(columns.picture, row) or {} for row in range(table.count))
        first = next((value for value in values if any(value.values())), {})
        return first.get("bytes") is not None
