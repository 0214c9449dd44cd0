"""`Table`: CSV and TSV, a picture and a caption a line, columns found by their names."""

from __future__ import annotations

import collections
import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from mmkeras.data.layouts.columns import checked_columns, fields_of, named_columns
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.row import Row
from mmkeras.data.layouts.text_file import beginning, read_text

SEPARATORS = (",", "\t", ";", "|")


class Table(Layout):
    """A `.csv` or `.tsv` file with a line of column names; which separator it has is read from that line.

    Quotes, line breaks within them, a byte order mark, and any kind of line end are read as spreadsheets write them.
    A line whose quotes are not closed is one that cannot be read; between tabs and `|` its quotes are taken as they
    stand. Several captions of a picture are several lines, or columns `caption_1`, `caption_2`, ...

    Kaggle's `captions.txt` of Flickr8k and `results.csv` of Flickr30k are such files too.
    """

    title = "CSV or TSV with column names (.csv, .tsv)"
    expected = "columns such as image,caption (and split, label)"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        if not source.is_file():
            return False
        if source.suffix.lower() == ".txt":
            # A heading of two words tells a table from a list of names, or of captions.
            columns, _ = named_columns(_cells(next(io.StringIO(beginning(source), newline=""), ""))[0])
            return {"image", "captions"} <= set(columns)
        return source.suffix.lower() in (".csv", ".tsv", ".tab")

    def rows(self) -> Iterator[Row]:
        # newline="" ends a line at any of \n, \r\n and \r, and keeps what it ends with
        lines = io.StringIO(read_text(self.source), newline="").readlines()
        # Excel writes `sep=;` above the names, and reads it
        above = sum(1 for _ in itertools.takewhile(lambda line: re.fullmatch(r"\s*|sep=.\s*", line), lines))
        names, separator = _cells(next(iter(lines[above:]), ""))
        names = list(_told_apart(names))
        columns, self.unused = checked_columns(f"{self.source}, line {above + 1}", filter(None, names), self.corpus)
        others = self.unused if self.corpus else []
        self.untyped = True
        for number, cells, received in _records(lines, separator, above + 1):
            fields, metadata = None, {}
            if cells is None:
                received = f"{received} (is a quote left open?)"
            elif len(cells) != len(names):
                quotes = " (no quotes?)" if len(cells) > len(names) else ""
                received = f"{len(cells)} cells in place of {len(names)}{quotes}: {received}"
            else:
                record = dict(zip(names, cells, strict=True))
                fields, metadata = fields_of(record, columns), {name: record[name] for name in others}
            yield Row(f"line {number}", fields, received, number, metadata)


def _cells(line):
    """The names of columns, and the separator between them."""
    separator = max(SEPARATORS, key=line.count)
    try:
        names = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a line of more than 131,072 characters
        names = [line[:80]]
    return [name.strip() for name in names], separator


def _told_apart(names):
    """Names of columns, where a second `caption` is `caption_2`; those without a name are left so."""
    count: collections.Counter[str] = collections.Counter()
    for name in names:
        count[name] += 1
        yield f"{name}_{count[name]}" if name and count[name] > 1 else name


def _records(lines, separator, start):
    """The records from a line on: number of the line, cells or `None`, and what stands there."""
    while start < len(lines):
        rest = map(lines.__getitem__, range(start, len(lines)))
        # `a.jpg, "one, two"` has a blank before the quote
        reader = csv.reader(rest, delimiter=separator, strict=True, skipinitialspace=separator in ",;")
        number = start + 1
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield number, [cell.strip() for cell in cells], separator.join(cells)[:200]
                number = start + reader.line_num + 1
            return
        except csv.Error:
            # Of one line, whatever the parser has swallowed behind it.
            line = lines[number - 1].rstrip("\r\n")
            cells = [cell.strip() for cell in line.split(separator)] if separator in "\t|" else None
            yield number, cells, line
            start = number
