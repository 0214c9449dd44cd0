"""`TfdsStore`: pictures of a data set of TensorFlow Datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmkeras.data.stores.picture_store import PictureStore
from mmkeras.data.stores.stored_picture import StoredPicture
from mmkeras.errors import MmkerasError


class TfdsStore(PictureStore):
    """Pictures by split and row: `train/12` is the one in row 12, from 0, of the split `train`.

    Args:
        sources: dict from a split to its data source, whose pictures are not decoded.
        feature: the name of the picture's feature.
        place: folder of the data set.
        size: of the data set, in bytes.
    """

    def __init__(self, sources: Mapping[str, Sequence[Mapping[str, Any]]], feature: str, place: str, size: int) -> None:
        self.sources, self.feature, self.place, self.size = dict(sources), feature, place, size

    def find(self, name: str) -> StoredPicture:
        split, _, row = name.rpartition("/")
        if split not in self.sources or not row.isdecimal() or int(row) >= len(self.sources[split]):
            raise MmkerasError(f"there is no picture {name} in {self.place}")
        return _Example(self, split, int(row))


class _Example(StoredPicture):
    __slots__ = ("row", "split", "store")

    def __init__(self, store, split, row):
        self.store, self.split, self.row = store, split, row

    def __str__(self):
        return f"{self.store.place}/{self.split}/{self.row}"

    def read_bytes(self):
        return self.store.sources[self.split][self.row][self.store.feature]

    def stamp(self):
        # What is prepared once does not change; the bytes are those of the whole.
        return str(self), self.store.size, 0

    def place(self):
        return ["tfds", self.store.place, self.split, self.store.feature, self.row]

    def own_size(self):
        return None
