"""`Table`: CSV and TSV, a picture and a caption a line, columns found by their names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from mmkeras.data.layouts.columns import fields_of, named_columns
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.row import Row
from mmkeras.data.layouts.text_file import read_text
from mmkeras.errors import MmkerasError

SEPARATORS = (",", "\t", ";", "|")


class Table(Layout):
    """A `.csv` or `.tsv` file with a line of column names; which separator it has is read from that line.

    Quotes, line breaks within them, a byte order mark, and any kind of line end are read as spreadsheets write them.
    Several captions of a picture are several lines, or columns `caption_1`, `caption_2`, ...
    """

    title = "CSV or TSV with column names (.csv, .tsv)"
    expected = "columns such as image,caption (and split, label)"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return source.is_file() and source.suffix.lower() in (".csv", ".tsv", ".tab")

    def rows(self) -> Iterator[Row]:
        lines = io.StringIO(read_text(self.source), newline="")
        first = lines.readline()
        lines.seek(0)
        separator = max(SEPARATORS, key=first.count)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        number = 1
        try:
            names = next(reader, [])
            columns, self.unused = named_columns(name for name in names if name.strip())
            if "image" not in columns or not {"captions", "label", "labels"} & set(columns):
                raise MmkerasError(
                    f"{self.source}, line 1: expected the names of columns, one of pictures (image, file, filename, "
                    "filepath ...) and one of captions (caption, text, title ...). "
                    f"Received: {', '.join(names)[:200]!r}"
                )
            number = reader.line_num + 1
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    received = separator.join(cells)
                    fields = (
                        None if len(cells) != len(names) else fields_of(dict(zip(names, cells, strict=True)), columns)
                    )
                    if fields is None:
                        received = f"{len(cells)} cells in place of {len(names)}: {received}"
                    yield Row(f"line {number}", fields, received, number)
                number = reader.line_num + 1
        except csv.Error as error:
            raise MmkerasError(f"{self.source}, line {number}: no CSV: {error}. Is a quote left open?") from error
