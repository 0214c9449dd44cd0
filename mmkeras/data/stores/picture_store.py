"""`PictureStore`: pictures by name."""

from __future__ import annotations

import abc
from pathlib import Path

from mmkeras.data.stores.stored_picture import StoredPicture


class PictureStore(abc.ABC):
    """Pictures by name."""

    @property
    def places(self) -> list[Path]:
        """The folders in which pictures are looked for; none where they lie in an archive."""
        return []

    @abc.abstractmethod
    def find(self, name: str) -> StoredPicture:
        """Return one picture, unread.

        Raises:
            MmkerasError: no such picture, one outside of the place, or one that is there more than once.
        """
