"""`SavedDataset`: what `save_to_disk` of the package `datasets` writes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from mmkeras.data.layouts.arrow_layout import ArrowLayout
from mmkeras.data.layouts.json_file import read_json
from mmkeras.data.split_names import canonical_split
from mmkeras.data.stores.arrow_file import ArrowFile
from mmkeras.errors import MmkerasError


class SavedDataset(ArrowLayout):
    """A folder with `state.json`, or with `dataset_dict.json` and such a folder a split.

    It is read by row, where it lies, with `pyarrow` alone; `datasets` need not be installed.
    """

    title = "Hugging Face dataset (save_to_disk)"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return (source / "state.json").is_file() or (source / "dataset_dict.json").is_file()

    @functools.cached_property
    def tables(self) -> Mapping[str, ArrowFile]:
        folders = {"": self.source}
        if (self.source / "dataset_dict.json").is_file():
            folders = {name: self.source / name for name in _key(self.source / "dataset_dict.json", "splits")}
        tables = {}
        for split, folder in folders.items():
            state = folder / "state.json"
            if _key(state, "_indices_data_files", []):
                raise MmkerasError(f"{folder}: expected rows as they lie. Save it anew, after flatten_indices()")
            for data_file in _key(state, "_data_files"):
                name = data_file["filename"]
                tables[f"{split}/{name}" if split else name] = ArrowFile(folder / name)
        return tables

    def split_of(self, name: str) -> str | None:
        return canonical_split(name.partition("/")[0]) if "/" in name else None

    def places(self) -> list[Path]:
        return [self.source, *super().places()]


def _key(file, key, otherwise=None):
    """A list of a JSON file."""
    content = read_json(file)
    value = content.get(key, otherwise) if isinstance(content, dict) else None
    if not isinstance(value, list):
        if value is None and otherwise is not None:
            return otherwise
        raise MmkerasError(f"{file}: expected a list of {key}. Received: {str(content)[:80]!r}")
    return value
