"""`ImageFolder`: a folder with a `metadata` file, as `datasets` calls `imagefolder`."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator
from pathlib import Path

from mmkeras.data.layouts.json_lines import JsonLines
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.parquet import Parquet
from mmkeras.data.layouts.row import Row
from mmkeras.data.layouts.split_folders import splits_of_paths
from mmkeras.data.layouts.table import Table

METADATA: dict[str, type[Layout]] = {
    "metadata.csv": Table,
    "metadata.jsonl": JsonLines,
    "metadata.parquet": Parquet,
}


class ImageFolder(Layout):
    """A folder with `metadata.csv`, `.jsonl` or `.parquet`: at its root, or one in each of its folders.

    `file_name` is a path from the metadata file's own folder. Folders `train`, `validation` and `test` say the split,
    where the metadata do not.
    """

    title = "Hugging Face imagefolder (metadata.csv, .jsonl or .parquet in a folder)"
    expected = "file_name and text"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return source.is_dir() and bool(_metadata_files(source))

    def rows(self) -> Iterator[Row]:
        rows: list[Row] = []
        unused: dict[str, None] = {}
        for file in _metadata_files(self.source):
            inside = file.parent.relative_to(self.source).as_posix()
            layout = METADATA[file.name](file, self.corpus)
            for row in layout.rows():
                rows.append(_moved(row, f"{file.relative_to(self.source)}, {row.where}", inside))
            unused |= dict.fromkeys(layout.unused)
            self.untyped = self.untyped or layout.untyped
        self.unused = list(unused)
        named = [row for row in rows if row.fields and isinstance(row.fields.get("image"), str)]
        paths = [posixpath.normpath(row.fields["image"]) for row in named if row.fields]
        split_of = dict(zip(map(id, named), splits_of_paths(paths), strict=True))
        for row in rows:
            split = split_of.get(id(row))
            yield dataclasses.replace(row, fields={"split": split, **row.fields}) if split and row.fields else row

    def store(self, place, outside=False):
        return super().store(place or self.source, outside)


def _metadata_files(folder):
    """The metadata at the root, else those in the folders right below."""
    for where in ("", "*/"):
        by_folder: dict[Path, Path] = {}  # where two kinds say the same, the first kind's
        for name in METADATA:
            for file in folder.glob(where + name):
                by_folder.setdefault(file.parent, file)
        if by_folder:
            return [by_folder[one] for one in sorted(by_folder)]
    return []


def _moved(row, where, inside):
    """A row of metadata in a folder below, whose names are seen from above."""
    fields = row.fields
    if fields and isinstance(name := fields.get("image"), str) and "://" not in name:
        fields = {**fields, "image": posixpath.join(inside, name)}
    return dataclasses.replace(row, where=where, fields=fields, number=None)
