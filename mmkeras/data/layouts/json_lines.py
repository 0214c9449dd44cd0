"""`JsonLines`: a record a line, mmkeras' own layout, and others' by the names of their keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from mmkeras.data.layouts.columns import fields_of, named_columns
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.row import Row
from mmkeras.data.layouts.text_file import read_text

OWN = ("image", "captions", "split", "label", "labels", "id")


class JsonLines(Layout):
    """A `.jsonl` file: `{"image": "name.jpg", "split": "train", "captions": ["...", ...]}` a line.

    Keys of other names are found as columns of a table are: `file_name` for `image`, `text` for `captions`.
    """

    title = "JSON lines (.jsonl)"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return source.is_file() and source.suffix.lower() in (".jsonl", ".ndjson")

    def rows(self) -> Iterator[Row]:
        unused: dict[str, None] = {}
        # splitlines would cut at U+2028 within a caption; JSON has no bare line end within a text
        for number, line in enumerate(re.split("\r\n|\n|\r", read_text(self.source)), 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            fields, metadata = None, {}
            if isinstance(record, dict):
                fields = {key: record[key] for key in OWN if key in record}
                columns, others = named_columns(key for key in record if key not in OWN)
                fields = fields_of(record, columns) | fields
                unused |= dict.fromkeys(others)
                metadata = {key: record[key] for key in others} if self.corpus else {}
            yield Row(f"line {number}", fields, line[:200], number, metadata)
        self.unused = list(unused)
