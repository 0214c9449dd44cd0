"""`FoldersInTurn`: pictures that lie in one of several folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmkeras.data.stores.picture_store import PictureStore
from mmkeras.data.stores.stored_picture import StoredPicture
from mmkeras.errors import MmkerasError


class FoldersInTurn(PictureStore):
    """Looks for each picture in one folder after the other; what is missing is said of the one that had the last.

    Args:
        stores: list of `PictureStore`, at least one.
    """

    def __init__(self, stores: Sequence[PictureStore]) -> None:
        self.stores = list(stores)
        self._last = self.stores[0]

    @property
    def places(self) -> list[Path]:
        return [place for store in self.stores for place in store.places]

    def find(self, name: str) -> StoredPicture:
        errors = {}
        for store in self.stores:
            try:
                picture = store.find(name)
            except MmkerasError as error:
                errors[store] = error
            else:
                self._last = store
                return picture
        raise errors[self._last]
