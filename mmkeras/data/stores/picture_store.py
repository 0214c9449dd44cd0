"""`PictureStore`: pictures by name."""

from __future__ import annotations

import abc

from mmkeras.data.stores.stored_picture import StoredPicture


class PictureStore(abc.ABC):
    """Pictures by name."""

    @abc.abstractmethod
    def find(self, name: str) -> StoredPicture:
        """Return one picture, unread.

        Raises:
            MmkerasError: no such picture, one outside of the place, or one that is there more than once.
        """
