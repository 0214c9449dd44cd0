"""`Parquet`: Parquet files, with the pictures in them or names of pictures."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from mmkeras.data.layouts.arrow_layout import ArrowLayout
from mmkeras.data.layouts.split_folders import splits_of_names
from mmkeras.data.stores.parquet_file import ParquetFile


class Parquet(ArrowLayout):
    """A `.parquet` file, or a folder of them, as data sets lie on Hugging Face's hub.

    Files that are called `train-00000-of-00002.parquet`, or lie in `train/`, say the split. Pictures in a column, as
    bytes or as `datasets` keeps them, are read by row, see `ParquetFile`.
    """

    title = "Parquet (.parquet, or a folder of them)"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return source.suffix.lower() == ".parquet" if source.is_file() else bool(_files(source))

    @functools.cached_property
    def tables(self) -> Mapping[str, ParquetFile]:
        if self.source.is_file():
            return {self.source.name: ParquetFile(self.source)}
        files = {file.relative_to(self.source).as_posix(): file for file in _files(self.source)}
        return {name.removeprefix("data/"): ParquetFile(file) for name, file in files.items()}

    def split_of(self, name: str) -> str | None:
        return (splits_of_names(self.tables) or {}).get(name)

    def places(self) -> list[Path]:
        return [self.source, *super().places()] if self.source.is_dir() else super().places()


def _files(folder):
    """The files of a folder, else those of the folders right below it."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("*/*.parquet"))
