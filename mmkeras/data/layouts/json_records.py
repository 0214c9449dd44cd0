"""`JsonRecords`: records in a JSON list, as ALBEF, BLIP and many others keep them."""

from __future__ import annotations

from collections.abc import Iterator

from mmkeras.data.layouts.columns import checked_columns, fields_of, named_columns
from mmkeras.data.layouts.json_content import JsonContent
from mmkeras.data.layouts.row import Row
from mmkeras.data.split_names import SHARES, canonical_split


class JsonRecords(JsonContent):
    """A list of records, or an object with one: `[{"image": "name.jpg", "caption": "..."}]`, `{"data": [...]}`.

    Keys are found as columns of a table are; a caption is a text or a list of texts. An object may have a list a split:
    `{"train": [...], "val": [...]}`. `id` is not read: in such lists it is a record's own.
    """

    title = "JSON list of records"
    expected = '[{"image": "name.jpg", "caption": "..."}]'

    @classmethod
    def holds(cls, content):
        return isinstance(content, list) or bool(_lists(content))

    def rows(self) -> Iterator[Row]:
        lists = {"": self.content} if isinstance(self.content, list) else _lists(self.content)
        records = [record for of_key in lists.values() for record in of_key if isinstance(record, dict)]
        keys = list(dict.fromkeys(key for record in records for key in record))
        if records:
            checked_columns(self.where, keys, self.corpus)
        number, unused = 0, {}
        for key, of_key in lists.items():
            split = {"split": canonical_split(key)} if len(lists) > 1 else {}
            for position, record in enumerate(of_key):
                fields, metadata = None, {}
                if isinstance(record, dict):
                    columns, others = named_columns(record)
                    fields = split | fields_of(record, columns)
                    unused |= dict.fromkeys(others)
                    metadata = {name: record[name] for name in others} if self.corpus else {}
                where = f"{key}[{position}]" if key else f"record {position}"
                yield Row(where, fields, str(record)[:200], number, metadata)
                number += 1
        self.unused = list(unused)


def _lists(content):
    """The lists of records of an object by key: one, or one a split; none where it is something else."""
    if not isinstance(content, dict):
        return {}
    lists = {
        key: value
        for key, value in content.items()
        if isinstance(value, list) and any(isinstance(one, dict) and "image" in named_columns(one)[0] for one in value)
    }
    return lists if len(lists) == 1 or all(canonical_split(key) in SHARES for key in lists) else {}
